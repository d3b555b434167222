"""Is a bucket good for the registry? Tried by doing what the registry does, in the way that it does it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deiswizard.backup import s3
from deiswizard.errors import ServiceError, StepError
from deiswizard.stores.bucket import Bucket

OLD_REGIONS = (
    "us-east-1", "us-west-1", "us-west-2", "eu-west-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1",
    "sa-east-1", "us-gov-west-1",
)  # fmt: skip
"""Those that were there before 2014, and so take signature version 2 (AWS General Reference, "Signature
Version 4 signing process"; deis-facts 3).
"""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]")
CONTENT = b"deiswizard tries whether the registry can work with this bucket\n"
RIGHTS = {
    "list": "s3:ListBucket",
    "put": "s3:PutObject",
    "get": "s3:GetObject",
    "delete": "s3:DeleteObject",
}
"""The rights that Deis's documentation gives the registry ("Running Deis without Ceph")."""


def bucket_problem(name: str) -> str:
    """Why the registry cannot work with a bucket of that name, one sentence; empty: it can."""
    if "." in name:
        return "the registry refuses a bucket with a '.' in its name"
    if not NAME.fullmatch(name):
        return "a bucket's name has 3 to 63 small letters, digits and '-'"
    return ""


def region_problem(region: str) -> str:
    """Why a region will hardly do, one sentence; empty: it takes what the registry signs."""
    if region in OLD_REGIONS:
        return ""
    return (
        f"{region} is none of the regions that take signature version 2, and the registry knows no other: "
        f"{', '.join(OLD_REGIONS[:4])} ..."
    )


def value_problem(name: str, value: str) -> str:
    """Why a value does not survive the registry's templates, one sentence; empty: it does.

    confd pastes it bare into YAML, and between single quotes into Python.
    """
    import yaml

    what = name.replace("_", " ")
    if any(char in value for char in "'\\") or not value.isprintable():
        return f"the {what} may hold neither ' nor \\ nor what cannot be printed"
    try:
        read = yaml.safe_load(f"a: {value}")
    except yaml.YAMLError:
        read = None
    if not isinstance(read, dict) or read.get("a") != value:
        return (
            f"the {what} would be read as something else where the registry's configuration is made (YAML "
            "without quotes)"
        )
    return ""


def try_bucket(client: Any, bucket: Bucket) -> int | None:
    """List, put, get and delete a small object below the registry's path; answers whether images are there.

    None: nothing is below the path yet; else the number of objects that the first page showed.

    Raises:
        StepError: the registry could not work with it; says why and what to do.
        ServiceError: the store does not answer. LinkError: the way to it.
    """
    key = f"{bucket.prefix}.deiswizard-trial-{secrets.token_hex(6)}"
    with _explained(bucket, "list"):
        page = client.list_objects(Bucket=bucket.bucket, Prefix=bucket.prefix)
    with _explained(bucket, "put"):
        client.put_object(Bucket=bucket.bucket, Key=key, Body=CONTENT, **bucket.put_options)
    try:
        with _explained(bucket, "get"):
            read = client.get_object(Bucket=bucket.bucket, Key=key)["Body"].read()
    finally:
        with _explained(bucket, "delete"):
            client.delete_object(Bucket=bucket.bucket, Key=key)
    if read != CONTENT:
        raise StepError(f"{bucket.text} gives back something else than was put there")
    found = [item for item in page.get("Contents", ()) if "/.deiswizard-trial-" not in f"/{item['Key']}"]  # fmt: skip
    return len(found) or None


@contextmanager
def _explained(bucket: Bucket, action: str) -> Iterator[None]:
    """The store's refusal in words, and what to do."""
    try:
        with s3.said(f"{bucket.text} cannot be used ({action})"):
            yield
    except ServiceError as error:
        code = error.said.partition(":")[0]
        raise _reason(bucket, action, code, error) from None


def _reason(
    bucket: Bucket, action: str, code: str, error: ServiceError
) -> StepError | ServiceError:
    said = error.said
    if "AWS4-HMAC-SHA256" in said or "authorization mechanism" in said:
        return StepError(
            f"{bucket.text} takes only requests that are signed in version 4, and the registry of Deis signs in "
            "version 2",
            said=said,
            do="use a bucket that was made before June 2020 in an old region, or a store that speaks S3 in "
            "the old way",
        )
    match code:
        case "NoSuchBucket" | "404":
            return StepError(
                f"there is no bucket {bucket.bucket}",
                said=said,
                do="make it first, in its region: the registry would make it where it should not be",
            )
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch":
            return StepError(
                f"{bucket.text} does not know these keys", said=said, do="look at both"
            )
        case "AccessDenied" | "403" | "Forbidden":
            return StepError(
                f"these keys may not {action} in {bucket.text}",
                said=said,
                do=f"give them {RIGHTS[action]} (Deis's documentation has the whole policy)",
            )
        case (
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "301"
            | "307"
            | "AuthorizationHeaderMalformed"
        ):
            return StepError(
                f"the bucket {bucket.bucket} is in another region than where it is looked for",
                said=said,
                do="its name leads to its region some hours after it was made: try again then",
            )
        case "RequestTimeTooSkewed":
            return StepError(
                "this machine's clock is wrong", said=said, do="set it, then try again"
            )
    return error
