"""What the operator can decide about a run: retry, leave out, stop."""

from __future__ import annotations

import threading

import pytest

from deiswizard.cluster.access import CommandResult
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import CancelledError
from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.step import GuardStep
from deiswizard.run import events as e
from deiswizard.run.runner import Run
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.unit.memory_cluster import (
    LIMIT,
    Call,
    MemoryCluster,
    command,
    plan_of,
    stage,
    wait_for_key,
)
from tests.unit.runs import Make, awaited, ended, fails, happening, kinds, statuses


def test_retry_runs_only_what_failed_and_what_it_blocked(make: Make) -> None:
    cluster = MemoryCluster("a", "b")
    cluster.hosts["a"].answers["bad"] = [fails, CommandResult(0)]
    plan = plan_of(stage(command("bad"), command("after", needs=("bad",)), command("fine", "b")))
    run = make(plan, cluster, interactive=True)
    run.start()
    assert statuses(awaited(run, RunStatus.NEEDS_DECISION))["fine"] == "done"
    run.retry()
    state = ended(run)
    assert state.status is RunStatus.DONE
    assert sorted(cluster.commands()) == ["a: after", "a: bad", "a: bad", "b: fine"]


def test_a_retry_asks_the_guards_of_what_failed_again_while_it_is_not_done(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["two"] = [fails, fails, CommandResult(0)]

    def asks(name: str, *until: str) -> GuardStep:
        says = CommandSays(host="a", command=name, pattern="")
        return GuardStep(id=name, title="g", host="a", condition=says, otherwise="no", until=until)

    first, own = asks("first", "one"), asks("own", "two")
    one, two = command("one", needs=("first",)), command("two", needs=("own", "one"))
    run = make(plan_of(stage(first, one, own, two)), cluster, interactive=True)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    run.retry()
    run.hub.wait_for(
        lambda s: s.status is RunStatus.NEEDS_DECISION and s.steps["two"].attempt == 2, LIMIT
    )
    cluster.hosts["a"].answers["own"] = [CommandResult(1)]
    run.retry()
    run.hub.wait_for(
        lambda s: s.status is RunStatus.NEEDS_DECISION and s.steps["own"].attempt == 3, LIMIT
    )
    assert statuses(run.hub.state)["two"] == "blocked", "its guard does not hold any more"
    asked = cluster.commands()
    assert (
        asked.count("a: first") == 1 and asked.count("a: own") == 3 and asked.count("a: two") == 2
    )
    run.stop()
    ended(run)


def test_retry_of_one_of_two_asks_again_for_the_other(make: Make) -> None:
    cluster = MemoryCluster("a", "b")
    cluster.hosts["a"].answers["one"] = [fails, CommandResult(0)]
    cluster.hosts["b"].answers["two"] = [fails]
    run = make(plan_of(stage(command("one"), command("two", "b"))), cluster, interactive=True)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    run.retry(["one"])
    run.hub.wait_for(
        lambda s: s.status is RunStatus.NEEDS_DECISION and s.steps["one"].attempt == 2, LIMIT
    )
    assert statuses(run.hub.state) == {"one": "done", "two": "failed"}
    run.stop()
    assert ended(run).status is RunStatus.STOPPED


@pytest.mark.parametrize("names", [["fine"], ["nonsense"], []])
def test_retry_of_what_did_not_fail_leaves_the_decision_open(make: Make, names: list[str]) -> None:
    cluster = MemoryCluster("a", "b")
    cluster.hosts["a"].answers["bad"] = [fails]
    plan = plan_of(stage(command("bad"), command("after", needs=("bad",)), command("fine", "b")))
    run = make(plan, cluster, interactive=True)
    run.start()
    before = awaited(run, RunStatus.NEEDS_DECISION)
    run.retry(names)
    assert run.hub.state.status is RunStatus.NEEDS_DECISION
    assert statuses(run.hub.state) == statuses(before)
    run.stop()
    ended(run)


def test_a_step_left_out_leaves_its_dependents_blocked_and_the_run_goes_on(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["bad"] = [fails]
    looking = threading.Event()
    seen: list[RunStatus] = []
    runs: list[Run] = []

    def look() -> Snapshot:
        seen.append(runs[0].hub.state.status)
        looking.set()
        return Snapshot(taken_at=1.0, cluster="prod", via="a")

    plan = plan_of(stage(command("bad"), command("after", needs=("bad",))))
    run = make(
        plan,
        cluster,
        interactive=True,
        look=look,
        verify=lambda after: (e.Check(title="there", ok=True),),
    )
    runs.append(run)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    run.skip("bad", "this host is to go")
    state = ended(run)
    assert statuses(state) == {"bad": "skipped", "after": "blocked"}
    assert state.steps["bad"].said == "this host is to go"
    assert seen == [RunStatus.RUNNING], "a decision that was made is still asked for"
    assert state.status is RunStatus.DONE


def test_what_is_done_cannot_be_left_out_nor_can_a_guard(make: Make) -> None:
    cluster = MemoryCluster("a")
    guard = GuardStep(
        id="guard", title="g", condition=KeyIs(key="/k", value="yes"), otherwise="no quorum"
    )
    run = make(plan_of(stage(command("fine"), guard)), cluster, interactive=True)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    for name in ("fine", "guard", "nonsense"):
        run.skip(name, "why not")
    assert statuses(run.hub.state) == {"fine": "done", "guard": "failed"}
    run.stop()
    ended(run)


def test_what_others_rest_on_cannot_be_left_out(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["bad"] = [CommandResult(1)]
    run = make(plan_of(stage(command("bad")).vital), cluster, interactive=True)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    run.skip("bad", "why not")
    assert statuses(run.hub.state) == {"bad": "failed"}
    run.stop()
    ended(run)


def test_stop_lets_the_running_step_end_and_begins_no_other(make: Make) -> None:
    state = happening(make, MemoryCluster("a"), lambda run: run.stop(), interactive=True)
    assert state.status is RunStatus.STOPPED
    assert statuses(state) == {"one": "done", "two": "waiting"}


def test_stop_now_leaves_a_running_command_unknown(make: Make) -> None:
    cluster = MemoryCluster("a")
    begun = threading.Event()

    def endless(call: Call) -> CommandResult:
        begun.set()
        assert call.cancel is not None and call.cancel.wait(LIMIT)
        raise CancelledError(
            "stopped waiting for a command", state="the command may still be running on the host"
        )

    cluster.hosts["a"].answers["long"] = [endless]
    run = make(plan_of(stage(command("long"))), cluster)
    run.start()
    assert begun.wait(LIMIT)
    run.stop(now=True)
    state = ended(run)
    assert state.status is RunStatus.STOPPED
    assert state.steps["long"].status is StepStatus.UNKNOWN
    assert "may still be running" in state.steps["long"].said


def test_stop_now_ends_a_wait(make: Make) -> None:
    cluster = MemoryCluster("a")
    wait = wait_for_key("wait", interval=1000, timeout=1000)
    run = make(plan_of(stage(wait)), cluster)
    run.start()
    run.hub.wait_for(lambda s: s.steps["wait"].said == "/k is absent", LIMIT)
    run.stop(now=True)
    state = ended(run)
    assert state.status is RunStatus.STOPPED
    assert state.steps["wait"].status is StepStatus.UNKNOWN


def test_after_the_end_nothing_can_be_decided(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["bad"] = [fails]
    run = make(plan_of(stage(command("bad"))), cluster)
    run.start()
    before = ended(run)
    run.retry()
    run.skip("bad", "too late")
    run.stop(now=True)
    assert run.hub.state is before
    assert run.wait(LIMIT).status is RunStatus.FAILED
    assert kinds(run)[-1] == "run-finished"


def test_a_run_that_is_stopped_at_once_still_begins_in_its_journal(make: Make) -> None:
    run = make(plan_of(stage(command("one"))), MemoryCluster("a"))
    run.start()
    run.stop()
    state = ended(run)
    assert kinds(run)[0] == "run-started"
    assert state.plan == run.plan
