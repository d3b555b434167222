"""The plan of a restore: the backup is read again first, then settings, platform, data, the rest.

The order is deis-facts 6's: Ceph and its gateway start alone, the buckets and the logs go back, and
only then the platform starts, so that the database finds wal-e's backups when it looks for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deiswizard.backup.copying import mount_check
from deiswizard.backup.data import Manifest, Part
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.backup_steps import RestoreStep
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.plan import Basis, Change, Impact, Plan, Stage
from deiswizard.plan.step import CommandStep, GuardStep, Step, WaitStep
from deiswizard.recommendations.backup.facts import PASSPHRASE, VOLUME, database_host
from deiswizard.recommendations.deis_units import is_installed
from deiswizard.recommendations.deisctl import deisctl_job
from deiswizard.recommendations.preseed.images import release_of
from deiswizard.recommendations.restore.declaration import (
    RestoreChoices,
    is_stateless,
    keys_of,
    way_of_database,
    why_no_key,
    why_not_new,
)
from deiswizard.recommendations.restore.keys import left_out
from deiswizard.vocabulary import Danger
from deiswizard.wording import at_time, in_bytes

START_SECONDS = 20 * 60.0
"""Deis's own units wait as long for their images (deis-facts 0.3)."""

STORE = ("store-monitor", "store-daemon", "store-metadata", "store-gateway@1", "store-volume")
"""What must run before the data can go back, in the order in which it starts."""

OUTWARD = {
    "/deis/logs/drain": "the drain of the old cluster is set again: its receiver gets this cluster's lines too",
    "/deis/router/controller/whitelist": "the old cluster's list of addresses holds for this controller too",
}
"""Settings that others than this cluster notice."""

DECISION = "no run takes a restore back: the old cluster and the backup stay as they are"


def plan(snapshot: Snapshot, choices: RestoreChoices) -> Plan:
    """Read the backup again, guards, settings, Ceph, buckets and logs, the platform, the database."""
    manifest = choices.manifest
    if manifest is None:
        raise PreconditionError("the backup's manifest was not read", do="name the backup again")
    if not snapshot.keys_read:
        raise PreconditionError("etcd did not answer", do="look again")
    host = next(iter(snapshot.reachable_hosts), None)
    if host is None:
        raise PreconditionError("no host can be reached", do="look again")
    common: dict[str, Any] = {
        "place": choices.place,
        "backup": choices.backup,
        "seal": manifest.seal,
        "passphrase": f"${{secret:{PASSPHRASE}}}" if manifest.seal.how == "passphrase" else "",
        "private_key": choices.private_key,
        "timeout": 6 * 3600.0,
    }
    way = way_of_database(snapshot, choices, manifest)
    parts = parts_of(manifest, way)
    flavour = "stateless-platform" if is_stateless(choices) else "platform"
    stages = [
        _check_stage(common, manifest),
        _guard_stage(snapshot, manifest),
        _etcd_stage(common, choices, manifest),
        *_store_stages(snapshot, parts, host, flavour),
        _data_stage(common, snapshot, parts, host),
        *_platform_stages(snapshot, host, flavour),
        *(_sql_stages(common, snapshot, manifest, host) if way == "sql" else ()),
    ]
    return Plan(
        recommendation="restore",
        title="Restoring a backup",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json", exclude={PASSPHRASE}),
        changes=_changes(choices, parts, way),
        stages=tuple(stage for stage in stages if stage.steps),
        impact=Impact(
            danger=Danger.DESTROY,
            restarts=("the whole platform is started on this cluster",),
            duration="as long as the data takes, and about 20 minutes for the platform's images",
            undo=DECISION,
            notes=_notes(snapshot, choices, manifest, way),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            machines=tuple(sorted(one.machine_id for one in snapshot.hosts)),
        ),
    )


def parts_of(manifest: Manifest, way: str) -> dict[str, Part]:
    """What goes to the gateway and to the volume. db_wal only to a database that has never run: one that has
    writes there itself, and the segments of two histories have the same names.
    """
    names = ("db_wal", "registry", "volume") if way == "wal" else ("registry", "volume")
    return {name: part for name in names if (part := manifest.part(name)) is not None}


def _check_stage(common: dict[str, Any], manifest: Manifest) -> Stage:
    steps = tuple(
        RestoreStep(
            id=f"check:{part.source.name}", title=f"read {part.source.name}", part=part, to="check", **common
        )
        for part in manifest.parts
    )  # fmt: skip
    return Stage(id="check", title="Read the whole backup first", steps=steps, hosts_at_a_time=1)


def _guard_stage(snapshot: Snapshot, manifest: Manifest) -> Stage:
    """What was confirmed in words is not asked again."""
    host = database_host(snapshot)
    if host is None or why_not_new(snapshot, manifest):
        return Stage(id="guards", title="Guards", steps=())
    query = "select count(*) from auth_user where id > 0 and is_active"
    ask = f'docker exec deis-database sudo -u postgres psql -d deis -tAc "{query}" || echo 0'
    guard = GuardStep(
        id="guard:new",
        title="the database there has no accounts",
        host=host.name,
        condition=CommandSays(host=host.name, command=ask, pattern=r"^\s*0\s*$"),
        otherwise="somebody has made accounts on this cluster: it is no new one any more",
    )
    return Stage(id="guards", title="Guards", steps=(guard,))


def _etcd_stage(common: dict[str, Any], choices: RestoreChoices, manifest: Manifest) -> Stage:
    part, keys = manifest.part("etcd"), keys_of(choices)
    steps: tuple[Step, ...] = ()
    if part is not None and keys:
        steps = (
            RestoreStep(
                id="restore:etcd",
                title=f"write {len(keys)} settings",
                part=part,
                to="etcd",
                keys=keys,
                danger=Danger.WRITE,
                **common,
            ),
        )
    return Stage(id="settings", title="Settings, before anything starts with others", steps=steps)


def _wait_running(name: str, host: HostFacts, needs: Sequence[str]) -> WaitStep:
    """Deisctl's exit status proves nothing (deis-facts 0.5): fleet is asked."""
    unit = f"deis-{name}.service".replace(".", r"\.")
    return WaitStep(
        id=f"running:{name}",
        title=f"{name} runs",
        host=host.name,
        condition=CommandSays(
            host=host.name,
            command="fleetctl list-units --no-legend --full",
            pattern=rf"(?m)^{unit}\s+\S+\s+active\s+running",
        ),
        waiting_for=f"{name} to run",
        interval=5.0,
        timeout=START_SECONDS,
        needs=tuple(needs),
        on_timeout=f"look at it on its host: journalctl -u deis-{name}",
    )


def _store_stages(
    snapshot: Snapshot, parts: Mapping[str, Part], host: HostFacts, flavour: str
) -> list[Stage]:
    """The platform is installed where it is not; never over a live one: that would stop it."""
    stages = []
    if not is_installed(snapshot):
        install = deisctl_job(
            "install", "install the platform", host, f"deisctl install {flavour}", START_SECONDS
        )
        stages.append(Stage(id="install", title="Install the platform", steps=(install,)))
    steps: list[Step] = []
    for name in STORE if parts else ():
        if snapshot.where(f"deis-{name}.service"):
            continue
        needs = (steps[-1].id,) if steps else ()
        steps.append(
            deisctl_job(
                f"start:{name}",
                f"start {name}",
                host,
                f"deisctl start {name}",
                START_SECONDS,
                needs=needs,
            )
        )
        steps.append(_wait_running(name, host, (steps[-1].id,)))
    if parts:
        steps.append(
            WaitStep(
                id="gateway",
                title="the store gateway says where it is, and has keys",
                host=host.name,
                condition=CommandSays(
                    host=host.name,
                    command="etcdctl get /deis/store/gateway/host && "
                    "etcdctl get /deis/store/gateway/accessKey >/dev/null && echo there",
                    pattern=r"(?m)^there$",
                ),
                waiting_for="the store gateway",
                interval=5.0,
                timeout=START_SECONDS,
                needs=(steps[-1].id,) if steps else (),
                on_timeout="look at it on its host: journalctl -u deis-store-gateway@1",
            )
        )
    stages.append(Stage(id="store", title="Ceph and its gateway", steps=tuple(steps)))
    return stages


def _data_stage(
    common: dict[str, Any], snapshot: Snapshot, parts: Mapping[str, Part], host: HostFacts
) -> Stage:
    steps: list[Step] = []
    for name in ("db_wal", "registry"):
        if (part := parts.get(name)) is not None:
            steps.append(
                RestoreStep(
                    id=f"restore:{name}",
                    title=f"write the bucket {name}",
                    host=host.name,
                    part=part,
                    to="bucket",
                    danger=Danger.WRITE,
                    **common,
                )
            )
    if (part := parts.get("volume")) is not None:
        mounted = next(iter(snapshot.where("deis-store-volume.service")), host)
        steps.append(
            WaitStep(
                id="mounted",
                title=f"{VOLUME} is a Ceph mount",
                host=mounted.name,
                condition=CommandSays(host=mounted.name, command=mount_check(VOLUME), pattern=""),
                waiting_for="the store volume to be mounted",
                interval=5.0,
                timeout=600,
                on_timeout="look at it on that host: journalctl -u deis-store-volume",
            )
        )
        steps.append(
            RestoreStep(
                id="restore:volume",
                title="unpack the store volume",
                host=mounted.name,
                part=part,
                to="volume",
                danger=Danger.WRITE,
                needs=("mounted",),
                **common,
            )
        )
    return Stage(id="data", title="Buckets and logs", steps=tuple(steps), hosts_at_a_time=1)


def _platform_stages(snapshot: Snapshot, host: HostFacts, flavour: str) -> list[Stage]:
    if snapshot.where("deis-controller.service") and snapshot.where("deis-router@1.service"):
        return []
    start = deisctl_job(
        "start", "start the platform", host, f"deisctl start {flavour}", START_SECONDS
    )
    names = ("controller",) if flavour == "stateless-platform" else ("database", "controller")
    waits = tuple(_wait_running(name, host, ("start",)) for name in names)
    return [Stage(id="platform", title="Start the platform", steps=(start, *waits))]


def _sql_stages(
    common: dict[str, Any], snapshot: Snapshot, manifest: Manifest, host: HostFacts
) -> list[Stage]:
    """Only where the backup has no db_wal, or the operator chose so: into an empty database."""
    part = manifest.part("database")
    where = database_host(snapshot)
    if part is None or where is None:
        raise PreconditionError(
            "the database does not run yet, so the dump cannot be read into it",
            do="start the platform first: deisctl install platform, deisctl start platform; then "
            "restore again",
        )
    psql = "docker exec deis-database sudo -u postgres psql -X -q -d postgres"
    stop = deisctl_job(
        "sql:stop", "stop the controller", host, "deisctl stop controller", START_SECONDS
    )
    drop = CommandStep(
        id="sql:drop",
        title="remove the new cluster's empty database",
        host=where.name,
        command=f"{psql} -c 'select pg_terminate_backend(pid) from pg_stat_activity where "
        f"datname = $$deis$$' && {psql} -c 'drop database if exists deis'",
        danger=Danger.DESTROY,
        needs=("sql:stop",),
    )
    load = RestoreStep(
        id="restore:database",
        title="read the dump",
        host=where.name,
        part=part,
        to="database",
        danger=Danger.WRITE,
        needs=("sql:drop",),
        **common,
    )
    begin = deisctl_job(
        "sql:start", "start the controller", host, "deisctl start controller", START_SECONDS
    )
    return [
        Stage(id="sql-stop", title="Stop what uses the database", steps=(stop,)),
        Stage(id="sql", title="The database from its dump", steps=(drop.model_copy(update={"needs": ()}), load)),
        Stage(id="sql-start", title="Start it again", steps=(begin, _wait_running("controller", host, ("sql:start",)))),
    ]  # fmt: skip


def _changes(choices: RestoreChoices, parts: Mapping[str, Part], way: str) -> tuple[Change, ...]:
    found = []
    if keys := keys_of(choices):
        found.append(
            Change(where="settings in etcd", current="the new cluster's", desired=f"{len(keys)} keys of the backup", steps=("restore:etcd",))
        )  # fmt: skip
    for name, part in parts.items():
        count = f"{part.file.count} objects, " if part.file.count else ""
        desired = f"{count}{in_bytes(part.bytes)} of the backup"
        found.append(
            Change(where=name, current="the new cluster's", desired=desired, steps=(f"restore:{name}",))
        )  # fmt: skip
    ways = {
        "wal": "restores itself from db_wal when it starts",
        "sql": "the dump of the backup",
    }
    if way in ways:
        steps = ("restore:database",) if way == "sql" else ("restore:db_wal",)
        found.append(Change(where="database", current="empty", desired=ways[way], steps=steps))
    return tuple(found)


def _notes(
    snapshot: Snapshot, choices: RestoreChoices, manifest: Manifest, way: str
) -> tuple[str, ...]:
    notes = [
        f"the backup is of {manifest.cluster}, verified {at_time(manifest.verified_at)}, "
        f"Deis {manifest.versions.deis or 'of an unknown release'}"
    ]
    if why := why_not_new(snapshot, manifest):
        notes.append(f"you confirmed that this cluster may be overwritten, though {why}")
    if "/deis/controller/secretKey" in keys_of(choices):
        notes.append("the controller's secretKey comes back: logins of the old cluster stay valid")
    else:
        notes.append("the controller's secretKey is not in the backup: everybody must log in again")
    written = {key: choices.settings[key].get_secret_value() for key in keys_of(choices)}
    notes += [why for key, why in OUTWARD.items() if written.get(key)]
    notes += left_out({key: why_no_key(choices, key) for key in choices.settings})
    if way != "wal" and manifest.part("db_wal") is not None:
        notes.append(
            "db_wal is not written: wal-e's backups of the database there are in it, or will be, and "
            "segments of two histories have the same names"
        )
    if (told := release_of(snapshot)[0]) and manifest.versions.deis not in ("", told):
        notes.append(
            f"the cluster is Deis {told}: applications of another release may stay unseen until they "
            "are deployed again"
        )
    notes.append("applications start again when they are scaled or deployed; domains need new DNS")
    return tuple(notes)
