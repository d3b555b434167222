"""The runner: what runs when, what stops what, and that it always comes to an end."""

from __future__ import annotations

import threading

import pytest

from deiswizard.cluster.access import CommandResult
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import LinkError
from deiswizard.plan.conditions import KeyIs
from deiswizard.plan.plan import Basis, KeyBasis
from deiswizard.plan.step import GuardStep
from deiswizard.run import events as e
from deiswizard.run.runner import Run
from deiswizard.vocabulary import Danger, RunStatus
from tests.unit.memory_cluster import LIMIT, Call, MemoryCluster, command, plan_of, stage
from tests.unit.runs import Make, awaited, ended, fails, happening, kinds, statuses


def test_stages_run_one_after_the_other_and_a_host_s_steps_in_order(make: Make) -> None:
    cluster = MemoryCluster("a", "b")
    plan = plan_of(
        stage(command("1"), command("2"), command("x", "b"), name="first"),
        stage(command("3"), name="second"),
    )
    run = make(plan, cluster)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.DONE
    assert set(statuses(state).values()) == {"done"}
    on_a = [line for line in cluster.commands() if line.startswith("a")]
    assert on_a == ["a: 1", "a: 2", "a: 3"]
    assert cluster.commands()[-1] == "a: 3"


@pytest.mark.parametrize("at_a_time", [0, 1, 3])
def test_no_more_hosts_than_asked_for_run_side_by_side(make: Make, at_a_time: int) -> None:
    hosts = [f"h{number}" for number in range(8)]
    cluster = MemoryCluster(*hosts)
    lock, running, most = threading.Lock(), set[str](), 0
    expected = max(1, at_a_time)
    together = threading.Barrier(expected)

    def busy(call: Call) -> CommandResult:
        nonlocal most
        with lock:
            running.add(call.host)
            most = max(most, len(running))
        if call.host in hosts[:expected]:
            together.wait(LIMIT)  # they are really there at the same time
        with lock:
            running.discard(call.host)
        return CommandResult(0)

    for host in cluster.hosts.values():
        host.answers["go"] = [busy]
    steps = [
        command("go", name).model_copy(update={"id": f"go:{name}", "command": "go"})
        for name in hosts
    ]
    run = make(plan_of(stage(*steps, at_a_time=at_a_time)), cluster)
    run.start()
    assert ended(run).status is RunStatus.DONE
    assert most == expected


def test_a_failed_step_stops_what_needs_it_and_the_border_but_not_the_others(make: Make) -> None:
    cluster = MemoryCluster("a", "b")
    cluster.hosts["a"].answers["bad"] = [fails]
    plan = plan_of(
        stage(command("bad"), command("after", needs=("bad",)), command("fine", "b")),
        stage(command("later"), name="next"),
    )
    run = make(plan, cluster)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.FAILED
    assert statuses(state) == {
        "bad": "failed",
        "after": "blocked",
        "fine": "done",
        "later": "waiting",
    }
    assert state.steps["bad"].said == "no room"
    assert state.steps["after"].said == "needs: do bad"
    assert "1 of 3 steps" in state.said


def test_a_step_may_need_a_step_of_another_host_that_is_still_going_on(make: Make) -> None:
    cluster = MemoryCluster("a", "b")
    asked = threading.Event()

    def slow(call: Call) -> CommandResult:
        assert asked.wait(LIMIT)
        return CommandResult(0)

    def quick(call: Call) -> CommandResult:
        asked.set()
        return CommandResult(0)

    cluster.hosts["a"].answers["slow"] = [slow]
    cluster.hosts["b"].answers["quick"] = [quick]
    plan = plan_of(
        stage(
            command("slow", "a"),
            command("needs-slow", "b", needs=("slow",)),
            command("quick", "b"),
            command("last", "a", needs=("needs-slow",)),
        )
    )
    run = make(plan, cluster)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.DONE
    assert set(statuses(state).values()) == {"done"}
    order = cluster.commands()
    assert order.index("a: slow") < order.index("b: needs-slow") < order.index("a: last")


def test_all_guards_are_asked_but_one_that_fails_lets_nothing_change(make: Make) -> None:
    cluster = MemoryCluster("a", "b")
    guards = [
        GuardStep(
            id=f"guard{number}",
            title="quorum holds",
            condition=KeyIs(key=f"/k{number}", value="yes"),
            otherwise="quorum would be lost",
        )
        for number in range(3)
    ]
    cluster.store.keys["/k1"] = ("yes", 5)
    run = make(plan_of(stage(*guards), stage(command("change"), name="change")), cluster)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.FAILED
    assert statuses(state) == {
        "guard0": "failed",
        "guard1": "done",
        "guard2": "failed",
        "change": "waiting",
    }
    assert state.steps["guard0"].said == "quorum would be lost (/k0 is absent)"
    assert cluster.commands() == []


def test_a_broken_link_is_unknown_and_never_run_again_by_itself(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["cut"] = [CommandResult(None, why="the connection was lost")]
    run = make(plan_of(stage(command("cut")), stage(command("next"), name="2")), cluster)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.FAILED
    assert statuses(state) == {"cut": "unknown", "next": "waiting"}
    assert state.lost.keys() == {"a"}
    assert cluster.commands() == ["a: cut"]


def test_a_lost_host_is_back_when_a_step_on_it_goes_well(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["cut"] = [
        CommandResult(None, why="the connection was lost"),
        CommandResult(0),
    ]
    run = make(plan_of(stage(command("cut"))), cluster, interactive=True)
    run.start()
    assert set(awaited(run, RunStatus.NEEDS_DECISION).lost) == {"a"}
    run.retry()
    state = ended(run)
    assert (state.status, state.lost) == (RunStatus.DONE, {})
    assert state.steps["cut"].attempt == 2


def test_a_host_that_is_not_connected_fails_its_steps_only(make: Make) -> None:
    cluster = MemoryCluster("a")
    run = make(plan_of(stage(command("fine"), command("gone", "z"))), cluster)
    run.start()
    assert statuses(ended(run)) == {"fine": "done", "gone": "failed"}


def test_a_plan_that_has_got_old_is_refused_and_nothing_runs(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.store.keys["/deis/x"] = ("new", 9)
    basis = Basis(taken_at=0.0, keys=(KeyBasis(key="/deis/x", index=8),))
    run = make(plan_of(stage(command("one")), basis=basis), cluster)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.REFUSED
    assert state.differences == ("/deis/x was written: it is now 'new'",)
    assert cluster.commands() == []


def test_a_basis_that_cannot_be_read_is_no_permission_to_go_on(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.store.trouble = LinkError("a", "etcd cannot be reached")
    basis = Basis(taken_at=0.0, keys=(KeyBasis(key="/deis/x", index=8),))
    run = make(plan_of(stage(command("one", danger=Danger.READ)), basis=basis), cluster)
    run.start()
    state = ended(run)
    assert (state.status, state.said) == (RunStatus.FAILED, "etcd cannot be reached")
    assert cluster.commands() == []


@pytest.mark.parametrize(
    ("oks", "status"),
    [
        ([True, True], RunStatus.DONE),
        ([True, False], RunStatus.FAILED),
        ([True, None], RunStatus.FAILED),
    ],
)
def test_only_a_new_look_makes_a_run_done(
    make: Make, oks: list[bool | None], status: RunStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deiswizard.run.runner.LATE_SECONDS", 0.0)
    checks = tuple(e.Check(title=f"check {n}", ok=ok) for n, ok in enumerate(oks))
    run = make(
        plan_of(stage(command("one"))),
        MemoryCluster("a"),
        look=lambda: Snapshot(taken_at=1.0, cluster="prod", via="a"),
        verify=lambda after: checks,
    )
    run.start()
    state = ended(run)
    assert (state.status, state.checks) == (status, checks)
    assert kinds(run)[-4:] == ["verify-started", "verified", "lock-released", "run-finished"]


def test_what_the_cluster_does_late_is_no_failure(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deiswizard.run.runner.LATE_SECONDS", 0.0)
    looks = iter((1.0, 2.0))
    run = make(
        plan_of(stage(command("one"))),
        MemoryCluster("a"),
        look=lambda: Snapshot(taken_at=next(looks), cluster="prod", via="a"),
        verify=lambda after: (e.Check(title="there", ok=after.taken_at > 1.0),),
    )
    run.start()
    assert ended(run).status is RunStatus.DONE
    assert kinds(run).count("verified") == 1
    assert run.after is not None and run.after.taken_at == 2.0


def test_a_bug_in_a_step_is_a_failed_step_and_is_called_a_bug(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["one"] = [ZeroDivisionError("by zero")]
    run = make(plan_of(stage(command("one"), command("two"))), cluster)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.FAILED
    assert statuses(state) == {"one": "unknown", "two": "done"}
    assert "this is a bug" in state.steps["one"].said


def test_a_bug_in_the_last_look_ends_the_run(make: Make) -> None:
    def look() -> Snapshot:
        raise ZeroDivisionError

    run = make(plan_of(), MemoryCluster("a"), look=look, verify=lambda after: ())
    run.start()
    state = ended(run)
    assert state.status is RunStatus.FAILED
    assert "a bug" in state.said


def test_a_listener_that_breaks_does_not_break_the_run(make: Make) -> None:
    run = make(plan_of(stage(command("one"), command("two"))), MemoryCluster("a"))
    heard: list[str] = []

    def broken(event: e.Event) -> None:
        raise BrokenPipeError

    run.hub.subscribe(broken)
    run.hub.subscribe(lambda event: heard.append(event.kind))
    run.start()
    assert ended(run).status is RunStatus.DONE
    assert heard[-1] == "run-finished"
    assert kinds(run) == heard


def test_a_step_is_in_the_journal_before_the_host_is_asked(make: Make) -> None:
    cluster = MemoryCluster("a")
    on_disk: list[str] = []
    runs: list[Run] = []

    def look_at_disk(call: Call) -> CommandResult:
        on_disk.extend(kinds(runs[0]))
        return CommandResult(0)

    cluster.hosts["a"].answers["one"] = [look_at_disk]
    run = make(plan_of(stage(command("one"))), cluster)
    runs.append(run)
    run.start()
    ended(run)
    taken = ["lock-requested", "lock-acquired"]
    assert on_disk == ["run-started", *taken, "stage-started", "step-started"]


@pytest.mark.parametrize("interactive", [True, False])
def test_a_full_disk_stops_the_run_at_the_next_border_and_says_so(
    make: Make, interactive: bool
) -> None:
    cluster = MemoryCluster("a")

    def fill(run: Run) -> None:
        run._journal.problem = "journal.jsonl cannot be written: No space left on device"

    state = happening(make, cluster, fill, interactive=interactive)
    assert state.status is RunStatus.STOPPED
    assert "No space left on device" in state.said
    assert cluster.commands() == ["a: one"]
