"""Restoring a backup on a new cluster, in the order of deis-facts 6. Reached by its own command."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from deiswizard.backup.data import Manifest, Part, Place
from deiswizard.cluster.snapshot import Question, Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.recommendations.backup.facts import DATABASE_UNIT, PASSPHRASE
from deiswizard.recommendations.base import (
    Assessment,
    Choices,
    FormField,
    Problem,
    Recommendation,
)
from deiswizard.recommendations.deis_units import is_installed
from deiswizard.recommendations.restore.keys import why_not
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status

CONFIRM = "overwrite this cluster"
DOMAIN = "/deis/platform/domain"
INIT_ID = "/deis/database/initId"
"""Written when the database starts for the first time (deis/deis, database/bin/boot)."""

REGISTRY_ELSEWHERE = ("/deis/registry/s3bucket", "/deis/registry/swiftAuthURL")
USERS = "restore.users"


class RestoreChoices(Choices):
    """Which backup, how it is opened, and how its database comes back.

    ``manifest`` and ``settings`` (the etcd export, key to value) are read at the edge. ``database``:
    ``wal`` lets the database restore itself from the db_wal bucket, ``sql`` reads the dump into one that runs.
    """

    place: Place
    backup: str
    private_key: str = ""
    backup_passphrase: SecretStr = SecretStr("")
    database: Literal["auto", "wal", "sql", "none"] = "auto"
    confirm: str = ""
    manifest: Manifest | None = Field(default=None, exclude=True, repr=False)
    settings: dict[str, SecretStr] = Field(default_factory=dict, exclude=True, repr=False)


def read(choices: RestoreChoices) -> tuple[RestoreChoices, tuple[Problem, ...]]:
    """The manifest, and the settings that it holds."""
    from deiswizard.backup.content import etcd_nodes
    from deiswizard.backup.places import manifest_of, store_of
    from deiswizard.backup.verifying import pieces_of
    from deiswizard.errors import WizardError
    from deiswizard.run.restoring import opener_of

    try:
        store = store_of(choices.place)
        manifest = manifest_of(store, choices.backup)
        settings: dict[str, SecretStr] = {}
        part = manifest.part("etcd")
        if part is not None:
            typed = choices.backup_passphrase
            passphrase = typed if typed.get_secret_value() else None
            opener = opener_of(manifest.seal.how, passphrase, choices.private_key)
            name = f"{choices.backup}/{part.file.name}"
            for key, value in etcd_nodes(pieces_of(store, name, part.file, opener)):
                if value is not None:
                    settings[key] = SecretStr(value)
    except WizardError as error:
        return choices, (Problem(field="backup", what=str(error)),)
    return choices.model_copy(update={"manifest": manifest, "settings": settings}), ()


def users(snapshot: Snapshot) -> int | None:
    """How many accounts the database there has; None: it could not be asked."""
    answer = snapshot.answer(USERS)
    if answer is None or answer.code != 0 or not answer.out.strip().isdecimal():
        return None
    return int(answer.out.strip())


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Whether the database there has accounts already."""
    from deiswizard.recommendations.backup.facts import database_host

    host = database_host(snapshot)
    if host is None:
        return ()
    query = "select count(*) from auth_user where id > 0 and is_active"
    ask = f'docker exec deis-database sudo -u postgres psql -d deis -tAc "{query}"'
    return (Question(id=USERS, host=host.name, command=ask),)


def is_same_cluster(snapshot: Snapshot, manifest: Manifest) -> bool:
    """The backup was made of these very machines."""
    here = {host.machine_id for host in snapshot.hosts}
    return bool(here & set(manifest.machines))


def why_not_new(snapshot: Snapshot, manifest: Manifest) -> str:
    """What speaks against this being a new cluster; empty: nothing does."""
    if is_same_cluster(snapshot, manifest):
        return "the backup was made of this very cluster"
    count = users(snapshot)
    if count:
        return f"its database has {count} accounts already"
    apps = {f.key.split("/")[3] for f in snapshot.keys if f.key.startswith("/deis/services/")}
    if apps:
        return f"it runs {len(apps)} applications already"
    return ""


def check_choices(snapshot: Snapshot, choices: RestoreChoices) -> tuple[Problem, ...]:
    """A cluster that is in use is not overwritten without a word."""
    manifest = choices.manifest
    if manifest is None:
        return (Problem(field="backup", what="the manifest was not read"),)
    problems: list[Problem] = []
    if not manifest.verified_at:
        problems.append(Problem(field="backup", what="the backup was never verified"))
    if (why := why_not_new(snapshot, manifest)) and choices.confirm.strip() != CONFIRM:
        what = f"this is no new cluster: {why}. What it has would be overwritten"
        problems.append(Problem(field="confirm", what=what, allowed=f"confirm with: {CONFIRM}"))
    if not is_installed(snapshot) and not (snapshot.value(DOMAIN) or DOMAIN in choices.settings):
        problems.append(
            Problem(
                field="backup",
                what="neither the cluster nor the backup has a domain, and Deis is not installed without one",
                allowed="deisctl config platform set domain=NAME on the new cluster",
            )
        )
    way = way_of_database(snapshot, choices, manifest)
    for name in {"wal": ("db_wal",), "sql": ("database",)}.get(way, ()):
        if manifest.part(name) is None:
            what = f"the backup holds no {name}"
            problems.append(Problem(field="database", what=what, allowed="another way, or none"))
    if way == "wal" and database_has_run(snapshot):
        problems.append(
            Problem(
                field="database",
                what="the database there has run already: it has base backups of its own in db_wal, "
                "and would take the newest",
                allowed="a backup with the database's dump, another cluster, or --database none",
            )
        )
    return tuple(problems)


def database_has_run(snapshot: Snapshot) -> bool:
    """The cluster's own database has been started once: it looks for wal-e's backups no more, and makes some."""
    return bool(snapshot.where(DATABASE_UNIT)) or snapshot.key(INIT_ID) is not None


def way_of_database(
    snapshot: Snapshot, choices: RestoreChoices, manifest: Manifest
) -> Literal["wal", "sql", "none"]:
    """How the database comes back: by itself from wal-e's bucket if it has never run, else from the dump."""
    if choices.database != "auto":
        return choices.database
    has_dump = manifest.part("database") is not None
    if manifest.part("db_wal") is not None and not (has_dump and database_has_run(snapshot)):
        return "wal"
    return "sql" if has_dump else "none"


def keys_of(choices: RestoreChoices) -> tuple[str, ...]:
    """The settings that are written."""
    return tuple(key for key in choices.settings if not why_no_key(choices, key))


def why_no_key(choices: RestoreChoices, key: str) -> str:
    """Why a setting of the backup is not written; empty: it is."""
    return why_not(key, external_database=is_external(choices), is_stateless=is_stateless(choices))


def is_external(choices: RestoreChoices) -> bool:
    """The old cluster's database was outside: its host stands in the export, so it never expired."""
    return "/deis/database/host" in choices.settings


def is_stateless(choices: RestoreChoices) -> bool:
    """The old cluster ran without Ceph: its database and its registry's store were outside."""
    return is_external(choices) and any(key in choices.settings for key in REGISTRY_ELSEWHERE)


def part_of(choices: RestoreChoices, name: str) -> Part | None:
    """A part of the backup."""
    return choices.manifest.part(name) if choices.manifest else None


def verify(_before: Snapshot, after: Snapshot, choices: RestoreChoices) -> tuple[Check, ...]:
    """The settings, and that the components are there."""
    keys = keys_of(choices)
    wrong = []
    for key in keys:
        fact = after.key(key)
        if key.startswith("/deis/") and (
            fact is None or fact.text != choices.settings[key].get_secret_value()
        ):
            wrong.append(key)
    checks = [
        Check(
            title="every restored setting is as in the backup",
            ok=not wrong,
            evidence=f"{len(keys) - len(wrong)} of {len(keys)}"
            + (f"; not {wrong[0]}" if wrong else ""),
        )
    ]
    for name in ("controller", "database"):
        if after.unit(f"deis-{name}.service") is None:
            continue
        where = after.where(f"deis-{name}.service")
        checks.append(
            Check(
                title=f"deis-{name} runs",
                ok=bool(where),
                evidence=", ".join(host.name for host in where) or "on no host",
            )
        )
    return tuple(checks)


def _plan(snapshot: Snapshot, choices: RestoreChoices) -> Plan:
    from deiswizard.recommendations.restore.plan import plan

    return plan(snapshot, choices)


RECOMMENDATION = Recommendation(
    id="restore",
    number=0,
    title="Restoring a backup",
    why="Writes a verified backup to a new cluster.",
    doc="Backing up and restoring data",
    choices=RestoreChoices,
    fields=(
        FormField(
            PASSPHRASE,
            "Passphrase",
            "secret",
            shown=lambda snapshot, raw: False,
        ),
    ),
    assess=lambda snapshot: Assessment(recommendation="restore", status=Status.UNKNOWN, now=""),
    defaults=lambda snapshot: RestoreChoices(place=Place(), backup=""),
    check_choices=check_choices,
    plan=_plan,
    verify=verify,
    questions=questions,
    read=read,
    secrets=lambda choices: {PASSPHRASE: choices.backup_passphrase},
    fingerprints=lambda choices: (
        {"the backup": _digest(choices.manifest)} if choices.manifest else {}
    ),
)


def _digest(manifest: Manifest) -> str:
    import hashlib

    return hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()
