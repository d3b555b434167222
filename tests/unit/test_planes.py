"""Planes: judgements, the rules of the matrix, plans and checks are pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import pytest

from deiswizard.cluster.snapshot import Snapshot, Unit
from deiswizard.cluster.unit_files import digest
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.fleet_conditions import MachinesCarry, MetadataIs, UnitRunsOn, UnitStopped
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import (
    DestroyUnitStep,
    GuardStep,
    JobStep,
    StopUnitStep,
    SubmitUnitStep,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.recommendations.planes_assess import assess
from deiswizard.recommendations.planes_choices import advised, defaults
from deiswizard.recommendations.planes_facts import FLAG, moves, undecorated_templates
from deiswizard.recommendations.planes_fleetd import drop_in, fleetd_of, seconds_in, variable_in
from deiswizard.recommendations.planes_plan import plan
from deiswizard.recommendations.planes_verify import verify
from deiswizard.vocabulary import Danger, Status
from tests.unit.planes_world import (
    ALL,
    SPLIT,
    choose,
    fleetd_says,
    sentences,
    unit,
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


def judged(now: Snapshot, status: Status, *words: str) -> None:
    found = assess(now)
    said = "\n".join(f"{f.status}: {f.what} | {f.do}" for f in found.findings)
    assert found.status is status, f"{found.status} {found.now}\n{said}"
    assert all(word in said for word in words), said
    assert all(finding.evidence for finding in found.findings)


def of_kind(made: Plan, kind: type[S]) -> list[S]:
    return [step for step in made.steps if isinstance(step, kind)]


def test_a_cluster_as_it_was_made_is_to_do_and_a_small_one_is_by_choice() -> None:
    judged(world(), Status.TO_DO)
    assert assess(world()).now == "every plane on every host"
    judged(world("", "", "", ""), Status.TO_DO)
    judged(world(ALL, ALL, ALL), Status.BY_CHOICE)
    judged(world(keys_read=False), Status.UNKNOWN)


def test_what_is_missing_is_told_apart() -> None:
    judged(world(*APART), Status.PARTLY, "hosts have different planes, but the setting is off")
    judged(
        world(*APART, flag="true"),
        Status.PARTLY,
        "the setting is on, but 8 units were made without it",
    )
    judged(done(flag=None), Status.PARTLY, "the setting is off, so that new apps")
    judged(done(), Status.OK)
    assert assess(done()).now == "3 control, 2 data, 3 router"


@pytest.mark.parametrize("value", ["yes", "on", " true"])
def test_a_setting_that_go_cannot_read_is_at_risk(value: str) -> None:
    judged(world(flag=value), Status.AT_RISK, "deisctl can make no unit with it, and exits with 0")
    assert "no unit can be made" in sentences(world(flag=value), choose(how_far="metadata"))
    made = plan(world(flag=value), choose())
    assert [step.value for step in of_kind(made, WriteKeyStep)] == ["true"]


def test_a_setting_that_only_deisctl_reads_as_true_lets_apps_go_everywhere() -> None:
    judged(done(flag="T"), Status.PARTLY, "deisctl reads it as true, the controller as false")
    assert [s.value for s in of_kind(plan(done(flag="T"), choose()), WriteKeyStep)] == ["true"]


def test_where_units_really_run_decides() -> None:
    wrong = done(where={**HOME, "controller": [4]})
    judged(
        wrong, Status.PARTLY, "deis-controller.service runs on deis-4, which is not of the control"
    )
    nowhere = done(where={**HOME, "builder": []})
    judged(nowhere, Status.AT_RISK, "deis-builder.service runs nowhere")
    few = world(
        CONTROL, CONTROL, "controlPlane=true", DATA, DATA, flag="true", decorated=True, where=HOME
    )
    judged(few, Status.AT_RISK, "3 routers need 3 router hosts", "deisctl waits for ever")


def test_a_missing_decorator_file_is_found_because_deisctl_says_nothing_of_it() -> None:
    now = done(leave_out=["router", "store-monitor"])
    judged(now, Status.PARTLY, "deis-1: no decorator file for router:")
    assert undecorated_templates(now, now.hosts[0]) == ("router",), "no store is installed here"
    judged(world(leave_out=["router"]), Status.TO_DO)


def test_apps_that_were_made_before_are_named_with_their_command() -> None:
    old = [Unit(name=f"shop_v3.web.{n}.service", desired="launched") for n in (1, 2)]
    new = Unit(
        name="blog_v2.web.1.service", desired="launched", machine_metadata=('"dataPlane=true"',)
    )
    judged(
        done(units=(*old, new)),
        Status.PARTLY,
        "shop: 2 of web may still run on every host",
        "deis ps:scale web=0 -a shop && deis ps:scale web=2 -a shop",
    )
    notes = plan(world(units=(*old, new)), choose()).impact.notes
    assert [note for note in notes if "ps:scale" in note] == [
        "for you to run, when it suits: deis ps:scale web=0 -a shop && deis ps:scale web=2 -a shop"
    ]


def test_a_false_plane_is_as_good_as_none() -> None:
    now = world("controlPlane=true", "controlPlane=false,dataPlane=true", ALL, ALL)
    assert defaults(now).hosts["deis-2"] == ("data",)


def test_what_is_advised_has_a_place_for_everything() -> None:
    for count in (1, 2, 3, 4, 5, 7, 8, 12, 50):
        for ceph in (False, True):
            now = world(*[ALL] * count, ceph=ceph)
            chosen = choose(advised(now), how_far="components")
            said = sentences(now, chosen)
            too_small = (ceph and count < 3) or count < 3
            assert bool(said) == too_small, (count, ceph, said)
    twelve = advised(world(*[ALL] * 12))
    assert [twelve[f"deis-{n}"] for n in (1, 3, 4, 6, 7, 12)] == [
        ("control",), ("control",), ("router",), ("router",), ("data",), ("data",)
    ]  # fmt: skip
    assert all("control" in planes for planes in advised(world(ceph=True)).values())


def test_what_is_there_already_is_what_is_asked_first() -> None:
    assert defaults(done()).hosts == choose().hosts


def test_every_rule_of_the_matrix_has_its_sentence() -> None:
    now = world()

    def said(**hosts: Sequence[str]) -> str:
        changed = {name.replace("_", "-"): planes for name, planes in hosts.items()}
        return sentences(now, choose({**SPLIT, **changed}))

    assert sentences(now, choose()) == ""
    assert "3 routers need 3 router hosts, one to a host; 2 ticked" in said(deis_3=["control"])
    assert "deis-5 is in no plane" in said(deis_5=[])
    assert "apps need a host of the data plane" in said(deis_4=["control"], deis_5=["control"])
    assert "there is no host 'deis-9'" in said(deis_9=["data"])
    few = {"deis-1": ["router"], "deis-2": ["router"], "deis-3": ["router"]}
    assert "the control plane needs a host" in sentences(now, choose({**SPLIT, **few}))
    one = {"deis-2": ["router"], "deis-3": ["router"]}
    assert "two or three are better" in sentences(now, choose({**SPLIT, **one}), blocks=False)
    more = (unit("registry@2"), unit("registry@3"), unit("registry@4"))
    assert "4 units of registry run one to a host" in sentences(world(units=more), choose())


def test_a_matrix_that_is_none_is_told_in_a_sentence() -> None:
    for raw, words in (
        (
            {"deis-1": ["controll"]},
            "'controll' of deis-1 is no plane; allowed: control, data, router",
        ),
        (["deis-1"], "no list of hosts with their planes"),
        ({"deis-1": 3}, "the planes of deis-1 are no list"),
    ):
        with pytest.raises(ValueError, match=words):
            choose(raw)  # type: ignore[arg-type]
    assert choose({"deis-1": "data"}).hosts["deis-1"] == ("data",)


def test_a_host_with_ceph_never_leaves_the_control_plane() -> None:
    now = world(ceph=True)
    said = sentences(now, choose())
    assert "deis-4, deis-5: Ceph keeps data and monitors there" in said
    with pytest.raises(PreconditionError, match="without its own removal steps"):
        plan(now, choose())
    held = done(ceph=True)
    judged(held, Status.AT_RISK, "deis-4 holds Ceph's data but is not of the control plane")


def test_ceph_that_is_not_well_is_not_made_again() -> None:
    stays = {name: [*planes, "control"] for name, planes in SPLIT.items()}
    for health in ("HEALTH_WARN 3 pgs degraded", ""):
        now = world(ceph=True, health=health)
        assert "Ceph is not well" in sentences(now, choose(stays))
        assert sentences(now, choose(stays, how_far="metadata")) == ""
    assert sentences(world(ceph=True), choose(stays)) == ""
    ill = world(ceph=True, health="HEALTH_WARN clock skew")
    untouched = plan(ill, choose(stays, how_far="metadata"))
    assert not any(step.id.startswith("ceph:") for step in untouched.steps), "it would wait in vain"
    assert "it is not waited for" in sentences(ill, choose(stays, how_far="metadata"), blocks=False)
    restarted = world(ceph=True, health="HEALTH_WARN", fleetd={4: fleetd_says(ALL, restart="no")})
    said = sentences(restarted, choose(stays, how_far="metadata"))
    assert "a restart of fleetd on deis-4 would restart it there" in said
    well = world(ceph=True, fleetd={4: fleetd_says(ALL, restart="no")})
    made = plan(well, choose(stays, how_far="metadata"))
    guards = [s.id for s in of_kind(made, GuardStep) if s.id.startswith("guard:ceph")]
    assert guards == ["guard:ceph:deis-4"]


def test_three_control_hosts_are_needed_for_the_monitors() -> None:
    now = world(
        ALL, ALL, ALL, ALL, ceph=True, where={n: [1, 2] for n in ("store-monitor", "store-daemon")}
    )
    two = {"deis-1": ["control", "router"], "deis-2": ["control", "router"], "deis-3": ["data", "router"],
           "deis-4": ["data"]}  # fmt: skip
    assert "Ceph's monitors need three hosts for a majority" in sentences(now, choose(two))


def test_a_host_out_of_reach_stays_as_it_is() -> None:
    now = world(hosts={5: {"reachable": False}})
    said = sentences(now, choose(how_far="metadata"))
    assert "deis-5 cannot be reached, so its planes stay as they are" in said
    stays = {**SPLIT, "deis-5": ["control", "data", "router"]}
    assert sentences(now, choose(stays, how_far="metadata")) == ""
    assert "whether units stop there is not seen" in sentences(now, choose(stays))


def test_metadata_is_read_as_both_kinds_of_systemd_print_it() -> None:
    bare = "FLEET_METADATA=controlPlane=true, name=deis 1 FLEET_PUBLIC_IP=10.0.0.1"
    quoted = '"FLEET_METADATA=controlPlane=true, name=deis 1" FLEET_PUBLIC_IP=10.0.0.1'
    assert variable_in(bare) == variable_in(quoted) == "controlPlane=true, name=deis 1"
    assert variable_in("FLEET_PUBLIC_IP=10.0.0.1") == ""
    assert [seconds_in(text) for text in ("10s", "1min 30s", "100ms", "infinity", "")] == [
        10.0, 90.0, 0.1, None, None,
    ]  # fmt: skip


def test_what_is_written_means_the_same_to_systemd() -> None:
    text = drop_in('a="x\\y",load=100%')
    assert text == '[Service]\nEnvironment="FLEET_METADATA=a=\\"x\\\\y\\",load=100%%"\n'


def test_other_metadata_stays_as_it_is_written() -> None:
    odd = "name=deis-4,  controlPlane=true ,dataPlane=false,nonsense,disk=ssd"
    now = world(ALL, ALL, ALL, odd, ALL)
    made = plan(now, choose())
    content = next(s.content for s in of_kind(made, UploadStep) if s.host == "deis-4")
    assert content == (
        '[Service]\nEnvironment="FLEET_METADATA=name=deis-4,dataPlane=true,nonsense,disk=ssd"\n'
    )


def test_a_drop_in_that_would_win_over_ours_is_named() -> None:
    late = "/etc/systemd/system/fleet.service.d/60-tags.conf"
    text = '[Service]\nEnvironment="FLEET_METADATA=x=y"'
    now = world(fleetd={4: fleetd_says(ALL, files={late: text})})
    assert f"deis-4: {late} sets FLEET_METADATA, and would win" in sentences(now, choose())
    early = fleetd_says(ALL, files={late.replace("60", "30"): text})
    assert sentences(world(fleetd={4: early}), choose()) == ""


def test_a_fleetd_that_is_not_what_it_is_configured_as_is_told() -> None:
    now = world(fleetd={4: fleetd_says("dataPlane=true")})
    assert "was not started again since its metadata was changed" in sentences(
        now, choose(), blocks=False
    )
    silent = now.model_copy(update={"answers": ()})
    assert "did not say how its fleetd is started" in sentences(silent, choose())


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


def test_it_is_verified_by_where_units_run() -> None:
    checks = verify(world(), done(), choose())
    assert all(check.ok for check in checks), [c for c in checks if not c.ok]
    assert any(check.title == "publisher runs on every host of the data plane" for check in checks)

    def bad(now: Snapshot) -> str:
        return "\n".join(
            f"{c.title}: {c.evidence}" for c in verify(world(), now, choose()) if not c.ok
        )

    assert "wrongly on deis-4" in bad(done(where={**HOME, "controller": [4]}))
    assert "missing on deis-5" in bad(done(where={**HOME, "publisher": [4]}))
    assert "its file lacks routerMesh=true" in bad(done(decorated=["router@1"]))
    assert "missing on deis-3" in bad(done(where={**HOME, "logspout": [1, 2, 4, 5]}))
    assert "is absent" in bad(done(flag=None))
    lost = world(*APART[:4], "dataPlane=true,disk=ssd", flag="true", decorated=True, where=HOME)
    assert "deis-5 is data, and keeps its other metadata" in bad(lost)


def test_the_answer_of_a_host_tells_its_own_drop_in() -> None:
    now = world(fleetd={1: fleetd_says(ALL, checksum="b" * 64)})
    found = fleetd_of(now, now.hosts[0])
    assert found is not None and found.checksum == "b" * 64 and found.comes_back
    assert found.setters == ("/run/systemd/system/fleet.service.d/20-cloudinit.conf",)


def test_user_data_of_later_hosts_is_made_by_a_command_that_is_named() -> None:
    notes = "\n".join(plan(world(), choose()).impact.notes)
    assert "deiswizard userdata FILE --planes control,router --planes data -o FOLDER" in notes
