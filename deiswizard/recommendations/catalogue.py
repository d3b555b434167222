"""Every recommendation that works, in the document's order. The only list of them."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Question, Snapshot
from deiswizard.errors import AnswersError
from deiswizard.recommendations import backup, preseed, registration
from deiswizard.recommendations.base import Recommendation

ALL: tuple[Recommendation, ...] = tuple(
    sorted(
        (preseed.RECOMMENDATION, backup.RECOMMENDATION, registration.RECOMMENDATION),
        key=lambda r: r.number,
    )
)


def named(name: str) -> Recommendation:
    """The recommendation of that id or number.

    Raises:
        AnswersError: there is none; says which there are.
    """
    for recommendation in ALL:
        if name in (recommendation.id, str(recommendation.number)):
            return recommendation
    known = ", ".join(f"{r.id} ({r.number})" for r in ALL)
    raise AnswersError(f"there is no recommendation '{name}'", do=f"choose one of: {known}")


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """What all recommendations want the probe to ask."""
    return tuple(q for recommendation in ALL for q in recommendation.questions(snapshot))
