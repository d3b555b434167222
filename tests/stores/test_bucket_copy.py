"""The registry's images go to another store, on moto's server and on the demo's alike."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.backup import gateway, s3
from deiswizard.errors import CancelledError, ServiceError, StepError
from deiswizard.stores.registry_copy import Copied, RegistryCopy
from tests.stores.bucket_stores import GATEWAY_BUCKET, KINDS, Outside, outside

INDEX = "registry-sent.jsonl"
IMAGES = {f"docker/v2/blobs/{n:02}": os.urandom(1000 + n) for n in range(6)} | {
    "docker/with space + plus/ü": b"awkward name",
    "docker/v2/empty": b"",
}


@pytest.fixture(params=KINDS)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outside]:
    with outside(request.param, tmp_path, monkeypatch) as made:
        for key, body in IMAGES.items():
            made.push(f"registry/{key}", body)
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """The least that S3 takes as a part which is not the last."""
    monkeypatch.setattr(s3, "PART", 5 * 1024 * 1024)
    return s3.PART


class Doing:
    """One attempt: a new client, a new RegistryCopy, and what it told."""

    def __init__(self, store: Outside, folder: Path) -> None:
        store.asked.clear()
        self.told: list[tuple[int, int | None, int, int]] = []
        self.interrupted = threading.Event()
        self.after: int | None = None
        self.both = RegistryCopy(store.source, GATEWAY_BUCKET, store.client(), store.bucket, folder)

    def _moved(self, done: int, total: int | None, items: int, of_items: int) -> None:
        self.told.append((done, total, items, of_items))
        if self.after is not None and items >= self.after:
            self.interrupted.set()

    def copy(self) -> Copied:
        return self.both.copy(self._moved, self.interrupted)

    def compare(self) -> str:
        return self.both.compare(self._moved, self.interrupted)


def there(store: Outside, images: dict[str, bytes]) -> dict[str, bytes]:
    return {store.bucket.prefix + key: body for key, body in images.items()}


def written(store: Outside) -> list[str]:
    return [name for name in store.asked if name not in ("ListObjects", "GetObject")]


def test_everything_goes_below_the_new_path_and_a_repeat_sends_nothing(
    store: Outside, folder: Path
) -> None:
    size = sum(map(len, IMAGES.values()))
    doing = Doing(store, folder)
    assert doing.copy() == Copied(objects=8, bytes=size, sent=8)
    assert store.objects() == there(store, IMAGES)
    assert doing.told[-1] == (size, size, 8, 8)
    assert [told[0] for told in doing.told] == sorted(told[0] for told in doing.told)

    again = Doing(store, folder)
    assert again.copy() == Copied(objects=8, bytes=size, sent=0)
    assert written(store) == []
    assert again.compare() == "8 objects, 6 kB, the same checksums"
    (folder / INDEX).unlink()
    assert Doing(store, folder).copy().sent == 0, "the checksums are listed, no index is needed"
    assert written(store) == []


def test_a_copy_that_was_stopped_is_taken_up_by_another(store: Outside, folder: Path) -> None:
    first = Doing(store, folder)
    first.after = 3
    with pytest.raises(CancelledError):
        first.copy()
    assert len(store.objects()) == 3
    assert Doing(store, folder).copy().sent == 5
    assert written(store) == ["PutObject"] * 5
    assert store.objects() == there(store, IMAGES)


def test_an_index_that_was_cut_in_its_last_line_is_written_on(
    store: Outside, folder: Path, in_small_parts: int
) -> None:
    big = {f"big/{n}": os.urandom(in_small_parts + 100 + n) for n in range(2)}
    for key, body in big.items():
        store.push(f"registry/{key}", body)
    Doing(store, folder).copy()
    text = (folder / INDEX).read_text()
    lines = text.splitlines()
    assert "big/1" in lines[1]
    (folder / INDEX).write_text(f"{lines[0]}\n{lines[1][:40]}")
    again = Doing(store, folder)
    assert again.copy().sent == 1, "of the object in parts nobody can know that it is whole"
    assert Doing(store, folder).copy().sent == 0
    assert store.objects() == there(store, IMAGES | big)


def test_an_object_in_parts_is_known_by_the_index(
    store: Outside, folder: Path, in_small_parts: int
) -> None:
    big = os.urandom(2 * in_small_parts + 4321)
    upload = s3.Upload(store.source, GATEWAY_BUCKET, "registry/pushed in parts")
    upload.write(big[: in_small_parts + 7])
    upload.write(big[in_small_parts + 7 :])
    upload.commit()
    assert upload.etag.endswith("-3")
    assert Doing(store, folder).copy().sent == 9
    assert store.asked.count("UploadPart") == 3
    assert store.objects() == there(store, IMAGES | {"pushed in parts": big})
    again = Doing(store, folder)
    assert again.copy().sent == 0
    assert again.compare().startswith("9 objects, 10 MB, the same")
    assert written(store) == []

    (folder / INDEX).unlink()
    unknown = Doing(store, folder)
    assert unknown.compare().startswith("9 objects")
    assert unknown.both._index.known == {}


def test_an_object_in_parts_that_another_one_replaced_is_found(
    store: Outside, folder: Path, in_small_parts: int
) -> None:
    big = os.urandom(in_small_parts + 4321)
    store.push("registry/big", big)
    Doing(store, folder).copy()
    other = s3.Upload(store.direct, store.bucket.bucket, f"{store.bucket.prefix}big")
    other.write(big[:-1] + bytes([big[-1] ^ 1]))
    other.commit()
    with pytest.raises(StepError, match="1 object of 9 differ"):
        Doing(store, folder).compare()
    assert Doing(store, folder).copy().sent == 1
    assert store.objects() == there(store, IMAGES | {"big": big})


def test_what_changed_or_went_at_the_source_does_so_at_the_target(
    store: Outside, folder: Path
) -> None:
    Doing(store, folder).copy()
    store.put(f"{store.bucket.prefix}somebody/elses", b"foreign")
    store.push("registry/docker/v2/blobs/00", b"another")
    store.push("registry/docker/new", b"new")
    store.source.delete_object(Bucket=GATEWAY_BUCKET, Key="registry/docker/v2/blobs/01")
    assert Doing(store, folder).copy().sent == 2
    now = IMAGES | {"docker/v2/blobs/00": b"another", "docker/new": b"new", "somebody/elses": b"foreign"}  # fmt: skip
    del now["docker/v2/blobs/01"]
    assert store.objects() == there(store, now)
    assert "; 1 other object there besides" in Doing(store, folder).compare()


def test_what_the_registry_pushed_after_the_move_is_never_removed(
    store: Outside, folder: Path
) -> None:
    """The old gateway knows nothing of what is pushed to the new store."""
    gone = "docker/v2/blobs/01"
    Doing(store, folder).copy()
    store.source.delete_object(Bucket=GATEWAY_BUCKET, Key=f"registry/{gone}")
    Doing(store, folder).copy()
    assert store.bucket.prefix + gone not in store.objects()
    store.put(store.bucket.prefix + gone, IMAGES[gone])
    Doing(store, folder).copy()
    assert store.objects() == there(store, IMAGES)
    store.source.delete_object(Bucket=GATEWAY_BUCKET, Key="registry/docker/v2/blobs/02")
    store.put(f"{store.bucket.prefix}docker/v2/blobs/02", b"written over")
    Doing(store, folder).copy()
    assert store.objects()[f"{store.bucket.prefix}docker/v2/blobs/02"] == b"written over"


def test_a_damaged_object_is_found_and_healed(store: Outside, folder: Path) -> None:
    Doing(store, folder).copy()
    key = f"{store.bucket.prefix}docker/v2/blobs/03"
    store.put(key, b"?" * 1003)
    store.direct.delete_object(
        Bucket=store.bucket.bucket, Key=f"{store.bucket.prefix}docker/v2/blobs/04"
    )
    with pytest.raises(StepError, match="2 objects of 8 differ") as caught:
        Doing(store, folder).compare()
    assert caught.value.said == (
        "registry/docker/v2/blobs/03 is another one there; registry/docker/v2/blobs/04 is missing there"
    )
    assert Doing(store, folder).copy().sent == 2
    assert store.objects() == there(store, IMAGES)
    Doing(store, folder).compare()


def test_an_empty_registry_is_copied_too(store: Outside, folder: Path) -> None:
    for key in IMAGES:
        store.source.delete_object(Bucket=GATEWAY_BUCKET, Key=f"registry/{key}")
    assert Doing(store, folder).copy() == Copied(objects=0, bytes=0, sent=0)
    assert Doing(store, folder).compare() == "0 objects, 0 kB, the same checksums"


@pytest.fixture(params=[kind for kind in KINDS if kind.startswith("pretend")])
def cutting(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outside]:
    monkeypatch.setattr(gateway, "PAUSE", 0.01)
    with outside(request.param, tmp_path, monkeypatch) as made:
        for key, body in IMAGES.items():
            made.push(f"registry/{key}", body)
        yield made


def test_a_connection_that_is_cut_is_made_again_and_not_for_ever(
    cutting: Outside, folder: Path
) -> None:
    assert cutting.pretend is not None
    cutting.pretend.cuts = gateway.TRIES - 1
    assert Doing(cutting, folder).copy().sent == 8
    assert cutting.pretend.cuts == 0
    assert cutting.objects() == there(cutting, IMAGES)

    cutting.push("registry/docker/later", b"another image")
    cutting.pretend.cuts = gateway.TRIES
    with pytest.raises(ServiceError, match="registry/docker/later of the bucket registry"):
        Doing(cutting, folder).copy()
    assert Doing(cutting, folder).copy().sent == 1


def test_a_stop_within_a_large_object_leaves_no_part_of_it(
    cutting: Outside, folder: Path, in_small_parts: int
) -> None:
    assert cutting.pretend is not None
    cutting.push("registry/a", os.urandom(2 * in_small_parts))
    doing = Doing(cutting, folder)
    told: list[int] = []

    def moved(done: int, total: int | None, items: int, of_items: int) -> None:
        told.append(done)
        if done > in_small_parts + 1024 * 1024:
            doing.interrupted.set()

    with pytest.raises(CancelledError):
        doing.both.copy(moved, doing.interrupted)
    assert "CreateMultipartUpload" in cutting.asked
    assert cutting.asked[-1] == "AbortMultipartUpload"
    assert cutting.objects() == {}
    assert cutting.pretend.content.uploads == {}
    assert Doing(cutting, folder).copy().sent == 9
