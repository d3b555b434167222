"""Hosts leave Ceph by its own steps and come back, on pretend clusters; Ceph is hurt in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.gate import Gate
from deiswizard.recommendations.planes.ceph_steps import DATA as DAEMON_DATA
from deiswizard.recommendations.planes.facts import CEPH_ASK
from deiswizard.run import events as e
from deiswizard.userdata.roles import CEPH_SHUTDOWN
from deiswizard.vocabulary import StepStatus
from tests.flows.checks import told_of
from tests.flows.clusters import Pretended, target_flags
from tests.flows.commands import deiswizard
from tests.flows.pretending import started
from tests.flows.running import Events, has, running
from tests.flows.test_planes import (
    SPLIT,
    chosen,
    metadata,
    places,
    planes,
)

pytestmark = pytest.mark.timeout(400)
STORE = [f"deis-store-{name}.service" for name in ("monitor", "daemon", "metadata", "volume")]
CORE = ["deis-1", "deis-2", "deis-3"]


@pytest.fixture
def five() -> Iterator[PretendCluster]:
    with started("five", stateless=False, members=3) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


def keys(cluster: PretendCluster, number: int) -> tuple[str | None, str | None]:
    """What etcd says of a host's monitor and OSD."""
    address = cluster.hosts[number - 1].address
    store = cluster.store
    return store.value(f"/deis/store/hosts/{address}"), store.value(f"/deis/store/osds/{address}")


def osds(cluster: PretendCluster) -> dict[str, bool]:
    """Host to whether its OSD is up and in."""
    ceph = cluster.ceph
    return {osd.host.name: ceph.is_up(osd) and osd.is_in for osd in ceph.osds.values()}


def to_split(cluster: PretendCluster, folder: Path) -> list[str]:
    """The command by which two hosts leave Ceph."""
    flags = target_flags(cluster.target)
    return ["apply", "planes", "-a", chosen(folder, SPLIT), "--yes", *flags]


def test_two_hosts_leave_ceph_and_come_back(five: PretendCluster, tmp_path: Path) -> None:
    before = metadata(five)
    assert len(osds(five)) == len(five.ceph.monitors) == 5
    planes.status_of(five, "to do")
    done = planes.applied(five, chosen(tmp_path, SPLIT))
    assert done.code == 0, done.err[-3000:]
    for unit in STORE:
        assert places(five)[unit] == CORE
    assert osds(five) == dict.fromkeys(CORE, True) and sorted(five.ceph.monitors) == CORE
    assert keys(five, 4) == keys(five, 5) == (None, None)
    assert five.ceph.health() == "HEALTH_OK"
    planes.status_of(five, "ok")

    back = planes.undone(five)
    assert back.code == 0, back.err[-3000:]
    assert metadata(five) == before
    assert osds(five) == {host.name: True for host in five.hosts}
    assert len(five.ceph.quorum) == 5 and five.ceph.health() == "HEALTH_OK"
    assert None not in (*keys(five, 4), *keys(five, 5))
    planes.status_of(five, "to do")


def test_ceph_that_becomes_unwell_after_the_first_host_keeps_the_second(
    five: PretendCluster, tmp_path: Path
) -> None:
    asks = Gate()
    for host in five.hosts:
        host.gates[CEPH_ASK] = asks
    with running(tmp_path, *to_split(five, tmp_path)) as run:
        run.until(has(e.StepFinished, step="ceph-out:deis-4", status=StepStatus.DONE))
        asks.close()
        run.until(lambda _: asks.is_waited_at)
        assert has(e.StepFinished, step="ceph-well:deis-4", status=StepStatus.DONE)(run.events)
        five.ceph.said = "HEALTH_WARN 12 pgs degraded"
        asks.open()
        assert run.ended() == 1, run.last_words
        said = run.said
    assert "Ceph is not well" in said
    assert osds(five)["deis-5"] and "deis-4" not in osds(five), "the second was not touched"
    assert "deis-5" in places(five)["deis-store-daemon.service"]
    five.ceph.said = "HEALTH_OK"
    back = planes.undone(five)
    assert back.code == 0, back.err[-3000:]
    assert osds(five) == {host.name: True for host in five.hosts}
    assert five.ceph.health() == "HEALTH_OK"


def test_a_run_killed_while_a_host_leaves_is_taken_back(
    five: PretendCluster, tmp_path: Path
) -> None:
    """Half removed: the way back ends the removal first."""
    with running(tmp_path, *to_split(five, tmp_path)) as run:
        run.until(has(e.StepFinished, step="ceph-crush:deis-4", status=StepStatus.DONE))
    back = planes.undone(five)
    assert back.code == 0, back.err[-3000:]
    assert osds(five) == {host.name: True for host in five.hosts}
    assert len(five.ceph.quorum) == 5 and five.ceph.health() == "HEALTH_OK"
    planes.status_of(five, "to do")


def started_times(events: Events, step: str) -> int:
    """How often a step was begun."""
    return sum(isinstance(one, e.StepStarted) and one.step == step for one in events)


def test_a_run_killed_while_a_host_leaves_is_taken_up_again(
    five: PretendCluster, tmp_path: Path
) -> None:
    """While its data is copied, when Ceph is not well by our own doing; and half removed."""
    with running(tmp_path, *to_split(five, tmp_path)) as run:
        run.until(has(e.StepFinished, step="ceph-out:deis-4", status=StepStatus.DONE))
        five.ceph.said = "HEALTH_WARN 12 pgs backfill"
    with running(tmp_path, "resume", "last", "--yes", is_new=False) as run:
        known = started_times(run.events, "ceph-empty:deis-4")
        run.until(lambda events: started_times(events, "ceph-empty:deis-4") > known)
        five.ceph.said = "HEALTH_OK"
        run.until(has(e.StepFinished, step="ceph-crush:deis-5", status=StepStatus.DONE))
    done = deiswizard("resume", "last", "--yes")
    assert done.code == 0, done.err[-3000:]
    assert osds(five) == dict.fromkeys(CORE, True) and sorted(five.ceph.monitors) == CORE
    assert five.ceph.health() == "HEALTH_OK"
    planes.status_of(five, "ok")


def test_hosts_that_leave_ceph_at_shutdown_keep_their_data_while_its_units_are_made_again(
    tmp_path: Path,
) -> None:
    stays = {name: f"control, {planes}" for name, planes in SPLIT.items()}
    stays |= {name: "control, router" for name in CORE}
    with started("five", stateless=False, members=3, graceful_ceph=True) as cluster:
        before = [host.data_containers[DAEMON_DATA] for host in cluster.hosts]
        done = planes.applied(cluster, chosen(tmp_path, stays))
        assert done.code == 0, done.err[-3000:]
        assert [host.data_containers.get(DAEMON_DATA) for host in cluster.hosts] == before
        drop_in = f"/etc/systemd/system/{CEPH_SHUTDOWN}.d/50-deiswizard.conf"
        assert all(host.read_file(drop_in) is None for host in cluster.hosts), "as before"
        back = planes.undone(cluster)
        assert back.code == 0, back.err[-3000:]
        assert all(DAEMON_DATA in host.data_containers for host in cluster.hosts)
        assert all(host.read_file(drop_in) is None for host in cluster.hosts)
        assert all(CEPH_SHUTDOWN in host.enabled for host in cluster.hosts)
        assert "does nothing" not in json.dumps(told_of(Pretended(cluster), "planes"))
        cluster.hosts[1].write_file(drop_in, b"[Service]\nExecStop=\n")  # by a run that was left
        found = json.dumps(told_of(Pretended(cluster), "planes"))
        assert f"deis-2 holds Ceph's data, and its {CEPH_SHUTDOWN} does nothing" in found
        assert cluster.unknown_commands == ()


def test_without_its_steps_ceph_is_not_well() -> None:
    """The hazard: fleet takes the units away, and nobody tells Ceph."""
    with started("five", stateless=False, members=3) as cluster:
        host = cluster.hosts[4]
        cluster.fleet.machine_leaves(host)
        health = cluster.ceph.health()
        assert health.startswith("HEALTH_WARN") and "1/5 in osds are down" in health
        assert "1 mons down, quorum 0,1,2,3" in health
        assert None not in keys(cluster, 5), "its keys are stale"
