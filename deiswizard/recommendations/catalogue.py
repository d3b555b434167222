"""Every recommendation that works, in the document's order. The only list of them."""

from __future__ import annotations

from collections.abc import Collection

from deiswizard.cluster.snapshot import Question, Snapshot
from deiswizard.errors import AnswersError
from deiswizard.recommendations.backup import declaration as backup
from deiswizard.recommendations.base import Recommendation
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.logs import declaration as logs
from deiswizard.recommendations.planes import declaration as planes
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.registration import declaration as registration
from deiswizard.recommendations.restore import declaration as restore
from deiswizard.recommendations.security import declaration as security
from deiswizard.recommendations.stateless import declaration as stateless
from deiswizard.recommendations.tls import declaration as tls

ALL: tuple[Recommendation, ...] = tuple(
    sorted(
        (
            planes.RECOMMENDATION,
            etcd.RECOMMENDATION,
            stateless.RECOMMENDATION,
            preseed.RECOMMENDATION,
            security.RECOMMENDATION,
            backup.RECOMMENDATION,
            registration.RECOMMENDATION,
            logs.RECOMMENDATION,
            tls.RECOMMENDATION,
        ),
        key=lambda r: r.number,
    )
)


OTHERS: tuple[Recommendation, ...] = (restore.RECOMMENDATION,)
"""What is planned and run like one of the nine, but has a command of its own."""


def named(name: str) -> Recommendation:
    """The recommendation of that id or number.

    Raises:
        AnswersError: there is none; says which there are.
    """
    for recommendation in ALL:
        if name in (recommendation.id, str(recommendation.number)):
            return recommendation
    for other in OTHERS:
        if name == other.id:
            return other
    known = ", ".join(f"{r.id} ({r.number})" for r in ALL)
    raise AnswersError(f"there is no recommendation '{name}'", do=f"choose one of: {known}")


def questions(snapshot: Snapshot, of: Collection[str] = ()) -> tuple[Question, ...]:
    """What the recommendations of these ids want the probe to ask, once each; of none: what all do.

    Raises:
        AnswersError: as ``named``.
    """
    asked = [named(name) for name in of] or (*ALL, *OTHERS)
    return tuple(dict.fromkeys(q for one in asked for q in one.questions(snapshot)))
