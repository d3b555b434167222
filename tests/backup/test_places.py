"""A folder and a bucket keep files the same way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.backup.data import MANIFEST, Place
from deiswizard.backup.keeping import too_many
from deiswizard.backup.places import Store, all_manifests, read_small, store_of, store_small
from deiswizard.errors import StepError, WizardError
from tests.backup.conftest import NAME, S3, manifest


def test_a_file_is_seen_when_it_is_whole_and_not_before(store: Store) -> None:
    writer = store.create(f"{NAME}/database.sql")
    writer.write(b"first ")
    assert store.size(f"{NAME}/database.sql") is None
    writer.write(b"second")
    writer.commit()
    assert store.size(f"{NAME}/database.sql") == 12
    assert read_small(store, f"{NAME}/database.sql") == b"first second"


def test_a_file_that_was_given_up_leaves_nothing(store: Store, tmp_path: Path) -> None:
    writer = store.create(f"{NAME}/volume.tar")
    writer.write(b"x" * 20_000_000)
    writer.abort()
    assert store.size(f"{NAME}/volume.tar") is None
    assert not list(tmp_path.rglob("*.part"))


def test_a_long_file_goes_in_parts_and_comes_back_the_same(store: Store) -> None:
    data = os.urandom(1_000_003)
    writer = store.create(f"{NAME}/big")
    for _ in range(21):
        writer.write(data)
    writer.commit()
    got = b"".join(store.read(f"{NAME}/big"))
    assert got == data * 21
    assert max(len(piece) for piece in store.read(f"{NAME}/big")) <= 1024 * 1024


def test_only_folders_with_a_manifest_of_ours_are_backups(store: Store) -> None:
    store_small(store, "somebody-elses/manifest.json", b'{"made_by": "another tool"}')
    store_small(store, "deiswizard-prod-x/notes.txt", b"no manifest")
    store_small(store, f"{NAME}/{MANIFEST}", manifest().model_dump_json().encode())
    assert [m.backup for m in all_manifests(store, "deiswizard-prod-")] == [NAME]
    store.remove(NAME)
    assert store.size(f"{NAME}/{MANIFEST}") is None
    assert store.size("somebody-elses/manifest.json") is not None


def test_the_newest_verified_are_kept_and_others_never_count() -> None:
    made = [manifest(backup=f"b{n}", verified_at=float(n)) for n in range(1, 6)]
    unverified = manifest(backup="b9", verified_at=0.0)
    strange = manifest(backup="b0", verified_at=0.5, machines=("another",))
    all_of_them = [*made, unverified, strange]
    assert [m.backup for m in too_many(all_of_them, ["m1"], 2)] == ["b1", "b2", "b3"]
    assert too_many(all_of_them, ["m1"], 0) == ()
    assert [m.backup for m in too_many(all_of_them, ["m1"], 1)] == ["b1", "b2", "b3", "b4"]


def test_a_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    os.umask(0o022)
    store = store_of(Place(path=str(tmp_path / "deep" / "kept")))
    store.prepare()
    store_small(store, f"{NAME}/registry/ab/abc", b"x")
    for folder in (tmp_path / "deep" / "kept", *(tmp_path / "deep" / "kept").rglob("*")):
        assert folder.stat().st_mode & 0o777 == (0o700 if folder.is_dir() else 0o600), folder


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    store = store_of(Place(path=str(tmp_path / "kept")))
    for name in ("../x", "/etc/passwd", "a/../../b"):
        with pytest.raises(StepError, match="no name of a file"):
            store.create(name)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StepError, match=r"kept cannot be made: Not a directory"):
        store_of(Place(path=str(tmp_path / "file" / "kept"))).prepare()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_nothing_half_stays(tiny_disk: Path) -> None:
    store = store_of(Place(path=str(tiny_disk)))
    store.prepare()
    writer = store.create(f"{NAME}/database.sql")
    with pytest.raises(StepError, match=r"there is no room left for .*database\.sql"):
        for _ in range(40):
            writer.write(b"x" * 100_000)
        writer.commit()
    writer.abort()
    assert not [path for path in tiny_disk.rglob("*") if path.is_file()]


def test_a_bucket_that_is_not_there_is_said(s3: S3) -> None:
    with pytest.raises(WizardError, match="s3://nobodys cannot be written to: NoSuchBucket"):
        store_of(Place(kind="s3", bucket="nobodys", endpoint=s3.url)).prepare()
