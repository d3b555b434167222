"""Isolating the planes: what is planned, in which order, and what the preview tells."""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.cluster.unit_files import digest
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.fleet_conditions import (
    MachinesCarry,
    MetadataIs,
    UnitRunsOn,
    UnitsStay,
    UnitStopped,
)
from deiswizard.plan.fleet_steps import DestroyUnitStep, StopUnitStep, SubmitUnitStep
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import GuardStep, JobStep, WaitStep
from deiswizard.recommendations.deis_units import STEADY
from deiswizard.recommendations.planes.facts import FLAG, moves
from deiswizard.recommendations.planes.fleetd import Fleetd
from deiswizard.recommendations.planes.hosts import applied
from deiswizard.recommendations.planes.plan import plan
from deiswizard.run.undo import verify_undo
from deiswizard.vocabulary import Danger
from tests.unit.planes_world import (
    ALL,
    SPLIT,
    choose,
    fleetd_says,
    sentences,
    unit,
    world,
)
from tests.unit.runs import way_back_of

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


def test_a_unit_that_must_leave_is_said_to_stop_there_and_back() -> None:
    moved = choose(
        {**SPLIT, "deis-3": ["data"], "deis-4": ["control", "router"]}, how_far="metadata"
    )
    made = plan(done(), moved)
    assert made.impact.danger is Danger.RESTART
    assert made.impact.restarts == (
        "stops on deis-3, and starts on another host of its plane: controller, router@3",
        "ends on deis-4: publisher",
    )
    assert "stops there and starts elsewhere" in made.impact.duration
    assert "no unit stops" not in made.impact.duration + made.impact.undo
    jobs = {job.id: job for job in of_kind(made, JobStep)}
    assert {name: job.danger for name, job in jobs.items()} == {
        "apply:deis-3:both": Danger.WRITE,
        "apply:deis-4:both": Danger.WRITE,
        "apply:deis-3": Danger.RESTART,
        "apply:deis-4": Danger.RESTART,
    }
    assert "except what is kept to the control and router plane" in jobs["apply:deis-3"].title
    back = {s.id: s.danger for stage in made.undo for s in stage.steps if isinstance(s, JobStep)}
    assert back["back:apply:deis-4:both"] is back["back:apply:deis-3:both"] is Danger.RESTART
    assert back["back:apply:deis-3"] is Danger.WRITE, "it gains there"


def test_a_database_that_moves_is_backed_up_first() -> None:
    where = {**HOME, "database": [3]}
    now = done(units=(unit("database", decorated=True),), where=where)
    moved = choose(
        {**SPLIT, "deis-3": ["router"], "deis-4": ["control", "data"]}, how_far="metadata"
    )
    said = (
        "hosts: no verified backup of this cluster is known, and its database moves to another host"
    )
    assert said in sentences(now, moved, blocks=False)
    assert any("restores from its backups" in note for note in plan(now, moved).impact.notes)
    stays = choose(
        {**SPLIT, "deis-2": ["router"], "deis-4": ["control", "data"]}, how_far="metadata"
    )
    assert "verified backup" not in sentences(now, stays, blocks=False)


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
    counted = [g.condition for g in guards if isinstance(g.condition, MachinesCarry)]
    assert guards[0].id == "guard:etcd:flag" and len(counted) == len(guards) - 1
    assert {condition.pair: condition.least for condition in counted} == {
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
        GuardStep, GuardStep, StopUnitStep, WaitStep, DestroyUnitStep, WaitStep, SubmitUnitStep, WaitStep,
        WaitStep,
    ]  # fmt: skip
    for before, step in pairwise(stage.steps):
        assert step.needs == (before.id,)
    assert isinstance(stage.steps[3].condition, UnitStopped)  # type: ignore[union-attr]
    assert stage.steps[6].content.endswith('MachineMetadata="routerMesh=true"\n')  # type: ignore[union-attr]


def test_what_was_made_again_is_seen_to_go_on_running_all_at_once_there_and_back() -> None:
    made = plan(world(), choose(how_far="platform"))
    for stages, prefix in ((made.stages, ""), (made.undo, "back:")):
        stage = next(s for s in stages if f"{prefix}stay:platform" in {x.id for x in s.steps})
        waits = [s for s in stage.steps if isinstance(s, WaitStep)]
        runs = [s.condition for s in waits if isinstance(s.condition, UnitRunsOn)]
        condition = waits[-1].condition
        assert (
            isinstance(condition, UnitsStay) and condition.units == tuple(runs) and len(runs) == 8
        )
        assert condition.steady == STEADY


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


def test_the_way_back_is_judged_by_what_hosts_carry_and_where_units_run() -> None:
    before = world()
    back = way_back_of(plan(before, choose()), done())
    found = {check.title: check.ok for check in verify_undo(back, before)}
    assert {f"deis-{n} carries the metadata that it had" for n in range(1, 6)} <= set(found)
    assert found["deis-router@3.service runs again"] and all(found.values()), found
    wrong = {check.title for check in verify_undo(back, done()) if check.ok is False}
    assert {f"deis-{n} carries the metadata that it had" for n in range(1, 6)} <= wrong
    units = [s for s in before.unit_states if s.unit != "deis-router@3.service"]
    without = before.model_copy(update={"unit_states": tuple(units)})
    assert [check.title for check in verify_undo(back, without) if not check.ok] == [
        "deis-router@3.service runs again"
    ]
    fewer = before.model_copy(update={"hosts": before.hosts[1:]})
    lost = {check.title: check.ok for check in verify_undo(back, fewer)}
    assert lost["deis-1 carries the metadata that it had"] is None


def test_nothing_to_do_is_nothing_done() -> None:
    made = plan(done(), choose())
    assert made.is_empty and not made.stages and made.impact.undo.startswith("not needed")


def test_fleetd_is_killed_right_after_it_gave_news_of_its_machine(tmp_path: Path) -> None:
    """In a real shell: etcdctl counts a lease down, and fleetd renews it at 14."""
    left = tmp_path / "left"
    left.write_text("17")
    for name, text in {
        "etcdctl": f"n=$(cat {left}); echo TTL: $n; n=$((n - 1)); [ $n -lt 15 ] && n=30; echo $n > {left}",
        "systemctl": f'echo "$* at $(cat {left})" >> {tmp_path}/calls',
        "sleep": "",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    told = Fleetd("", "always", 10.0, (), False, "", True)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", applied(told, "f00")], env=environ, check=True, timeout=60)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[:2] == ["daemon-reload at 29", "kill -s KILL fleet.service at 29"]
