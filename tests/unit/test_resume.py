"""Runs that are left, cut off and taken up again, in memory; live ones followed by their journal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cluster.access import CommandResult
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.step import GuardStep, JobStep
from deiswizard.redaction import MASK
from deiswizard.run import events as e
from deiswizard.run import follow
from deiswizard.run.folders import JOURNAL
from deiswizard.run.journal import is_being_written, read_journal
from deiswizard.run.live import LiveRun
from deiswizard.run.replay import final_state
from deiswizard.run.resume import unfinished
from deiswizard.run.runner import Run
from deiswizard.vocabulary import Danger, JobWay, RunStatus, StepStatus
from tests.unit.memory_cluster import LIMIT, Call, MemoryCluster, command, plan_of, stage
from tests.unit.runs import Make, awaited, ended, fails, kinds, statuses


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(follow, "TALKING_PAUSE", 0.005)


def long_job() -> JobStep:
    return JobStep(
        id="job", title="job", host="a", command="long", way=JobWay.UNIT, danger=Danger.WRITE
    )


def guard(*until: str) -> GuardStep:
    return GuardStep(
        id="guard",
        title="guard",
        host="a",
        condition=CommandSays(host="a", command="ask", pattern="^yes"),
        otherwise="no",
        until=until,
    )


class Long:
    """What the job does: begins, and ends when it is told to."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.times = 0
        cluster.hosts["a"].keeper.jobs["long"] = self.work
        cluster.hosts["a"].answers["ask"] = [CommandResult(0, "yes\n")]

    def work(self, write: object, stop: threading.Event) -> int:
        self.times += 1
        self.has_begun.set()
        while not self.may_end.wait(0.002):
            if stop.is_set():
                return 143
        return 0


@pytest.fixture
def left(make: Make, request: pytest.FixtureRequest) -> Iterator[tuple[Run, MemoryCluster, Long]]:
    """A run that was left while its job goes on; the parameter is what its guard guards."""
    cluster = MemoryCluster("a")
    long = Long(cluster)
    plan = plan_of(
        stage(guard(*getattr(request, "param", ())), name="g"),
        stage(command("one"), name="1"),
        stage(long_job(), name="2"),
        stage(command("two"), name="3"),
    )
    run = make(plan, cluster)
    run.start()
    assert long.has_begun.wait(LIMIT)
    run.leave("come back with: deiswizard resume")
    assert run.ended.wait(LIMIT)
    yield run, cluster, long
    long.may_end.set()


def taken_up(run: Run, cluster: MemoryCluster) -> Run:
    again = Run(run.plan, cluster, folder=run.folder, earlier=unfinished(run.folder).events)
    again.start()
    return again


def test_a_run_that_is_left_ends_nothing_on_its_hosts(
    left: tuple[Run, MemoryCluster, Long],
) -> None:
    run, cluster, long = left
    assert kinds(run)[-1] == "run-left"
    assert not is_being_written(run.folder)
    state = final_state(run.folder)
    assert state.status is RunStatus.INTERRUPTED and "come back" in state.said
    assert statuses(state) == {"guard": "done", "one": "done", "job": "unknown", "two": "waiting"}
    assert "may go on on its host" in state.steps["job"].said
    assert cluster.commands() == ["a: ask", "a: one"] and not long.may_end.is_set()


def test_what_is_done_stays_done_and_guards_look_again(
    left: tuple[Run, MemoryCluster, Long],
) -> None:
    run, cluster, long = left
    again = taken_up(run, cluster)
    long.may_end.set()
    state = ended(again)
    assert state.status is RunStatus.DONE and set(statuses(state).values()) == {"done"}
    assert cluster.commands() == ["a: ask", "a: one", "a: ask", "a: two"]
    assert long.times == 1


def test_a_guard_that_no_longer_holds_stops_a_run_that_is_taken_up(
    left: tuple[Run, MemoryCluster, Long],
) -> None:
    run, cluster, _ = left
    cluster.hosts["a"].answers["ask"] = [CommandResult(0, "no\n")]
    state = ended(taken_up(run, cluster))
    assert state.status is RunStatus.FAILED
    assert state.steps["guard"].status is StepStatus.FAILED
    assert "a: two" not in cluster.commands()


@pytest.mark.parametrize(
    ("left", "asked"),
    [(("one",), 1), (("one", "job"), 2)],
    indirect=["left"],
)
def test_a_guard_is_not_asked_again_when_all_that_it_guards_is_done(
    left: tuple[Run, MemoryCluster, Long], asked: int
) -> None:
    run, cluster, long = left
    again = taken_up(run, cluster)
    long.may_end.set()
    assert ended(again).status is RunStatus.DONE
    assert cluster.commands().count("a: ask") == asked


def test_a_short_command_is_let_end_before_a_run_is_left(make: Make) -> None:
    cluster = MemoryCluster("a")
    begun, may_end = threading.Event(), threading.Event()

    def slow(call: Call) -> CommandResult:
        begun.set()
        assert may_end.wait(LIMIT)
        return CommandResult(0)

    cluster.hosts["a"].answers["one"] = [slow]
    run = make(plan_of(stage(command("one"), command("two"))), cluster)
    run.start()
    assert begun.wait(LIMIT)
    run.leave("later")
    may_end.set()
    assert run.ended.wait(LIMIT)
    assert statuses(final_state(run.folder)) == {"one": "done", "two": "waiting"}


def test_a_run_that_needs_a_decision_can_be_left(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["one"] = [fails, CommandResult(0)]
    run = make(plan_of(stage(command("one"))), cluster, interactive=True)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    run.leave("later")
    assert run.ended.wait(LIMIT)
    state = ended(taken_up(run, cluster))
    assert state.status is RunStatus.DONE


def test_what_was_left_out_stays_out(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["one"] = [fails]
    run = make(
        plan_of(stage(command("one")), stage(command("two"), name="2")), cluster, interactive=True
    )
    cluster.hosts["a"].answers["two"] = [fails, CommandResult(0)]
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    run.skip("one", "known")
    run.hub.wait_for(lambda state: state.steps["two"].status is StepStatus.FAILED, LIMIT)
    awaited(run, RunStatus.NEEDS_DECISION)
    run.leave("later")
    assert run.ended.wait(LIMIT)
    state = ended(taken_up(run, cluster))
    assert statuses(state) == {"one": "skipped", "two": "done"}


def test_a_torn_last_line_does_not_spoil_what_is_written_after_it(
    left: tuple[Run, MemoryCluster, Long],
) -> None:
    run, cluster, long = left
    with (run.folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"kind": "step-star')
    long.may_end.set()
    assert ended(taken_up(run, cluster)).status is RunStatus.DONE
    assert "run-resumed" in kinds(run)
    assert final_state(run.folder).status is RunStatus.DONE


def test_two_wizards_cannot_run_the_same_run(left: tuple[Run, MemoryCluster, Long]) -> None:
    run, cluster, long = left
    again = taken_up(run, cluster)
    with pytest.raises(PreconditionError, match="another wizard"):
        Run(run.plan, cluster, folder=run.folder, earlier=list(read_journal(run.folder)))
    long.may_end.set()
    ended(again)


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.REFUSED])
def test_a_run_that_came_to_its_end_is_not_taken_up(
    make: Make, tmp_path: Path, status: RunStatus
) -> None:
    run = make(plan_of(stage(command("one"))), MemoryCluster("a"))
    run.hub.emit(e.RunStarted(at=0, run=run.id, plan=run.plan))
    run.hub.emit(e.RunFinished(at=1, status=status))
    run._journal.close()
    with pytest.raises(PreconditionError, match=f"is {status}"):
        unfinished(run.folder)


def test_a_run_in_another_wizard_is_followed_to_its_end(
    left: tuple[Run, MemoryCluster, Long],
) -> None:
    run, cluster, long = left
    again = taken_up(run, cluster)
    live = LiveRun(run.folder)
    live.start()
    state = live.hub.wait_for(lambda state: state.status is RunStatus.RUNNING, LIMIT)
    assert state.steps["one"].status is StepStatus.DONE
    long.may_end.set()
    ended(again)
    assert live.ended.wait(LIMIT)
    assert live.hub.state.status is RunStatus.DONE


def test_what_a_masked_journal_kept_out_cannot_be_run_again(make: Make) -> None:
    run = make(plan_of(stage(command(f"echo {MASK} | login"))), MemoryCluster("a"))
    run.hub.emit(e.RunStarted(at=0, run=run.id, plan=run.plan))
    run._journal.close()
    with pytest.raises(PreconditionError, match="kept out of its journal as secrets"):
        unfinished(run.folder)
