"""The same steps against a real sshd, PostgreSQL 15, etcd and an S3 server; and back into another."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deiswizard.backup.data import (
    BucketSource,
    DatabaseSource,
    EtcdSource,
    Manifest,
    Place,
    Source,
)
from deiswizard.backup.places import manifest_of, store_of
from deiswizard.backup.records import all_known
from deiswizard.cluster.etcd import EtcdAdapter
from deiswizard.cluster.host import HostLink
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep, RestoreStep
from deiswizard.plan.step import Step
from deiswizard.run import events as e
from deiswizard.run.runner import Run
from deiswizard.vocabulary import Danger, RunStatus
from tests.backup.conftest import NAME, S3, manifest
from tests.flows.commands import deiswizard
from tests.postgres import Postgres, docker_stand_in, fill, postgres, why_no_postgres
from tests.ssh.helpers import open_link
from tests.sshd import free_port, sshd, why_no_sshd
from tests.unit.memory_cluster import plan_of, stage
from tests.unit.memory_fleet import MemoryFleet

WHY = why_no_sshd() or why_no_postgres()
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY or "-")
WORDS = "docker exec deis-database sudo -u postgres pg_dumpall"


@dataclass
class RealCluster:
    """One host by a real sshd, and a real etcd through it. Implements ``access.ClusterAccess``."""

    link: HostLink
    etcd_port: int

    def host(self, name: str) -> HostLink:
        return self.link

    def etcd(self) -> EtcdAdapter:
        return EtcdAdapter(partial(self.link.open_tcp, "127.0.0.1", self.etcd_port))

    def docker(self, name: str) -> Any:
        raise AssertionError("nobody asks for images")

    def fleet(self) -> MemoryFleet:
        return MemoryFleet()

    def try_ports(self, host: str, places: Sequence[tuple[str, int]]) -> tuple[bool, ...] | None:
        return None

    def machine_ids(self) -> frozenset[str]:
        return frozenset()


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as server:
        fill(server)
        yield server


@pytest.fixture
def scratch() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture
def etcd_port(tmp_path: Path) -> Iterator[int]:
    port, peer = free_port("127.0.0.1"), free_port("127.0.0.1")
    client, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    process = subprocess.Popen(
        ["etcd", "--name", "m1", "--data-dir", str(tmp_path / "etcd"), "--enable-v2",
         "--listen-client-urls", client, "--advertise-client-urls", client,
         "--listen-peer-urls", other, "--initial-advertise-peer-urls", other,
         "--initial-cluster", f"m1={other}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield port
    process.kill()
    process.wait()


@pytest.fixture
def cluster(tmp_path: Path, database: Postgres, etcd_port: int) -> Iterator[RealCluster]:
    stand_in = docker_stand_in(tmp_path / "bin", database)
    way = f'ForceCommand env PATH={stand_in}:$PATH sh -c "$SSH_ORIGINAL_COMMAND"'
    with sshd(tmp_path / "sshd", ("127.0.78.1",), way) as server:
        link = open_link(server.target())
        made = RealCluster(link, etcd_port)
        deadline = time.monotonic() + 90
        while True:
            try:
                made.etcd().version()
                break
            except Exception:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield made
        link.close()


def steps_of(place: Place, sources: list[Source]) -> list[list[Step]]:
    common: dict[str, Any] = {"place": place, "backup": NAME, "danger": Danger.READ}
    return [
        [BackupTaskStep(id="begin", title="begin", task="begin", manifest=manifest(), **common)],
        [BackupTaskStep(id="room", title="room", task="room", sources=tuple(sources), **common)],
        [BackupStep(id=f"copy:{s.name}", title="copy", source=s, **common) for s in sources],
        [BackupTaskStep(id=f"verify:{s.name}", title="verify", task="verify", part=s.name, **common) for s in sources],
        [BackupTaskStep(id="finish", title="finish", task="finish", **common)],
    ]  # fmt: skip


def run_of(cluster: RealCluster, folder: Path, groups: list[list[Step]]) -> list[e.Event]:
    """Run them; everything that was told."""
    plan = plan_of(*(stage(*steps, name=f"s{n}") for n, steps in enumerate(groups)))
    folder.mkdir(parents=True)
    run = Run(plan, cluster, folder=folder)
    told: list[e.Event] = []
    run.hub.subscribe(told.append)
    run.start()
    state = run.wait(90)
    assert state.status is RunStatus.DONE, {
        n: (s.status, s.said) for n, s in state.steps.items() if s.said
    }
    return told


@pytest.fixture
def gateway(s3: S3, cluster: RealCluster) -> S3:
    objects = {f"wal_005/{n:024X}.lzo": os.urandom(30_000) for n in range(20)}
    s3.fill("db_wal", objects | {"basebackups_005/big": os.urandom(20_000_000)})
    etcd = cluster.etcd()
    for name, value in (("accessKey", "GATEWAYKEY"), ("secretKey", "s" * 40), ("host", "127.0.0.1"), ("port", str(s3.port))):  # fmt: skip
        etcd.put(f"/deis/store/gateway/{name}", value, expect=None)
    etcd.put("/deis/controller/secretKey", "a=b==\n'\"ü", expect=None)
    etcd.put("/deis/services/app/1", "10.0.0.1:80", expect=None, ttl=100)
    return s3


def place_on(kind: str, s3: S3, folder: Path) -> Place:
    if kind == "folder":
        return Place(path=str(folder / "kept"))
    s3.client.create_bucket(Bucket="kept")
    return Place(kind="s3", bucket="kept", prefix="deis", endpoint=s3.url)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_everything_is_copied_from_real_services_and_restored_into_others(
    cluster: RealCluster, gateway: S3, database: Postgres, scratch: Postgres, tmp_path: Path, kind: str
) -> None:  # fmt: skip
    place = place_on(kind, gateway, tmp_path)
    bucket = BucketSource(name="db_wal", bucket="db_wal", through="a", gateway="127.0.0.1", port=gateway.port)  # fmt: skip
    sources: list[Source] = [EtcdSource(), DatabaseSource(host="a"), bucket]
    run_of(cluster, tmp_path / "run", steps_of(place, sources))
    made = manifest_of(store_of(place), NAME)
    assert made.verified_at and [fact.backup for fact in all_known()] == [NAME]
    etcd, data, wal = (part_named(made, name) for name in ("etcd", "database", "db_wal"))
    assert wal.file.count == 21 and wal.bytes > 20_600_000

    words = [*(("--endpoint", gateway.url) if kind == "s3" else ())]
    where = place.file(NAME)
    tried = deiswizard("restore", where, "--scratch", scratch.url, *words)
    assert tried.code == 0, tried.err
    assert "1 databases with 2 tables: deis" in tried.err
    count = "select count(*), md5(string_agg(username, ',' order by id)) from auth_user"
    assert scratch.sql(count, "deis") == database.sql(count, "deis")
    again = deiswizard("restore", where, "--scratch", scratch.url, *words)
    assert again.code == 1 and "the scratch server is not empty: it has deis" in again.err

    before = {key: gateway.client.get_object(Bucket="db_wal", Key=key)["Body"].read() for key in gateway.keys("db_wal")}  # fmt: skip
    for key in list(before)[:5]:
        gateway.client.delete_object(Bucket="db_wal", Key=key)
    cluster.etcd().put("/deis/controller/secretKey", "of the new cluster", expect=None)
    common: dict[str, Any] = {"place": place, "backup": NAME, "danger": Danger.READ}
    run_of(cluster, tmp_path / "run2", [
        [RestoreStep(id=f"check{n}", title="c", part=part, to="check", **common) for n, part in enumerate(made.parts)],
        [RestoreStep(id="etcd", title="e", part=etcd, to="etcd", keys=("/deis/controller/secretKey",), **common)],
        [RestoreStep(id="wal", title="w", host="a", part=wal, to="bucket", **common)],
    ])  # fmt: skip
    fact = cluster.etcd().get("/deis/controller/secretKey")
    assert fact is not None and fact.text == "a=b==\n'\"ü"
    after = {key: gateway.client.get_object(Bucket="db_wal", Key=key)["Body"].read() for key in gateway.keys("db_wal")}  # fmt: skip
    assert after == before
    remove: list[list[Step]] = [[BackupTaskStep(id="rm", title="r", task="remove", **common)]]
    run_of(cluster, tmp_path / "run3", remove)
    assert store_of(place).size(f"{NAME}/manifest.json") is None and all_known() == ()
    assert data.file.count == 0


def part_named(made: Manifest, name: str) -> Any:
    found = made.part(name)
    assert found is not None
    return found


def test_what_expires_is_not_in_the_export(
    cluster: RealCluster, gateway: S3, tmp_path: Path
) -> None:
    place = Place(path=str(tmp_path / "kept"))
    run_of(cluster, tmp_path / "run", steps_of(place, [EtcdSource()]))
    lines = (tmp_path / "kept" / NAME / "etcd.jsonl").read_text().splitlines()
    nodes = {node["key"]: node for node in map(json.loads, lines[1:])}
    assert nodes["/deis/services/app"] == {"key": "/deis/services/app", "dir": True}
    assert "/deis/services/app/1" not in nodes


def test_a_dump_goes_through_in_pieces_and_not_through_memory(
    cluster: RealCluster, tmp_path: Path
) -> None:
    """200 MB through the same stream, in pieces of a MiB at most."""
    sizes: list[int] = []
    result = cluster.link.stream(
        "head -c 200000000 /dev/zero", on_bytes=lambda data: sizes.append(len(data))
    )
    assert result.code == 0 and sum(sizes) == 200_000_000
    assert max(sizes) <= 1024 * 1024


def test_input_is_streamed_too_and_comes_back_the_same(cluster: RealCluster) -> None:
    import hashlib

    pieces = [os.urandom(100_003) for _ in range(200)]
    got = hashlib.sha256()
    result = cluster.link.stream("cat; echo bad >&2; exit 3", on_bytes=got.update, stdin=iter(pieces))  # fmt: skip
    assert (result.code, result.err) == (3, "bad\n")
    assert got.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_database_that_is_not_there_is_said_in_its_own_words(
    cluster: RealCluster, database: Postgres, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "docker").write_text(
        "#!/bin/sh\necho 'pg_dumpall: error: connection to server failed' >&2\nexit 1\n"
    )
    place = Place(path=str(tmp_path / "kept"))
    plan = plan_of(*(stage(*s, name=f"s{n}") for n, s in enumerate(steps_of(place, [DatabaseSource(host="a")]))))  # fmt: skip
    (tmp_path / "run").mkdir()
    run = Run(plan, cluster, folder=tmp_path / "run")
    run.start()
    state = run.wait(60)
    assert state.status is RunStatus.FAILED
    assert state.steps["copy:database"].said == (
        "pg_dumpall failed on a: pg_dumpall: error: connection to server failed"
    )
