"""A cluster of one host in memory, and what was told while steps were done on it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pydantic import SecretStr

from deiswizard.plan.step import Step
from deiswizard.run import events as e
from deiswizard.run.context import Context, Result
from deiswizard.run.execute import FRESH, execute
from deiswizard.run.state import StepState
from tests.unit.memory_cluster import MemoryCluster

IMAGE = "deis/router:v1.13.4"


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Doing:
    """A cluster of one host, and what was told while a step was done."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster("a")
        self.events: list[e.Event] = []
        self.listener: Callable[[e.Event], None] = lambda event: None
        self.cancel = threading.Event()
        self.interrupted = threading.Event()
        self.clock = Clock()

    def do(self, step: Step, before: StepState = FRESH, **secrets: str) -> Result:
        kept = {name: SecretStr(value) for name, value in secrets.items()}
        context = Context(
            self.cluster,
            self._hear,
            kept,
            self.cancel,
            self.interrupted,
            lambda step, attempt: f"job-{step}-{attempt}",
            images={"a": [IMAGE]},
            clock=self.clock,
        )
        return execute(step, context, before)

    def _hear(self, event: e.Event) -> None:
        self.events.append(event)
        self.listener(event)

    def told(self, kind: str) -> list[e.Event]:
        return [event for event in self.events if event.kind == kind]
