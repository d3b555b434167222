"""What is written back to a bucket, and what may not be there before."""

from __future__ import annotations

import pytest

from deiswizard.backup.copying import copy
from deiswizard.backup.writing import Writing, write_bucket
from deiswizard.errors import StepError
from tests.backup.conftest import NAME, S3, Copying
from tests.backup.test_copying import BUCKET, OBJECTS, bucket, ignore  # noqa: F401


@pytest.fixture
def writing(bucket: S3, copying: Copying) -> Writing:  # noqa: F811
    copying.cluster.store.keys |= {
        "/deis/store/gateway/host": (BUCKET.gateway, 1),
        "/deis/store/gateway/port": (str(BUCKET.port), 1),
    }
    return Writing(copying.cluster, copying.store, NAME, None, copying.interrupted, ignore)


def test_only_what_is_missing_or_another_is_sent(
    bucket: S3,  # noqa: F811
    copying: Copying,
    writing: Writing,
) -> None:
    part = copy(BUCKET, copying.job())
    bucket.client.delete_object(Bucket="db_wal", Key="a")
    bucket.client.put_object(Bucket="db_wal", Key="a/b", Body=b"of the new cluster")
    bucket.client.put_object(Bucket="db_wal", Key="theirs", Body=b"stays")
    said = write_bucket(writing, part, "a")
    assert said == f"{len(OBJECTS)} objects in db_wal, 2 of them sent now"
    got = {k: bucket.client.get_object(Bucket="db_wal", Key=k)["Body"].read() for k in OBJECTS}
    assert got == OBJECTS and "theirs" in bucket.keys("db_wal")


def test_base_backups_of_another_history_are_in_the_way(
    bucket: S3,  # noqa: F811
    copying: Copying,
    writing: Writing,
) -> None:
    part = copy(BUCKET, copying.job())
    other = "basebackups_005/base_2_backup_stop_sentinel.json"
    bucket.client.delete_object(Bucket="db_wal", Key="a")
    bucket.client.put_object(Bucket="db_wal", Key=other, Body=b"{}")
    with pytest.raises(StepError, match=f"holds base backups of another history, such as {other}"):
        write_bucket(writing, part, "a")
    assert "a" not in bucket.keys("db_wal")
