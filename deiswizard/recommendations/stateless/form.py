"""How running without Ceph is asked: the fields, their words, and which of them there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option
from deiswizard.recommendations.provisioning import fields, on_cluster
from deiswizard.recommendations.stateless.facts import (
    ACCESS,
    PASSWORD,
    REMOVE,
    S3_SECRET,
    SECRET,
    flavour_of,
    kind_of,
    leftovers,
)

Shown = Callable[[Snapshot, dict[str, Any]], bool]


def _leaves(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return bool(raw.get("part", "leave") == "leave")


def _when(**wanted: tuple[str, ...]) -> Shown:
    """Only when these fields have one of these values, and stores are chosen at all."""

    def shown(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
        return _leaves(snapshot, raw) and all(raw.get(k) in v for k, v in wanted.items())

    return shown


def _needs_keys(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return _leaves(snapshot, raw) and raw.get("auth") == "keys"


def _moves(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return _leaves(snapshot, raw) and kind_of(snapshot) == "ceph"


def _parts(snapshot: Snapshot) -> Sequence[Option]:
    kind, old = kind_of(snapshot), leftovers(snapshot)
    words = {
        "new": ("install without Ceph", "Writes the settings, then installs and starts the platform without Ceph and without a database of its own."),
        "ceph": ("leave Ceph", "Copies what Ceph and the database hold, proves the copies, and goes on with the new stores. The old data stays where it is."),
        "stateless": ("change the stores", "Changes where images, data and logs go; only what differs is written."),
    }  # fmt: skip
    label, explain = words[kind]
    return (
        Option("leave", label, recommended=True, explain=explain),
        Option(
            "remove",
            "remove what Ceph has left",
            note=f"on {len(old)} hosts" if old and kind == "stateless" else "",
            enabled=kind == "stateless" and bool(old),
            warning="" if kind == "stateless" and old else "in use" if old else "there is nothing",
            explain="Frees the disks: containers with Ceph's and the database's data, and their keys in etcd. "
            "After that there is no way back.",
        ),
    )


def _stores(snapshot: Snapshot) -> Sequence[Option]:
    return (
        Option(
            "s3",
            "Amazon S3",
            recommended=flavour_of(snapshot) in ("ceph", "s3"),
            explain="The registry of Deis signs requests in the old way (version 2). Amazon takes that only from "
            "buckets that were made before June 2020, in regions that are older than 2014: it is tried first.",
        ),
        Option(
            "compatible",
            "another store that speaks S3",
            explain="Minio, Riak CS, a Ceph gateway elsewhere ...: reached by plain HTTP, the bucket in the path.",
        ),
        Option(
            "swift",
            "OpenStack Swift",
            explain="Through its S3 middleware (swift3, s3api): the container is the bucket, user and key are "
            "tenant:user and its password. The registry's own Swift settings do not start: it makes its bucket by S3.",
        ),
    )


def _auths(snapshot: Snapshot) -> Sequence[Option]:
    has_keys = snapshot.key(S3_SECRET) is not None or flavour_of(snapshot) == "compatible"
    return (
        Option(
            "keys",
            "access key and secret key",
            recommended=not has_keys,
            explain="They stand in etcd in clear text, for the registry to read.",
        ),
        Option(
            "role",
            "the hosts' instance role",
            explain="Only on EC2, and every host of the control plane needs the role: each is tried. Nothing secret is kept.",
        ),
        Option(
            "keep",
            "the keys that are set",
            recommended=has_keys,
            enabled=has_keys,
            warning="" if has_keys else "none are set",
            explain="Leaves the keys as they are.",
        ),
    )


def _data(what: str, where: str) -> Callable[[Snapshot], Sequence[Option]]:
    def options(snapshot: Snapshot) -> Sequence[Option]:
        return (
            Option(
                "copy",
                "copy what there is",
                recommended=kind_of(snapshot) == "ceph",
                explain=f"{what} go through this machine in a stream, and are compared with the original.",
            ),
            Option(
                "there",
                f"{where} holds it already",
                recommended=kind_of(snapshot) != "ceph",
                explain="Nothing is copied. It is looked at that there is something.",
            ),
        )

    return options


STORES = (
    FormField("part", "What to do", "one", options=_parts),
    FormField("store", "Images in", "one", options=_stores, shown=_leaves),
    FormField("bucket", "Bucket", "text", "It must be there: the registry would make it in the wrong region.", shown=_leaves, placeholder="deis-registry"),
    FormField("store_host", "Host of the store", "text", "As the hosts of the control plane reach it.", shown=_when(store=("compatible", "swift")), placeholder="s3.example.com"),
    FormField("store_port", "Port", "number", "Plain HTTP.", shown=_when(store=("compatible", "swift"))),
    FormField("region", "Region", "text", "Where the bucket is.", shown=_when(store=("s3",)), placeholder="us-east-1"),
    FormField("path", "Path in the bucket", "text", "Below it the registry keeps its images.", shown=_when(store=("s3",)), placeholder="/registry"),
    FormField("encrypt", "Encrypt in S3", "flag", "S3 encrypts each object with a key of its own (AES-256).", shown=_when(store=("s3",))),
    FormField("auth", "How the registry gets in", "one", options=_auths, shown=_leaves),
    FormField(ACCESS, "Access key", "secret", "For Swift: tenant:user.", shown=_needs_keys),
    FormField(SECRET, "Secret key", "secret", shown=_needs_keys),
    FormField("registry_data", "Images of now", "one", options=_data("Images", "the bucket"), shown=_moves),
    FormField("database_host", "PostgreSQL host", "text", "As the hosts of the control plane reach it.", shown=_leaves, placeholder="deis.abc.eu-west-1.rds.amazonaws.com"),
    FormField("database_port", "Port", "number", shown=_leaves),
    FormField("database_name", "Database", "text", "It must be there, and empty if data is copied.", shown=_leaves),
    FormField("database_user", "User", "text", "May create tables there.", shown=_leaves),
    FormField(PASSWORD, "Password", "secret", "Empty: the one that is set, if it is for the same host.", shown=_leaves),
    FormField("database_data", "Data of now", "one", options=_data("The tables", "the database"), shown=_moves),
    FormField("memory_lines", "Log lines for each app", "number", "Logger keeps as many in its memory.", shown=_leaves),
    FormField("drain", "Log drain", "text", "Where logs go besides; empty: as it is. Recommendation 8 proves it.", shown=_leaves, placeholder="udp://logs.example.com:514"),
    FormField("routers", "Routers", "number", "One to a host.", shown=lambda snapshot, raw: _leaves(snapshot, raw) and kind_of(snapshot) == "new"),
    FormField("confirm", "To be sure", "text", f"Type: {REMOVE}", shown=lambda snapshot, raw: raw.get("part") == "remove"),
)  # fmt: skip

FIELDS = (*fields("every host of a cluster without Ceph"), *on_cluster(STORES))
