"""Rows of the run screen: every row fits, the worst comes first, nothing is lost when folded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed import plan as preseed_plan
from deiswizard.run import events as e
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState
from deiswizard.screens.ascii_only import in_ascii
from deiswizard.screens.panes.hosts import host_rows, image_rows
from deiswizard.screens.panes.progress import headline, overall, rows
from deiswizard.screens.theme import ASCII, UNICODE
from deiswizard.vocabulary import StepStatus
from tests.builders import snapshot
from tests.screens.fakes import halfway

PLAN = preseed_plan.plan(snapshot(), preseed.defaults(snapshot()))


def state_of(*more: e.Event, fails: bool = False) -> RunState:
    state = reduce(RunState(), e.RunStarted(at=0, run="r", plan=PLAN))
    for event in (*halfway(PLAN, fails=fails), *more):
        state = reduce(state, event)
    return state


@given(width=st.integers(20, 200), height=st.integers(3, 60), fails=st.booleans())
def test_every_row_fits_whatever_the_size(width: int, height: int, fails: bool) -> None:
    state = state_of(fails=fails)
    for pane in (rows, host_rows, image_rows):
        found = pane(PLAN, state, width, height, UNICODE)
        assert 0 < len(found) <= height
        if width >= 80:
            assert all(len(text) <= width for text, _ in found)
    assert all(len(text) <= width for text, _ in overall(state, 1.0, width, UNICODE))


def test_a_host_that_failed_comes_first_and_says_what() -> None:
    first = host_rows(PLAN, state_of(fails=True), 120, 20, ASCII)[0][0]
    assert first.split()[:3] == ["X", "failed", "deis-3"] and "no room left" in first


def test_a_lost_host_is_said_to_go_on_there() -> None:
    state = state_of(e.HostLost(at=9, host="deis-2", said="gone"))
    (line,) = [text for text, _ in host_rows(PLAN, state, 120, 20, ASCII) if "deis-2" in text]
    assert "connection lost" in line


@pytest.mark.parametrize(
    ("width", "row"),
    [(80, "connecting again, it goes on"), (120, "connecting again; what was begun there goes on")],
)
def test_a_running_step_on_a_lost_host_says_what_is_waited_for_and_how_long(
    width: int, row: str
) -> None:
    step = next(step for step in PLAN.steps if step.kind == "pull" and step.host == "deis-2")
    state = state_of(
        e.StepStarted(at=9, step=step.id, attempt=1), e.HostLost(at=10, host="deis-2", said="gone")
    )
    assert any(text.endswith(row) for text, _ in rows(PLAN, state, width, 20, ASCII))
    assert "connecting again to deis-2: 5 s of 10 min 00 s" in headline(state, 15)
    back = reduce(state, e.HostReturned(at=16, host="deis-2"))
    assert "connecting" not in headline(back, 17)


def test_a_run_that_can_no_longer_be_recorded_says_so_while_it_stops() -> None:
    state = state_of(e.RecordingEnded(at=9, said="journal.jsonl cannot be written: No space left"))
    assert "nothing more can be recorded" in headline(state, 12)


def test_while_etcd_does_not_confirm_the_lock_the_time_left_is_told() -> None:
    state = state_of(e.LockUnconfirmed(at=9, until=69, said="timed out"))
    assert "etcd does not confirm the lock: 57 s left" in headline(state, 12)
    assert "etcd" not in headline(reduce(state, e.LockConfirmed(at=13)), 14)


def test_an_image_is_done_when_every_host_has_it() -> None:
    image = "alpine:3.2"
    pulls = [step for step in PLAN.steps if step.kind == "pull" and step.image == image]
    done = [e.StepFinished(at=9, step=step.id, status=StepStatus.DONE) for step in pulls]
    for count in range(len(pulls) + 1):
        state = state_of(*done[:count])
        (line,) = [text for text, _ in image_rows(PLAN, state, 120, 30, ASCII) if image in text]
        assert ("v done" in line) is (f"{len(pulls)} of {len(pulls)} hosts" in line)


def test_bytes_of_a_total_are_only_told_when_all_pulls_know_theirs() -> None:
    state = state_of()
    assert " of " not in overall(state, 1.0, 120, ASCII)[0][0].partition("steps")[2]
    waiting = [s.id for s in PLAN.steps if s.kind == "pull" and not state.steps[s.id].pulls]
    steps = dict(state.steps)
    for name in waiting:
        steps[name] = replace(steps[name], status=StepStatus.SKIPPED)
    assert "MB of" in overall(replace(state, steps=steps), 1.0, 120, ASCII)[0][0]


@pytest.mark.parametrize("text", ["╭─╮ ✓ │", "名前", "é", "a\u0301"])
def test_ascii_takes_as_many_cells(text: str) -> None:
    from rich.cells import cell_len

    assert in_ascii(text).isascii() and cell_len(in_ascii(text)) == cell_len(text)
