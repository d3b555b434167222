"""The settings in etcd that make the platform use stores outside (deis-facts 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deiswizard.cluster.secret_keys import is_secret
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.backup.facts import GATEWAY_HOST, GATEWAY_PORT, REGISTRY_BUCKET
from deiswizard.recommendations.logs.choices import STORAGE_KEY, memory_value
from deiswizard.recommendations.logs.drain import KEY as DRAIN
from deiswizard.recommendations.settings import Setting
from deiswizard.recommendations.stateless.choices import keeps_password
from deiswizard.recommendations.stateless.facts import (
    ACCESS,
    DB_ENGINE,
    DB_HOST,
    DB_NAME,
    DB_PASSWORD,
    DB_PORT,
    DB_USER,
    ENGINE,
    GATEWAY,
    GATEWAY_ACCESS,
    GATEWAY_SECRET,
    PASSWORD,
    PLACEHOLDER,
    PLACEHOLDER_VALUE,
    REGISTRY,
    S3_ACCESS,
    S3_BUCKET,
    S3_ENCRYPT,
    S3_KEYS,
    S3_PATH,
    S3_REGION,
    S3_SECRET,
    S3_SECURE,
    SECRET,
    StatelessChoices,
    is_plain_gateway,
)

SWIFT = f"{REGISTRY}/swift"


def named(secret: str) -> str:
    """``${secret:NAME}``."""
    return f"${{secret:{secret}}}"


def registry_settings(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Setting, ...]:
    """What the registry's configuration and its create_bucket are made from, what goes away first."""
    wanted = _s3(choices) if choices.store == "s3" else _compatible(choices)
    absent = [
        Setting(key, None, is_secret=is_secret(key), stays=key == GATEWAY)
        for key in _others(snapshot, choices)
    ]
    kept = (
        {S3_ACCESS, S3_SECRET, GATEWAY_ACCESS, GATEWAY_SECRET} if choices.auth == "keep" else set()
    )
    folder = [] if is_plain_gateway(snapshot) and choices.store == "s3" else [
        Setting(PLACEHOLDER, PLACEHOLDER_VALUE, stays=is_plain_gateway(snapshot))
    ]  # fmt: skip
    return (
        *(_fleeting(snapshot, one) for one in absent if one.key not in kept),
        *folder,
        *(_fleeting(snapshot, one) for one in wanted),
    )


def _fleeting(snapshot: Snapshot, setting: Setting) -> Setting:
    """What a running component says of itself for 20 s is gone before anything is set."""
    fact = snapshot.key(setting.key)
    if fact is None or fact.ttl is None:
        return setting
    return replace(setting, is_fleeting=True)


def _s3(choices: StatelessChoices) -> list[Setting]:
    found = [
        Setting(S3_REGION, choices.region or None),
        Setting(S3_PATH, choices.path),
        Setting(S3_ENCRYPT, "true" if choices.encrypt else "false"),
        Setting(S3_SECURE, "true"),
    ]
    if choices.auth == "keys":
        found += [
            Setting(S3_ACCESS, named(ACCESS), "your access key", True),
            Setting(S3_SECRET, named(SECRET), "your secret key", True),
        ]
    return [*found, Setting(S3_BUCKET, choices.bucket)]


def _compatible(choices: StatelessChoices) -> list[Setting]:
    found = [
        Setting(REGISTRY_BUCKET, choices.bucket),
        Setting(GATEWAY_HOST, choices.store_host),
        Setting(GATEWAY_PORT, str(choices.store_port)),
    ]
    if choices.auth == "keys":
        found += [
            Setting(GATEWAY_ACCESS, named(ACCESS), "your access key", True),
            Setting(GATEWAY_SECRET, named(SECRET), "your secret key", True),
        ]
    return found


def _others(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[str]:
    """Keys that would make the registry take another store, or other keys than those that are chosen.

    S3's own win over Swift's, Swift's over the gateway's; but the gateway's keys win in create_bucket.
    """
    if choices.store == "s3":
        yield from (GATEWAY_ACCESS, GATEWAY_SECRET, GATEWAY_HOST, GATEWAY_PORT)
        if choices.auth == "role":
            yield from (S3_ACCESS, S3_SECRET)
    else:
        yield from S3_KEYS
        if is_plain_gateway(snapshot):
            yield GATEWAY
    yield from (fact.key for fact in snapshot.keys if fact.key.startswith(SWIFT))


def database_settings(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Setting, ...]:
    """What the controller's settings are made from; the host last, so that they never fit half."""
    found = [
        Setting(DB_ENGINE, ENGINE),
        Setting(DB_NAME, choices.database_name),
        Setting(DB_USER, choices.database_user),
    ]
    if not keeps_password(snapshot, choices):
        found.append(Setting(DB_PASSWORD, named(PASSWORD), "your password", True))
    found += [
        Setting(DB_PORT, str(choices.database_port)),
        Setting(DB_HOST, choices.database_host),
    ]
    return tuple(_fleeting(snapshot, one) for one in found)


def logs_settings(choices: StatelessChoices) -> tuple[Setting, ...]:
    """Lines in memory, and the drain if one was named."""
    found = [Setting(STORAGE_KEY, memory_value(choices.memory_lines))]
    if choices.drain:
        found.append(Setting(DRAIN, choices.drain))
    return tuple(found)
