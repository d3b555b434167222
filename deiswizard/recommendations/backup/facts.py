"""What is known of a cluster's data: what there is to back up, what backs itself up, Ceph's health."""

from __future__ import annotations

import datetime
import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from deiswizard.backup.copying import mount_check
from deiswizard.cluster.snapshot import BackupFact, HostFacts, Question, Snapshot
from deiswizard.recommendations.base import Choices

What = Literal["database", "registry", "db_wal", "volume", "etcd"]
WHAT: tuple[What, ...] = ("database", "registry", "db_wal", "volume", "etcd")

BACKUPS, HEALTH, MOUNT = "backup.wal-e", "backup.ceph", "backup.mount"
WALE = "docker exec deis-database envdir /etc/wal-e.d/env wal-e --terse backup-list"
CEPH = "docker exec deis-store-admin ceph health"
VOLUME = "/var/lib/deis/store"
DATABASE_UNIT, ADMIN_UNIT, VOLUME_UNIT, REGISTRY_UNIT = (
    f"deis-{name}.service" for name in ("database", "store-admin", "store-volume", "registry@1")
)
GATEWAY_HOST, GATEWAY_PORT = "/deis/store/gateway/host", "/deis/store/gateway/port"
WAL_BUCKET, REGISTRY_BUCKET = "/deis/database/bucketName", "/deis/registry/bucketName"
DEFAULT_BUCKETS = {"db_wal": "db_wal", "registry": "registry"}

FRESH = 7 * 86_400.0
"""Seconds after which a backup is called old. wal-e's own are hours old, but on the same cluster."""

WALE_FRESH = 6 * 3600.0
"""wal-e makes a base backup every 3 hours (deis-facts 6): twice that is late."""

PASSPHRASE = "backup_passphrase"
"""The name of the secret in the steps, and of its field."""

S3_URL = re.compile(r"s3://([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(?:/(.*))?")
TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class BackupChoices(Choices):
    """What is copied, where to, how it is encrypted, how many are kept, and when it happens again.

    ``recipient`` names a file of this machine, ``recipient_key`` is what it holds. ``here`` are the
    facts of this machine that a schedule needs.
    """

    what: tuple[What, ...]
    where: Literal["folder", "s3"] = "folder"
    folder: str = ""
    bucket: str = ""
    endpoint: str = ""
    profile: str = ""
    encryption: Literal["none", "passphrase", "recipient"] = "none"
    backup_passphrase: SecretStr = SecretStr("")
    recipient: str = ""
    keep: int = Field(default=7, ge=0, le=1000)
    despite_ceph: bool = False
    schedule: Literal["none", "timer", "cron"] = "none"
    schedule_at: str = "03:15"
    recipient_key: str = Field(default="", exclude=True, repr=False)
    here: HereFacts | None = Field(default=None, exclude=True, repr=False)

    @field_validator("what")
    @classmethod
    def _in_order(cls, what: tuple[What, ...]) -> tuple[What, ...]:
        return tuple(name for name in WHAT if name in what)


class HereFacts(Choices):
    """The operator's machine, as far as a schedule needs it.

    ``files`` are those of the wizard's schedules, path and sha256; ``program`` are the words that
    start the wizard.
    """

    program: tuple[str, ...]
    config: str
    units: str
    is_root: bool
    files: tuple[tuple[str, str], ...] = ()
    has_systemd: bool = False
    has_cron: bool = False


BackupChoices.model_rebuild()


def database_host(snapshot: Snapshot) -> HostFacts | None:
    """Where the in-cluster database runs; None: external, or not running."""
    return next((h for h in snapshot.where(DATABASE_UNIT) if h.reachable), None)


def has_database(snapshot: Snapshot) -> bool:
    """The database is a component of this cluster: its unit is there, or its key expires."""
    fact = snapshot.key("/deis/database/host")
    return snapshot.unit(DATABASE_UNIT) is not None or (fact is not None and fact.ttl is not None)


def has_store(snapshot: Snapshot) -> bool:
    """The cluster runs Ceph, with its gateway and its volume."""
    return any(unit.name.startswith("deis-store-") for unit in snapshot.units)


def gateway(snapshot: Snapshot) -> tuple[str, int] | None:
    """Address and port of the store gateway; None: none is known."""
    host, port = snapshot.value(GATEWAY_HOST), snapshot.value(GATEWAY_PORT) or "8888"
    return (host, int(port)) if host and port.isdecimal() else None


def gateway_way(snapshot: Snapshot) -> HostFacts | None:
    """The host to go through: the gateway's own, else any that answers."""
    found = gateway(snapshot)
    reachable = snapshot.reachable_hosts
    own = [host for host in reachable if found and host.address == found[0]]
    return next(iter([*own, *reachable]), None)


def volume_host(snapshot: Snapshot) -> HostFacts | None:
    """A host on which the store volume is a real Ceph mount."""
    for answer in snapshot.answers:
        if answer.id == MOUNT and answer.code == 0:
            return snapshot.host(answer.host)
    return None


def available(snapshot: Snapshot) -> dict[What, str]:
    """What can be backed up here, and why the rest cannot (empty: it can)."""
    stateless = "this cluster has none: it is yours to back up where it is kept"
    found: dict[What, str] = {"etcd": "" if snapshot.keys_read else "etcd did not answer"}
    found["database"] = "" if database_host(snapshot) else stateless
    if has_database(snapshot) and not database_host(snapshot):
        found["database"] = "deis-database is not running on a host that can be reached"
    no_gateway = "" if gateway(snapshot) and gateway_way(snapshot) else stateless
    if has_store(snapshot) and no_gateway:
        no_gateway = f"{GATEWAY_HOST} is not in etcd: the store gateway does not run"
    found["registry"] = no_gateway
    found["db_wal"] = no_gateway or ("" if has_database(snapshot) else stateless)
    found["volume"] = "" if volume_host(snapshot) else stateless
    if has_store(snapshot) and found["volume"]:
        found["volume"] = f"no host that can be reached has a Ceph mount at {VOLUME}"
    return {name: found[name] for name in WHAT}


def admin_host(snapshot: Snapshot) -> HostFacts | None:
    """Where store-admin runs, which Ceph can be asked by."""
    return next((host for host in snapshot.where(ADMIN_UNIT) if host.reachable), None)


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """wal-e's own list, Ceph's health, and where the volume is mounted."""
    found = []
    if host := database_host(snapshot):
        found.append(Question(id=BACKUPS, host=host.name, command=WALE, timeout=30))
    if host := admin_host(snapshot):
        found.append(Question(id=HEALTH, host=host.name, command=CEPH))
    return (*found, *mount_questions(snapshot))


def mount_questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """What ``volume_host`` needs."""
    mounted = [host for host in snapshot.where(VOLUME_UNIT) if host.reachable]
    return tuple(Question(id=MOUNT, host=h.name, command=mount_check(VOLUME)) for h in mounted[:3])


def ceph_health(snapshot: Snapshot) -> str:
    """``HEALTH_OK`` and the like, with the reason; empty when it could not be asked."""
    answer = snapshot.answer(HEALTH)
    return answer.out.strip() if answer is not None and answer.code == 0 else ""


def wale_newest(snapshot: Snapshot) -> tuple[int, float | None] | None:
    """How many base backups wal-e has, and when the newest was made; None: it was not asked.

    Its list is a line of names and one for each backup (deis-facts 6), separated by tabs.
    """
    answer = snapshot.answer(BACKUPS)
    if answer is None or answer.code != 0:
        return None
    rows = [line.split("\t") for line in answer.out.splitlines() if line.startswith("base_")]
    times = [at for row in rows if len(row) > 1 and (at := _seconds(row[1])) is not None]
    return len(rows), max(times, default=None)


def _seconds(text: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        return None


def known_backups(snapshot: Snapshot) -> tuple[BackupFact, ...]:
    """The verified backups of this cluster that are still there, as far as is known; newest first."""
    ours = [f for f in snapshot.backups if snapshot.is_of(f.cluster, f.machines)]
    return tuple(fact for fact in ours if fact.is_there is not False)
