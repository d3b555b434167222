"""Each source is copied whole, or it is said what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tracemalloc
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr

from deiswizard.backup import gateway, progress, sealing
from deiswizard.backup.content import etcd_nodes
from deiswizard.backup.copying import DUMP, copy, measure, mount_check
from deiswizard.backup.data import (
    BucketSource,
    DatabaseSource,
    EtcdSource,
    Part,
    Seal,
    VolumeSource,
)
from deiswizard.backup.places import read_small, store_small
from deiswizard.backup.sealing import Opener, Sealer
from deiswizard.backup.verifying import verify_part
from deiswizard.cluster.access import CommandResult, EtcdNode
from deiswizard.errors import CancelledError, LinkError, ServiceError, StepError
from tests.backup.conftest import NAME, S3, Copying

DATABASE = DatabaseSource(host="a")
VOLUME = VolumeSource(host="a")
WHOLE = (
    b"--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE deis;\n"
    + b"x" * 70_000
    + (
        b"\n-- PostgreSQL database dump complete\n--\n\n"
        b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"
    )
)
TAR = f"{mount_check(VOLUME.path)} || exit 9; tar -cf - -C /var/lib/deis store"


def ignore(*words: object) -> None:
    """Progress that nobody watches."""


def pieces(data: bytes, size: int = 9_000) -> Sequence[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def tar_of(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(f"store/logs/{name}")
            info.size = 3000
            tar.addfile(info, io.BytesIO(b"y" * 3000))
    return out.getvalue()


def test_a_dump_is_copied_and_read_again(copying: Copying) -> None:
    copying.cluster.hosts["a"].outputs[DUMP] = pieces(WHOLE)
    part = copy(DATABASE, copying.job())
    assert read_small(copying.store, f"{NAME}/database.sql") == WHOLE
    assert (part.file.sha256, part.file.size) == (hashlib.sha256(WHOLE).hexdigest(), len(WHOLE))
    said = verify_part(copying.store, NAME, part, None, ignore)
    assert said == "checksum; the dump ends as pg_dumpall ends it"
    assert copying.told[-1][0] == len(WHOLE)


@pytest.mark.parametrize(
    "end",
    [b"", b"\n-- PostgreSQL database dump complete\n--\n", b"\n-- PostgreSQL database cluster dump complete\n--\nmore"],
    ids=["cut", "cut-after-one-database", "goes-on"],
)  # fmt: skip
def test_a_dump_without_its_end_is_no_dump(copying: Copying, end: bytes) -> None:
    copying.cluster.hosts["a"].outputs[DUMP] = pieces(WHOLE[:60_000] + end)
    with pytest.raises(StepError, match="the dump has no end"):
        copy(DATABASE, copying.job())
    assert copying.store.size(f"{NAME}/database.sql") is None


def test_newer_dumps_say_one_word_more_at_their_end(copying: Copying) -> None:
    copying.cluster.hosts["a"].outputs[DUMP] = pieces(WHOLE + b"\\unrestrict abc\n\n")
    assert copy(DATABASE, copying.job()).bytes > 70_000


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (CommandResult(1, err="Error response from daemon: No such container: deis-database\n"),
         "pg_dumpall failed on a: Error response from daemon: No such container: deis-database"),
        (CommandResult(None, why="the connection was lost"), "the dump was cut off: the connection was lost"),
    ],
)  # fmt: skip
def test_a_dump_that_failed_says_why(copying: Copying, result: CommandResult, said: str) -> None:
    copying.cluster.hosts["a"].outputs[DUMP] = pieces(WHOLE)
    copying.cluster.hosts["a"].answers[DUMP] = [result]
    with pytest.raises(StepError) as raised:
        copy(DATABASE, copying.job())
    assert str(raised.value) == said
    assert copying.store.size(f"{NAME}/database.sql") is None


def test_files_that_change_while_tar_reads_them_are_normal_and_told(copying: Copying) -> None:
    host = copying.cluster.hosts["a"]
    host.outputs[TAR] = pieces(tar_of("one", "two"))
    host.answers[TAR] = [CommandResult(1, err="tar: store/logs/one: file changed as we read it\n")]
    part = copy(VOLUME, copying.job())
    assert part.left_out == (
        "1 files changed while they were read: tar: store/logs/one: file changed as we read it",
    )
    assert verify_part(copying.store, NAME, part, None, ignore).endswith("holds 2 members")


@pytest.mark.parametrize(
    ("code", "err", "said"),
    [
        (9, "", "no Ceph mount: an empty folder would be copied"),
        (2, "tar: store: Cannot open: Input/output error\n", "tar failed on a: tar: store: Cannot open"),
        (1, "tar: store/x: file changed as we read it\ntar: y: Cannot stat\n", "tar failed on a: tar: y"),
    ],
)  # fmt: skip
def test_a_volume_that_cannot_be_copied_says_why(
    copying: Copying, code: int, err: str, said: str
) -> None:
    copying.cluster.hosts["a"].answers[TAR] = [CommandResult(code, err=err)]
    with pytest.raises(StepError) as raised:
        copy(VOLUME, copying.job())
    assert said in str(raised.value)


def test_a_tar_file_that_was_cut_off_is_found_when_it_is_read_again(copying: Copying) -> None:
    copying.cluster.hosts["a"].outputs[TAR] = pieces(tar_of("one", "two")[:4096])
    part = copy(VOLUME, copying.job())
    with pytest.raises(StepError, match=r"volume\.tar: the tar file"):
        verify_part(copying.store, NAME, part, None, ignore)


def test_etcd_is_copied_exactly_without_what_expires(copying: Copying) -> None:
    awkward = "a=b==\n\t'\"ü\\ \x7f"
    nodes = (
        EtcdNode("/deis", None),
        EtcdNode("/deis/controller", None),
        EtcdNode("/deis/controller/secretKey", awkward),
        EtcdNode("/deis/database", None),
        EtcdNode("/deis/database/host", "10.0.0.1", ttl=17),
        EtcdNode("/deis/services", None, ttl=9),
        EtcdNode("/deis/services/app/1", "10.0.0.1:49153"),
        EtcdNode("/deis/services2", "stays"),
        EtcdNode("/deis/empty", None),
    )
    copying.cluster.store.nodes = lambda prefix: (nodes if prefix == "/deis" else (), 4711)  # type: ignore[method-assign]
    part = copy(EtcdSource(), copying.job())
    data = read_small(copying.store, f"{NAME}/etcd.jsonl")
    assert list(etcd_nodes([data])) == [
        ("/deis", None), ("/deis/controller", None), ("/deis/controller/secretKey", awkward),
        ("/deis/database", None), ("/deis/services2", "stays"), ("/deis/empty", None),
    ]  # fmt: skip
    assert json.loads(data.splitlines()[0])["index"] == 4711
    assert part.left_out == ("3 keys that expire by themselves, such as /deis/database/host",)
    assert part.file.count == 6
    with pytest.raises(StepError, match="it should hold 6"):
        list(etcd_nodes([b"\n".join(data.splitlines()[:-1])]))


def test_an_etcd_without_deis_is_no_backup(copying: Copying) -> None:
    with pytest.raises(StepError, match="nothing below /deis"):
        copy(EtcdSource(), copying.job())


OBJECTS = {
    "wal_005/000000010000000000000001.lzo": b"w" * 3_000_000,
    "basebackups_005/base_1/tar_partitions/part_0.tar.lzo": b"b" * 200_000,
    "basebackups_005/base_1_backup_stop_sentinel.json": b"{}",
    "/leading/../slash": b"odd",
    "ümläut & +plus%20": b"unicode",
    "a": b"file",
    "a/b": b"and folder",
    "empty": b"",
}
BUCKET = BucketSource(name="db_wal", bucket="db_wal", through="a", gateway="10.21.2.12")


@pytest.fixture
def bucket(s3: S3, copying: Copying, monkeypatch: pytest.MonkeyPatch) -> S3:
    monkeypatch.setattr(gateway, "PAUSE", 0.0)
    s3.fill("db_wal", OBJECTS)
    copying.cluster.store.keys |= {
        "/deis/store/gateway/accessKey": ("GATEWAYKEY", 1),
        "/deis/store/gateway/secretKey": ("gateway-secret", 1),
    }
    copying.cluster.hosts["a"].tunnels["10.21.2.12", 8888] = s3.port
    return s3


def test_a_bucket_is_copied_object_by_object_and_read_again(bucket: S3, copying: Copying) -> None:
    assert measure(BUCKET, copying.cluster) == sum(map(len, OBJECTS.values()))
    part = copy(BUCKET, copying.job())
    assert part.file.count == len(OBJECTS)
    assert part.bytes == sum(map(len, OBJECTS.values())) + part.file.size
    said = verify_part(copying.store, NAME, part, None, ignore)
    assert said == f"checksums of {len(OBJECTS)} objects"
    total = sum(map(len, OBJECTS.values()))
    assert copying.told[-1] == (total, total, len(OBJECTS), len(OBJECTS))


def fetched(copying: Copying) -> list[str]:
    """Which objects an attempt fetches."""
    asked: list[str] = []
    original = gateway._fetch

    def fetch(client: object, source: object, item: tuple[str, int, str], *more: object) -> object:
        asked.append(item[0])
        return original(client, source, item, *more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "_fetch", fetch)
        copy(BUCKET, copying.job())
    return asked


def stopped_after(copying: Copying, count: int) -> None:
    """An attempt that ends after some objects."""
    job = copying.job()
    seen = copying.told
    original = job.moved

    def moved(*words: int) -> None:
        original(*words)
        if seen[-1][2] == count:
            raise CancelledError("killed")

    job.moved = moved  # type: ignore[assignment]
    with pytest.raises(CancelledError):
        copy(BUCKET, job)


def test_objects_that_are_there_are_not_fetched_again(bucket: S3, copying: Copying) -> None:
    stopped_after(copying, 5)
    assert len(fetched(copying)) == len(OBJECTS) - 5
    assert fetched(copying) == []


def test_an_attempt_that_is_cut_off_early_forgets_nothing_of_the_one_before(
    bucket: S3, copying: Copying
) -> None:
    stopped_after(copying, 6)
    stopped_after(copying, 2)
    assert len(fetched(copying)) == len(OBJECTS) - 6


def test_what_has_changed_or_was_lost_is_fetched_again(bucket: S3, copying: Copying) -> None:
    part = copy(BUCKET, copying.job())
    bucket.client.put_object(Bucket="db_wal", Key="a", Body=b"other")
    index = read_small(copying.store, f"{NAME}/{part.file.name}").splitlines()
    lost = next(json.loads(line) for line in index if json.loads(line)["key"] == "a/b")
    store_small(copying.store, f"{NAME}/{lost['stored']}", b"short")
    assert fetched(copying) == ["a", "a/b"]


def test_an_object_that_goes_while_others_are_copied_is_left_out_and_told(
    bucket: S3, copying: Copying
) -> None:
    job = copying.job()

    def moved(*words: int) -> None:
        bucket.client.delete_object(Bucket="db_wal", Key="ümläut & +plus%20")

    job.moved = moved  # type: ignore[assignment]
    part = copy(BUCKET, job)
    assert part.file.count == len(OBJECTS) - 1
    assert "1 objects were deleted while the rest was copied" in part.left_out[0]


def test_one_damaged_object_is_found_and_named(bucket: S3, copying: Copying) -> None:
    part = copy(BUCKET, copying.job())
    index = read_small(copying.store, f"{NAME}/{part.file.name}").splitlines()
    line = json.loads(index[-1])
    data = read_small(copying.store, f"{NAME}/{line['stored']}")
    store_small(copying.store, f"{NAME}/{line['stored']}", bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(StepError, match="another checksum than when it was written") as raised:
        verify_part(copying.store, NAME, part, None, ignore)
    assert line["key"] in str(raised.value)


def test_without_keys_the_gateway_lets_nobody_in(bucket: S3, copying: Copying) -> None:
    del copying.cluster.store.keys["/deis/store/gateway/secretKey"]
    with pytest.raises(StepError, match="/deis/store/gateway/secretKey is not in etcd"):
        copy(BUCKET, copying.job())


def test_a_gateway_that_does_not_answer_is_named(bucket: S3, copying: Copying) -> None:
    copying.cluster.hosts["a"].tunnels.clear()
    with pytest.raises(LinkError, match=r"10\.21\.2\.12:8888 cannot be reached from there"):
        copy(BUCKET, copying.job())


def test_a_bucket_that_is_not_there_is_named(bucket: S3, copying: Copying) -> None:
    missing = BUCKET.model_copy(update={"bucket": "registry"})
    with pytest.raises(ServiceError, match="the bucket registry cannot be listed: NoSuchBucket"):
        copy(missing, copying.job())


def test_everything_can_be_sealed_and_is_verified_opened(
    bucket: S3, copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "COSTS", {"n": 2**10, "r": 8, "p": 1})
    sealer = Sealer(Seal(how="passphrase"), SecretStr("correct horse battery"))
    copying.cluster.hosts["a"].outputs[DUMP] = pieces(WHOLE)
    parts: list[Part] = [copy(source, copying.job(sealer)) for source in (DATABASE, BUCKET)]
    assert parts[0].file.name == "database.sql.sealed"
    assert b"CREATE ROLE" not in read_small(copying.store, f"{NAME}/database.sql.sealed")
    opener = Opener(SecretStr("correct horse battery"))
    for part in parts:
        assert verify_part(copying.store, NAME, part, opener, ignore)
        with pytest.raises(StepError, match="wrong passphrase"):
            verify_part(copying.store, NAME, part, Opener(SecretStr("another one")), ignore)


def test_what_cannot_be_opened_here_is_still_compared(bucket: S3, copying: Copying) -> None:
    pem = X25519PrivateKey.generate().public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    part = copy(BUCKET, copying.job(Sealer(Seal(how="recipient", recipient=pem.decode()))))
    lines = list(progress.lines_of_index(progress.work_folder(NAME) / "db_wal.jsonl"))
    said = verify_part(copying.store, NAME, part, Opener(), ignore, lines)
    assert "still encrypted" in said
    data = read_small(copying.store, f"{NAME}/{lines[3].stored}")
    store_small(copying.store, f"{NAME}/{lines[3].stored}", data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StepError, match="another checksum"):
        verify_part(copying.store, NAME, part, Opener(), ignore, lines)


def test_a_stop_ends_it_between_two_pieces_and_leaves_nothing_half(copying: Copying) -> None:
    job = copying.job()

    def moved(*words: object) -> None:
        copying.interrupted.set()

    job.moved = moved
    copying.cluster.hosts["a"].outputs[DUMP] = pieces(WHOLE)
    with pytest.raises(CancelledError, match="stopped while copying"):
        copy(DATABASE, job)
    assert copying.store.size(f"{NAME}/database.sql") is None


def test_what_flows_through_is_never_held(copying: Copying) -> None:
    """64 MiB, sealed, with a few MiB in memory at most (a part of an upload has 8)."""

    class Flow(Sequence[bytes]):
        def __len__(self) -> int:
            return 257

        def __getitem__(self, number: object) -> bytes:  # type: ignore[override]
            assert isinstance(number, int)
            if number > 256:
                raise IndexError
            return WHOLE[-200:] if number == 256 else bytes(256 * 1024)

    copying.cluster.hosts["a"].outputs[DUMP] = Flow()
    pem = X25519PrivateKey.generate().public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    sealer = Sealer(Seal(how="recipient", recipient=pem.decode()))
    copying.job().moved(0, None, 0, 0)
    tracemalloc.start()
    try:
        part = copy(DATABASE, copying.job(sealer))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert part.bytes > 64 * 1024 * 1024
    in_process_server = copying.store.place.kind == "s3"
    assert peak < 8 * 1024 * 1024 or in_process_server, peak
