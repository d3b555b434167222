"""What the flows of running without Ceph share: a cluster, its secrets, the answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.outside_store import ACCESS, BUCKET, SECRET
from deiswizard.demo.platform import OUTSIDE_PASSWORD
from tests.flows.checks import answers
from tests.flows.clusters import target_flags
from tests.flows.pretending import Doing, started

stateless = Doing("stateless")


GATEWAY = "/deis/store/gateway"


S3 = {"store": "s3", "bucket": BUCKET, "region": "us-east-1"}


DATABASE = {"database_host": "db.example.com"}


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendCluster]:
    with started("three") as cluster:
        prepared(cluster, monkeypatch)
        yield cluster
        assert cluster.unknown_commands == ()


def prepared(cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets that nobody types here, and whom Amazon's certificate is from."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(cluster.outside_store.ca_file))
    monkeypatch.setenv("DEISWIZARD_SECRET_ACCESS_KEY", ACCESS)
    monkeypatch.setenv("DEISWIZARD_SECRET_SECRET_KEY", SECRET)
    monkeypatch.setenv("DEISWIZARD_SECRET_DATABASE_PASSWORD", OUTSIDE_PASSWORD)


def chosen(folder: Path, **choices: object) -> str:
    rows = "".join(f"  {name}: {value}\n" for name, value in choices.items())
    return answers(folder, f"stateless:\n{rows}")


def settings(cluster: PretendCluster) -> dict[str, str]:
    """What is set below registry, database and logs, and at the gateway; what expires left out."""
    found = {}

    def walk(node: dict[str, object]) -> None:
        for child in node.get("nodes", ()):  # type: ignore[attr-defined]
            if "value" in child and "ttl" not in child:
                found[str(child["key"])] = str(child["value"])
            walk(child)

    walk(cluster.store.get("/deis", recursive=True)["node"])
    names = ("/deis/registry/", "/deis/database/", "/deis/logs/", f"{GATEWAY}/")
    return {key: value for key, value in found.items() if key.startswith(names)}


def words_of_run(cluster: PretendCluster, folder: Path) -> list[str]:
    flags = target_flags(cluster.target)
    return ["apply", "stateless", "-a", chosen(folder, **S3, **DATABASE), "--yes", *flags]
