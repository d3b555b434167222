"""Snapshots of stores: a cluster with Ceph, one without, one that is not installed, and those between."""

from __future__ import annotations

from typing import Any

from deiswizard.cluster.secret_keys import is_secret
from deiswizard.cluster.snapshot import Answer, KeyFact, Snapshot
from deiswizard.cluster.web import WebAnswer
from deiswizard.recommendations.stateless.choices import check_choices
from deiswizard.recommendations.stateless.facts import (
    HEALTH,
    HOST,
    HOST_ASK,
    PING,
    StatelessChoices,
)
from tests.builders import NOW
from tests.unit.planes_world import ALL, world

GATEWAY, REGISTRY, DATABASE = "/deis/store/gateway", "/deis/registry", "/deis/database"
CEPH = {
    f"{GATEWAY}/accessKey": "CEPHKEY",
    f"{GATEWAY}/secretKey": "ceph-secret",
    f"{DATABASE}/engine": "postgresql_psycopg2",
    f"{DATABASE}/name": "deis",
    f"{DATABASE}/user": "deis",
    f"{DATABASE}/password": "inside",
}
FLEETING = {
    f"{GATEWAY}/host": "10.21.2.13",
    f"{GATEWAY}/port": "8888",
    f"{DATABASE}/host": "10.21.2.14",
    f"{DATABASE}/port": "5432",
}
OUTSIDE = {
    **{key: CEPH[key] for key in CEPH if key.startswith(DATABASE)},
    f"{DATABASE}/host": "db.example.com",
    f"{DATABASE}/port": "5432",
    f"{REGISTRY}/s3bucket": "images",
    f"{REGISTRY}/s3region": "us-east-1",
    f"{REGISTRY}/s3path": "/registry",
    f"{REGISTRY}/s3encrypt": "true",
    f"{REGISTRY}/s3secure": "true",
    f"{REGISTRY}/s3accessKey": "AKIA",
    f"{REGISTRY}/s3secretKey": "outside",
    f"{GATEWAY}/placeholder": "kept for the registry",
    "/deis/logs/storageAdapterType": "memory",
}


def key(path: str, value: str, *, ttl: int | None = None) -> KeyFact:
    if is_secret(path):
        return KeyFact.model_validate(
            {"key": path, "secret": value, "is_secret": True, "index": 7, "ttl": ttl}
        )
    return KeyFact(key=path, value=value, index=7, ttl=ttl)


def asked(
    hosts: int, *, data: bool = True, graceful: tuple[int, ...] = (), well: bool = True
) -> tuple[Answer, ...]:
    containers = (
        "deis-database-data\ndeis-store-daemon-data\ndeis-store-monitor-data\n" if data else ""
    )
    found = []
    for number in range(1, hosts + 1):
        active = "active" if number in graceful else "inactive"
        told = f"LoadState=loaded\nActiveState={active}\nUnitFileState=disabled\n{containers}"
        found.append(Answer(id=HOST, host=f"deis-{number}", command=HOST_ASK, code=0, out=told))
    web = WebAnswer(status=200 if well else 503)
    found += [
        Answer(id=PING, host="deis-2", command="curl", code=0, web=web),
        Answer(id=HEALTH, host="deis-3", command="curl", code=0, web=web),
    ]
    return tuple(found)


def cluster(
    kind: str = "ceph",
    *,
    keys: dict[str, str | None] | None = None,
    answers: tuple[Answer, ...] | None = None,
    fleeting: dict[str, str] | None = None,
    **more: Any,
) -> Snapshot:
    """``keys`` beside what the kind has; None: absent although the kind has it."""
    hosts = more.pop("hosts", 5)
    made = world(*(ALL,) * hosts, ceph=kind == "ceph", **more)
    own: dict[str, str | None] = {
        "/deis/platform/domain": "example.com",
        "/deis/platform/sshPrivateKey": "k",
    }
    own |= {"ceph": CEPH, "stateless": OUTSIDE}.get(kind, {})
    own |= keys or {}
    facts = [key(path, value) for path, value in own.items() if value is not None]
    if kind == "ceph":
        facts += [key(p, v, ttl=18) for p, v in (fleeting or FLEETING).items()]
    others = tuple(fact for fact in made.keys if fact.key not in own and fact.key not in FLEETING)
    told = asked(hosts, data=kind != "new") if answers is None else answers
    update: dict[str, Any] = {
        "keys": (*others, *facts),
        "answers": (*made.answers, *told),
        "taken_at": NOW,
    }
    if kind == "new":
        update |= {"units": (), "unit_states": ()}
    return made.model_copy(update=update)


TYPED = {
    "bucket": "images",
    "region": "us-east-1",
    "access_key": "AKIA",
    "secret_key": "outside",
    "database_host": "db.example.com",
    "database_password": "typed-password",
}
"""What an operator types, field by field."""


def choose(**changes: Any) -> StatelessChoices:
    return StatelessChoices.model_validate({**TYPED, **changes})


def sentences(snapshot: Snapshot, choices: StatelessChoices, *, blocks: bool = True) -> str:
    found = check_choices(snapshot, choices)
    return " / ".join(f"{p.field}: {p.what}" for p in found if p.blocks is blocks)
