"""How a backup is asked: the fields of the form, and what each of them means."""

from __future__ import annotations

from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.backup.facts import PASSPHRASE, WHAT, available, ceph_health
from deiswizard.recommendations.base import FormField, Option

LABELS = {
    "database": (
        "database (pg_dumpall)",
        "Accounts, applications, releases, keys and settings, as SQL. It holds password hashes and "
        "the applications' own settings: encrypt it.",
    ),
    "registry": (
        "registry bucket",
        "The images of all applications, from the store gateway. Without them every application "
        "must be pushed again.",
    ),
    "db_wal": (
        "db_wal bucket (wal-e)",
        "wal-e's base backups and log segments. A new cluster restores its database from them by "
        "itself when it starts.",
    ),
    "volume": (
        "store volume (logs)",
        "The applications' logs, as a tar file. Files that change while they are read are normal.",
    ),
    "etcd": (
        "etcd (settings)",
        "All keys below /deis and /coreos.com/network, except those that expire by themselves. With "
        "the controller's secretKey the sessions and keys of a restored cluster stay valid. It holds "
        "every secret of the platform: encrypt it.",
    ),
}


def _what(snapshot: Snapshot) -> tuple[Option, ...]:
    why = available(snapshot)
    return tuple(
        Option(
            name,
            LABELS[name][0],
            explain=LABELS[name][1],
            warning=why[name],
            enabled=not why[name],
        )
        for name in WHAT
    )


WHERE = (
    Option(
        "folder",
        "a folder of this machine",
        recommended=True,
        explain="The folder is for you alone (0700), its files 0600. Each is written beside, and gets "
        "its name when it is whole.",
    ),
    Option(
        "s3",
        "an S3 bucket",
        explain="Needs boto3 (pip install 'deiswizard[s3]'). The credentials are found as the AWS tools "
        "find them: the environment, ~/.aws, or the machine's role. The bucket must be there; make it "
        "in another account or region than the cluster, with versioning.",
    ),
)

ENCRYPTION = (
    Option(
        "passphrase",
        "with a passphrase",
        recommended=True,
        explain="AES-256-GCM in chunks, the key by scrypt. The passphrase is kept nowhere: without it "
        "the backup is lost. A schedule cannot type it.",
    ),
    Option(
        "recipient",
        "for a recipient's key",
        explain="For an X25519 public key; only the private key opens it, and that need not be on this "
        "machine. Right for a schedule. Make one: openssl genpkey -algorithm X25519 -out backup.key; "
        "openssl pkey -in backup.key -pubout -out backup.pub",
    ),
    Option(
        "none",
        "none",
        explain="The files are as they are. They hold password hashes, SSH keys and TLS keys.",
        warning="whoever reads the copy has the cluster's secrets",
    ),
)

SCHEDULE = (
    Option(
        "timer",
        "a systemd timer",
        recommended=True,
        explain="A service and a timer of this machine that run deiswizard apply backup every day. "
        "The files stand in the preview.",
    ),
    Option(
        "cron",
        "a cron line",
        explain="A line in your crontab on this machine. It stands in the preview.",
    ),
    Option("none", "none", explain="Nothing is set up. A schedule that is there stays."),
)


def _s3(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return raw.get("where") == "s3"


def _is(field: str, *values: str) -> Any:
    return lambda _snapshot, raw: raw.get(field) in values


FIELDS = (
    FormField(
        "what",
        "What to copy",
        "many",
        "Everything is copied in streams over the SSH connection: nothing is written on the hosts.",
        options=_what,
    ),
    FormField("where", "Where to", "one", options=lambda snapshot: WHERE),
    FormField(
        "folder",
        "Folder",
        "path",
        "Each backup gets a folder of its own in it. Not on the cluster, and better not on this "
        "machine's only disk.",
        shown=_is("where", "folder"),
        placeholder="~/deiswizard-backups",
    ),
    FormField(
        "bucket",
        "Bucket",
        "text",
        "s3://bucket/prefix",
        shown=_s3,
        placeholder="s3://bucket/prefix",
    ),
    FormField(
        "endpoint",
        "Endpoint",
        "text",
        "The URL of a store other than Amazon's; empty for Amazon S3.",
        shown=_s3,
        placeholder="https://s3.example.com",
    ),
    FormField(
        "profile",
        "AWS profile",
        "text",
        "A profile in ~/.aws; empty for the usual credentials.",
        shown=_s3,
    ),
    FormField("encryption", "Encryption", "one", options=lambda snapshot: ENCRYPTION),
    FormField(
        PASSPHRASE,
        "Passphrase",
        "secret",
        "At least 12 characters. It is kept nowhere: without it the backup cannot be opened.",
        shown=_is("encryption", "passphrase"),
    ),
    FormField(
        "recipient",
        "Public key file",
        "path",
        "An X25519 public key in PEM.",
        shown=_is("encryption", "recipient"),
        placeholder="~/backup.pub",
    ),
    FormField(
        "keep",
        "Keep",
        "number",
        "How many verified backups of this cluster stay at that place, the new one included; 0: all. "
        "Older ones are removed after the new one was verified.",
    ),
    FormField(
        "despite_ceph",
        "Go on although Ceph is not healthy",
        "flag",
        "A backup of a Ceph that is not healthy may hang or miss objects; it may also be the last one.",
        shown=lambda snapshot, raw: (
            bool(ceph_health(snapshot)) and not ceph_health(snapshot).startswith("HEALTH_OK")
        ),
    ),
    FormField("schedule", "Every day", "one", options=lambda snapshot: SCHEDULE),
    FormField(
        "schedule_at",
        "At",
        "text",
        "Hour and minute of this machine's clock, such as 03:15.",
        shown=_is("schedule", "timer", "cron"),
        placeholder="03:15",
    ),
)
