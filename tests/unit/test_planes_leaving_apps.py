"""Containers of apps on a host that is no more of the data plane: they need a place, and are waited for."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot, Unit
from deiswizard.plan.fleet_conditions import MachinesCarry, UnitsElsewhere
from deiswizard.plan.step import GuardStep, WaitStep
from deiswizard.recommendations.planes.plan import plan
from deiswizard.recommendations.planes.verify import verify
from tests.unit.planes_world import choose, runs_at, sentences, step_of, world

CONTROL, ZONED, DATA = (
    "controlPlane=true,routerMesh=true",
    "dataPlane=true,zone=a",
    "dataPlane=true",
)
KEPT, UNKEPT = ('"dataPlane=true"',), ()
IN_ZONE = ('"dataPlane=true"', '"zone=a"')
CORE = {f"deis-{n}": ["control", "router"] for n in (1, 2, 3)}
GIVEN_UP = {**CORE, "deis-4": ["control"], "deis-5": ["data"]}


def with_apps(**units: tuple[int, tuple[str, ...]]) -> Snapshot:
    """A cluster whose planes are kept apart; a container of each app on a host, with its metadata."""
    apps = tuple(
        Unit(name=f"{app}_v2.web.1.service", desired="launched", machine_metadata=metadata)
        for app, (_, metadata) in units.items()
    )
    now = world(CONTROL, CONTROL, CONTROL, ZONED, DATA, flag="true", units=apps)
    states = tuple(runs_at(f"{app}_v2.web.1.service", number) for app, (number, _) in units.items())
    return now.model_copy(update={"unit_states": (*now.unit_states, *states)})


def test_those_that_must_leave_are_told_guarded_and_waited_for() -> None:
    made = plan(with_apps(shop=(4, KEPT), blog=(5, KEPT), old=(4, UNKEPT)), choose(GIVEN_UP))
    wait = step_of(made, "apps:deis-4")
    assert isinstance(wait, WaitStep) and wait.needs == ("known:deis-4",)
    assert wait.condition == UnitsElsewhere(units=("shop_v2.web.1.service",), machine=f"{4:032x}")
    guard = step_of(made, "guard:data:deis-4")
    assert isinstance(guard, GuardStep) and isinstance(guard.condition, MachinesCarry)
    assert (guard.condition.pair, guard.condition.but) == (DATA, f"{4:032x}")
    told = "\n".join(made.impact.restarts)
    assert "starts on another host of the data plane: 1 container of shop" in told


def test_where_none_is_kept_to_the_data_plane_none_leaves() -> None:
    made = plan(with_apps(old=(4, UNKEPT)), choose(GIVEN_UP))
    names = {step.id for step in made.steps}
    assert "apply:deis-4" in names and not {"apps:deis-4", "guard:data:deis-4"} & names


def test_one_whose_tags_no_other_host_of_the_data_plane_has_would_run_nowhere() -> None:
    now = with_apps(shop=(4, KEPT), blog=(4, IN_ZONE))
    said = sentences(now, choose(GIVEN_UP))
    assert "blog runs only where zone=a is (now deis-4)" in said and "shop" not in said
    stays = choose({**CORE, "deis-4": ["data"], "deis-5": ["control"]})
    assert "blog" not in sentences(now, stays)
    unkept = with_apps(blog=(4, ('"zone=a"',)))
    assert "blog" not in sentences(unkept, choose(GIVEN_UP)), "it stays where it is"


def test_one_that_still_runs_outside_the_data_plane_is_seen() -> None:
    good, bad = with_apps(shop=(4, KEPT)), with_apps(shop=(1, KEPT), old=(1, UNKEPT))
    for now, is_well, said in (
        (good, True, "none runs elsewhere"),
        (bad, False, "shop_v2.web.1.service on deis-1"),
    ):
        checks = verify(now, now, choose({**CORE, "deis-4": ["data"], "deis-5": ["data"]}))
        (check,) = (one for one in checks if "of apps kept" in one.title)
        assert check.ok is is_well and check.evidence == said
    bare = world(CONTROL, DATA)
    assert not [c for c in verify(bare, bare, choose()) if "of apps kept" in c.title]
