"""Backups and files of this machine in the runbook: what a shell can do of them by hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from deiswizard.backup.data import BucketSource, DatabaseSource, VolumeSource
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep, RestoreStep
from deiswizard.plan.here_steps import HereFileStep, HereStep, shown_here_file
from deiswizard.plan.quoting import comment, heredoc, printf, word
from deiswizard.plan.step import as_run
from deiswizard.plan.user_data_step import UserDataStep, shown_user_data

On = Callable[[str, str], str]
"""The words that run a command on a host."""

END = "PostgreSQL database cluster dump complete"


def by_hand(
    step: BackupStep | BackupTaskStep | RestoreStep | HereStep | HereFileStep | UserDataStep,
    on: On,
    failed: str,
) -> Iterator[str]:
    """The lines that do a step; where a shell cannot, they stop and say so."""
    match step:
        case HereStep():
            yield f"{step.command} {failed}"
        case HereFileStep():
            yield from _file(step, failed)
        case UserDataStep() if step.edits.files:
            yield "stop 'user-data with the firewall is made by deiswizard alone: use deiswizard apply'"
        case UserDataStep():
            source = shlex.quote(step.source)
            changed = word(comment(f"{step.source} was changed since. Make a new plan"))
            yield f"sha256sum < {source} | grep -q '^{step.source_sha256}' || stop {changed}"
            yield f"{shown_user_data(step)} {failed}"
        case RestoreStep():
            yield f"stop {word(f'restoring {step.part.file.name} is done by deiswizard alone')}"
        case _ if step.seal.how != "none" or step.place.kind != "folder":
            yield "stop 'encryption and buckets are done by deiswizard alone: use deiswizard apply'"
        case BackupStep():
            yield from _copy(step, on, failed)
        case BackupTaskStep():
            yield from _task(step, failed)


def _file(step: HereFileStep, failed: str) -> Iterator[str]:
    if step.content is None:
        yield f"{shown_here_file(step)} {failed}"
        return
    command = f"install -D -m {step.mode:04o} /dev/stdin {shlex.quote(step.path)}"
    here = heredoc(step.content)
    if here is None:
        yield f"{printf(step.content)} | cat | {command} {failed}"
        return
    yield f"{command} {here[0]} {failed}"
    yield from here[1]


def _copy(step: BackupStep, on: On, failed: str) -> Iterator[str]:
    source = step.source
    name = shlex.quote(step.place.file(step.backup, source.file))
    match source:
        case DatabaseSource():
            command = "docker exec deis-database sudo -u postgres pg_dumpall"
            yield f"{on(source.host, command)} > {name} {failed}"
        case VolumeSource():
            folder, _, last = source.path.rpartition("/")
            yield "# tar ends with 1 when a file changed while it was read: that is normal"
            tar = as_run(f"tar -cf - -C {folder} {last} || [ $? -eq 1 ]", sudo=True)
            yield f"{on(source.host, tar)} > {name} {failed}"
        case BucketSource():
            words = f"the bucket {source.bucket} is copied by deiswizard, or by s3cmd as docs/backup.md has it"  # fmt: skip
            yield f"say {word(f'left out: {words}')}"
        case _:
            for number, prefix in enumerate(source.prefixes):
                ask = f"curl -sS 'http://127.0.0.1:2379/v2/keys{prefix}?recursive=true'"
                yield f"{on('', ask)} {'>>' if number else '>'} {name} {failed}"


def _task(step: BackupTaskStep, failed: str) -> Iterator[str]:
    folder = shlex.quote(step.place.file(step.backup))
    match step.task:
        case "begin":
            yield "umask 077"
            yield f"mkdir -p {folder} {failed}"
        case "room":
            yield f"df -h {shlex.quote(step.place.path)}"
        case "verify" if step.part == "database":
            name = shlex.quote(step.place.file(step.backup, "database.sql"))
            yield f"tail -n 20 {name} | grep -q {word(END)} {failed}"
        case "verify" if step.part == "volume":
            name = shlex.quote(step.place.file(step.backup, "volume.tar"))
            yield f"tar -tf {name} >/dev/null {failed}"
        case "verify" if step.part == "etcd":
            yield f"test -s {shlex.quote(step.place.file(step.backup, 'etcd.jsonl'))} {failed}"
        case "finish":
            yield f"(cd {folder} && sha256sum -- *.* > SHA256SUMS) {failed}"
        case "remove":
            yield f"rm -r -- {folder} {failed}"
        case _:
            yield "# nothing to do by hand"
