"""Steps on the machine that the wizard runs on: a command, a file. They hold no secrets."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import model_validator

from deiswizard.plan.quoting import SECRET, heredoc
from deiswizard.plan.step_base import StepBase


class HereStep(StepBase):
    """A command run by this machine's ``sh``, as the user who runs the wizard."""

    kind: Literal["here"] = "here"
    command: str

    @model_validator(mode="after")
    def _no_secret(self) -> HereStep:
        if SECRET.search(self.command):
            raise ValueError("a secret may not stand in a command")
        return self


class HereFileStep(StepBase):
    """A file of this machine; ``content`` None: it is removed.

    ``expect`` is the sha256 that it replaces, empty: there must be none, None: any.
    """

    kind: Literal["here-file"] = "here-file"
    path: str
    content: str | None
    mode: int = 0o644
    expect: str | None = None

    @model_validator(mode="after")
    def _no_secret(self) -> HereFileStep:
        if SECRET.search(self.content or ""):
            raise ValueError("a secret may not stand in a file of this machine")
        return self


def shown_here_file(step: HereFileStep) -> str:
    """The command that does the same."""
    path = shlex.quote(step.path)
    if step.content is None:
        return f"rm -f {path}"
    here = heredoc(step.content)
    if here is None:
        return f"install -D -m {step.mode:04o} /dev/stdin {path} <<< {shlex.quote(step.content)}"
    return "\n".join([f"install -D -m {step.mode:04o} /dev/stdin {path} {here[0]}", *here[1]])
