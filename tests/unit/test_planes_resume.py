"""Planes taken up again: what was done, wherever a run was cut off, is not asked for once more."""

from __future__ import annotations

import re

import pytest

from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import GuardStep
from deiswizard.recommendations.planes.plan import plan
from deiswizard.run import events as e
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState
from deiswizard.vocabulary import StepStatus
from tests.unit.planes_world import ALL, SPLIT, choose, fleetd_says, world

CONTROL, DATA = "controlPlane=true,routerMesh=true", "dataPlane=true"
APART = (CONTROL, CONTROL, CONTROL, DATA, DATA)
EVERYWHERE = {name: ["control", *planes] for name, planes in SPLIT.items()}


def asked_anew(made: Plan, cut: str, *, is_cut_off: bool = True) -> list[str]:
    """The guards that look again when a run is taken up that was killed in this step, or right after it."""
    state = reduce(RunState(), e.RunStarted(at=0, run="r", plan=made, by="me", wizard="1"))
    for step in made.steps:
        state = reduce(state, e.StepStarted(at=1, step=step.id))
        if step.id == cut and is_cut_off:
            break
        state = reduce(state, e.StepFinished(at=2, step=step.id, status=StepStatus.DONE))
        if step.id == cut:
            break
    else:
        raise AssertionError(f"{cut} is no step")
    before = {name for name, one in state.steps.items() if one.status is StepStatus.DONE}
    state = reduce(state, e.RunResumed(at=3))
    return [
        step.id
        for step in made.steps
        if isinstance(step, GuardStep)
        and step.id in before
        and state.steps[step.id].status is StepStatus.WAITING
    ]


def test_guards_of_a_host_that_is_done_are_not_asked_at_the_next() -> None:
    made = plan(world(), choose(how_far="metadata"))
    hosts = [stage.id.removeprefix("host:") for stage in made.stages]
    last = hosts[-1]
    assert asked_anew(made, f"drop-in:{last}") == [f"guard:same:{last}", f"guard:etcd:{last}"]
    assert asked_anew(made, f"apply:{last}") == [f"guard:same:{last}", f"guard:etcd:{last}"]
    assert asked_anew(made, f"known:{last}") == []


def test_a_second_pass_has_made_the_metadata_of_the_first_old() -> None:
    where = {"logger": [1], "controller": [3], "publisher": [4, 5]}
    now = world(*APART, flag="true", decorated=True, where=where)
    made = plan(now, choose({**SPLIT, "deis-3": ["data"], "deis-4": ["data", "control", "router"]}))
    again = asked_anew(made, "apply:deis-3")
    assert again and all(name.endswith(":deis-3") for name in again)
    assert "guard:same:deis-3" in again and "guard:same:deis-3:both" not in again
    assert asked_anew(made, "known:deis-3") == []


def test_a_restart_that_stopped_ceph_here_is_not_held_against_it() -> None:
    now = world(ceph=True, fleetd={4: fleetd_says(ALL, restart="no")})
    made = plan(now, choose(EVERYWHERE, how_far="metadata"))
    assert "guard:ceph:deis-4" in asked_anew(made, "drop-in:deis-4")
    assert asked_anew(made, "known:deis-4") == []


@pytest.mark.parametrize(
    ("cut", "again"),
    [
        (
            "ceph-out:deis-4",
            ["guard:ceph-key", "guard:ceph-well", "guard:ceph-clean", "guard:ceph-osds", "guard:ceph-majority"],
        ),
        ("ceph-empty:deis-4", ["guard:ceph-key"]),
        ("ceph-monitor:deis-4", ["guard:ceph-key", "guard:ceph-copies", "guard:ceph-rest"]),
        ("ceph-crush:deis-4", ["guard:ceph-key", "guard:ceph-copies"]),
        ("ceph-auth:deis-4", ["guard:ceph-key"]),
        ("ceph-osd-key:deis-4", []),
        ("ceph-well:deis-4", []),
    ],
)  # fmt: skip
def test_what_our_own_removal_does_to_ceph_is_not_held_against_it(
    cut: str, again: list[str]
) -> None:
    made = plan(world(ceph=True), choose())
    assert asked_anew(made, cut) == [f"{name}:deis-4" for name in again]


def test_an_osd_that_was_out_when_the_run_was_cut_off_is_known_as_our_own() -> None:
    made = plan(world(ceph=True), choose())
    guard = next(step for step in made.steps if step.id == "guard:ceph-osds:deis-4")
    assert isinstance(guard, GuardStep) and isinstance(guard.condition, CommandSays)
    stat = "     osdmap e36: 5 osds: 5 up, {} in\nosd.3 up   {}  weight 0 up_from 4\n"
    found = {
        words: bool(re.search(guard.condition.pattern, stat.format(*words)))
        for words in ((5, "in"), (4, "out"), (4, "in"), (3, "out"))
    }
    assert found == {(5, "in"): True, (4, "out"): True, (4, "in"): False, (3, "out"): False}
    assert "grep '^osd.3 '" in guard.condition.command


def test_the_places_of_a_group_are_counted_until_its_units_are_submitted() -> None:
    made = plan(world(), choose())
    name = "deis-router@1.service"
    assert f"guard:router:{name}" in asked_anew(made, f"destroy:{name}")
    assert asked_anew(made, f"runs:{name}") == []
    assert "guard:router:flag" in asked_anew(made, "flag")
    assert asked_anew(made, "flag", is_cut_off=False) == []


def test_a_guard_of_what_is_no_step_is_no_plan() -> None:
    made = plan(world(), choose())
    first = made.stages[0]
    wrong = first.steps[0].model_copy(update={"until": ("aply",)})
    stages = (first.model_copy(update={"steps": (wrong, *first.steps[1:])}), *made.stages[1:])
    with pytest.raises(ValueError, match="guards what is no step"):
        Plan.model_validate(made.model_copy(update={"stages": stages}).model_dump())
