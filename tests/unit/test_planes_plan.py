"""Isolating the planes: what is planned, in which order, and what the preview tells."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import pytest

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.cluster.unit_files import digest
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.fleet_conditions import MachinesCarry, MetadataIs, UnitRunsOn, UnitStopped
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import (
    DestroyUnitStep,
    GuardStep,
    JobStep,
    StopUnitStep,
    SubmitUnitStep,
    WaitStep,
)
from deiswizard.recommendations.planes.facts import FLAG, moves
from deiswizard.recommendations.planes.plan import plan
from deiswizard.vocabulary import Danger
from tests.unit.planes_world import (
    ALL,
    SPLIT,
    choose,
    fleetd_says,
    sentences,
    world,
)

S = TypeVar("S")
CONTROL, DATA = "controlPlane=true,routerMesh=true", "dataPlane=true"
APART = (CONTROL, CONTROL, CONTROL, DATA, DATA)
HOME = {
    "logger": [1], "registry@1": [2], "controller": [3], "builder": [1],
    "router@1": [1], "router@2": [2], "router@3": [3], "publisher": [4, 5],
}  # fmt: skip
DROP_IN = "/etc/systemd/system/fleet.service.d/50-deiswizard.conf"


def done(**more: object) -> Snapshot:
    """A cluster whose planes are kept apart."""
    fields = {"flag": "true", "decorated": True, "where": HOME, **more}
    return world(*APART, **fields)  # type: ignore[arg-type]


def of_kind(made: Plan, kind: type[S]) -> list[S]:
    return [step for step in made.steps if isinstance(step, kind)]


def test_where_systemd_starts_fleetd_again_nothing_stops() -> None:
    made = plan(world(), choose(how_far="metadata"))
    assert made.impact.danger is Danger.WRITE and not made.impact.restarts
    assert "no unit stops" in made.impact.duration
    jobs = of_kind(made, JobStep)
    assert {job.host for job in jobs} == set(SPLIT)
    assert all("systemctl kill -s KILL fleet.service" in job.command for job in jobs)
    assert not any("restart fleet" in job.command for job in jobs)
    assert all("systemctl start fleet.service" in job.command for job in jobs), "if it is late"


@pytest.mark.parametrize(
    ("restart", "pause"), [("on-failure", "10s"), ("no", "100ms"), ("always", "25s")]
)
def test_where_it_does_not_the_restart_and_what_it_stops_are_said_before(
    restart: str, pause: str
) -> None:
    now = world(fleetd={4: fleetd_says(ALL, restart=restart, pause=pause)})
    assert "stops every fleet unit of that host" in sentences(now, choose(), blocks=False)
    made = plan(now, choose(how_far="metadata"))
    assert made.impact.danger is Danger.RESTART
    assert any(text.startswith("every fleet unit on deis-4:") for text in made.impact.restarts)
    job = next(job for job in of_kind(made, JobStep) if job.host == "deis-4")
    assert "systemctl restart fleet.service" in job.command and job.danger is Danger.RESTART
    names = [s.id for s in made.steps if s.id.startswith("moved:deis-4:")]
    assert names == ["moved:deis-4:deis-builder.service"], "what is not global goes elsewhere"


def test_one_host_at_a_time_those_that_only_gain_first() -> None:
    bare = world("disk=ssd", ALL, ALL, ALL, ALL)
    made = plan(bare, choose({**SPLIT, "deis-4": ["data", "router"]}))
    hosts = [stage.id for stage in made.stages if stage.id.startswith("host:")]
    assert hosts[0] == "host:deis-1" and len(hosts) == 5
    for stage in made.stages:
        if stage.id.startswith("host:"):
            assert {step.host for step in stage.steps} <= {stage.id[5:], ""}
    change = next(c for c in made.changes if c.where == "deis-1: fleet metadata")
    assert change.desired == "disk=ssd,controlPlane=true,routerMesh=true"


def test_before_a_host_loses_a_plane_others_must_have_it() -> None:
    now = done()
    new = choose({**SPLIT, "deis-3": ["data"], "deis-4": ["data", "control", "router"]})
    made = plan(now, new)
    assert [stage.id for stage in made.stages] == ["host:deis-3:both", "host:deis-4", "host:deis-3"]
    assert [stage.id for stage in made.undo] == [
        "back:host:deis-3", "back:host:deis-4", "back:host:deis-3:both"
    ]  # fmt: skip
    stage = made.stages[2]
    guards = {
        s.condition.pair: s.condition
        for s in stage.steps
        if isinstance(s, GuardStep) and isinstance(s.condition, MachinesCarry)
    }
    assert guards["routerMesh=true"].least == 3 and guards["controlPlane=true"].least == 1
    assert all(guard.but == now.hosts[2].machine_id for guard in guards.values())
    changing = next(s for s in stage.steps if s.danger is not Danger.READ)
    names = {s.id for s in stage.steps if isinstance(s, GuardStep)}
    assert set(changing.needs) == names, "no change before every guard held"
    moved = [s for s in stage.steps if s.id.startswith("moved:")]
    assert {s.id for s in moved} == {
        "moved:deis-3:deis-router@3.service",
        "moved:deis-3:deis-controller.service",
    }
    condition = moved[0].condition  # type: ignore[union-attr]
    assert isinstance(condition, UnitRunsOn) and now.hosts[3].machine_id in condition.machines
    assert now.hosts[2].machine_id not in condition.machines, "it must have left"


def test_each_host_stage_looks_before_and_after() -> None:
    made = plan(world(ceph=True), choose({n: [*p, "control"] for n, p in SPLIT.items()}))
    stage = next(stage for stage in made.stages if stage.id == "host:deis-4")
    kinds = [step.id.split(":")[0] for step in stage.steps]
    assert kinds == [
        "guard",
        "guard",
        "folder",
        "drop-in",
        "apply",
        "known",
        "stays",
        "etcd",
        "ceph",
    ]
    same = stage.steps[0].condition  # type: ignore[union-attr]
    assert isinstance(same, MetadataIs) and len(same.either) == 2, "also when it is taken up again"
    stays = stage.steps[6].condition  # type: ignore[union-attr]
    assert isinstance(stays, CommandSays) and "deis-publisher.service" in stays.command


def test_the_setting_comes_after_the_hosts_and_before_the_units() -> None:
    made = plan(world(), choose())
    names = [stage.id for stage in made.stages]
    at = names.index("flag")
    assert all(name.startswith("host:") for name in names[:at])
    assert all(name.startswith("group:") for name in names[at + 1 :])
    guards = [s for s in made.stages[at].steps if isinstance(s, GuardStep)]
    assert {g.condition.pair: g.condition.least for g in guards} == {  # type: ignore[union-attr]
        "controlPlane=true": 1, "dataPlane=true": 1, "routerMesh=true": 3,
    }  # fmt: skip


def test_component_by_component_routers_go_one_by_one() -> None:
    made = plan(world(), choose())
    groups = [stage.id for stage in made.stages if stage.id.startswith("group:")]
    assert groups == [
        "group:deis-logger.service", "group:deis-registry@1.service", "group:deis-controller.service",
        "group:deis-builder.service", "group:deis-publisher.service", "group:deis-router@1.service",
        "group:deis-router@2.service", "group:deis-router@3.service",
    ]  # fmt: skip
    stage = made.stages[-1]
    assert [type(step) for step in stage.steps] == [
        GuardStep, StopUnitStep, WaitStep, DestroyUnitStep, WaitStep, SubmitUnitStep, WaitStep,
    ]  # fmt: skip
    for before, step in pairwise(stage.steps):
        assert step.needs == (before.id,)
    assert isinstance(stage.steps[2].condition, UnitStopped)  # type: ignore[union-attr]
    assert stage.steps[5].content.endswith('MachineMetadata="routerMesh=true"\n')  # type: ignore[union-attr]


def test_ceph_and_what_stands_on_it_go_down_and_come_up_together() -> None:
    stays = {name: [*planes, "control"] for name, planes in SPLIT.items()}
    made = plan(world(ceph=True), choose(stays))
    stage = next(stage for stage in made.stages if stage.id == "group:store")
    down = [s.unit for s in stage.steps if isinstance(s, StopUnitStep)]
    up = [s.unit for s in stage.steps if isinstance(s, SubmitUnitStep)]
    assert down == up[::-1]
    assert [name.removeprefix("deis-").removesuffix(".service") for name in up] == [
        "store-monitor", "store-daemon", "store-metadata", "store-gateway@1", "store-volume", "logger",
        "database", "registry@1",
    ]  # fmt: skip
    last = stage.steps[-1].condition  # type: ignore[union-attr]
    assert isinstance(last, CommandSays) and "ceph health" in last.command


def test_the_whole_platform_at_once_says_its_outage() -> None:
    made = plan(world(), choose(how_far="platform"))
    assert [stage.id for stage in made.stages if stage.id.startswith("group:")] == [
        "group:platform"
    ]
    assert "10 to 30 min" in made.impact.duration and made.impact.danger is Danger.RESTART


def test_logspout_is_never_touched() -> None:
    made = plan(world(), choose(how_far="platform"))
    assert not any(
        "logspout" in step.model_dump_json()
        for step in made.steps
        if step.danger is not Danger.READ
    )


def test_a_unit_that_somebody_stopped_is_not_started_by_being_made_again() -> None:
    now = world()
    builder = next(u for u in now.units if u.name == "deis-builder.service")
    stopped = builder.model_copy(update={"desired": "loaded"})
    units = tuple(stopped if u is builder else u for u in now.units)
    made = plan(now.model_copy(update={"units": units}), choose())
    assert not any("builder" in step.id for step in made.steps if step.id.startswith("submit"))
    assert any("deis-builder.service is stopped" in note for note in made.impact.notes)


def test_a_unit_whose_file_holds_a_secret_is_in_no_plan() -> None:
    now = world()
    units = tuple(
        u.model_copy(update={"content": ""}) if "builder" in u.name else u for u in now.units
    )
    bare = now.model_copy(update={"units": units})
    assert "deis-builder.service: its file seems to hold a secret" in sentences(bare, choose())
    assert sentences(bare, choose(how_far="metadata")) == ""


def test_the_preview_tells_which_unit_moves_from_where_to_where() -> None:
    now = world(where={"controller": [5], "builder": [4]})
    told = [move.words for move in moves(now, choose())]
    assert "controller: deis-5 -> deis-1, deis-2, deis-3" in told
    assert any(
        note == "moves: builder: deis-4 -> deis-1, deis-2, deis-3"
        for note in plan(now, choose()).impact.notes
    )
    assert moves(now, choose(how_far="metadata")) == ()
    assert "publisher leaves deis-1, deis-2, deis-3" in told
    back = choose({name: ["control", "data", "router"] for name in SPLIT}, how_far="metadata")
    assert "publisher comes to deis-1, deis-2, deis-3" in [m.words for m in moves(done(), back)]


def test_what_is_to_be_known_before_is_told() -> None:
    stays = {name: [*planes, "control"] for name, planes in SPLIT.items()}
    said = sentences(world(ceph=True), choose(stays), blocks=False)
    assert "no verified backup of this cluster is known" in said
    notes = "\n".join(plan(world(ceph=True), choose(stays)).impact.notes)
    for words in (
        "apps have 2 hosts of 5 then",
        "database pushes a backup when it stops",
        "apps answer 503 for some seconds while publisher",
        "leaving Ceph makes these units again",
    ):
        assert words in notes
    lost = choose({**stays, "deis-4": ["control", "data", "router"], "deis-3": ["control"]})
    notes = "\n".join(plan(world(ceph=True), lost).impact.notes)
    assert "point the load balancer or DNS at the router hosts: deis-1, deis-2, deis-4" in notes


def test_a_plan_carries_all_that_it_was_made_from() -> None:
    now = world(fleetd={4: fleetd_says(ALL, checksum="a" * 64)})
    made = plan(now, choose())
    keys = {key.key for key in made.basis.keys}
    assert FLAG in keys and "/_coreos.com/fleet/job/deis-router@1.service/object" in keys
    files = {file.host: file.sha256 for file in made.basis.files}
    assert files["deis-4"] == "a" * 64 and files["deis-1"] == ""
    assert len(made.basis.machines) == 5


def test_the_way_back_goes_backwards_with_what_was_there() -> None:
    now = world(fleetd={4: fleetd_says(ALL, checksum="a" * 64)})
    made = plan(now, choose())
    names = [stage.id for stage in made.undo]
    assert names[:2] == ["back:down:deis-router@3.service", "back:up:deis-router@3.service"]
    at = names.index("back:flag")
    assert names[at + 1 :] == [f"back:host:deis-{n}" for n in (5, 4, 3, 2, 1)]
    router = next(u for u in now.units if u.name == "deis-router@3.service")
    up = next(s for s in made.undo[1].steps if isinstance(s, SubmitUnitStep))
    assert digest(up.content) == digest(router.content)
    down = next(s for s in made.undo[0].steps if isinstance(s, DestroyUnitStep))
    assert digest(router.content) in down.expect and len(down.expect) == 2
    commands = {
        s.id: s.command for stage in made.undo for s in stage.steps if hasattr(s, "command")
    }
    assert commands["back:drop-in:deis-4"] == f"mv -f {DROP_IN}.before {DROP_IN}"
    assert commands["back:drop-in:deis-1"] == f"rm -f {DROP_IN}"
    assert all(step.undoes for stage in made.undo for step in stage.steps)


def test_nothing_to_do_is_nothing_done() -> None:
    made = plan(done(), choose())
    assert made.is_empty and not made.stages and made.impact.undo.startswith("not needed")
