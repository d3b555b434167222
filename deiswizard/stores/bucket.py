"""The registry's bucket outside the cluster, and a client that asks it exactly as the registry does.

The registry of Deis 1.13 signs in version 2 by boto 2 (deis/deis registry/templates): Amazon's by its own
name under s3.amazonaws.com and TLS, any other by plain HTTP with the bucket in the path.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, SecretStr

from deiswizard.backup.s3 import old_client
from deiswizard.cluster.access import HostAccess
from deiswizard.cluster.web import OpenTcp
from deiswizard.errors import StepError
from deiswizard.frozen import Frozen

AMAZON = "s3.amazonaws.com"
CEPH_PATH = "registry"
"""Where a registry on a gateway keeps its images: its path is fixed there."""

METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
"""The instance's role, in the first version of the service: boto 2 knows no other."""


class Bucket(Frozen):
    """Where images go. ``path`` and ``region`` mean something at Amazon's only, ``host`` and ``port`` elsewhere."""

    kind: Literal["s3", "compatible"] = "s3"
    bucket: str
    region: str = ""
    path: str = "/registry"
    encrypt: bool = True
    host: str = ""
    port: int = Field(default=80, ge=1, le=65535)

    @property
    def prefix(self) -> str:
        """What the keys of images begin with: ``registry/``; empty for the path ``/``."""
        path = self.path.strip("/") if self.kind == "s3" else CEPH_PATH
        return f"{path}/" if path else ""

    @property
    def url(self) -> str:
        """The store."""
        return f"https://{AMAZON}" if self.kind == "s3" else f"http://{self.host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """Where a host must reach it."""
        return (AMAZON, 443) if self.kind == "s3" else (self.host, self.port)

    @property
    def put_options(self) -> dict[str, str]:
        """What boto3 says with each object that is written, as the registry does."""
        is_encrypted = self.kind == "s3" and self.encrypt
        return {"ServerSideEncryption": "AES256"} if is_encrypted else {}

    @property
    def text(self) -> str:
        """As a person writes it."""
        where = "s3:/" if self.kind == "s3" else self.url
        return f"{where}/{self.bucket}/{self.prefix}".rstrip("/")


class Credentials(Frozen):
    """Keys of a store; ``token`` comes with those of a role."""

    access: SecretStr
    secret: SecretStr
    token: SecretStr | None = None


def role_credentials(host: HostAccess) -> Credentials:
    """The instance role's keys of now, as boto 2 on that host gets them.

    Raises:
        StepError: it is no EC2 instance, has no role, or demands the service's second version.
        LinkError: the host was not reached.
    """
    name = _metadata(host, "").split("\n")[0].strip()
    if not name:
        raise StepError(f"{host.name} has no instance role", do="give it a role, or use keys")
    try:
        said = json.loads(_metadata(host, name))
        return Credentials(
            access=SecretStr(said["AccessKeyId"]),
            secret=SecretStr(said["SecretAccessKey"]),
            token=SecretStr(said["Token"]),
        )
    except (ValueError, KeyError, TypeError):
        raise StepError(f"the role of {host.name} has no keys now", do="look at the role") from None


def _metadata(host: HostAccess, path: str) -> str:
    result = host.run(f"curl -sS -m 5 -w '\\n%{{http_code}}' {METADATA}{path}", timeout=30)
    body, _, status = result.out.rstrip("\n").rpartition("\n")
    if status == "401":
        raise StepError(
            f"{host.name} demands version 2 of the instance metadata service, which the registry does not know",
            do="set http-tokens to optional for its instances, or use keys",
        )
    if status == "404":
        raise StepError(f"{host.name} has no instance role", do="give it a role, or use keys")
    if not result.ok or status != "200":
        raise StepError(f"{host.name} is no EC2 instance: it has no instance role", do="use keys")
    return body


def client(bucket: Bucket, credentials: Credentials, open_to: OpenTcp) -> Any:
    """A boto3 client whose connections are channels of a host. Raises PreconditionError without boto3."""
    return old_client(
        bucket.url,
        credentials.access,
        credentials.secret,
        open_to,
        token=credentials.token,
        region=bucket.region,
        style="virtual" if bucket.kind == "s3" else "path",
    )
