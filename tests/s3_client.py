"""S3 as the owner of a store sees it: for tests that look behind everybody's back."""

from __future__ import annotations

from typing import Any


def owner(address: str) -> Any:
    """A client of the server at ``address:port`` who may do anything there."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=f"http://{address}", region_name="us-east-1",
        aws_access_key_id="lab", aws_secret_access_key="lab",
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )  # fmt: skip


def objects(client: Any, bucket: str) -> dict[str, bytes]:
    """All that a bucket holds."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
