"""The runner and its lock: refused where it is held, stopped where it is lost, given back at the end."""

from __future__ import annotations

import pytest

from deiswizard.cluster.access import CommandResult
from deiswizard.cluster.lock_key import KEY, parse_lock, value_of
from deiswizard.cluster.snapshot import Lock
from deiswizard.plan.plan import Basis, KeyBasis
from deiswizard.run import summary
from deiswizard.run.journal import read_journal
from deiswizard.run.replay import final_state
from deiswizard.run.runner import Run
from deiswizard.vocabulary import Danger, RunStatus
from tests.builders import ANN, NOW
from tests.unit.memory_cluster import LIMIT, Call, MemoryCluster, command, plan_of, stage
from tests.unit.runs import Make, awaited, ended, fails, happening, kinds, statuses


def holder(cluster: MemoryCluster) -> Lock | None:
    return parse_lock(cluster.store.get(KEY))


def held_by_ann(cluster: MemoryCluster) -> None:
    cluster.store.put(KEY, value_of(ANN), expect=None, ttl=60)


def test_a_held_lock_refuses_the_run_in_words_and_nothing_runs(make: Make) -> None:
    cluster = MemoryCluster("a")
    held_by_ann(cluster)
    basis = Basis(taken_at=0.0, keys=(KeyBasis(key="/deis/x", index=8),))
    run = make(plan_of(stage(command("one")), basis=basis), cluster, clock=lambda: NOW + 5)
    run.start()
    state = ended(run)
    assert state.status is RunStatus.REFUSED
    assert "ann@laptop, for 3 min (run r1): Registration mode: Set" in state.said
    assert state.held_by is not None and state.held_by.token == "t1"
    assert kinds(run) == ["run-started", "lock-refused", "run-finished"]
    assert state.differences == () and cluster.commands() == []
    found = holder(cluster)
    assert found is not None and found.owner == "ann@laptop"


def test_only_the_lock_that_was_decided_on_is_broken(make: Make) -> None:
    cluster = MemoryCluster("a")
    held_by_ann(cluster)
    run = make(plan_of(stage(command("one"))), cluster, break_lock="t1")
    run.start()
    assert ended(run).status is RunStatus.DONE
    assert kinds(run)[1:4] == ["lock-requested", "lock-broken", "lock-acquired"]
    assert any("ann@laptop" in line.text for line in run.hub.lines()[1])


def test_a_lock_that_changed_hands_meanwhile_is_not_broken(make: Make) -> None:
    cluster = MemoryCluster("a")
    held_by_ann(cluster)
    run = make(plan_of(stage(command("one"))), cluster, break_lock="t0")
    run.start()
    assert ended(run).status is RunStatus.REFUSED
    assert holder(cluster) is not None and cluster.commands() == []


def test_a_plan_that_only_reads_runs_beside_a_held_lock(make: Make) -> None:
    cluster = MemoryCluster("a")
    held_by_ann(cluster)
    run = make(plan_of(stage(command("one", danger=Danger.READ))), cluster)
    run.start()
    assert ended(run).status is RunStatus.DONE
    assert not any(kind.startswith("lock") for kind in kinds(run))


def test_it_is_held_while_the_run_lives_and_tells_what_is_done(make: Make) -> None:
    cluster = MemoryCluster("a")
    seen: list[Lock | None] = []

    def look(run: Run) -> None:
        run._lock.turn()
        seen.append(holder(cluster))

    assert happening(make, cluster, look).status is RunStatus.DONE
    (lock,) = seen
    assert lock is not None and lock.run == "20261122-223104" and lock.doing == "A test: stage one"
    assert holder(cluster) is None


@pytest.mark.parametrize("how", ["fails", "bug", "old"])
def test_however_a_run_ends_the_lock_is_given_back(make: Make, how: str) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["one"] = [fails]
    basis = Basis(taken_at=0.0, keys=(KeyBasis(key="/k", index=8),) if how == "old" else ())

    def bug() -> None:
        raise ZeroDivisionError

    more = {"look": bug, "verify": lambda after: ()} if how == "bug" else {}
    steps = () if how == "bug" else (command("one"),)
    plan = plan_of(stage(*steps, command("two")), basis=basis)
    run = make(plan, cluster, **more)
    run.start()
    state = ended(run)
    assert state.status is (RunStatus.REFUSED if how == "old" else RunStatus.FAILED)
    assert kinds(run)[-2:] == ["lock-released", "run-finished"]
    assert holder(cluster) is None and state.lock is None


def test_after_a_broken_lock_no_other_step_begins_but_what_goes_on_ends(make: Make) -> None:
    cluster = MemoryCluster("a")
    state = happening(make, cluster, lambda run: cluster.store.remove(KEY, expect=None))
    assert state.status is RunStatus.STOPPED
    assert state.said == "stopped, because the lock was broken by somebody"
    assert state.lock_lost == "the lock was broken by somebody"
    assert statuses(state) == {"one": "done", "two": "waiting"}
    assert cluster.commands() == ["a: one"]


def test_a_taken_lock_stays_the_other_s_and_show_tells(make: Make) -> None:
    cluster = MemoryCluster("a")
    runs: list[Run] = []

    def taken(run: Run) -> None:
        runs.append(run)
        cluster.store.remove(KEY, expect=None)
        held_by_ann(cluster)

    state = happening(make, cluster, taken)
    assert state.said == "stopped, because the lock was taken by ann@laptop (run r1)"
    found = holder(cluster)
    assert found is not None and found.owner == "ann@laptop"
    told = list(summary.lines(final_state(runs[0].folder)))
    assert "  stopped, because the lock was taken by ann@laptop (run r1)" in told
    assert "lock-released" not in kinds(runs[0])


def test_a_run_that_waits_for_a_decision_stops_when_its_lock_is_lost(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["bad"] = [fails]
    run = make(plan_of(stage(command("bad"))), cluster, interactive=True)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    run._lock.turn()
    waits = holder(cluster)
    assert waits is not None and waits.doing == "A test: waiting for a decision"
    cluster.store.remove(KEY, expect=None)
    run.retry()
    state = ended(run)
    assert state.status is RunStatus.STOPPED and "broken" in state.said
    assert cluster.commands() == ["a: bad"], "nothing is tried again"


def test_the_keeper_s_own_look_ends_the_wait_for_a_decision(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["bad"] = [fails]
    run = make(plan_of(stage(command("bad"))), cluster, interactive=True)
    run.start()
    awaited(run, RunStatus.NEEDS_DECISION)
    cluster.store.remove(KEY, expect=None)
    run._lock.turn(is_border=True)
    assert ended(run).status is RunStatus.STOPPED


def test_a_lock_lost_during_the_last_step_does_not_undo_what_was_verified(make: Make) -> None:
    cluster = MemoryCluster("a")

    def last(call: Call) -> CommandResult:
        cluster.store.remove(KEY, expect=None)
        return CommandResult(0)

    cluster.hosts["a"].answers["one"] = [last]
    run = make(plan_of(stage(command("one"))), cluster)
    run.start()
    assert ended(run).status is RunStatus.DONE


def cut_off(make: Make, cluster: MemoryCluster) -> Run:
    """A run of one and two that was left during one."""

    def leaving(call: Call) -> CommandResult:
        runs[0].leave("come back with resume")
        return CommandResult(0)

    cluster.hosts["a"].answers["one"] = [leaving]
    runs = [make(plan_of(stage(command("one"), command("two"))), cluster)]
    runs[0].start()
    assert runs[0].ended.wait(LIMIT)
    assert runs[0].hub.state.status is RunStatus.INTERRUPTED
    return runs[0]


def test_a_run_that_is_left_keeps_its_lock_for_the_wizard_that_takes_it_up(make: Make) -> None:
    cluster = MemoryCluster("a")
    before = cut_off(make, cluster)
    found = holder(cluster)
    assert found is not None and found.run == before.id, "nobody may come in between"
    events = list(read_journal(before.folder))
    again = Run(before.plan, cluster, folder=before.folder, earlier=events)
    again.start()
    state = ended(again)
    assert state.status is RunStatus.DONE
    assert cluster.commands() == ["a: one", "a: two"]
    assert [kind for kind in kinds(again) if kind.startswith("lock")] == [
        "lock-requested", "lock-acquired",
        "lock-requested", "lock-broken", "lock-acquired", "lock-released",
    ]  # fmt: skip
    assert holder(cluster) is None


def test_a_run_that_cannot_be_taken_up_for_a_lock_can_be_taken_up_later(make: Make) -> None:
    cluster = MemoryCluster("a")
    before = cut_off(make, cluster)
    held_by_ann(cluster)
    again = Run(
        before.plan, cluster, folder=before.folder, earlier=list(read_journal(before.folder))
    )
    again.start()
    assert again.ended.wait(LIMIT)
    state = final_state(before.folder)
    assert state.status is RunStatus.INTERRUPTED and "ann@laptop" in state.said
    assert statuses(state) == {"one": "done", "two": "waiting"}
    cluster.store.remove(KEY, expect=None)
    third = Run(
        before.plan, cluster, folder=before.folder, earlier=list(read_journal(before.folder))
    )
    third.start()
    state = ended(third)
    assert state.status is RunStatus.DONE and state.held_by is None
