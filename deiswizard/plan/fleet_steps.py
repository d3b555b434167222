"""Steps that change fleet's units."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import model_validator

from deiswizard.plan.quoting import SECRET, heredoc
from deiswizard.plan.step_base import StepBase


class SubmitUnitStep(StepBase):
    """A fleet unit submitted and launched. There must be none of that name.

    ``content`` is the unit file. Whoever may ask fleet can read it, so it holds no secret.
    """

    kind: Literal["submit-unit"] = "submit-unit"
    unit: str
    content: str

    @model_validator(mode="after")
    def _no_secret(self) -> SubmitUnitStep:
        if SECRET.search(self.content):
            raise ValueError("a secret may not stand in a unit")
        return self


class DestroyUnitStep(StepBase):
    """A fleet unit destroyed: it stops on every machine, and its file is gone.

    ``expect`` are digests (``cluster/unit_files.py``) of the files that may be destroyed; a unit
    with another one is somebody else's.
    """

    kind: Literal["destroy-unit"] = "destroy-unit"
    unit: str
    expect: tuple[str, ...]


class StopUnitStep(StepBase):
    """A fleet unit stopped on every machine; fleet keeps it, and it can be started again."""

    kind: Literal["stop-unit"] = "stop-unit"
    unit: str


class StartUnitStep(StepBase):
    """A fleet unit that is there started again; where there is none, it has to be submitted."""

    kind: Literal["start-unit"] = "start-unit"
    unit: str


FleetStep = SubmitUnitStep | DestroyUnitStep | StopUnitStep | StartUnitStep


def shown_fleet(step: FleetStep) -> str:
    """The command that does the same."""
    match step:
        case SubmitUnitStep():
            here = heredoc(step.content)
            lines = [here[0], *here[1]] if here else [f"<<< {shlex.quote(step.content)}"]
            return "\n".join(
                [f"cat > {step.unit} {lines[0]}", *lines[1:], f"fleetctl start {step.unit}"]
            )
        case DestroyUnitStep():
            return f"fleetctl destroy {step.unit}"
        case StopUnitStep():
            return f"fleetctl stop --no-block=true {step.unit}"
        case StartUnitStep():
            return f"fleetctl start --no-block=true {step.unit}"
