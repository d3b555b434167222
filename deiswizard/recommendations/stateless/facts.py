"""What is known of a cluster's stores: whether it has Ceph, where registry, database and logs are kept.

Sources: deis-facts 3; deis/deis registry/templates (which flavour the registry takes, and which keys it
is made of), database/image/bin/boot (what its keys expire after).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, SecretStr

from deiswizard.cluster.snapshot import HostFacts, Question, Snapshot, Unit, web_question
from deiswizard.cluster.web import WebRequest
from deiswizard.recommendations import ceph_shutdown
from deiswizard.recommendations.backup.facts import GATEWAY_HOST
from deiswizard.recommendations.deis_units import is_installed
from deiswizard.recommendations.planes.facts import (
    DEISCTL_TRUE,
    FLAG,
    ORDER,
    ceph_question,
    component_of,
    is_decorated,
    planes_now,
)
from deiswizard.recommendations.provisioning import ProvisioningChoices
from deiswizard.stores.bucket import Bucket
from deiswizard.stores.database import DatabaseAddress

REGISTRY, DATABASE, GATEWAY = "/deis/registry", "/deis/database", "/deis/store/gateway"
S3_BUCKET, S3_REGION, S3_PATH = (
    f"{REGISTRY}/{name}" for name in ("s3bucket", "s3region", "s3path")
)
S3_ENCRYPT, S3_SECURE = f"{REGISTRY}/s3encrypt", f"{REGISTRY}/s3secure"
S3_ACCESS, S3_SECRET = f"{REGISTRY}/s3accessKey", f"{REGISTRY}/s3secretKey"
S3_KEYS = (S3_BUCKET, S3_REGION, S3_PATH, S3_ENCRYPT, S3_SECURE, S3_ACCESS, S3_SECRET)
SWIFT_URL = f"{REGISTRY}/swiftAuthURL"
GATEWAY_ACCESS, GATEWAY_SECRET = f"{GATEWAY}/accessKey", f"{GATEWAY}/secretKey"
PLACEHOLDER = f"{GATEWAY}/placeholder"
"""A key of no meaning that keeps the folder there: the registry's templates are not made without it, and
as a folder it stands in nobody's way later, which Deis's own plain key does (deis-facts 3)."""

PLACEHOLDER_VALUE = "kept for the registry"
DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD, DB_ENGINE = (
    f"{DATABASE}/{name}" for name in ("host", "port", "name", "user", "password", "engine")
)
ENGINE = "postgresql_psycopg2"
"""What Django 1.6 takes; ``postgresql`` is none (deis-facts 3)."""

ACCESS, SECRET, PASSWORD = "access_key", "secret_key", "database_password"
"""The names of the secrets in the steps, and of their fields."""

HOST, PING, HEALTH = "stateless.host", "stateless.registry", "stateless.controller"
DATA = r"deis-(store-(daemon|monitor)|database)-data(-left-[^ ]+)?"
"""The containers that hold what Ceph and the database kept (``docker run -v`` in Deis's units), and what was
set aside when a host left Ceph (recommendation 1)."""

HOST_ASK = f"{ceph_shutdown.ASK}; docker ps -a --format '{{{{.Names}}}}' | grep -E '^{DATA}$'; true"
REMOVE = "remove the old data"

Kind = Literal["new", "ceph", "stateless"]


class StatelessChoices(ProvisioningChoices):
    """What is done, where the registry's images, the controller's data and the logs go.

    ``part``: ``leave`` moves to outside stores (or changes them), ``remove`` removes what Ceph and the database
    left, once that is done. ``auth`` means something only with ``store`` "s3"; ``keep`` leaves the
    keys that are set. ``registry_data`` and ``database_data`` say whether what there is is copied, or
    is at the new place already.
    """

    part: Literal["leave", "remove"] = "leave"
    store: Literal["s3", "compatible", "swift"] = "s3"
    bucket: str = ""
    region: str = ""
    path: str = "/registry"
    encrypt: bool = True
    auth: Literal["role", "keys", "keep"] = "keys"
    store_host: str = ""
    store_port: int = Field(default=80, ge=1, le=65535)
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    registry_data: Literal["copy", "there"] = "copy"
    database_host: str = ""
    database_port: int = Field(default=5432, ge=1, le=65535)
    database_name: str = "deis"
    database_user: str = "deis"
    database_password: SecretStr = SecretStr("")
    database_data: Literal["copy", "there"] = "copy"
    memory_lines: int = Field(default=1000, ge=1, le=1_000_000)
    drain: str = ""
    routers: int = Field(default=3, ge=1, le=255)
    confirm: str = ""


def place_words(choices: StatelessChoices) -> str:
    """Where images go, as a person writes it: ``s3://bucket/registry``."""
    if choices.store == "s3":
        return f"s3://{choices.bucket}{choices.path}".rstrip("/")
    return f"http://{choices.store_host}:{choices.store_port}/{choices.bucket}"


def store_units(snapshot: Snapshot) -> tuple[Unit, ...]:
    """Ceph's units and the database's, in the order in which they start."""
    found = [unit for unit in snapshot.units if is_store(unit.name)]
    return tuple(sorted(found, key=lambda unit: (ORDER.index(component_of(unit.name)), unit.name)))


def is_store(unit: str) -> bool:
    """One of those that a cluster without Ceph does not have."""
    component = component_of(unit)
    return component.startswith("store-") or component == "database"


def units_of(snapshot: Snapshot, component: str) -> tuple[Unit, ...]:
    """The units of a component, one or more instances."""
    return tuple(unit for unit in snapshot.units if component_of(unit.name) == component)


def kind_of(snapshot: Snapshot) -> Kind:
    """Not installed; with Ceph or a database of its own; or with neither."""
    if not is_installed(snapshot):
        return "new"
    return "ceph" if store_units(snapshot) else "stateless"


Flavour = Literal["s3", "swift", "compatible", "ceph"]


def flavour_of(snapshot: Snapshot) -> Flavour:
    """Which store the registry takes, in the order of its own template."""
    if snapshot.key(S3_BUCKET) is not None:
        return "s3"
    if snapshot.key(SWIFT_URL) is not None:
        return "swift"
    host = snapshot.key(GATEWAY_HOST)
    return "compatible" if host is not None and host.ttl is None else "ceph"


def is_database_outside(snapshot: Snapshot) -> bool:
    """Its host is a setting, and nothing that a component says of itself for 20 s."""
    fact = snapshot.key(DB_HOST)
    return fact is not None and fact.ttl is None and bool(fact.text)


def is_plain_gateway(snapshot: Snapshot) -> bool:
    """``/deis/store/gateway`` is a key, as Deis's documentation has it, and no folder."""
    return snapshot.key(GATEWAY) is not None


def control_hosts(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Hosts that answer and on which what uses the stores may run: all, where its units are kept to no plane."""
    reachable = snapshot.reachable_hosts
    users = [unit for name in ("registry", "controller") for unit in units_of(snapshot, name)]
    is_kept = all(map(is_decorated, users)) if users else snapshot.value(FLAG) in DEISCTL_TRUE
    marked = tuple(host for host in reachable if "control" in planes_now(host))
    return (marked if is_kept else ()) or reachable


def way(snapshot: Snapshot) -> HostFacts | None:
    """The host through which the stores outside are asked: the controller's, else one where it may run."""
    here = [host for host in snapshot.where("deis-controller.service") if host.reachable]
    return next(iter([*here, *control_hosts(snapshot)]), None)


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """What old data and what shutdown service each host has; whether registry and controller answer, and Ceph
    is well.
    """
    if not is_installed(snapshot):
        return ()
    return (
        *(Question(id=HOST, host=h.name, command=HOST_ASK) for h in snapshot.reachable_hosts),
        *_web_questions(snapshot),
        *ceph_question(snapshot),
    )


def _web_questions(snapshot: Snapshot) -> Iterator[Question]:
    for host in snapshot.reachable_hosts:
        runs = [
            unit for unit in units_of(snapshot, "registry") if host in snapshot.where(unit.name)
        ]
        if runs:
            yield web_question(PING, registry_request(host))
        if host in snapshot.where("deis-controller.service"):
            yield web_question(HEALTH, controller_request(host))


def registry_request(host: HostFacts) -> WebRequest:
    """The registry's own health."""
    return WebRequest(
        host=host.name, name=host.address, address=host.address, port=5000, path="/v1/_ping"
    )


def controller_request(host: HostFacts) -> WebRequest:
    """The controller's own health: it asks its database."""
    return WebRequest(
        host=host.name, name=host.address, address=host.address, port=8000, path="/healthz"
    )


def leftovers(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Host to the containers there that hold what Ceph and the database kept."""
    found = {}
    for answer in snapshot.answers:
        if answer.id == HOST:
            names = tuple(name for name in answer.out.split() if re.fullmatch(DATA, name))
            if names:
                found[answer.host] = names
    return found


def data_containers(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Host to the containers there whose data Ceph and the database use, or would use when they came back."""
    found = {
        host: tuple(name for name in names if "-left-" not in name)
        for host, names in leftovers(snapshot).items()
    }
    return {host: names for host, names in found.items() if names}


def graceful_hosts(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Hosts that take their part out of Ceph when they go down, or when one of Ceph's units does."""
    return ceph_shutdown.graceful_hosts(snapshot, HOST)


def store_keys(snapshot: Snapshot) -> tuple[str, ...]:
    """Ceph's own keys, and the database's marks, which mean nothing once the data is gone."""
    ceph = [f.key for f in snapshot.keys if f.key.startswith("/deis/store/") and not f.key.startswith(f"{GATEWAY}/")]  # fmt: skip
    marks = [f"{DATABASE}/{name}" for name in ("initId", "adminUser", "adminPass", "bucketName")]
    return (*(key for key in ceph if key != GATEWAY), *(m for m in marks if snapshot.key(m)))


def bucket_of(choices: StatelessChoices) -> Bucket:
    """The registry's bucket as data."""
    if choices.store == "s3":
        return Bucket(
            kind="s3",
            bucket=choices.bucket,
            region=choices.region,
            path=choices.path,
            encrypt=choices.encrypt,
        )
    return Bucket(
        kind="compatible", bucket=choices.bucket, host=choices.store_host, port=choices.store_port
    )


def address_of(choices: StatelessChoices) -> DatabaseAddress:
    """The controller's database as data."""
    return DatabaseAddress(
        host=choices.database_host,
        port=choices.database_port,
        name=choices.database_name,
        user=choices.database_user,
    )
