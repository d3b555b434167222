"""Running without Ceph on hosts with systemd: real PostgreSQL on both sides, real S3, real keys that expire.

Ceph itself is units that sleep, and a word that it is well; registry and controller are stand-ins that are well
while they reach the store, or the database, that etcd names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deiswizard.recommendations.stateless.facts import is_store
from deiswizard.run import events as e
from tests import s3_client
from tests.flows.checks import answers, assert_status
from tests.flows.clusters import Real
from tests.flows.commands import deiswizard
from tests.flows.running import has, running
from tests.lab.database import LabDatabase
from tests.lab.keys import FLEET
from tests.lab.lab import Lab
from tests.lab.waiting import await_that
from tests.moto_s3 import moto_s3
from tests.postgres import Postgres, postgres

BUCKET, PASSWORD = "images", "outside-secret"
SET = ("/deis/registry", "/deis/database", "/deis/logs", "/deis/store/gateway")
ROWS = "select count(*) from auth_user", "select id, structure from api_app order by id"


@dataclass
class Outside:
    """The stores that somebody else keeps. ``address`` is theirs, as the cluster's hosts know it."""

    address: str
    s3_port: int
    database: Postgres

    @property
    def s3(self) -> Any:
        """Who may do anything there."""
        return s3_client.owner(f"{self.address}:{self.s3_port}")

    @property
    def images(self) -> dict[str, bytes]:
        """What its bucket holds."""
        return s3_client.objects(self.s3, BUCKET)

    def answers(self, folder: Path) -> str:
        """What an operator chooses who moves there."""
        return answers(
            folder,
            f"stateless:\n  store: compatible\n  bucket: {BUCKET}\n  store_host: {self.address}\n"
            f"  store_port: {self.s3_port}\n  database_host: {self.address}\n"
            f"  database_port: {self.database.port}\n",
        )


@pytest.fixture
def outside(real: Real, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    monkeypatch.setenv("DEISWIZARD_SECRET_ACCESS_KEY", "AKIALAB")
    monkeypatch.setenv("DEISWIZARD_SECRET_SECRET_KEY", "outside-secret")
    monkeypatch.setenv("DEISWIZARD_SECRET_DATABASE_PASSWORD", PASSWORD)
    address = real.receiver_address()
    with (
        moto_s3(address) as (_, s3_port),
        postgres(address) as server,
    ):
        server.sql(f"set password_encryption = md5; create role deis login password '{PASSWORD}';")
        server.sql("create database deis owner deis")
        network = f"{real.lab.network.inside}.0/24"
        (server.folder / "data" / "pg_hba.conf").write_text(
            f"local all all trust\nhost deis deis {network} md5\n"
        )
        server.sql("select pg_reload_conf()")
        made = Outside(address, s3_port, server)
        made.s3.create_bucket(Bucket=BUCKET)
        yield made


def settings(lab: Lab) -> dict[str, str]:
    """What is set, by people or by the wizard; where a component says it is itself left out."""
    return {
        key: value
        for folder in SET
        for key, value in lab.keys.below(folder).items()
        if not key.endswith(("/host", "/port"))
    }


def processes(lab: Lab) -> dict[str, set[str]]:
    """Unit to what runs of it: hosts and main processes, as systemd says."""
    found: dict[str, set[str]] = {}
    for key, value in lab.keys.below(f"{FLEET}/states").items():
        *_, unit, machine = key.split("/")
        if json.loads(value)["subState"] == "running":
            host = next(host for host in lab.hosts if host.machine_id == machine)
            asked = ("show", "-p", "MainPID", "-p", "ExecMainStartTimestampMonotonic", unit)
            found.setdefault(unit, set()).add(f"{host.name} {host.run('systemctl', *asked).stdout}")
    return found


@pytest.mark.timeout(800)
def test_hosts_leave_ceph_for_real_stores_a_killed_run_goes_on_and_all_comes_back(
    real: Real, outside: Outside, tmp_path: Path
) -> None:
    lab, flags = real.lab, real.flags()
    real.store.start()
    before, ran, data = settings(lab), processes(lab), real.dump()
    words = ("apply", "stateless", "-a", outside.answers(tmp_path), "--yes", *flags)
    with running(tmp_path, *words) as run:
        run.until(has(e.StepFinished, step="destroy:deis-database.service"))
    done = deiswizard("resume", "last", "--yes")
    assert done.code == 0, done.err
    assert_status(real, "stateless", "ok")
    runs = processes(lab)
    assert not any(is_store(unit) for unit in runs)
    kept = [u for u in ran if u.startswith(("deis-router", "deis-publisher", "deis-logspout"))]
    assert kept and all(runs[unit] == ran[unit] for unit in kept), "what uses no store ran on"
    for unit in ("deis-registry@1.service", "deis-controller.service", "deis-builder.service"):
        assert runs[unit] and runs[unit] != ran[unit], "started again on the new stores"
    for host in lab.hosts:
        listed = host.run("systemctl", "list-units", "--no-legend", "--plain", "deis-*").stdout
        assert not any(is_store(line.split()[0]) for line in listed.splitlines())
    assert outside.images == real.store.objects("registry")
    assert outside.database.sql(ROWS[0], "deis") == "2"
    assert "shop" in outside.database.sql(ROWS[1], "deis")
    assert real.value("/deis/database/host") == outside.address
    assert real.value("/deis/store/gateway/port") == str(outside.s3_port)

    back = deiswizard("undo", "last", "--yes", *flags)
    assert back.code == 0, back.err
    assert settings(lab) == before
    await_that(lambda: processes(lab).keys() == ran.keys(), "every unit runs again")
    now = processes(lab)
    assert all(now[unit] == ran[unit] for unit in kept)
    (at,) = now["deis-database.service"]
    assert LabDatabase(lab.host(at.split()[0])).dump() == data
    assert_status(real, "stateless", "by choice")
