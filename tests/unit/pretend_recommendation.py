"""A recommendation of every new kind of field: a key file, a typed token, a flag."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import Field, SecretStr

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.local_files import absolute, read_file
from deiswizard.plan.plan import Basis, Change, Impact, Plan, Stage
from deiswizard.plan.step import WriteKeyStep
from deiswizard.recommendations.base import (
    Assessment,
    Choices,
    FormField,
    Problem,
    Recommendation,
)
from deiswizard.run.events import Check
from deiswizard.vocabulary import Danger, Status

TOKEN, KEY = "/deis/logs/drain", "/deis/router/sslKey"


class SealedChoices(Choices):
    """``content`` is what the file holds."""

    key_file: str = ""
    drain_token: SecretStr = SecretStr("")
    quietly: bool = False
    content: SecretStr | None = Field(default=None, exclude=True, repr=False)


def read(choices: SealedChoices) -> tuple[SealedChoices, tuple[Problem, ...]]:
    if not choices.key_file:
        return choices, ()
    content, problem = read_file("key_file", choices.key_file)
    if content is None:
        return choices, (problem,) if problem else ()
    filled = {"key_file": absolute(choices.key_file), "content": SecretStr(content.decode())}
    warning = Problem(field="key_file", what="it is short", blocks=False)
    return choices.model_copy(update=filled), (warning,) if len(content) < 9 else ()


def secrets(choices: SealedChoices) -> Mapping[str, SecretStr]:
    found = {"drain-token": choices.drain_token}
    return found | ({"ssl-key": choices.content} if choices.content else {})


def fingerprints(choices: SealedChoices) -> Mapping[str, str]:
    if choices.content is None:
        return {}
    return {"the key file": hashlib.sha256(choices.content.get_secret_value().encode()).hexdigest()}


def check_choices(snapshot: Snapshot, choices: SealedChoices) -> tuple[Problem, ...]:
    if choices.drain_token.get_secret_value():
        return ()
    return (Problem(field="drain_token", what="a token is needed"),)


def plan(snapshot: Snapshot, choices: SealedChoices) -> Plan:
    write = Danger.WRITE
    steps = [
        WriteKeyStep(
            id="token", title="token", key=TOKEN, value="${secret:drain-token}", danger=write
        )
    ]
    if choices.content is not None:
        steps.append(
            WriteKeyStep(id="key", title="key", key=KEY, value="${secret:ssl-key}", danger=write)
        )
    return Plan(
        recommendation="sealed",
        title="Sealed things",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(Change(where=s.key, current=None, desired="(not shown)", steps=(s.id,)) for s in steps),
        stages=(Stage(id="write", title="Write", steps=tuple(steps)),),
        impact=Impact(danger=write),
        basis=Basis(taken_at=snapshot.taken_at),
    )  # fmt: skip


def verify(before: Snapshot, after: Snapshot, choices: SealedChoices) -> tuple[Check, ...]:
    """The keys hold what the choices say."""
    wanted = {TOKEN: choices.drain_token} | ({KEY: choices.content} if choices.content else {})
    return tuple(
        Check(
            title=f"{key} is set",
            ok=(fact := after.key(key)) is not None and fact.text == secret.get_secret_value(),
        )
        for key, secret in wanted.items()
    )


SEALED = Recommendation(
    id="sealed",
    number=9,
    title="Sealed things",
    why="for tests",
    doc="docs/sealed.md",
    choices=SealedChoices,
    fields=(
        FormField("key_file", "Key file", "path", explain="PEM text, readable by you alone"),
        FormField("drain_token", "Token of the drain", "secret"),
        FormField("quietly", "Tell nobody", "flag", explain="no message is sent"),
    ),
    assess=lambda snapshot: Assessment(recommendation="sealed", status=Status.TO_DO, now="open"),
    defaults=lambda snapshot: SealedChoices(),
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    read=read,
    secrets=secrets,
    fingerprints=fingerprints,
)
