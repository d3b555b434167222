"""The plan of a backup: guards, room, one copy after the other, every file read again, the manifest."""

from __future__ import annotations

import time
from collections.abc import Sequence

from deiswizard import __version__
from deiswizard.backup.copying import mount_check
from deiswizard.backup.data import (
    SEALED,
    BucketSource,
    DatabaseSource,
    EtcdSource,
    Manifest,
    Place,
    Seal,
    Source,
    Versions,
    VolumeSource,
    backup_name,
)
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.local_files import absolute
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep
from deiswizard.plan.conditions import CommandSays, DiskRoom
from deiswizard.plan.plan import Basis, Change, Impact, Plan, Stage
from deiswizard.plan.step import GuardStep, Step
from deiswizard.recommendations.backup import schedule as backup_schedule
from deiswizard.recommendations.backup.facts import (
    CEPH,
    PASSPHRASE,
    REGISTRY_BUCKET,
    S3_URL,
    VOLUME,
    WAL_BUCKET,
    BackupChoices,
    What,
    admin_host,
    available,
    database_host,
    gateway,
    gateway_way,
    known_backups,
    volume_host,
)
from deiswizard.recommendations.preseed.images import release_of
from deiswizard.vocabulary import Danger
from deiswizard.wording import at_time, counted

HOURS = 6 * 3600.0
HOST_ROOM = 256 * 1024 * 1024
"""Bytes that shall be free on a host that is copied from: its database writes on meanwhile."""

UNCHANGED = "nothing on the cluster is changed; nothing restarts"


def place_of(choices: BackupChoices) -> Place:
    """Where the backup goes."""
    if choices.where == "folder":
        return Place(kind="folder", path=absolute(choices.folder))
    match = S3_URL.fullmatch(choices.bucket.strip())
    return Place(
        kind="s3",
        bucket=match[1] if match else "",
        prefix=(match[2] or "").strip("/") if match else "",
        endpoint=choices.endpoint.strip(),
        profile=choices.profile.strip(),
    )


def sources_of(snapshot: Snapshot, what: Sequence[What]) -> tuple[Source, ...]:
    """The chosen sources, the settings first: they are small, and the rest is worth little without.

    Raises:
        PreconditionError: one is not to be had any more.
    """
    why = available(snapshot)
    if gone := [name for name in what if why[name]]:
        raise PreconditionError(f"{gone[0]} cannot be copied: {why[gone[0]]}", do="look again")
    found: list[Source] = []
    for name in ("etcd", "database", "db_wal", "registry", "volume"):
        if name not in what:
            continue
        if name == "etcd":
            found.append(EtcdSource())
        elif name == "database" and (host := database_host(snapshot)):
            found.append(DatabaseSource(host=host.name))
        elif name == "volume" and (host := volume_host(snapshot)):
            found.append(VolumeSource(host=host.name, path=VOLUME))
        elif (at := gateway(snapshot)) and (way := gateway_way(snapshot)):
            key = WAL_BUCKET if name == "db_wal" else REGISTRY_BUCKET
            bucket = snapshot.value(key) or name
            found.append(
                BucketSource(name=name, bucket=bucket, through=way.name, gateway=at[0], port=at[1])
            )
    return tuple(found)


def host_of(source: Source) -> str:
    """The host that a source is copied from; empty: etcd, through whichever answers."""
    match source:
        case DatabaseSource() | VolumeSource():
            return source.host
        case BucketSource():
            return source.through
        case _:
            return ""


def plan(snapshot: Snapshot, choices: BackupChoices) -> Plan:
    """Guards, the copies in turn, every file read again, the manifest; then retention, a schedule."""
    if not choices.what:
        raise PreconditionError("nothing is chosen to be copied", do="choose at least one thing")
    place = place_of(choices)
    backup = backup_name(
        snapshot.cluster,
        time.strftime("%Y%m%d-%H%M%S", time.gmtime(snapshot.taken_at)),
        {fact.backup for fact in snapshot.backups},
    )
    seal = Seal(how=choices.encryption, recipient=choices.recipient_key)
    if choices.encryption == "recipient" and not choices.recipient_key:
        raise PreconditionError("the recipient's public key was not read", do="choose its file")
    sources = sources_of(snapshot, choices.what)
    manifest = _manifest(snapshot, choices, backup, seal)
    common: dict[str, object] = {
        "place": place,
        "backup": backup,
        "seal": seal,
        "passphrase": f"${{secret:{PASSPHRASE}}}" if choices.encryption == "passphrase" else "",
    }
    stages = [
        Stage(id="guards", title="Guards", steps=_guards(snapshot, choices, sources)),
        Stage(id="begin", title="The place, and room in it", steps=_begin(common, manifest, sources)),
        Stage(id="copy", title="Copy", hosts_at_a_time=1, steps=_copies(common, sources)),
        Stage(id="verify", title="Read everything again", hosts_at_a_time=1, steps=_reads(common, sources)),
        Stage(id="finish", title="Manifest", steps=_finish(common, manifest, choices)),
    ]  # fmt: skip
    made, undone, scheduled = backup_schedule.stages(snapshot, choices)
    stages = [stage for stage in (*stages, *made) if stage.steps]
    remove = BackupTaskStep.model_validate(
        {
            **common,
            "id": "remove",
            "title": f"remove {place.file(backup)}",
            "task": "remove",
            "danger": Danger.DESTROY,
            "undoes": ("begin",),
            "passphrase": "",
        }
    )
    return Plan(
        recommendation="backup",
        title="Backing up data",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json", exclude={PASSPHRASE}),
        changes=(
            *_changes(snapshot, choices, place, backup, sources),
            *scheduled,
        ),
        stages=tuple(stages),
        undo=(*undone, Stage(id="remove", title="Remove the copy", steps=(remove,))),
        impact=Impact(
            danger=Danger.DESTROY if _goes(snapshot, choices, place) else Danger.WRITE,
            duration="as long as the copies take: bytes, rate and time left are shown",
            undo=f"removes the copy {place.file(backup)}"
            + (", and the schedule" if scheduled else "")
            + ("; older backups that were removed do not come back" if choices.keep else ""),
            notes=_notes(snapshot, choices, sources),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _manifest(snapshot: Snapshot, choices: BackupChoices, backup: str, seal: Seal) -> Manifest:
    why = available(snapshot)
    left_out = [f"{name}: {words}" for name, words in why.items() if words]
    left_out += [f"{n}: not chosen" for n, words in why.items() if not words and n not in choices.what]  # fmt: skip
    return Manifest(
        backup=backup,
        cluster=snapshot.cluster,
        machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        versions=Versions(
            wizard=__version__,
            deis=release_of(snapshot)[0] or "",
            etcd=snapshot.etcd.version or "",
            hosts=tuple(f"{h.name}: {h.os_release}" for h in snapshot.hosts),
        ),
        seal=seal,
        began_at=snapshot.taken_at,
        left_out=tuple(left_out),
    )


def _guards(
    snapshot: Snapshot, choices: BackupChoices, sources: Sequence[Source]
) -> tuple[Step, ...]:
    steps: list[Step] = []
    needs_ceph = any(source.kind in ("bucket", "volume") for source in sources)
    admin = admin_host(snapshot)
    if needs_ceph and admin is not None and not choices.despite_ceph:
        steps.append(
            GuardStep(
                id="guard:ceph",
                title="Ceph is healthy",
                host=admin.name,
                condition=CommandSays(host=admin.name, command=CEPH, pattern=r"^HEALTH_OK"),
                otherwise="Ceph is not healthy: a copy may hang or miss objects. Mend it first, or "
                "choose to go on although it is not healthy",
            )
        )
    for source in sources:
        if isinstance(source, VolumeSource):
            steps.append(
                GuardStep(
                    id="guard:mount",
                    title=f"{source.path} is a Ceph mount",
                    host=source.host,
                    condition=CommandSays(
                        host=source.host, command=mount_check(source.path), pattern=""
                    ),
                    otherwise=f"{source.path} on {source.host} is no Ceph mount: an empty folder "
                    "would be copied. Look at deis-store-volume there, or leave the volume out",
                )
            )
    for host in dict.fromkeys(s.host for s in sources if isinstance(s, DatabaseSource)):
        steps.append(
            GuardStep(
                id=f"guard:room:{host}",
                title="room on the database's host",
                host=host,
                condition=DiskRoom(host=host, path="/", needed=HOST_ROOM),
                otherwise=f"less than 256 MB are free on {host}: its database cannot go on writing "
                "while it is read. Free some space there first",
            )
        )
    return tuple(steps)


def _begin(
    common: dict[str, object], manifest: Manifest, sources: Sequence[Source]
) -> tuple[Step, ...]:
    begin = BackupTaskStep.model_validate(
        {
            **common,
            "id": "begin",
            "title": "files can be written there",
            "task": "begin",
            "manifest": manifest,
            "danger": Danger.WRITE,
        }
    )
    room = BackupTaskStep.model_validate(
        {
            **common,
            "id": "room",
            "title": "measure, and compare with the room there",
            "task": "room",
            "sources": sources,
            "passphrase": "",
            "needs": ("begin",),
            "timeout": 600,
        }
    )
    return begin, room


def _copies(common: dict[str, object], sources: Sequence[Source]) -> tuple[Step, ...]:
    """One after the other: heavy transfers overload the gateway (deis-facts 6)."""
    return tuple(
        BackupStep.model_validate(
            {
                **common,
                "id": f"copy:{source.name}",
                "title": f"copy {source.name}",
                "host": host_of(source),
                "source": source,
                "danger": Danger.WRITE,
                "timeout": HOURS,
            }
        )
        for source in sources
    )


def _reads(common: dict[str, object], sources: Sequence[Source]) -> tuple[Step, ...]:
    return tuple(
        BackupTaskStep.model_validate(
            {
                **common,
                "id": f"verify:{source.name}",
                "title": f"read {source.name} again",
                "task": "verify",
                "part": source.name,
                "timeout": HOURS,
            }
        )
        for source in sources
    )


def _finish(
    common: dict[str, object], manifest: Manifest, choices: BackupChoices
) -> tuple[Step, ...]:
    common = {**common, "passphrase": "", "danger": Danger.WRITE}
    finish = BackupTaskStep.model_validate(
        {**common, "id": "finish", "title": "write the manifest", "task": "finish"}
    )
    if not choices.keep:
        return (finish,)
    keep = BackupTaskStep.model_validate(
        {
            **common,
            "id": "keep",
            "title": f"keep the {counted(choices.keep, 'newest verified backup')}",
            "task": "keep",
            "manifest": manifest,
            "keep": choices.keep,
            "needs": ("finish",),
            "danger": Danger.DESTROY,
        }
    )
    return finish, keep


def _goes(snapshot: Snapshot, choices: BackupChoices, place: Place) -> tuple[str, ...]:
    """The backups at that place which retention will remove, as far as this machine knows."""
    if not choices.keep:
        return ()
    there = [fact for fact in known_backups(snapshot) if fact.place == place]
    return tuple(fact.backup for fact in there[choices.keep - 1 :])


def _changes(
    snapshot: Snapshot,
    choices: BackupChoices,
    place: Place,
    backup: str,
    sources: Sequence[Source],
) -> tuple[Change, ...]:
    end = SEALED if choices.encryption != "none" else ""
    made = tuple(
        Change(
            where=source.name,
            current=None,
            desired=place.file(backup, f"{source.file}{end}"),
            steps=(f"copy:{source.name}", f"verify:{source.name}", "finish"),
        )
        for source in sources
    )
    at = {fact.backup: fact.verified_at for fact in snapshot.backups}
    gone = tuple(
        Change(
            where=place.file(name),
            current=f"verified {at_time(at.get(name))}",
            desired=None,
            steps=("keep",),
        )
        for name in _goes(snapshot, choices, place)
    )
    return (*made, *gone)


def _notes(
    snapshot: Snapshot, choices: BackupChoices, sources: Sequence[Source]
) -> tuple[str, ...]:
    notes = [UNCHANGED, "everything goes through this machine in streams; the hosts store nothing"]
    if choices.encryption == "none":
        notes.append("not encrypted: whoever reads the copy has the cluster's secrets")
    elif choices.encryption == "passphrase":
        notes.append(
            "the passphrase is kept nowhere: without it the backup cannot be opened. Prove afterwards that "
            "you have it: deiswizard restore last --check"
        )
    else:
        notes.append("only the recipient's private key opens it: prove once that you have that key")
    if admin_host(snapshot) is None and any(s.kind in ("bucket", "volume") for s in sources):
        notes.append("Ceph's health cannot be asked: store-admin does not run")
    elif choices.despite_ceph:
        notes.append("you chose to go on although Ceph is not healthy")
    if any(isinstance(source, BucketSource) for source in sources):
        notes.append(
            "heavy transfers load the store gateway: deisctl scale store-gateway=2 helps a busy cluster"
        )
    why = available(snapshot)
    notes += [f"without {name}: {why[name] or 'not chosen'}" for name in why if name not in choices.what]  # fmt: skip
    if choices.schedule != "none":
        notes.append(
            "the schedule runs without you: the SSH key must be usable without an agent or passphrase"
        )
    if choices.schedule == "timer" and choices.here is not None and not choices.here.is_root:
        notes.append("the timer runs while you are logged in; always: loginctl enable-linger")
    return tuple(notes)
