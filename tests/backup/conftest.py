"""A real S3 server, buckets in it, and a cluster in memory whose gateway it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from deiswizard.backup import progress
from deiswizard.backup.copying import Job
from deiswizard.backup.data import Manifest, Place, Versions
from deiswizard.backup.places import Store, store_of
from deiswizard.backup.sealing import Sealer
from tests.moto_s3 import moto_s3
from tests.unit.memory_cluster import MemoryCluster

NAME = "deiswizard-prod-20261123-031500"


@dataclass
class S3:
    """A moto server on loopback."""

    port: int
    client: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fill(self, bucket: str, objects: dict[str, bytes]) -> None:
        self.client.create_bucket(Bucket=bucket)
        for key, body in objects.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def keys(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[int]:
    with moto_s3() as (_, port):
        yield port


@pytest.fixture
def s3(s3_server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "operator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "operators-secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{s3_server}", region_name="us-east-1"
    )
    yield S3(s3_server, client)
    for bucket in client.list_buckets()["Buckets"]:
        name = bucket["Name"]
        for key in S3(s3_server, client).keys(name):
            client.delete_object(Bucket=name, Key=key)
        client.delete_bucket(Bucket=name)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Both kinds of place."""
    if request.param == "folder":
        made = store_of(Place(kind="folder", path=str(tmp_path / "kept")))
    else:
        s3: S3 = request.getfixturevalue("s3")
        s3.client.create_bucket(Bucket="kept")
        made = store_of(Place(kind="s3", bucket="kept", prefix="deis/backups", endpoint=s3.url))
    made.prepare()
    return made


@dataclass
class Copying:
    """What a copy needs, and what it told."""

    store: Store
    cluster: MemoryCluster = field(default_factory=lambda: MemoryCluster("a"))
    told: list[tuple[int, int | None, int, int]] = field(default_factory=list)
    interrupted: threading.Event = field(default_factory=threading.Event)

    def job(self, sealer: Sealer | None = None) -> Job:
        return Job(
            self.cluster, self.store, NAME, sealer, self.interrupted,
            lambda *words: self.told.append(words),
        )  # fmt: skip


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "backup": NAME,
        "cluster": "prod",
        "machines": ("m1",),
        "versions": Versions(wizard="0.1.0"),
        "began_at": 1.0,
    }
    return Manifest.model_validate({**fields, **changes})


@pytest.fixture
def copying(store: Store) -> Copying:
    progress.save(progress.Progress(run="r1", manifest=manifest()))
    return Copying(store)
