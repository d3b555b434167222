"""Ceph under the planes: well before its units stop, there and back; and not left by a shutdown service."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.plan import Plan, Stage
from deiswizard.plan.step import CommandStep, GuardStep
from deiswizard.recommendations.planes.assess import assess
from deiswizard.recommendations.planes.hosts import CEPH_ASK_HERE, NOTHING_OR_WELL
from deiswizard.recommendations.planes.plan import plan
from deiswizard.recommendations.planes.shutdown import questions
from deiswizard.run import events as e
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState
from deiswizard.run.undo import way_back
from deiswizard.vocabulary import StepStatus
from tests.unit.planes_world import ALL, SPLIT, choose, fleetd_says, step_of, world

EVERYWHERE = {name: ["control", *planes] for name, planes in SPLIT.items()}


def ids(stages: Sequence[Stage]) -> list[str]:
    return [step.id for stage in stages for step in stage.steps]


def in_order(names: Sequence[str], *found: str) -> None:
    at = [names.index(name) for name in found]
    assert at == sorted(at), list(zip(found, at, strict=True))


def back_after(made: Plan, last: str) -> list[str]:
    """The steps of the way back of a run that ended with this step."""
    state = reduce(RunState(), e.RunStarted(at=0, run="r", plan=made, by="me", wizard="1"))
    for step in made.steps:
        state = reduce(state, e.StepStarted(at=1, step=step.id))
        state = reduce(state, e.StepFinished(at=2, step=step.id, status=StepStatus.DONE))
        if step.id == last:
            return ids(way_back(state))
    raise AssertionError(f"{last} is no step")


@pytest.mark.parametrize("how_far", ["components", "platform"])
def test_etcd_and_ceph_are_asked_before_units_are_made_again(how_far: str) -> None:
    made = plan(world(ceph=True), choose(EVERYWHERE, how_far=how_far))
    store = "store" if how_far == "components" else "platform"
    groups = [stage for stage in made.stages if stage.id.startswith("group:")]
    for stage in groups:
        first = stage.steps[0]
        assert isinstance(first, GuardStep) and first.id.startswith("guard:etcd:")
        asked = [step.id for step in stage.steps if step.id.startswith("guard:ceph:")]
        assert asked == ([f"guard:ceph:{store}"] if stage.id == f"group:{store}" else [])
    guard = step_of(made, f"guard:ceph:{store}")
    assert isinstance(guard, GuardStep) and isinstance(guard.condition, CommandSays)
    assert not re.search(guard.condition.pattern, "HEALTH_WARN 3 pgs degraded\n")
    assert guard.until == ("stop:deis-store-volume.service",), "the first of Ceph's to stop"
    stage = next(stage for stage in groups if stage.id == f"group:{store}")
    names = [step.id for step in stage.steps]
    in_order(names, guard.id, "stop:deis-store-volume.service", "stop:deis-store-monitor.service")


def test_on_the_way_back_too_but_not_where_ceph_is_away_by_our_own_doing() -> None:
    made = plan(world(ceph=True), choose(EVERYWHERE))
    whole = back_after(made, "ceph:store")
    in_order(
        whole,
        "guard:ceph:back:store",
        "back:stop:deis-store-volume.service",
        "back:submit:deis-store-monitor.service",
        "back:ceph:store",
    )
    first = step_of(made, "back:stop:deis-database.service", back=True)
    assert {"guard:etcd:back:store", "guard:ceph:back:store"} == set(first.needs)
    half = back_after(made, "destroy:deis-store-monitor.service")
    assert "guard:etcd:back:store" in half and "guard:ceph:back:store" not in half
    assert "back:ceph:store" in half, "it must be well again all the same"
    untouched = back_after(made, "stop:deis-registry@1.service")
    assert "back:ceph:store" not in untouched


def test_before_fleetd_is_touched_on_the_way_back_etcd_and_ceph_are_asked() -> None:
    now = world(ceph=True, fleetd={4: fleetd_says(ALL, restart="no")})
    made = plan(now, choose(EVERYWHERE, how_far="metadata"))
    for number in range(1, 6):
        guard = step_of(made, f"guard:etcd:back:deis-{number}", back=True)
        assert guard.until == (f"back:apply:deis-{number}",)
        assert guard.undoes == (f"drop-in:deis-{number}", f"apply:deis-{number}")
        change = step_of(made, f"back:drop-in:deis-{number}", back=True)
        asks_ceph = f"guard:ceph:back:deis-{number}" in change.needs
        assert guard.id in change.needs and asks_ceph == (number == 4)
    ill = world(ceph=True, health="HEALTH_WARN x")
    assert not any("guard:ceph:back" in name for name in ids(plan(ill, choose(EVERYWHERE, how_far="metadata")).undo))  # fmt: skip


def test_a_host_whose_units_are_down_may_come_back_while_ceph_is_not_well() -> None:
    assert CEPH_ASK_HERE.startswith("systemctl is-active deis-store-monitor.service")
    for said, may in (
        ("active\nactive\nHEALTH_OK\n", True),
        ("active\nactive\nHEALTH_WARN 3 pgs degraded\n", False),
        ("active\nactive\n", False),
        ("inactive\nfailed\n", True),
        ("inactive\nactive\n", False),
    ):
        assert bool(re.search(NOTHING_OR_WELL, said)) == may, said


def test_a_shutdown_service_does_nothing_while_units_of_ceph_are_made_again() -> None:
    made = plan(world(ceph=True, graceful=(2,)), choose(EVERYWHERE))
    names = ids(made.stages)
    assert names[0] == "graceful:deis-2" and made.stages[0].is_vital
    in_order(
        names, "graceful:deis-2", "stop:deis-store-daemon.service", "ceph:store", "armed:deis-2"
    )
    off, on = step_of(made, "graceful:deis-2"), step_of(made, "armed:deis-2")
    assert isinstance(off, CommandStep) and "ExecStop=\\n" in off.command and off.sudo
    assert isinstance(on, CommandStep) and on.command.startswith("rm -f ")
    assert on.command.endswith("systemctl start graceful-ceph-shutdown.service"), "it was active"
    back = ids(made.undo)
    in_order(
        back,
        "back:armed:deis-2",
        "back:stop:deis-store-daemon.service",
        "back:runs:deis-store-daemon.service",
        "back:graceful:deis-2",
    )
    half = back_after(made, "stop:deis-store-daemon.service")
    assert "back:armed:deis-2" not in half and half[-1] == "back:graceful:deis-2"
    assert any("deis-2: graceful-ceph-shutdown.service would take" in n for n in made.impact.notes)


def test_one_that_a_run_has_left_disarmed_is_found_as_long_as_its_host_is_of_ceph() -> None:
    now = world(ceph=True, graceful=(2, 3), disarmed=(2,))
    (finding,) = (one for one in assess(now).findings if "shutdown" in one.what)
    assert finding.what.startswith("deis-2 holds Ceph's data") and "deiswizard runs" in finding.do
    places = {name: [1, 3, 4, 5] for name in ("store-daemon", "store-monitor")}
    left = world(ceph=True, disarmed=(2,), where=places)
    assert not [one for one in assess(left).findings if "shutdown" in one.what]


def test_one_that_leaves_ceph_does_not_get_it_back_before_it_is_back_itself() -> None:
    made = plan(world(ceph=True, graceful=(2, 4)), choose())
    names = ids(made.stages)
    in_order(names, "graceful:deis-4", "armed:deis-2", "ceph-out:deis-4", "apply:deis-4:leaves")
    assert "armed:deis-4" not in names
    change = next(c for c in made.changes if "graceful" in c.where)
    assert change.where.startswith("deis-4") and change.desired == "does nothing"
    in_order(ids(made.undo), "back:ceph-out:deis-4", "back:armed:deis-2", "back:graceful:deis-4")


def test_a_fleetd_that_is_restarted_stops_ceph_on_its_host_alone() -> None:
    now = world(ceph=True, graceful=(2, 4), fleetd={4: fleetd_says(ALL, restart="no")})
    made = plan(now, choose(EVERYWHERE, how_far="metadata"))
    names = ids(made.stages)
    in_order(names, "graceful:deis-4", "apply:deis-4", "ceph:deis-4", "armed:deis-4")
    assert not any(name.endswith("deis-2") and "graceful" in name for name in names)
    without = plan(world(ceph=True, graceful=(2, 4)), choose(EVERYWHERE, how_far="metadata"))
    assert not any(name.startswith(("graceful", "armed")) for name in ids(without.stages))
    assert {q.host for q in questions(now)} == set(SPLIT) and questions(world()) == ()
