"""Backups from nothing to verified and back again, on both clusters; and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.backup.data import Manifest
from deiswizard.demo.commands_data import volume
from deiswizard.run.events import StepStarted
from deiswizard.run.folders import find_run
from deiswizard.run.journal import read_journal
from tests.backup.conftest import S3, s3, s3_server  # noqa: F401
from tests.flows.checks import answers, assert_status
from tests.flows.clusters import Cluster, Pretended
from tests.flows.commands import LIMIT, deiswizard
from tests.flows.running import running
from tests.lab.database import without_keys

WORDS = "correct horse battery staple"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def manifests(kept: Path) -> list[Manifest]:
    paths = sorted(kept.glob("*/manifest.json"))
    return [Manifest.model_validate_json(path.read_bytes()) for path in paths]


def chosen(folder: Path, kept: Path, *more: str) -> str:
    lines = "".join(f"  {line}\n" for line in more)
    return answers(folder, f"backup:\n  folder: {kept}\n{lines}")


def test_a_backup_goes_from_at_risk_to_ok_and_is_taken_back(
    stocked: Cluster, tmp_path: Path, kept: Path
) -> None:
    said = deiswizard("check", *stocked.flags())
    assert "no backup found" in said.out
    done = deiswizard("apply", "backup", "-a", chosen(tmp_path, kept), "--yes", *stocked.flags())
    assert done.code == 0, done.err
    assert "verify   ok: a verified backup of now is there" in done.err
    [manifest] = manifests(kept)
    assert manifest.verified_at and {p.source.name for p in manifest.parts} == set(stocked.parts)
    assert manifest.versions.deis == "v1.13.4" and len(manifest.machines) == 3
    assert any("expire by themselves" in line for line in manifest.left_out)
    assert_is_what_it_has(stocked, kept / manifest.backup)
    assert_status(stocked, "backup", "ok")
    back = deiswizard("undo", "last", "--yes", *stocked.flags())
    assert back.code == 0, back.err
    assert not list(kept.iterdir())
    assert_status(stocked, "backup", "at risk")


def assert_is_what_it_has(cluster: Cluster, folder: Path) -> None:
    """Every part of a backup is exactly what the cluster holds."""
    dumped = folder / "database.sql"
    assert dumped.stat().st_mode & 0o777 == 0o600
    assert without_keys(dumped.read_text()) == cluster.dump()
    if "volume" in cluster.parts:
        assert (folder / "volume.tar").read_bytes() == volume()
    for bucket in ("db_wal", "registry"):
        lines = map(json.loads, (folder / f"{bucket}.jsonl").read_text().splitlines())
        copied = {line["key"]: (folder / line["stored"]).read_bytes() for line in lines}
        assert copied == cluster.store.objects(bucket)
    nodes = map(json.loads, (folder / "etcd.jsonl").read_text().splitlines()[1:])
    keys = {node["key"]: node.get("value") for node in nodes}
    assert keys["/deis/controller/secretKey"] == cluster.value("/deis/controller/secretKey")
    assert "/deis/database/host" not in keys and "/deis/platform/domain" in keys


def test_a_bucket_can_be_the_place(
    pretended: Pretended,
    tmp_path: Path,
    s3: S3,  # noqa: F811
) -> None:
    s3.client.create_bucket(Bucket="kept")
    text = f"backup:\n  where: s3\n  bucket: s3://kept/deis\n  endpoint: {s3.url}\n"
    done = deiswizard("apply", "backup", "-a", answers(tmp_path, text), "--yes", *pretended.flags())
    assert done.code == 0, done.err
    keys = s3.keys("kept")
    assert any(
        key.startswith("deis/deiswizard-") and key.endswith("/manifest.json") for key in keys
    )
    assert_status(pretended, "backup", "ok")
    back = deiswizard("undo", "last", "--yes", *pretended.flags())
    assert back.code == 0, back.err
    assert s3.keys("kept") == []


def test_a_passphrase_seals_it_and_stands_nowhere(
    pretended: Pretended, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = chosen(tmp_path, kept, "encryption: passphrase")
    refused = deiswizard("apply", "backup", "-a", sealed, "--yes", *pretended.flags())
    assert refused.code == 2 and "no passphrase was given" in refused.err
    monkeypatch.setenv("DEISWIZARD_SECRET_BACKUP_PASSPHRASE", WORDS)
    done = deiswizard("apply", "backup", "-a", sealed, "--yes", *pretended.flags())
    assert done.code == 0, done.err
    folder = kept / manifests(kept)[0].backup
    assert (folder / "database.sql.sealed").read_bytes().startswith(b"deiswizard-sealed 1\n")
    for path in (p for p in tmp_path.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert WORDS.encode() not in data, path
        assert b"pretend-gateway-secret" not in data, path
        if folder in path.parents:
            assert b"pretend-secret-key-of-the-controller" not in data, path


def test_only_so_many_are_kept_and_only_ours(
    pretended: Pretended, tmp_path: Path, kept: Path
) -> None:
    (kept / "holiday-pictures").mkdir(parents=True)
    (kept / "holiday-pictures" / "manifest.json").write_text("{}")
    names = []
    for _ in range(3):
        few = chosen(tmp_path, kept, "what: [etcd]", "keep: 2")
        done = deiswizard("apply", "backup", "-a", few, "--yes", *pretended.flags())
        assert done.code == 0, done.err
        names.append(max(m.backup for m in manifests_of_ours(kept)))
    assert [m.backup for m in manifests_of_ours(kept)] == names[1:]
    assert f"removed: {names[0]}" in done.err
    assert (kept / "holiday-pictures" / "manifest.json").exists()


def manifests_of_ours(kept: Path) -> list[Manifest]:
    paths = sorted(kept.glob("deiswizard-*/manifest.json"))
    return [Manifest.model_validate_json(path.read_bytes()) for path in paths]


def times_begun() -> Counter[str]:
    """How often each step of the last run was begun."""
    return Counter(e.step for e in read_journal(find_run("last")) if isinstance(e, StepStarted))


def test_a_backup_that_was_killed_goes_on_where_it_was(
    stocked: Cluster, tmp_path: Path, kept: Path
) -> None:
    stocked.store.gate.close(after=8)
    words = ("apply", "backup", "-a", chosen(tmp_path, kept, "what: [etcd, db_wal]"), "--yes")
    with running(tmp_path, *words, *stocked.flags()) as run:
        run.until(lambda _: stocked.store.gate.is_waited_at)
        run.end()  # by kill -9
    stocked.store.gate.open()
    assert not list(kept.glob("*/manifest.json"))
    assert_status(stocked, "backup", "at risk")
    had = {p: p.stat().st_mtime_ns for p in kept.glob("*/db_wal/*/*") if p.suffix != ".part"}
    assert len(had) == 8
    again = deiswizard("resume", "last", "--yes", *stocked.flags())
    assert again.code == 0, again.err
    assert times_begun()["copy:etcd"] == 1 and times_begun()["copy:db_wal"] == 2
    assert {path: path.stat().st_mtime_ns for path in had} == had
    assert len(list(kept.glob("*/db_wal/*/*"))) == 22 and not list(kept.rglob("*.part"))
    assert_status(stocked, "backup", "partly")  # the database was not chosen


def test_a_file_that_is_damaged_meanwhile_is_found_before_it_is_believed(
    pretended: Pretended, tmp_path: Path, kept: Path
) -> None:
    pretended.store.gate.close()
    words = ("apply", "backup", "-a", chosen(tmp_path, kept), "--yes", *pretended.flags())
    with running(tmp_path, *words) as run:
        run.until(lambda _: pretended.store.gate.is_waited_at)  # the database was copied before
        [path] = kept.glob("*/database.sql")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        pretended.store.gate.open()
        assert run.ended() == 1
        assert "database.sql has another checksum than when it was written" in run.said
    assert not list(kept.glob("*/manifest.json"))
    assert_status(pretended, "backup", "at risk")
    resumed = deiswizard("resume", "last", "--yes", *pretended.flags())
    assert resumed.code == 1 and "was not copied" in resumed.err


def test_ceph_that_is_not_healthy_stops_it_before_anything_is_copied(
    pretended: Pretended, tmp_path: Path, kept: Path
) -> None:
    told = pretended.cluster
    told.scenario = told.scenario.model_copy(update={"store_admin": True})
    told.run_on_all("deis-store-admin.service")
    plan = tmp_path / "plan.json"
    made = deiswizard(
        "plan", "backup", "-a", chosen(tmp_path, kept), "-o", str(plan), *pretended.flags()
    )
    assert made.code == 0, made.err
    told.ceph.said = "HEALTH_WARN 64 pgs degraded"
    said = deiswizard("apply", str(plan), "--yes", *pretended.flags())
    assert said.code == 1 and "Ceph is not healthy" in said.err
    assert not kept.exists()
    refused = deiswizard(
        "apply", "backup", "-a", chosen(tmp_path, kept), "--yes", *pretended.flags()
    )
    assert refused.code == 2
    assert "Ceph is not healthy (HEALTH_WARN 64 pgs degraded)" in refused.err
    despite = chosen(tmp_path, kept, "despite_ceph: true")
    done = deiswizard("apply", "backup", "-a", despite, "--yes", *pretended.flags())
    assert done.code == 0, done.err
    assert_status(pretended, "backup", "soon")


def test_too_little_room_is_said_before_anything_is_copied(
    pretended: Pretended, tmp_path: Path, kept: Path, tiny: Path
) -> None:
    said = deiswizard("apply", "backup", "-a", chosen(tmp_path, tiny), "--yes", *pretended.flags())
    assert said.code == 1
    assert f"are needed at {tiny}" in said.err and "are free" in said.err
    assert "copy database" not in said.err.partition("== Guards")[2]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


CRONTAB = """\
#!/bin/sh
[ "$1" = -l ] && { cat "$CRON_FILE" 2>/dev/null || exit 1; exit; }
cat > "$CRON_FILE.new" && mv "$CRON_FILE.new" "$CRON_FILE"
"""


def test_a_schedule_is_set_up_runs_by_itself_and_is_taken_back(
    pretended: Pretended, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "crontab").write_text(CRONTAB)
    (tmp_path / "bin" / "crontab").chmod(0o755)
    table = tmp_path / "crontab"
    table.write_text("0 1 * * * echo of another\n")
    monkeypatch.setenv("CRON_FILE", str(table))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    nightly = chosen(tmp_path, kept, "what: [etcd]", "schedule: cron", "schedule_at: '04:30'")
    done = deiswizard("apply", "backup", "-a", nightly, "--yes", *pretended.flags())
    assert done.code == 0, done.err
    other, line = table.read_text().splitlines()
    assert other == "0 1 * * * echo of another" and line.startswith("30 4 * * * ")
    command = line.removeprefix("30 4 * * * ").partition(" # deiswizard-backup-")[0]
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=LIMIT)
    assert ran.returncode == 0, ran.stderr
    assert len(manifests(kept)) == 2
    runs = sorted(path.name for path in (tmp_path / "state" / "runs").iterdir())
    back = deiswizard("undo", runs[0], "--yes", *pretended.flags())
    assert back.code == 0, back.err
    assert table.read_text() == "0 1 * * * echo of another\n"
    assert not list((tmp_path / "config").glob("deiswizard-backup-*"))
    assert len(manifests(kept)) == 1
