"""Running without Ceph, on pretend clusters: left and come back to, installed without, hurt on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from deiswizard.demo import database
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.outside_store import BUCKET, SECRET
from deiswizard.demo.platform import OUTSIDE_PASSWORD, needs_ceph
from deiswizard.run import events as e
from deiswizard.run.folders import list_runs
from deiswizard.run.journal import read_journal
from deiswizard.run.replay import final_state
from deiswizard.userdata.roles import CEPH_SHUTDOWN
from deiswizard.vocabulary import RunStatus
from tests.flows.clusters import target_flags
from tests.flows.commands import deiswizard
from tests.flows.pretending import files, started
from tests.flows.without_ceph import (
    DATABASE,
    GATEWAY,
    S3,
    chosen,
    prepared,
    settings,
    stateless,
    three,
)

__all__ = ["three"]


def test_a_cluster_leaves_ceph_and_comes_back(three: PretendCluster, tmp_path: Path) -> None:
    before = settings(three)
    units = files(three)
    stateless.status_of(three, "by choice")
    done = stateless.applied(three, chosen(tmp_path, **S3, **DATABASE))
    assert done.code == 0, done.err
    left = {unit for unit, where in three.placement.items() if where}
    assert not any(needs_ceph(unit) for unit in left)
    assert {"deis-registry@1.service", "deis-controller.service", "deis-router@1.service"} <= left
    images = three.data_store.buckets["registry"]
    assert three.outside_store.content.buckets[BUCKET] == images
    assert three.postgres.databases["deis"] == dict(database.TABLES)
    now = settings(three)
    assert now["/deis/database/host"] == "db.example.com"
    assert now["/deis/registry/s3bucket"] == BUCKET and f"{GATEWAY}/accessKey" not in now
    assert now["/deis/logs/storageAdapterType"] == "memory"
    stateless.status_of(three, "ok")
    same = ["plan", "stateless", "-a", chosen(tmp_path, **S3, **DATABASE)]
    again = deiswizard(*same, *target_flags(three.target))
    assert again.code == 0, again.err
    changes = [line for line in again.out.splitlines() if line[:2] in ("+ ", "- ", "~ ")]
    assert [line.split()[1] for line in changes] == ["/deis/database/password"], (
        "a secret is not compared"
    )

    back = stateless.undone(three)
    assert back.code == 0, back.err
    assert settings(three) == before
    assert files(three) == units
    assert all(three.placement[unit] for unit in units)
    stateless.status_of(three, "by choice")


def test_what_ceph_has_left_is_removed_later_and_only_then(
    three: PretendCluster, tmp_path: Path
) -> None:
    early = stateless.applied(three, chosen(tmp_path, part="remove", confirm="remove the old data"))
    assert early.code == 2 and "still runs on it" in early.err
    # as a host sets aside when it leaves Ceph (isolating the planes)
    three.hosts[2].data_containers["deis-store-monitor-data-left-1f2e"] = set()
    assert stateless.applied(three, chosen(tmp_path, **S3, **DATABASE)).code == 0
    unsure = stateless.applied(three, chosen(tmp_path, part="remove"))
    assert unsure.code == 2 and "type: remove the old data" in unsure.err
    three.postgres.users["deis"] = "changed"  # the controller does not serve any more
    refused = stateless.applied(
        three, chosen(tmp_path, part="remove", confirm="remove the old data")
    )
    assert refused.code == 1 and "controller does not answer" in refused.err
    assert [len(host.data_containers) for host in three.hosts] == [3, 3, 4]
    three.postgres.users["deis"] = OUTSIDE_PASSWORD
    done = stateless.applied(three, chosen(tmp_path, part="remove", confirm="remove the old data"))
    assert done.code == 0, done.err
    assert not any(host.data_containers for host in three.hosts)
    assert not three.store.has_below("/deis/store/hosts")
    stateless.status_of(three, "ok")
    back = stateless.undone(three)
    assert back.code == 1 and "cannot be taken back" in back.err

    units, places = files(three), {unit: list(where) for unit, where in three.placement.items()}
    leaving = next(
        run for run in list_runs() if final_state(run).status is RunStatus.DONE and has_left(run)
    )
    empty = deiswizard("undo", leaving.name, "--yes", *target_flags(three.target))
    assert empty.code == 1 and "Ceph would begin empty" in empty.err, empty.err
    assert files(three) == units
    assert {unit: list(where) for unit, where in three.placement.items()} == places
    stateless.status_of(three, "ok")


def has_left(run: Path) -> bool:
    """It is the run that left Ceph."""
    return any(
        isinstance(event, e.StepFinished) and event.step.startswith("destroy:")
        for event in read_journal(run)
    )


HURT = {
    "a bucket that takes signature 4 only": "signs in version 2",
    "a right that is missing": "may not delete in s3://",
    "another password": "refuses deis",
    "a server that wants SCRAM": "wants SCRAM for this user",
    "a user who may make no table": "may not make tables",
    "a database that is not empty": "is not empty: api_app, somebody",
    "a bucket that is not there": "there is no bucket",
}


@pytest.mark.parametrize("fault", HURT)
def test_a_store_that_will_not_do_stops_the_run_before_any_change(
    three: PretendCluster, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, units = settings(three), {u: [h.name for h in w] for u, w in three.placement.items()}
    choices = {**S3, **DATABASE}
    match fault:
        case "a bucket that takes signature 4 only":
            three.outside_store.demands_v4 = True
        case "a right that is missing":
            three.outside_store.forbids.add("delete")
        case "another password":
            monkeypatch.setenv("DEISWIZARD_SECRET_DATABASE_PASSWORD", "wrong-password")
        case "a server that wants SCRAM":
            three.postgres.wants_scram = True
        case "a user who may make no table":
            three.postgres.readers.add("deis")
        case "a database that is not empty":
            three.postgres.databases["deis"] = {"api_app": ("1\tone",), "somebody": ()}
        case "a bucket that is not there":
            three.outside["other.s3.amazonaws.com:443"] = three.outside["s3.amazonaws.com:443"]
            choices["bucket"] = "other"
    said = stateless.applied(three, chosen(tmp_path, **choices))
    assert said.code == 1 and HURT[fault] in said.err, said.err
    assert "wrong-password" not in said.err + said.out
    assert settings(three) == before
    assert {u: [h.name for h in w] for u, w in three.placement.items()} == units


def test_every_control_host_must_reach_both_stores(three: PretendCluster, tmp_path: Path) -> None:
    del three.outside["db.example.com:5432"]
    said = stateless.applied(three, chosen(tmp_path, **S3, **DATABASE))
    assert said.code == 1 and "does not reach both stores" in said.err
    assert all(f"failed   {h.name}:" in said.err for h in three.hosts)
    stateless.status_of(three, "by choice")


def test_another_store_and_the_plain_key_of_the_documentation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Somebody has followed the documentation half: the key stands where the folder must be."""
    with started("stateless") as cluster:
        prepared(cluster, monkeypatch)
        cluster.store.delete(GATEWAY, recursive=True)
        cluster.store.put(GATEWAY, " ")
        stateless.status_of(cluster, "ok")
        images = {"registry/images/a/layer": b"a layer"}
        cluster.outside_store.content.buckets[BUCKET].update(images)
        other = {
            "store": "compatible",
            "bucket": BUCKET,
            "store_host": "s3.example.com",
            "auth": "keys",
        }
        done = stateless.applied(
            cluster, chosen(tmp_path, **other, **DATABASE, database_data="there")
        )
        assert done.code == 0, done.err
        now = settings(cluster)
        assert now[f"{GATEWAY}/host"] == "s3.example.com"
        assert now["/deis/registry/bucketName"] == BUCKET and "/deis/registry/s3bucket" not in now
        assert now[f"{GATEWAY}/secretKey"] == SECRET
        stateless.status_of(cluster, "ok")
        back = stateless.undone(cluster)
        assert back.code == 0, back.err
        assert settings(cluster)["/deis/registry/s3bucket"] == "demo-registry"
        assert cluster.unknown_commands == ()


def test_a_new_cluster_is_installed_without_ceph_and_taken_off_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with started("new") as cluster:
        prepared(cluster, monkeypatch)
        many = stateless.applied(cluster, chosen(tmp_path, **S3, **DATABASE, routers=9))
        assert many.code == 2 and "one to a host" in many.err
        done = stateless.applied(cluster, chosen(tmp_path, **S3, **DATABASE, routers=2))
        assert done.code == 0, done.err
        running = {unit for unit, where in cluster.placement.items() if where}
        assert "deis-router@2.service" in running and "deis-router@3.service" not in running
        assert not any(needs_ceph(unit) for unit in running)
        stateless.status_of(cluster, "ok")
        back = stateless.undone(cluster)
        assert back.code == 0, back.err
        assert cluster.fleet.names() == [] and settings(cluster) == {}
        assert cluster.unknown_commands == ()


def test_ceph_that_is_ill_by_then_stops_the_run_before_anything_is_copied(
    three: PretendCluster, tmp_path: Path
) -> None:
    plan, flags = str(tmp_path / "plan.json"), target_flags(three.target)
    made = deiswizard(
        "plan", "stateless", "-a", chosen(tmp_path, **S3, **DATABASE), "-o", plan, *flags
    )
    assert made.code == 0, made.err
    three.ceph.said = "HEALTH_WARN 3 pgs degraded"
    said = deiswizard("apply", plan, "--yes", *flags)
    assert said.code == 1 and "Ceph is not well" in said.err
    assert not three.outside_store.content.buckets[BUCKET] and not three.postgres.databases["deis"]


def test_hosts_that_leave_ceph_at_shutdown_keep_their_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with started("three", graceful_ceph=True) as cluster:
        prepared(cluster, monkeypatch)
        done = stateless.applied(cluster, chosen(tmp_path, **S3, **DATABASE))
        assert done.code == 0, done.err
        assert all("deis-store-daemon-data" in host.data_containers for host in cluster.hosts)
        assert not any(CEPH_SHUTDOWN in host.enabled for host in cluster.hosts)
        back = stateless.undone(cluster)
        assert back.code == 0, back.err
        assert all(CEPH_SHUTDOWN in host.enabled for host in cluster.hosts)


def test_the_instance_role_is_what_the_hosts_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with started("three") as bare:
        prepared(bare, monkeypatch)
        said = stateless.applied(bare, chosen(tmp_path, **S3, **DATABASE, auth="role"))
        assert said.code == 1 and "is no EC2 instance" in said.err
    with started("three", role="deis") as cluster:
        prepared(cluster, monkeypatch)
        last = cluster.hosts[-1]
        had, last.role = last.role, ""
        said = stateless.applied(cluster, chosen(tmp_path, **S3, **DATABASE, auth="role"))
        assert said.code == 1 and f"with the role of {last.name}" in said.err
        assert "1 of 7 steps of 'Try the stores' failed" in said.err
        last.role = had
        done = stateless.applied(cluster, chosen(tmp_path, **S3, **DATABASE, auth="role"))
        assert done.code == 0, done.err
        assert "/deis/registry/s3accessKey" not in settings(cluster)
        assert "outside-secret" not in done.out + done.err
        assert cluster.unknown_commands == ()


@pytest.mark.parametrize("name", ["five", "fifty"])
def test_larger_clusters_leave_ceph_and_come_back(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with started(name) as cluster:
        prepared(cluster, monkeypatch)
        before = settings(cluster)
        stateless.status_of(cluster, "by choice")
        done = stateless.applied(cluster, chosen(tmp_path, **S3, **DATABASE))
        assert done.code == 0, done.err[-3000:]
        stateless.status_of(cluster, "ok")
        back = stateless.undone(cluster)
        assert back.code == 0, back.err[-3000:]
        assert settings(cluster) == before
        stateless.status_of(cluster, "by choice")
