"""Steps: one thing done on one host, as data.

A step is what the preview shows and what the runner runs: ``shown`` is the only text of it.
Secrets never stand in a step. Where one is needed, ``stdin``, ``content`` or ``value`` holds
``${secret:NAME}``, which the runner replaces at the last moment; commands may not hold one,
because argv can be read by everybody on the host.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Literal

from pydantic import Field, model_validator

from deiswizard.frozen import Frozen
from deiswizard.plan.conditions import CommandSays, Condition, DiskRoom, ImagePresent, KeyIs
from deiswizard.vocabulary import Danger

SECRET = re.compile(r"\$\{secret:([A-Za-z0-9_./-]+)\}")
"""The place of a secret in a text."""


class _StepBase(Frozen):
    """What all steps have.

    ``host`` is empty for a step that concerns the cluster (an etcd key). ``needs`` names steps of
    the same stage that must be done first. ``timeout`` in seconds. ``undo`` says in words how it
    is taken back, or that it cannot be.
    """

    id: str
    title: str
    host: str = ""
    danger: Danger = Danger.READ
    needs: tuple[str, ...] = ()
    timeout: float = 60.0
    undo: str = ""


class CommandStep(_StepBase):
    """A command run by the host's ``sh``.

    ``progress`` names a reader of its output in ``run/progress.py`` (``preseed``), if any.
    """

    kind: Literal["command"] = "command"
    command: str
    sudo: bool = False
    stdin: str = ""
    progress: str = ""

    @model_validator(mode="after")
    def _no_secret_in_argv(self) -> CommandStep:
        if SECRET.search(self.command):
            raise ValueError("a secret may not stand in a command; use stdin")
        return self


class UploadStep(_StepBase):
    """A file put on a host. ``expect`` is the sha256 it replaces, empty: it must not exist."""

    kind: Literal["upload"] = "upload"
    path: str
    content: str
    mode: int = 0o644
    sudo: bool = False
    expect: str | None = None


class WriteKeyStep(_StepBase):
    """An etcd key set. ``expect`` is the modifiedIndex it must still have, 0: absent, None: any."""

    kind: Literal["write-key"] = "write-key"
    key: str
    value: str
    expect: int | None = None


class RemoveKeyStep(_StepBase):
    """An etcd key removed. ``expect`` as in WriteKeyStep."""

    kind: Literal["remove-key"] = "remove-key"
    key: str
    expect: int | None = None


class PullStep(_StepBase):
    """An image pulled by the host's Docker engine, asked through its API, then inspected."""

    kind: Literal["pull"] = "pull"
    image: str


class WaitStep(_StepBase):
    """A condition awaited: polled every ``interval`` seconds for ``timeout`` seconds at most.

    ``waiting_for`` finishes the sentence "waiting for ...". ``on_timeout`` explains, when time is
    up, what usually is the cause and what to do.
    """

    kind: Literal["wait"] = "wait"
    condition: Condition
    waiting_for: str
    interval: float = 2.0
    on_timeout: str = ""


class GuardStep(_StepBase):
    """A condition that must hold now, or the run stops before the change.

    ``otherwise`` says what would go wrong and what to do.
    """

    kind: Literal["guard"] = "guard"
    condition: Condition
    otherwise: str


Step = Annotated[
    CommandStep | UploadStep | WriteKeyStep | RemoveKeyStep | PullStep | WaitStep | GuardStep,
    Field(discriminator="kind"),
]


def deisctl_can_say(value: str) -> bool:
    """Whether ``deisctl config set`` writes this value as it is (deis-facts 0.4).

    It cannot write an empty value, and splits at the last "=" that has a character after it.
    """
    return bool(value) and "=" not in value.rstrip("=") and not value.endswith("==")


def shown_key_write(key: str, value: str) -> str:
    """The command that a write of an etcd key equals: deisctl's where it can say it."""
    masked = SECRET.sub(lambda match: f"<secret: {match[1]}>", value)
    parts = key.strip("/").split("/")
    file_keys = ("platform/sshPrivateKey", "router/sslCert", "router/sslKey", "router/sslDhparam")
    path = "/".join(parts[1:])
    if parts[0] == "deis" and len(parts) >= 3 and deisctl_can_say(value) and path not in file_keys:
        return f"deisctl config {parts[1]} set {'/'.join(parts[2:])}={shlex.quote(masked)}"
    return f"etcdctl set {key} {shlex.quote(masked)}"


def shown_key_removal(key: str) -> str:
    """The command that a removal of an etcd key equals."""
    parts = key.strip("/").split("/")
    if parts[0] == "deis" and len(parts) >= 3:
        return f"deisctl config {parts[1]} rm {'/'.join(parts[2:])}"
    return f"etcdctl rm {key}"


def shown_condition(condition: CommandSays | KeyIs | ImagePresent | DiskRoom) -> str:
    """The command that asks what a condition asks."""
    match condition:
        case CommandSays():
            return f"sudo -n {condition.command}" if condition.sudo else condition.command
        case KeyIs():
            return f"etcdctl get {condition.key}"
        case ImagePresent():
            return f"docker inspect {condition.image}"
        case DiskRoom():
            return f"df -P -k {condition.path}"


def shown(step: Step) -> str:
    """The exact command of a step, secrets masked: what the preview shows and a person could type."""
    match step:
        case CommandStep():
            command = f"sudo -n sh -c {shlex.quote(step.command)}" if step.sudo else step.command
            stdin = SECRET.sub(lambda match: f"<secret: {match[1]}>", step.stdin)
            return f"{command} <<< {shlex.quote(stdin)}" if stdin else command
        case UploadStep():
            return f"install -m {step.mode:04o} /dev/stdin {shlex.quote(step.path)}"
        case WriteKeyStep():
            return shown_key_write(step.key, step.value)
        case RemoveKeyStep():
            return shown_key_removal(step.key)
        case PullStep():
            return f"docker pull {step.image}"
        case WaitStep() | GuardStep():
            return shown_condition(step.condition)
