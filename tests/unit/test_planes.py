"""Planes: judgements, the rules of the matrix, plans and checks are pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest

from deiswizard.cluster.snapshot import Snapshot, Unit
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import (
    GuardStep,
    UploadStep,
    WriteKeyStep,
)
from deiswizard.recommendations.planes.assess import assess
from deiswizard.recommendations.planes.choices import advised, defaults
from deiswizard.recommendations.planes.facts import undecorated_templates
from deiswizard.recommendations.planes.fleetd import drop_in, fleetd_of, seconds_in, variable_in
from deiswizard.recommendations.planes.plan import plan
from deiswizard.recommendations.planes.verify import verify
from deiswizard.vocabulary import Status
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


def test_a_host_with_ceph_that_is_of_no_control_plane_is_at_risk() -> None:
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


def test_a_value_with_spaces_ends_only_where_another_variable_of_the_unit_begins() -> None:
    odd = "controlPlane=true,dataPlane=true,routerMesh=true, ZONE=eu"
    now = world(ALL, ALL, ALL, odd, ALL)
    found = fleetd_of(now, now.hosts[3])
    assert found is not None and found.metadata == odd
    content = next(
        s.content for s in of_kind(plan(now, choose()), UploadStep) if s.host == "deis-4"
    )
    assert content == '[Service]\nEnvironment="FLEET_METADATA=dataPlane=true, ZONE=eu"\n'
    more = {
        "/etc/systemd/system/fleet.service.d/30-more.conf": '[Service]\nEnvironment=A=b "ZONE=us"'
    }
    said = f"FLEET_METADATA={ALL} A=b ZONE=us FLEET_PUBLIC_IP=10.21.2.11"
    told = fleetd_says(ALL, files=more).replace(
        f"FLEET_METADATA={ALL} FLEET_PUBLIC_IP=10.21.2.11", said
    )
    set_apart = world(fleetd={4: told})
    found = fleetd_of(set_apart, set_apart.hosts[3])
    assert found is not None and found.metadata == ALL, "ZONE is a variable of its own here"


def test_metadata_that_fleet_knows_and_its_variable_does_not_hold_is_not_lost() -> None:
    now = world(ALL, ALL, ALL, f"{ALL},zone=eu", ALL, fleetd={4: fleetd_says(ALL)})
    said = sentences(now, choose())
    assert "deis-4: fleet knows it with zone=eu, which the variable FLEET_METADATA" in said
    stays = {**SPLIT, "deis-4": ["control", "data", "router"]}
    assert sentences(now, choose(stays)) == "", "nothing is written there"
    changed = world(ALL, ALL, ALL, f"{ALL},zone=eu", ALL, fleetd={4: fleetd_says(f"{ALL},zone=us")})
    assert "zone=eu" in sentences(changed, choose())


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
