"""The firewall's table while a run tries ports, and after the new look."""

from __future__ import annotations

from deiswizard.plan.reach_conditions import PortsTake
from deiswizard.plan.step import WaitStep
from deiswizard.recommendations.security import declaration as security
from deiswizard.run import events as e
from deiswizard.run.events import Check
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState
from deiswizard.screens.panes.ports import port_rows
from deiswizard.screens.theme import UNICODE
from deiswizard.vocabulary import StepStatus
from tests.builders import NOW
from tests.unit.firewall_judging import plan_of, world
from tests.unit.firewall_world import choose

PLAN = plan_of(world())
TRIED = [s for s in PLAN.steps if isinstance(s, WaitStep) and isinstance(s.condition, PortsTake)]


def painted(*events: e.Event, width: int = 120, height: int = 40) -> list[str]:
    state = RunState()
    begun = e.RunStarted(at=NOW, run="r", plan=PLAN, by="ann")
    for event in (begun, *events):
        state = reduce(state, event)
    return [text for text, _ in port_rows(PLAN, state, width, height, UNICODE)]


def ended(step: WaitStep, status: StepStatus) -> e.StepFinished:
    return e.StepFinished(at=NOW + 1, step=step.id, status=status)


def line(rows: list[str], *words: str) -> str:
    (found,) = [row for row in rows if all(word in row for word in words)]
    return found


def test_what_is_tried_is_told_host_by_host() -> None:
    rows = painted()
    assert rows[0].split() == ["port", "from", "expected", "found"]
    assert "open on 0 of 3 so far" in line(rows, " 4001 ", "another host")
    first = [step for step in TRIED if step.host == TRIED[0].host]
    rows = painted(*(ended(step, StepStatus.DONE) for step in first))
    assert "open on 1 of 3 so far" in line(rows, " 4001 ", "another host")
    rows = painted(ended(TRIED[0], StepStatus.FAILED))
    assert f"not open on {TRIED[0].host}; open on 0 of 3" in line(rows, " 4001 ", "another host")


def test_after_the_look_every_port_stands_there_and_what_is_wrong_comes_first() -> None:
    good = security.verify(world(), world(closed_=True), choose())
    rows = painted(e.Verified(at=NOW + 9, checks=good))
    assert "closed on all 3 (by rules)" in line(rows, "2375 (Docker", "a stranger")
    wrong = Check(
        title="x", ok=False, cells=("5000 (registry)", "a stranger", "closed", "open on all 3")
    )
    rows = painted(e.Verified(at=NOW + 9, checks=(*good, wrong)))
    assert "5000 (registry)" in rows[1] and UNICODE.failed in rows[1]


def test_it_stays_within_its_place() -> None:
    good = security.verify(world(), world(closed_=True), choose())
    rows = painted(e.Verified(at=NOW + 9, checks=good), width=60, height=8)
    assert len(rows) == 8 and max(map(len, rows)) <= 60 and rows[-1].startswith(" and ")
