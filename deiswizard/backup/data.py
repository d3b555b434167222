"""What a backup is made of, as data: sources, the place, the seal, and the manifest."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from deiswizard.frozen import Frozen

MANIFEST = "manifest.json"
SEALED = ".sealed"
"""What the name of an encrypted file ends with."""


class DatabaseSource(Frozen):
    """Everything in the database on the cluster, as ``pg_dumpall`` prints it."""

    kind: Literal["database"] = "database"
    host: str

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        return "database"

    @property
    def file(self) -> str:
        """The name of the file in the backup."""
        return "database.sql"


class BucketSource(Frozen):
    """A bucket of the store gateway, object by object. ``through`` is the host to go through."""

    kind: Literal["bucket"] = "bucket"
    name: str
    bucket: str
    through: str
    gateway: str
    port: int = 8888

    @property
    def file(self) -> str:
        """The name of the index of its objects."""
        return f"{self.name}.jsonl"


class VolumeSource(Frozen):
    """The store volume (applications' logs), as a tar file."""

    kind: Literal["volume"] = "volume"
    host: str
    path: str = "/var/lib/deis/store"

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        return "volume"

    @property
    def file(self) -> str:
        """The name of the file in the backup."""
        return "volume.tar"


class EtcdSource(Frozen):
    """Settings in etcd, one JSON object a line; what expires by itself is left out."""

    kind: Literal["etcd"] = "etcd"
    prefixes: tuple[str, ...] = ("/deis", "/coreos.com/network")

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        return "etcd"

    @property
    def file(self) -> str:
        """The name of the file in the backup."""
        return "etcd.jsonl"


Source = Annotated[
    DatabaseSource | BucketSource | VolumeSource | EtcdSource, Field(discriminator="kind")
]


class Place(Frozen):
    """Where backups are kept: a folder of this machine (``path``), or an S3 bucket.

    ``endpoint`` is the URL of a store other than Amazon's; ``profile`` names one in the AWS
    configuration of this machine, where the credentials come from.
    """

    kind: Literal["folder", "s3"] = "folder"
    path: str = ""
    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    profile: str = ""

    @property
    def text(self) -> str:
        """As a person writes it."""
        if self.kind == "folder":
            return self.path
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def file(self, backup: str, name: str = "") -> str:
        """A file of a backup, as a person writes it."""
        return "/".join(part for part in (self.text, backup, name) if part)


class Seal(Frozen):
    """How files are encrypted. ``recipient`` is an X25519 public key in PEM."""

    how: Literal["none", "passphrase", "recipient"] = "none"
    recipient: str = ""


class StoredFile(Frozen):
    """A file of a backup. ``size`` and ``sha256`` are of what is stored, ``plain_*`` of what was read.

    ``count`` are keys, members of the tar file or objects; 0 where nothing is counted.
    """

    name: str
    size: int
    sha256: str
    plain_size: int
    plain_sha256: str
    count: int = 0


class ObjectLine(Frozen):
    """An object of a bucket in its index. ``stored`` is its file; ``etag`` as the gateway gave it."""

    key: str
    size: int
    etag: str
    stored: str
    stored_size: int
    sha256: str
    stored_sha256: str


class Part(Frozen):
    """One source that was copied whole. ``bytes`` are all that it takes up in the backup."""

    source: Source
    file: StoredFile
    bytes: int
    left_out: tuple[str, ...] = ()
    seconds: float = 0.0


class Versions(Frozen):
    """What made and what was copied."""

    wizard: str
    deis: str = ""
    etcd: str = ""
    hosts: tuple[str, ...] = ()


class Manifest(Frozen):
    """What a backup holds. Written last, after every file was read again and found right.

    ``machines`` are the machine ids of the cluster; ``verified_at`` in seconds since the epoch, 0: never.
    """

    version: Literal[1] = 1
    made_by: Literal["deiswizard"] = "deiswizard"
    backup: str
    cluster: str
    machines: tuple[str, ...]
    versions: Versions
    seal: Seal = Seal()
    began_at: float
    verified_at: float = 0.0
    parts: tuple[Part, ...] = ()
    left_out: tuple[str, ...] = ()
    how_verified: tuple[str, ...] = ()

    def part(self, name: str) -> Part | None:
        """The part of that name."""
        return next((part for part in self.parts if part.source.name == name), None)

    @property
    def bytes(self) -> int:
        """All that it takes up."""
        return sum(part.bytes for part in self.parts)


def backup_name(cluster: str, stamp: str, known: Collection[str] = ()) -> str:
    """The name of a backup's folder: ``deiswizard-prod-eu-20261123-031500``; with ``-2`` and so on when that is
    among the ``known`` ones, made in the same second.
    """
    name = f"{prefix_of(cluster)}{stamp}"
    others = (f"{name}-{number}" for number in range(2, len(known) + 2))
    return next(one for one in (name, *others) if one not in known)


def prefix_of(cluster: str) -> str:
    """What the names of all backups of a cluster begin with."""
    return f"deiswizard-{re.sub(r'[^A-Za-z0-9.-]+', '_', cluster) or 'cluster'}-"


def object_file(source: str, key: str) -> str:
    """Where an object's bytes are kept.

    By a digest of its key: a key may be longer than a file name, begin with ``/``, hold ``..``,
    or name both a file and a folder. The index tells which is which.
    """
    import hashlib

    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{source}/{digest[:2]}/{digest}"
