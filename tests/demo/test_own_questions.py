"""A recommendation judges and plans by its own questions: a look for it alone need not ask the others'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deiswizard.answers import build, first_values
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.commands.opening import TerminalAsker
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import PreconditionError
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Recommendation
from deiswizard.session import Session


def variants(one: Recommendation, snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """What the guided way begins with, and with each choice of one among several otherwise."""
    raw = first_values(one, snapshot)
    yield raw
    for field in one.fields:
        if field.kind == "one" and field.options:
            yield from (
                {**raw, field.name: option.value}
                for option in field.options(snapshot)
                if option.value != raw[field.name]
            )


def outcome(one: Recommendation, snapshot: Snapshot, raw: dict[str, Any]) -> dict[str, object]:
    """All that is made of a look."""
    choices, problems = build(one, raw)
    found: dict[str, object] = {
        "assessment": one.assess(snapshot),
        "options": [field.options(snapshot) for field in one.fields if field.options],
        "problems": problems,
    }
    if choices is None:
        return found
    found["judged"] = one.check_choices(snapshot, choices)
    try:
        found["plan"] = one.plan(snapshot, choices)
        found["verified"] = one.verify(snapshot, snapshot, choices)
    except PreconditionError as error:
        found["refused"] = str(error)
    return found


@pytest.mark.parametrize("scenario", ["three", "five", "half-done", "stateless"])
def test_what_is_made_of_a_look_does_not_depend_on_what_others_asked(scenario: str) -> None:
    with PretendCluster.start(scenario, speed=50) as cluster:
        session = Session.open(cluster.target, TerminalAsker())
        full = session.look()
        for one in (*catalogue.ALL, *catalogue.OTHERS):
            own = {question.id for question in catalogue.questions(full, of=[one.id])}
            answers = tuple(answer for answer in full.answers if answer.id in own)
            assert len(answers) < len(full.answers)
            narrow = full.model_copy(update={"answers": answers})
            assert list(variants(one, narrow)) == list(variants(one, full)), one.id
            for raw in variants(one, full):
                assert outcome(one, narrow, raw) == outcome(one, full, raw), one.id
        session.close()
