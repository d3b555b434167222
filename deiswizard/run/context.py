"""What a step may use while it is done, and how it ended."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from deiswizard.cluster.access import ClusterAccess
from deiswizard.errors import StepError
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import SECRET, PullStep
from deiswizard.run.events import Event
from deiswizard.vocabulary import StepStatus


@dataclass(frozen=True)
class Result:
    """How a step ended. ``tidy`` is called once that is on disk."""

    status: StepStatus
    said: str = ""
    do: str = ""
    code: int | None = None
    tidy: Callable[[], None] | None = None


@dataclass(frozen=True)
class Context:
    """What a step may use.

    ``cancel`` set means stop now; ``interrupted`` is set then, and also when the operator leaves:
    what runs on hosts goes on, and nobody waits for it. ``images`` are the names that a host's
    steps are about; ``unit`` names the job of a step's attempt. ``kept`` is what one step leaves in
    memory for a later one; it is gone with the process.
    """

    access: ClusterAccess
    emit: Callable[[Event], None]
    secrets: Mapping[str, SecretStr]
    cancel: threading.Event
    interrupted: threading.Event
    unit: Callable[[str, int], str]
    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    run: str = ""
    kept: dict[str, object] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """``text`` with its secrets put in. Raises StepError for one that is not known."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self.secrets:
                raise StepError(f"the secret '{match[1]}' was not given", do="enter it again")
            return self.secrets[match[1]].get_secret_value()

        return SECRET.sub(value, text)


def images_of(plan: Plan) -> dict[str, list[str]]:
    """The images that the steps of each host are about."""
    images: dict[str, list[str]] = {}
    for step in plan.steps:
        condition = getattr(step, "condition", None)
        if isinstance(step, PullStep):
            images.setdefault(step.host, []).append(step.image)
        elif image := getattr(condition, "image", ""):
            images.setdefault(step.host, []).append(image)
    return images
