"""The planes from to do to ok and back, on pretend clusters; killed, and hurt in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cluster.unit_files import UnitOption
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.platform import needs_ceph
from deiswizard.run import events as e
from deiswizard.vocabulary import StepStatus
from tests.flows.checks import answers, assert_status
from tests.flows.clusters import Real, target_flags
from tests.flows.commands import Said, deiswizard
from tests.flows.pretending import Doing, files, started
from tests.flows.running import Events, has, running
from tests.lab.keys import FLEET
from tests.lab.waiting import await_that

pytestmark = pytest.mark.timeout(400)
"""They mostly wait: each unit must go on running for some seconds."""

planes = Doing("planes")
FLAG = "/deis/platform/enablePlacementOptions"
SPLIT = {
    "deis-1": "control, router",
    "deis-2": "control, router",
    "deis-3": "control, router",
    "deis-4": "data",
    "deis-5": "data",
}
DROP_IN = "/etc/systemd/system/fleet.service.d/50-deiswizard.conf"


@pytest.fixture
def five() -> Iterator[PretendCluster]:
    """Members of etcd are the first three hosts alone, so that it is well without the others."""
    with started("five", stateless=True, members=3) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


def chosen(folder: Path, hosts: dict[str, str], **more: str) -> str:
    rows = "".join(f"    {name}: [{planes}]\n" for name, planes in hosts.items())
    rest = "".join(f"  {name}: {value}\n" for name, value in more.items())
    return answers(folder, f"planes:\n  hosts:\n{rows}{rest}")


def metadata(cluster: PretendCluster) -> dict[str, str]:
    """Host to what its fleetd tells, sorted."""
    return {
        host.name: ",".join(f"{key}={value}" for key, value in sorted(host.metadata.items()))
        for host in cluster.hosts
    }


def places(cluster: PretendCluster) -> dict[str, list[str]]:
    return {u: sorted(h.name for h in where) for u, where in cluster.placement.items()}


def test_five_hosts_from_to_do_to_ok_and_back(five: PretendCluster, tmp_path: Path) -> None:
    planes.status_of(five, "to do")
    done = planes.applied(five, chosen(tmp_path, SPLIT))
    assert done.code == 0, done.err
    assert "ok: apps answer through the routers as before (2 apps through 3 routers" in done.err
    now = metadata(five)
    assert now["deis-1"] == "controlPlane=true,disk=ssd,routerMesh=true,zone=a"
    assert now["deis-5"] == "dataPlane=true"
    where = places(five)
    assert where["deis-publisher.service"] == ["deis-4", "deis-5"]
    routers = [where[f"deis-router@{n}.service"] for n in (1, 2, 3)]
    assert sorted(routers) == [["deis-1"], ["deis-2"], ["deis-3"]]
    assert len(where["deis-logspout.service"]) == 5
    assert five.store.value(FLAG) == "true"
    planes.status_of(five, "ok")

    again = planes.applied(five, chosen(tmp_path, SPLIT))
    assert again.code == 0 and "nothing" in (again.out + again.err), again.err

    # what is kept to its plane follows the metadata by itself
    moved = {**SPLIT, "deis-3": "data", "deis-4": "control, router"}
    done = planes.applied(five, chosen(tmp_path, moved, how_far="metadata"))
    assert done.code == 0, done.err
    assert "deis-4" in {
        name for n in (1, 2, 3) for name in places(five)[f"deis-router@{n}.service"]
    }
    planes.status_of(five, "ok")
    back = planes.undone(five)
    assert back.code == 0, back.err
    assert metadata(five) == now and places(five)["deis-publisher.service"] == ["deis-4", "deis-5"]
    planes.status_of(five, "ok")


def test_undo_brings_the_units_files_the_setting_and_the_metadata_back(
    five: PretendCluster, tmp_path: Path
) -> None:
    before = metadata(five), files(five)
    done = planes.applied(five, chosen(tmp_path, SPLIT, how_far="platform"))
    assert done.code == 0, done.err
    planes.status_of(five, "ok")
    back = planes.undone(five)
    assert back.code == 0, back.err
    assert (metadata(five), files(five)) == before
    assert five.store.value(FLAG) is None
    assert all(host.read_file(DROP_IN) is None for host in five.hosts)
    assert all(places(five).values()), "everything runs"
    planes.status_of(five, "to do")


def test_a_run_that_is_killed_is_taken_up_again(five: PretendCluster, tmp_path: Path) -> None:
    """While fleetd of one host is being started again, and while a unit is away."""
    words = ["apply", "planes", "-a", chosen(tmp_path, SPLIT), "--yes", *target_flags(five.target)]

    def fleetd_is_killed(events: Events) -> bool:
        return any(isinstance(one, e.JobStarted) and one.step == "apply:deis-4" for one in events)

    with running(tmp_path, *words) as run:
        run.until(fleetd_is_killed)
    with running(tmp_path, "resume", "last", "--yes", is_new=False) as run:
        run.until(has(e.StepFinished, step="destroy:deis-controller.service"))
    done = deiswizard("resume", "last", "--yes")
    assert done.code == 0, done.err
    planes.status_of(five, "ok")
    back = planes.undone(five)
    assert back.code == 0, back.err
    planes.status_of(five, "to do")


def test_a_run_that_is_killed_in_the_second_pass_of_a_host_is_taken_up_again(
    five: PretendCluster, tmp_path: Path
) -> None:
    """By then its metadata is another than what its first pass was made from."""
    done = planes.applied(five, chosen(tmp_path, SPLIT))
    assert done.code == 0, done.err
    moved = {**SPLIT, "deis-3": "data", "deis-4": "control, router"}
    words = ["apply", "planes", "-a", chosen(tmp_path, moved, how_far="metadata"), "--yes"]
    with running(tmp_path, *words, *target_flags(five.target)) as run:
        run.until(has(e.StepFinished, step="known:deis-3", status=StepStatus.DONE))
    done = deiswizard("resume", "last", "--yes")
    assert done.code == 0, done.err
    assert metadata(five)["deis-3"] == "dataPlane=true,zone=a"
    planes.status_of(five, "ok")


def test_a_run_that_was_killed_while_a_unit_was_away_is_taken_back(
    five: PretendCluster, tmp_path: Path
) -> None:
    before = metadata(five), files(five)
    words = ["apply", "planes", "-a", chosen(tmp_path, SPLIT), "--yes", *target_flags(five.target)]
    with running(tmp_path, *words) as run:
        run.until(has(e.StepFinished, step="destroy:deis-controller.service"))
    back = planes.undone(five)
    assert back.code == 0, back.err
    assert (metadata(five), files(five)) == before
    assert all(places(five).values()), "everything runs"
    assert "destroy router" not in back.err, "it was never touched"
    planes.status_of(five, "to do")


def test_a_host_that_is_taken_away_in_the_middle_stops_the_run_before_units_lose_their_place(
    five: PretendCluster, tmp_path: Path
) -> None:
    done = planes.applied(five, chosen(tmp_path, SPLIT))
    assert done.code == 0, done.err
    moved = {**SPLIT, "deis-3": "data", "deis-4": "control, router"}
    five.hosts[2].fleetd.may_start.clear()
    words = ["apply", "planes", "-a", chosen(tmp_path, moved, how_far="metadata"), "--yes"]
    with running(tmp_path, *words, *target_flags(five.target)) as run:
        run.until(has(e.JobStarted, step="apply:deis-3:both"))
        five.take_away(five.hosts[3])
        five.hosts[2].fleetd.may_start.set()
        assert run.ended() == 1, run.last_words
        said = run.said
    assert "deis-4" in said
    for number in (1, 2, 3):
        assert places(five)[f"deis-router@{number}.service"], "every router still runs"
    assert "controlPlane=true" in metadata(five)["deis-3"], "it lost nothing yet"


def test_three_hosts_from_by_choice_to_ok_and_back(tmp_path: Path) -> None:
    split = {"deis-1": "control, router", "deis-2": "control, router", "deis-3": "data, router"}
    with started("three", stateless=True, members=3) as three:
        planes.status_of(three, "by choice")
        done = planes.applied(three, chosen(tmp_path, split))
        assert done.code == 0, done.err
        assert places(three)["deis-publisher.service"] == ["deis-3"]
        assert places(three)["deis-controller.service"] in (["deis-1"], ["deis-2"])
        planes.status_of(three, "ok")
        back = planes.undone(three)
        assert back.code == 0, back.err
        planes.status_of(three, "by choice")


def test_fifty_hosts_from_to_do_to_ok_and_back(tmp_path: Path) -> None:
    with started("fifty", stateless=True, members=3) as fifty:
        flags = target_flags(fifty.target)
        planes.status_of(fifty, "to do")
        plan = str(tmp_path / "plan.json")
        made = deiswizard("plan", "planes", "-o", plan, *flags)
        assert made.code == 0, made.err
        done = deiswizard("apply", plan, "--yes", *flags)
        assert done.code == 0, done.err[-3000:]
        planes.status_of(fifty, "ok")
        assert len(places(fifty)["deis-publisher.service"]) == 44
        back = planes.undone(fifty)
        assert back.code == 0, back.err[-3000:]
        planes.status_of(fifty, "to do")


def test_with_ceph_its_hosts_stay_in_the_control_plane(tmp_path: Path) -> None:
    everywhere = {name: f"control, {planes}" for name, planes in SPLIT.items()}
    everywhere |= {name: "control, router" for name in ("deis-1", "deis-2", "deis-3")}
    with started("five", stateless=False, members=3) as cluster:
        two = {**SPLIT, "deis-3": "data, router"}
        refused = planes.applied(cluster, chosen(tmp_path, two))
        assert refused.code == 2 and "three must stay" in refused.err
        cluster.ceph.said = "HEALTH_WARN 12 pgs degraded"
        refused = planes.applied(cluster, chosen(tmp_path, everywhere))
        assert refused.code == 2 and "Ceph is not well (HEALTH_WARN 12 pgs degraded)" in refused.err
        cluster.ceph.said = "HEALTH_OK"
        done = planes.applied(cluster, chosen(tmp_path, everywhere))
        assert done.code == 0, done.err
        planes.status_of(cluster, "ok")
        back = planes.undone(cluster)
        assert back.code == 0, back.err
        planes.status_of(cluster, "to do")


def test_an_app_leaves_a_host_that_is_no_more_of_its_plane_before_the_next_one(
    five: PretendCluster, tmp_path: Path
) -> None:
    assert planes.applied(five, chosen(tmp_path, SPLIT)).code == 0
    unit = "shop_v2.web.1.service"
    kept = UnitOption(section="X-Fleet", name="MachineMetadata", value='"dataPlane=true"')
    five.fleet.submit(unit, [kept], "launched")
    (here,) = places(five)[unit]
    other = next(name for name in ("deis-4", "deis-5") if name != here)
    done = planes.applied(five, chosen(tmp_path, {**SPLIT, here: "control"}))
    assert done.code == 0, done.err
    assert "1 container of apps run elsewhere" in done.err
    assert places(five)[unit] == [other]
    none = planes.applied(five, chosen(tmp_path, {**SPLIT, here: "control", other: "router"}))
    assert none.code == 2 and "apps need a host of the data plane" in none.err


def test_a_fleetd_that_must_be_restarted_stops_its_units_and_was_said_to(
    five: PretendCluster, tmp_path: Path
) -> None:
    five.hosts[1].fleetd.restarts = "no"
    flags = target_flags(five.target)
    asked = chosen(tmp_path, SPLIT, how_far="metadata")
    said = deiswizard("plan", "planes", "-a", asked, *flags)
    assert "every fleet unit on deis-2" in said.out and "[restart]" in said.out
    done = planes.applied(five, asked)
    assert done.code == 0, done.err
    assert metadata(five)["deis-2"].startswith("controlPlane=true")
    planes.status_of(five, "partly")


@pytest.mark.timeout(800)
def test_real_units_go_on_while_metadata_changes_and_move_once_they_are_kept_to_their_plane(
    real: Real, tmp_path: Path
) -> None:
    """systemd, etcd and units are real, fleetd is the lab's; Ceph and its database are taken out first."""
    lab = real.lab
    gone = [unit for unit in lab.platform.places if needs_ceph(unit)]
    for unit in gone:
        lab.keys.remove(f"{FLEET}/job/{unit}")

    def running_units() -> dict[str, set[str]]:
        """Unit to the names of the hosts where fleet says that it runs."""
        names = {host.machine_id: host.name for host in lab.hosts}
        found: dict[str, set[str]] = {}
        for key, value in lab.keys.below(f"{FLEET}/states").items():
            *_, unit, machine = key.split("/")
            if json.loads(value)["subState"] == "running":
                found.setdefault(unit, set()).add(names[machine])
        return found

    await_that(lambda: not set(gone) & running_units().keys(), "Ceph is gone")

    def processes() -> dict[str, str]:
        """Host and unit to its main process and when that began."""
        found = {}
        for unit, hosts in running_units().items():
            for name in hosts:
                asked = ("show", "-p", "MainPID", "-p", "ExecMainStartTimestampMonotonic", unit)
                found[f"{name} {unit}"] = lab.host(name).run("systemctl", *asked).stdout
        return found

    def applied_here(hosts: dict[str, str], how_far: str) -> Said:
        asked = chosen(tmp_path, hosts, how_far=how_far)
        return deiswizard("apply", "planes", "-a", asked, "--yes", *real.flags())

    first = {"deis-1": "control, router", "deis-2": "control, router", "deis-3": "data, router"}
    before = processes()
    assert len(before) >= 10
    done = applied_here(first, "metadata")
    assert done.code == 0, done.err
    assert processes() == before, "no unit was stopped"
    content = real.file("deis-3", DROP_IN)
    assert content == '[Service]\nEnvironment="FLEET_METADATA=dataPlane=true,routerMesh=true"\n'

    done = applied_here(first, "components")
    assert done.code == 0, done.err
    assert_status(real, "planes", "ok")
    where = running_units()
    assert where["deis-publisher.service"] == {"deis-3"}
    assert where["deis-controller.service"] <= {"deis-1", "deis-2"}

    (moved,) = where["deis-controller.service"]
    other = "deis-2" if moved == "deis-1" else "deis-1"
    second = {moved: "data, router", other: "control, router", "deis-3": "data, router"}
    done = applied_here(second, "metadata")
    assert done.code == 0, done.err
    assert running_units()["deis-controller.service"] == {other}, "it moved by itself"
    back = deiswizard("undo", "last", "--yes", *real.flags())
    assert back.code == 0, back.err
    assert real.file(moved, DROP_IN).count("controlPlane=true") == 1
    assert real.file("deis-3", DROP_IN) == content
    assert_status(real, "planes", "ok")
