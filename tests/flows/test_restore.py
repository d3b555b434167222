"""A backup of one pretend cluster, written back to a new one; and on both clusters to one that is in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.commands_data import dump
from tests.flows.checks import answers
from tests.flows.clusters import Cluster, Pretended
from tests.flows.commands import deiswizard
from tests.flows.running import running

SECRET_KEY = "/deis/controller/secretKey"


@pytest.fixture
def old(pretended: Pretended) -> Pretended:
    return pretended


@pytest.fixture
def new() -> Iterator[Pretended]:
    with PretendCluster.start("new", speed=50.0) as cluster:
        yield Pretended(cluster)
        assert cluster.unknown_commands == ()


def backed_up(cluster: Cluster, folder: Path, *more: str) -> Path:
    """The folder of a backup of a cluster."""
    cluster.put("/deis/router/bodySize", "7m")
    cluster.put("/deis/platform/motto", "a=b==\nsecond line")
    lines = "".join(f"  {line}\n" for line in more)
    text = answers(folder, f"backup:\n  folder: {folder / 'kept'}\n{lines}")
    done = deiswizard("apply", "backup", "-a", text, "--yes", *cluster.flags())
    assert done.code == 0, done.err
    [manifest] = (folder / "kept").glob("*/manifest.json")
    return manifest.parent


def renamed(cluster: Pretended) -> None:
    """Machines of its own: two pretend clusters have the same ones."""
    for number, host in enumerate(cluster.cluster.hosts):
        cluster.cluster.store.delete(
            f"/_coreos.com/fleet/machines/{host.machine_id}", recursive=True
        )
        host.machine_id = f"{number + 7:032x}"
        host.write_file("/etc/machine-id", f"{host.machine_id}\n".encode())
        from deiswizard.demo import platform

        platform.register(cluster.cluster, host)


def test_a_backup_comes_back_on_a_new_cluster(
    old: Pretended, new: Pretended, tmp_path: Path
) -> None:
    backup = backed_up(old, tmp_path)
    renamed(new)
    done = deiswizard("restore", str(backup), "--yes", *new.flags())
    assert done.code == 0, done.err
    assert new.cluster.data_store.buckets == old.cluster.data_store.buckets
    assert new.value(SECRET_KEY) == old.value(SECRET_KEY)
    assert new.value("/deis/router/bodySize") == "7m"
    assert new.value("/deis/platform/motto") == "a=b==\nsecond line"
    assert new.value("/deis/store/gateway/accessKey") == "NEWACCESSKEY00000000"
    assert new.file("deis-1", "/var/lib/deis/store/logs/app-3.log").startswith("2026-11-22")
    order = [line[9:] for line in done.err.splitlines() if line.startswith("done     ")]
    at = {word: next(n for n, line in enumerate(order) if word in line) for word in (
        "read db_wal", "settings", "install the platform", "start store-monitor", "bucket db_wal", "start the platform",
    )}  # fmt: skip
    assert sorted(at, key=at.__getitem__) == list(at)
    assert "verify   ok: deis-controller runs" in done.err


CONFIRMED = ("--confirm", "overwrite this cluster", "--yes")


def test_a_cluster_in_use_is_overwritten_only_on_a_word(stocked: Cluster, tmp_path: Path) -> None:
    """Killed in the middle of it, and taken up again."""
    backup = backed_up(stocked, tmp_path)
    first, secret = stocked.dump(), stocked.value(SECRET_KEY)
    wal, images = stocked.store.objects("db_wal"), stocked.store.objects("registry")
    stocked.put(SECRET_KEY, "changed since")
    stocked.lose_applications()
    for key in (*list(images)[:4], *list(wal)[:1]):
        stocked.store.remove("registry" if key in images else "db_wal", key)
    assert stocked.dump() != first
    refused = deiswizard("restore", str(backup), "--yes", *stocked.flags())
    assert refused.code == 2
    assert "this is no new cluster: the backup was made of this very cluster" in refused.err
    assert stocked.value(SECRET_KEY) == "changed since"
    stocked.store.gate.close(after=2)
    words = ("restore", str(backup), *CONFIRMED, *stocked.flags())
    with running(tmp_path, *words) as run:
        run.until(lambda _: stocked.store.gate.is_waited_at)
        run.end()  # by kill -9
    stocked.store.gate.open()
    assert 0 < len(images) - len(stocked.store.objects("registry")) < 4
    assert stocked.value(SECRET_KEY) == secret and stocked.dump() != first
    done = deiswizard("resume", "last", "--yes", *stocked.flags())
    assert done.code == 0, done.err
    assert stocked.store.objects("registry") == images
    assert len(stocked.store.objects("db_wal")) == len(wal) - 1  # its own database writes there
    assert stocked.dump() == first
    assert "verify   ok: deis-controller runs" in done.err


def test_a_damaged_backup_changes_nothing(old: Pretended, new: Pretended, tmp_path: Path) -> None:
    backup = backed_up(old, tmp_path)
    renamed(new)
    path = next(backup.glob("registry/*/*"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    said = deiswizard("restore", str(backup), "--yes", *new.flags())
    assert said.code == 1 and "it was damaged" in said.err
    assert new.value(SECRET_KEY) is None and not new.cluster.placement
    checked = deiswizard("restore", str(backup), "--check")
    assert checked.code == 1 and "it was damaged" in checked.err


def test_only_the_database_s_dump_comes_back_where_there_is_no_wal(
    old: Pretended, tmp_path: Path
) -> None:
    backup = backed_up(old, tmp_path, "what: [etcd, database]")
    done = deiswizard("restore", str(backup), *CONFIRMED, *old.flags())
    assert done.code == 0, done.err
    assert old.cluster.database == dump()


def test_a_sealed_backup_is_read_again_with_its_passphrase(
    old: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEISWIZARD_SECRET_BACKUP_PASSPHRASE", "correct horse battery")
    backup = backed_up(old, tmp_path, "what: [etcd, database]", "encryption: passphrase")
    assert deiswizard("restore", "last", "--check").code == 0
    old.put(SECRET_KEY, "changed since")
    done = deiswizard("restore", "last", *CONFIRMED, *old.flags())
    assert done.code == 0, done.err
    assert old.value(SECRET_KEY) == "pretend-secret-key-of-the-controller"
    assert old.cluster.database == dump()
    monkeypatch.setenv("DEISWIZARD_SECRET_BACKUP_PASSPHRASE", "another passphrase")
    wrong = deiswizard("restore", str(backup), "--check")
    assert wrong.code == 1 and "wrong passphrase" in wrong.err
    monkeypatch.delenv("DEISWIZARD_SECRET_BACKUP_PASSPHRASE")
    none = deiswizard("restore", str(backup), "--check")
    assert none.code == 2 and "none was given" in none.err


def test_what_is_no_backup_is_said_so(tmp_path: Path) -> None:
    missing = deiswizard("restore", "/nowhere/backup", "--check")
    assert missing.code == 1 and "there is no backup '/nowhere/backup'" in missing.err
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "manifest.json").write_text('{"name": "a web page"}')
    other = deiswizard("restore", str(tmp_path / "folder"), "--check")
    assert other.code == 1 and "is no manifest of deiswizard" in other.err
