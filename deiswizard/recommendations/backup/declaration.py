"""6. Backing up data: copies of what the cluster keeps, off the cluster, encrypted, proven."""

from __future__ import annotations

import re
from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.local_files import absolute, read_file
from deiswizard.recommendations.backup import schedule as backup_schedule
from deiswizard.recommendations.backup.assess import assess
from deiswizard.recommendations.backup.facts import (
    PASSPHRASE,
    S3_URL,
    TIME,
    BackupChoices,
    available,
    ceph_health,
    questions,
)
from deiswizard.recommendations.backup.form import FIELDS
from deiswizard.recommendations.backup.plan import place_of, plan
from deiswizard.recommendations.base import Problem, Recommendation
from deiswizard.run.events import Check
from deiswizard.wording import in_bytes

FOLDER = "~/deiswizard-backups"
URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?/?")
SHORTEST = 12
"""Characters of a passphrase."""


def defaults(snapshot: Snapshot) -> BackupChoices:
    """All that there is, into a folder of this machine."""
    what = tuple(name for name, why in available(snapshot).items() if not why)
    return BackupChoices(what=what, folder=FOLDER)


def read(choices: BackupChoices) -> tuple[BackupChoices, tuple[Problem, ...]]:
    """The recipient's key file, and this machine where a schedule is wanted."""
    filled: dict[str, Any] = {}
    problems: list[Problem] = []
    if choices.encryption == "recipient" and choices.recipient:
        content, problem = read_file("recipient", choices.recipient)
        if content is None:
            problems += [problem] if problem else []
        else:
            key, problem = _recipient(choices.recipient, content)
            problems += [problem] if problem else []
            filled = {"recipient": absolute(choices.recipient), "recipient_key": key}
    if choices.schedule != "none":
        filled["here"] = backup_schedule.read_here()
    return choices.model_copy(update=filled), tuple(problems)


def _recipient(path: str, content: bytes) -> tuple[str, Problem | None]:
    from deiswizard.backup.sealing import recipient_of

    text = content.decode("utf-8", "replace")
    try:
        recipient_of(text)
    except ValueError as error:
        what = f"{path}: {error}"
        if b"PRIVATE KEY" in content:
            what = f"{path}: it is a private key; keep it away from here, and choose the public one"
        allowed = "an X25519 public key in PEM: openssl pkey -in backup.key -pubout"
        return "", Problem(field="recipient", what=what, allowed=allowed)
    return text, None


def check_choices(snapshot: Snapshot, choices: BackupChoices) -> tuple[Problem, ...]:
    """What cannot work, and what might not."""
    problems: list[Problem] = []

    def wrong(field: str, what: str, allowed: str = "", blocks: bool = True) -> None:
        problems.append(Problem(field=field, what=what, allowed=allowed, blocks=blocks))

    why = available(snapshot)
    if not choices.what:
        wrong("what", "nothing is chosen", ", ".join(name for name in why if not why[name]))
    for name in choices.what:
        if why[name]:
            wrong("what", f"{name} cannot be copied: {why[name]}")
    if choices.what and not why["etcd"] and "etcd" not in choices.what:
        wrong("what", "without etcd the restored cluster gets new secret keys: every session and "
              "every builder key of the old one is void", blocks=False)  # fmt: skip
    _check_place(choices, wrong)
    _check_seal(choices, wrong)
    health = ceph_health(snapshot)
    if health and not health.startswith("HEALTH_OK") and not choices.despite_ceph:
        wrong(
            "despite_ceph",
            f"Ceph is not healthy ({health.splitlines()[0]}): the run would stop at its guard",
            "mend Ceph, or choose to go on",
        )
    if choices.schedule != "none":
        _check_schedule(choices, wrong)
    return tuple(problems)


def _check_place(choices: BackupChoices, wrong: Any) -> None:
    if choices.where == "folder":
        folder = choices.folder.strip()
        if not folder:
            wrong("folder", "no folder is named", f"a path such as {FOLDER}")
        elif "\n" in folder or absolute(folder) == "/":
            wrong("folder", f"'{folder}' cannot be used", f"a path such as {FOLDER}")
        return
    if not S3_URL.fullmatch(choices.bucket.strip()):
        wrong("bucket", f"'{choices.bucket}' names no bucket", "s3://bucket or s3://bucket/prefix")
    endpoint = choices.endpoint.strip()
    if endpoint and not URL.fullmatch(endpoint):
        wrong("endpoint", f"'{endpoint}' is not the URL of a store", "https://host or https://host:port")  # fmt: skip
    elif endpoint.startswith("http://"):
        wrong("endpoint", "plain http: who listens on the way reads along", blocks=False)


def _check_seal(choices: BackupChoices, wrong: Any) -> None:
    typed = choices.backup_passphrase.get_secret_value()
    if choices.encryption == "none":
        wrong(
            "encryption",
            "the copy holds password hashes, SSH keys and TLS keys, and will not be encrypted",
            blocks=False,
        )
    elif choices.encryption == "passphrase":
        if not typed:
            wrong(PASSPHRASE, "no passphrase was given", f"{SHORTEST} characters or more")
        elif len(typed) < SHORTEST:
            wrong(PASSPHRASE, "the passphrase is too short", f"{SHORTEST} characters or more")
    elif not choices.recipient.strip():
        wrong("recipient", "no public key file is named", "an X25519 public key in PEM")


def _check_schedule(choices: BackupChoices, wrong: Any) -> None:
    if not TIME.fullmatch(choices.schedule_at.strip()):
        wrong("schedule_at", f"'{choices.schedule_at}' is no time of day", "00:00 to 23:59")
    if choices.encryption == "passphrase":
        wrong(
            "schedule",
            "nobody is there at night to type the passphrase",
            "none, or encryption for a recipient's key",
        )
    here = choices.here
    if here is not None and choices.schedule == "timer" and not here.has_systemd:
        wrong("schedule", "this machine does not run systemd", "cron, or none")
    if here is not None and choices.schedule == "cron" and not here.has_cron:
        wrong("schedule", "this machine has no crontab command", "timer, or none")


def verify(before: Snapshot, after: Snapshot, choices: BackupChoices) -> tuple[Check, ...]:
    """The backup is remembered as verified, is newer than the look before, and has all parts."""
    place = place_of(choices)
    made = [
        fact
        for fact in after.backups
        if fact.place == place
        and after.is_of(fact.cluster, fact.machines)
        and fact.verified_at >= before.taken_at
    ]
    if not made:
        return (
            Check(
                title="a verified backup of now is there",
                ok=False,
                evidence=f"none at {place.text}",
            ),
        )
    newest = made[0]
    missing = [name for name in choices.what if name not in newest.parts]
    there = {True: "its manifest is there", None: "in the bucket", False: "its manifest is gone"}
    return (
        Check(
            title="a verified backup of now is there",
            ok=newest.is_there is not False,
            evidence=f"{newest.place.file(newest.backup)}, {in_bytes(newest.bytes)}; "
            f"{there[newest.is_there]}",
        ),
        Check(
            title="it holds all that was chosen",
            ok=not missing,
            evidence=f"without {', '.join(missing)}" if missing else ", ".join(newest.parts),
        ),
    )


RECOMMENDATION = Recommendation(
    id="backup",
    number=6,
    title="Backing up data",
    why="Copies the database, the images, the logs and the settings off the cluster, and proves the "
    "copies. What wal-e saves by itself lies on the same cluster.",
    doc="Production deployments, Backing up data",
    choices=BackupChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    questions=questions,
    read=read,
    suggested={"encryption": "passphrase"},
    secrets=lambda choices: {PASSPHRASE: choices.backup_passphrase},
    fingerprints=lambda choices: (
        {"the recipient's public key": _digest(choices.recipient_key)}
        if choices.recipient_key
        else {}
    ),
)


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()
