"""Steps about stores outside the cluster: tried, filled from the cluster's own, compared with them.

The way to them leads through ``host``, one of the control plane's: what runs there will go the same
way. They hold no secret: ``access``, ``secret`` and ``password`` name one (``${secret:NAME}``), or the etcd
key that holds it (``etcd:/deis/...``).
"""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from deiswizard.backup.data import BucketSource
from deiswizard.plan.quoting import SECRET
from deiswizard.plan.step_base import StepBase
from deiswizard.stores.bucket import Bucket
from deiswizard.stores.database import DatabaseAddress
from deiswizard.stores.database_copy import BEGIN, COMMIT, OWN, dump_command, load_words

FROM_ETCD = "etcd:"
Task = Literal["try", "copy", "compare"]


def _is_named(value: str) -> str:
    if value and not value.startswith(FROM_ETCD) and not SECRET.fullmatch(value):
        raise ValueError("a secret is named, it does not stand in a step")
    return value


class BucketStep(StepBase):
    """The registry's bucket: tried as the registry will use it, filled, or compared with the cluster's.

    Without ``access`` the instance role of ``host`` is used. ``source`` is the gateway's bucket, for
    ``copy`` and ``compare``; ``copy`` sends only what the bucket has not got yet. ``must_hold``, for ``try``:
    there must be images already.
    """

    kind: Literal["store-bucket"] = "store-bucket"
    task: Task
    bucket: Bucket
    access: str = ""
    secret: str = ""
    source: BucketSource | None = None
    must_hold: bool = False

    _access_is_named = field_validator("access", "secret")(_is_named)

    @property
    def name(self) -> str:
        """What the pane calls it."""
        return "registry"


class DatabaseStep(StepBase):
    """The controller's database: tried as the controller will use it, filled, or compared with the cluster's.

    ``source_host`` is where the cluster's own runs, ``source`` its name there. ``must_be``, for
    ``try``: without tables, or with Deis's.
    """

    kind: Literal["store-database"] = "store-database"
    task: Task
    address: DatabaseAddress
    password: str
    source_host: str = ""
    source: str = "deis"
    must_be: Literal["empty", "deis", "either"] = "either"

    _password_is_named = field_validator("password")(_is_named)

    @property
    def name(self) -> str:
        """What the pane calls it."""
        return "database"


StoreStep = BucketStep | DatabaseStep


def shown_store(step: StoreStep) -> str:
    """The commands that do about the same; passwords and keys come from the environment there."""
    match step:
        case BucketStep():
            return _shown_bucket(step)
        case DatabaseStep():
            return _shown_database(step)


def _shown_bucket(step: BucketStep) -> str:
    bucket = step.bucket
    where = f"s3://{bucket.bucket}/{bucket.prefix}"
    options = ["--signature-v2"]
    if bucket.kind == "compatible":
        at = f"{bucket.host}:{bucket.port}"
        options += ["--no-ssl", f"--host={at}", f"--host-bucket={at}"]
    elif bucket.encrypt:
        options.append("--server-side-encryption")
    words = f"s3cmd {' '.join(options)}"
    if step.source is None or step.task == "try":
        return f"{words} ls {where}; put, get and del a small object there"
    source = f"{step.source.gateway}:{step.source.port}"
    get = f"s3cmd --no-ssl --host={source} --host-bucket={source} sync s3://{step.source.bucket}/registry/ FOLDER"  # fmt: skip
    if step.task == "copy":
        return f"{get}; {words} sync FOLDER {where}   # in a stream, no FOLDER is needed"
    return f"{words} ls -r --list-md5 {where}   # compared with the same of {source}"


def _shown_database(step: DatabaseStep) -> str:
    at = step.address
    psql = f"psql -h {at.host} -p {at.port} -U {at.user} -d {at.name}"
    match step.task:
        case "try":
            return f"{psql} -c 'select version()'; create and drop a table there"
        case "copy":
            dump = f"echo '{BEGIN}'; {dump_command(step.source)} && echo '{COMMIT}'"
            return f"{{ {dump}; }} | {load_words(at)}   # in the container of deis-database"
        case "compare":
            return (
                f"count and hash the rows of every table: {OWN} psql -d {step.source}, and {psql}"
            )
