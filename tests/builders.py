"""Snapshots for tests of pure functions: small, real models, changed where a test needs it."""

from __future__ import annotations

from typing import Any

from deiswizard.cluster.snapshot import (
    Answer,
    Disk,
    EtcdFacts,
    HostFacts,
    Image,
    KeyFact,
    Lock,
    Snapshot,
    Unit,
    UnitState,
)
from deiswizard.recommendations.registration.facts import ADMINS, LIVE
from tests.etcd_builders import etcd_answers, members_of

NOW = 1_795_000_000.0
COMPONENTS = ("builder", "controller", "database", "logger", "logspout", "publisher", "registry")
RELEASE = "v1.13.4"
ANN = Lock(
    owner="ann@laptop", run="r1", since=NOW - 180, doing="Registration mode: Set", token="t1"
)
"""The lock of somebody else, 3 minutes old."""


def image(name: str, size: int = 100_000_000) -> Image:
    return Image(id=f"sha256:{abs(hash(name)):064x}"[:71], tags=(name,), size=size)


def host(number: int, *images: str, **changes: Any) -> HostFacts:
    facts: dict[str, Any] = {
        "name": f"deis-{number}",
        "machine_id": f"{number:032x}",
        "address": f"10.21.2.{10 + number}",
        "os_release": "CoreOS 1068.8.0",
        "deis_release": RELEASE,
        "disk": Disk(path="/", size=40_000_000_000, free=37_000_000_000),
        "images": tuple(image(name) for name in images),
        "has_preseed_script": True,
    }
    return HostFacts.model_validate({**facts, **changes})


def key(path: str, value: str, index: int = 7) -> KeyFact:
    return KeyFact(key=path, value=value, index=index)


def all_images() -> tuple[str, ...]:
    return tuple(f"deis/{name}:{RELEASE}" for name in COMPONENTS)


def snapshot(*hosts: HostFacts, keys: dict[str, str] | None = None, **changes: Any) -> Snapshot:
    hosts = hosts or (host(1, *all_images()), host(2), host(3))
    values = {
        "/deis/platform/version": RELEASE,
        "/deis/controller/registrationMode": "enabled",
        "/deis/controller/host": "10.21.2.11",
        "/deis/controller/port": "8000",
        **(keys or {}),
    }
    units = [f"deis-{name}.service" for name in COMPONENTS]
    fields: dict[str, Any] = {
        "taken_at": NOW,
        "cluster": "prod-eu",
        "via": "core@10.21.2.11",
        "hosts": hosts,
        "keys": tuple(key(path, value) for path, value in values.items()),
        "units": tuple(Unit(name=name) for name in units),
        "unit_states": tuple(
            UnitState(
                unit=name,
                machine_id=hosts[0].machine_id,
                load="loaded",
                active="active",
                sub="running",
            )
            for name in units
        ),
        "etcd": EtcdFacts(
            version="2.3.8",
            index=48213,
            healthy=True,
            members=members_of(hosts),
        ),
        "answers": (
            Answer(id=ADMINS, host="deis-1", command="psql", code=0, out="1\n"),
            Answer(id=LIVE, host="deis-1", command="curl", code=0, out="{}\n400\n"),
            *etcd_answers(hosts),
        ),
    }
    return Snapshot.model_validate({**fields, **changes})


def answered(admins: str = "1", live: str = "400") -> tuple[Answer, ...]:
    return (
        Answer(id=ADMINS, host="deis-1", command="psql", code=0, out=f"{admins}\n"),
        Answer(id=LIVE, host="deis-1", command="curl", code=0, out=f"{{}}\n{live}\n"),
    )
