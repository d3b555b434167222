"""Random choices and faults against the pretend etcd: no step of ours ever ends its quorum."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from deiswizard.errors import PreconditionError
from deiswizard.recommendations.etcd.facts import view
from deiswizard.run import events as e
from deiswizard.run import membership
from deiswizard.run.runner import Run
from deiswizard.run.state import RunState
from deiswizard.run.undo import undo_plan
from deiswizard.vocabulary import RunStatus
from tests.unit.direct import pretend
from tests.unit.etcd_world import PAUSE, EtcdWorld, quickened
from tests.unit.memory_cluster import LIMIT
from tests.unit.runs import ended

NAMES = tuple(f"deis-{n}" for n in range(1, 6))
STRANGER = "http://10.21.2.99:2380"
CUT_OFF = (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.INTERRUPTED)

Fault = tuple[str, str]
FAULTS = st.tuples(
    st.sampled_from(
        ["dies", "is cut off", "wizard ends", "another adds", "another removes", "none"]
    ),
    st.sampled_from(NAMES),
)
MOMENTS = st.integers(min_value=0, max_value=60)
"""After how many events of a run a fault comes; a run of two removals has about fifty."""


class Members(RuleBasedStateMachine):
    """Runs with a fault in the middle, their ways back and their resumption, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.ended_by_us: list[str] = []
        self.last: Run | None = None
        self.meddled = False
        self.harmed = False

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        for name in ("JOIN_PAUSE", "SETTLE_PAUSE"):
            self.stack.enter_context(mock.patch.object(membership, name, PAUSE))
        for name in ("JOIN_SECONDS", "SETTLE_SECONDS"):
            self.stack.enter_context(mock.patch.object(membership, name, 0.3))
        cluster = self.stack.enter_context(pretend("five", speed=2000))
        self.world = EtcdWorld(cluster, Path(folder))
        self.world.direct.watch = self.watched

    def watched(self, words: str, call: Callable[[], Any]) -> Any:
        """Each call of ours: with a quorum before it, there must be one after it."""
        had = self.world.has_quorum
        try:
            return call()
        finally:
            if had and not self.world.has_quorum:
                self.ended_by_us.append(words)

    def faulty(self, fault: Fault, moment: int) -> Callable[[e.Event], None]:
        """Something happens once, between two steps of ours."""
        count = [0]

        def hear(event: e.Event) -> None:
            count[0] += not isinstance(event, e.MembersSeen)
            if count[0] == moment and not isinstance(event, e.MembersSeen):
                self.happen(fault)

        return hear

    def happen(self, fault: Fault) -> None:
        what, name = fault
        etcd, host = self.world.cluster.etcd, self.world.host(name)
        self.harmed = self.harmed or what not in ("wizard ends", "none")
        if what == "dies":
            host.etcd.stop()
        elif what == "is cut off":
            host.is_down = True
        elif what == "wizard ends" and self.running is not None:
            self.running.stop(now=True)
        elif what == "another adds":
            self.others(lambda: etcd.add(STRANGER))
        elif what == "another removes":
            ids = [v.id for v in etcd.members.listed() if v.peer_url == host.peer_url]
            self.others(lambda: etcd.remove(ids[0]) if ids else None)

    def others(self, change: Callable[[], object]) -> None:
        """Another operator, who takes care of the quorum but not of us."""
        etcd = self.world.cluster.etcd
        alive = len(etcd.members.alive & etcd.members.voters.keys())
        if alive >= 3 and len(etcd.members.voters) == alive:
            self.meddled = True
            etcd.members.joined_at = float("-inf")
            change()

    def go(self, run: Run) -> RunState:
        self.running = run
        run.start()
        state = ended(run)
        assert run.ended.wait(LIMIT), "its journal is still written"
        self.running = None
        self.last = run
        return state

    running: Run | None = None

    @rule(
        members=st.sampled_from([NAMES[:3], NAMES[2:], NAMES, ("deis-1", "deis-3", "deis-5")]),
        fault=FAULTS,
        moment=MOMENTS,
    )
    def run(self, members: tuple[str, ...], fault: Fault, moment: int) -> None:
        """A plan for some members, and something that happens while it runs."""
        try:
            plan = self.world.plan(*members)
        except PreconditionError:
            return
        state = self.go(self.world.made(plan, self.faulty(fault, moment)))
        if state.status is RunStatus.DONE and not self.meddled:
            assert self.world.voters == set(members)

    @precondition(lambda self: self.last is not None)
    @rule(fault=FAULTS, moment=MOMENTS)
    def resume(self, fault: Fault, moment: int) -> None:
        """A run that was cut off is taken up again: where nothing else has changed it ends well."""
        assert self.last is not None
        if self.last.hub.state.status not in CUT_OFF:
            return
        state = self.go(self.world.again(self.last, self.faulty(fault, moment)))
        if not self.harmed and state.status is not RunStatus.STOPPED:
            assert state.status is RunStatus.DONE, f"{state.status}: {state.said}"

    @precondition(lambda self: self.last is not None)
    @rule(fault=FAULTS, moment=MOMENTS)
    def undo(self, fault: Fault, moment: int) -> None:
        """The last run is taken back, and something happens meanwhile."""
        assert self.last is not None
        try:
            plan = quickened(undo_plan(self.last.hub.state, self.world.direct.look()))
        except PreconditionError:
            return
        self.go(self.world.made(plan, self.faulty(fault, moment)))

    @rule()
    def mend(self) -> None:
        """Every host is back, and etcd starts where it can."""
        for host in self.world.cluster.hosts:
            host.is_down = False
            host.etcd.start()
        self.world.cluster.etcd.settle()

    @invariant()
    def we_never_end_the_quorum(self) -> None:
        assert not self.ended_by_us

    def teardown(self) -> None:
        """With everything mended, a new plan or the way back brings a healthy set."""
        if not hasattr(self, "stack"):
            return
        with self.stack:
            self.mend()
            self.we_never_end_the_quorum()
            if self.meddled or not self.world.has_quorum:
                return
            self.finish()

    def finish(self) -> None:
        """What was cut off goes on to its end; what is left open then, the advised plan mends."""
        for number in range(4):
            now = view(self.world.direct.look())
            if len(now.healthy) == len(now.members) and all(n.etcd.runs_as for n in now.nodes):
                return
            last = self.last
            if not number and last is not None and last.hub.state.status in CUT_OFF:
                self.go(self.world.again(last))
            else:
                self.go(self.world.made(self.world.plan()))
            self.mend()
        now = view(self.world.direct.look())
        problems = [f"{n.name}: {n.why_unhealthy}" for n in now.nodes if n.why_unhealthy]
        assert not problems and not self.ended_by_us, problems


@pytest.mark.timeout(600)  # each of its examples is a few runs; seen: half a second each
def test_no_step_of_ours_ever_ends_the_quorum() -> None:
    run_state_machine_as_test(
        Members,
        settings=settings(
            max_examples=20,
            stateful_step_count=6,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
            print_blob=True,
        ),
    )
