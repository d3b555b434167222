"""Whether the platform runs without Ceph: by its units, its settings, and what the components answer."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations import provisioned
from deiswizard.recommendations.backup.facts import REGISTRY_BUCKET
from deiswizard.recommendations.logs.choices import STORAGE_KEY
from deiswizard.recommendations.logs.facts import is_storage
from deiswizard.recommendations.stateless import files
from deiswizard.recommendations.stateless.facts import (
    DB_HOST,
    GATEWAY,
    HEALTH,
    PING,
    S3_BUCKET,
    StatelessChoices,
    flavour_of,
    is_database_outside,
    leftovers,
    store_keys,
    store_units,
    units_of,
)
from deiswizard.run.events import Check
from deiswizard.wording import few

RUNS = ("registry", "controller", "builder", "logger")


def is_storage_memory(value: str) -> bool:
    """What logger takes without a file system of Ceph's."""
    return value != "file" and is_storage(value)


def verify(before: Snapshot, after: Snapshot, choices: StatelessChoices) -> tuple[Check, ...]:
    """Settings, units, and the components' own health; after a removal, that nothing is left."""
    if choices.makes_files:
        return provisioned.verify(choices, files.ROLES)
    if choices.part == "remove":
        return tuple(_removed(after))
    return (*_settings(after, choices), *_units(before, after))


def _removed(after: Snapshot) -> Iterator[Check]:
    old = leftovers(after)
    yield Check(
        title="no host has data of Ceph or of the database any more",
        ok=not old,
        evidence=f"still on {few(tuple(old))}"
        if old
        else f"{len(after.reachable_hosts)} hosts asked",
    )
    keys = store_keys(after)
    yield Check(
        title="their keys are gone from etcd",
        ok=not keys,
        evidence=f"{len(keys)} are left, such as {keys[0]}"
        if keys
        else "only the registry's are there",
    )


def _settings(after: Snapshot, choices: StatelessChoices) -> Iterator[Check]:
    flavour = "s3" if choices.store == "s3" else "compatible"
    key = S3_BUCKET if flavour == "s3" else REGISTRY_BUCKET
    yield Check(
        title=f"images go to the bucket {choices.bucket}",
        ok=flavour_of(after) == flavour and after.value(key) == choices.bucket,
        evidence=f"{key} is {after.value(key) or 'absent'}",
    )
    has_folder = any(fact.key.startswith(f"{GATEWAY}/") for fact in after.keys)
    yield Check(
        title="the registry finds its folder in etcd",
        ok=has_folder or after.key(GATEWAY) is not None,
        evidence=f"{GATEWAY} is there"
        if has_folder or after.key(GATEWAY)
        else f"{GATEWAY} is absent",
    )
    yield Check(
        title=f"the controller's database is {choices.database_host}",
        ok=is_database_outside(after) and after.value(DB_HOST) == choices.database_host,
        evidence=f"{DB_HOST} is {after.value(DB_HOST) or 'absent'}",
    )
    yield Check(
        title="logger keeps its lines in memory",
        ok=is_storage_memory(after.value(STORAGE_KEY)),
        evidence=f"{STORAGE_KEY} is {after.value(STORAGE_KEY) or 'absent'}",
    )


def _units(before: Snapshot, after: Snapshot) -> Iterator[Check]:
    left = [unit.name for unit in store_units(after)]
    yield Check(
        title="no unit of Ceph and no database is left",
        ok=not left,
        evidence=f"{few(left)}" if left else f"{len(after.units)} units, none of them",
    )
    for name in RUNS:
        units = [unit.name for unit in units_of(after, name)]
        where = [host.name for unit in units for host in after.where(unit)]
        yield Check(
            title=f"{name} runs",
            ok=bool(units) and all(after.where(unit) for unit in units),
            evidence=f"on {few(where)}" if where else "on no host",
        )
    for question, name in ((PING, "registry"), (HEALTH, "controller")):
        found = [answer for answer in after.answers if answer.id == question]
        good = [a for a in found if a.web is not None and a.web.status == 200]
        yield Check(
            title=f"{name} answers",
            ok=bool(found) and len(good) == len(found),
            evidence=f"HTTP 200 on {len(good)} of {len(found)}" if found else "it was not asked",
        )
    apps = [unit.name for unit in before.units if not unit.name.startswith("deis-")]
    gone = [name for name in apps if before.where(name) and not after.where(name)]
    yield Check(
        title="apps run as before",
        ok=not gone,
        evidence=f"not any more: {few(gone)}" if gone else f"{len(apps)} app units",
    )
