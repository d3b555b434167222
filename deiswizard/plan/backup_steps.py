"""Steps of a backup: what is copied from the cluster to this machine or a bucket, and back."""

from __future__ import annotations

import shlex
from typing import Literal

from deiswizard.backup.data import (
    SEALED,
    BucketSource,
    DatabaseSource,
    Manifest,
    Part,
    Place,
    Seal,
    Source,
    VolumeSource,
)
from deiswizard.plan.step_base import StepBase


class _Backup(StepBase):
    """``backup`` is the name of its folder at ``place``. ``passphrase`` holds ``${secret:NAME}``."""

    place: Place
    backup: str
    seal: Seal = Seal()
    passphrase: str = ""


class BackupStep(_Backup):
    """One source copied, in a stream; what is whole from an earlier attempt is not copied again."""

    kind: Literal["backup"] = "backup"
    source: Source


Task = Literal["begin", "room", "verify", "finish", "keep", "remove"]


class BackupTaskStep(_Backup):
    """What a backup needs besides its copies.

    ``begin`` proves that files can be written there, and makes the folder; ``room`` measures the
    ``sources`` and compares; ``verify`` reads every file of ``part`` again; ``finish`` writes the
    manifest and remembers the backup; ``keep`` removes verified ones beyond ``keep``; ``remove``
    removes this one. ``manifest`` is what is known of it beforehand.
    """

    kind: Literal["backup-task"] = "backup-task"
    task: Task
    manifest: Manifest | None = None
    sources: tuple[Source, ...] = ()
    part: str = ""
    keep: int = 0


class RestoreStep(_Backup):
    """One part of a backup written back, read and checked on the way.

    ``to`` is where: ``check`` (nowhere: only read), ``etcd``, ``bucket``, ``volume``, ``database``.
    ``keys`` are the etcd keys to write; ``private_key`` the file that opens what was sealed for a
    recipient. Where the store gateway is, etcd tells when the step is done. ``host`` is the one that
    is written to, or gone through.
    """

    kind: Literal["restore"] = "restore"
    part: Part
    to: Literal["check", "etcd", "bucket", "volume", "database"]
    keys: tuple[str, ...] = ()
    private_key: str = ""


def _into(step: _Backup, file: str) -> str:
    """Where a source's bytes go, as a shell would write it."""
    name = step.place.file(step.backup, f"{file}{SEALED}" if step.seal.how != "none" else file)
    sealed = "" if step.seal.how == "none" else f"   # encrypted ({step.seal.how})"
    if step.place.kind == "folder":
        return f"> {shlex.quote(name)}{sealed}"
    return f"| aws s3 cp - {shlex.quote(name)}{sealed}"


def shown_backup(step: BackupStep) -> str:
    """The command that copies the same."""
    source = step.source
    match source:
        case DatabaseSource():
            return (
                f"docker exec deis-database sudo -u postgres pg_dumpall {_into(step, source.file)}"
            )
        case VolumeSource():
            folder, _, name = source.path.rpartition("/")
            return f"sudo tar -cf - -C {folder} {name} {_into(step, source.file)}"
        case BucketSource():
            gateway = f"{source.gateway}:{source.port}"
            where = shlex.quote(step.place.file(step.backup, source.name))
            sealed = "" if step.seal.how == "none" else f"   # encrypted ({step.seal.how})"
            return (
                f"s3cmd --no-ssl --host={gateway} --host-bucket={gateway} "
                f"sync s3://{source.bucket} {where}{sealed}"
            )
        case _:
            ask = "; ".join(
                f"curl -s 'http://127.0.0.1:2379/v2/keys{prefix}?recursive=true'"
                for prefix in source.prefixes
            )
            return f"{{ {ask}; }} {_into(step, source.file)}"


def shown_task(step: BackupTaskStep) -> str:
    """What it does, as a command where there is one."""
    where = shlex.quote(step.place.file(step.backup))
    match step.task:
        case "begin" if step.place.kind == "folder":
            return f"mkdir -p -m 0700 {where}"
        case "begin":
            return f"aws s3 ls {where}/"
        case "room" if step.place.kind == "folder":
            return f"df -P {shlex.quote(step.place.path)}"
        case "room":
            return "measure what will be copied"
        case "verify":
            return f"read {where} again: {step.part}"
        case "finish":
            return f"write {where}/manifest.json"
        case "keep":
            return f"remove all but the newest {step.keep} verified backups in {step.place.text}"
        case _:
            return f"rm -r {where}" if step.place.kind == "folder" else f"aws s3 rm -r {where}"


def shown_restore(step: RestoreStep) -> str:
    """The command that writes the same back."""
    file = shlex.quote(step.place.file(step.backup, step.part.file.name))
    source = step.part.source
    match step.to:
        case "check":
            return f"sha256sum {file}"
        case "etcd":
            return f"etcdctl set KEY VALUE   # {len(step.keys)} keys of {file}"
        case "volume":
            return f"sudo tar -xf - -C /var/lib/deis < {file}"
        case "database":
            return f"docker exec -i deis-database sudo -u postgres psql -X -q < {file}"
        case _:
            bucket = source.bucket if isinstance(source, BucketSource) else ""
            where = shlex.quote(step.place.file(step.backup, source.name))
            return f"s3cmd --no-ssl --host=GATEWAY:8888 sync {where} s3://{bucket}"
