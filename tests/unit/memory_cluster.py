"""A cluster that is nothing but dictionaries: enough for the runner, and for what may go wrong."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deiswizard.cluster.access import CommandResult, LayerReport, LineSink
from deiswizard.cluster.snapshot import EtcdFacts, Image, KeyFact
from deiswizard.errors import LinkError, PlanStaleError
from deiswizard.plan.plan import Basis, Impact, Plan, Stage
from deiswizard.plan.step import CommandStep, Step
from deiswizard.vocabulary import Danger

LIMIT = 20.0
"""Seconds after which something hangs; nothing here takes a tenth of one."""

Answer = CommandResult | Exception | Callable[["Call"], CommandResult]


@dataclass(frozen=True)
class Call:
    """A command as the host got it."""

    host: str
    command: str
    sudo: bool
    timeout: float
    stdin: bytes | None
    on_lines: LineSink | None
    cancel: threading.Event | None


@dataclass
class MemoryHost:
    """Answers commands by ``answers[command]``, 0 and nothing where there is none."""

    name: str
    cluster: MemoryCluster
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def run(
        self,
        command: str,
        *,
        sudo: bool = False,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        on_lines: LineSink | None = None,
        cancel: threading.Event | None = None,
    ) -> CommandResult:
        call = Call(self.name, command, sudo, timeout, stdin, on_lines, cancel)
        self.cluster.calls.append(call)
        queue = self.answers.get(command, [])
        answer = (queue.pop(0) if len(queue) > 1 else queue[0]) if queue else CommandResult(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, CommandResult) else answer(call)

    def upload(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> str:
        self.files[path] = content
        return hashlib.sha256(content).hexdigest()

    def checksum(self, path: str, *, sudo: bool = False) -> str | None:
        content = self.files.get(path)
        return None if content is None else hashlib.sha256(content).hexdigest()


@dataclass
class MemoryDocker:
    """``pulls[image]`` are the outcomes of pulls in turn: an error, or layer reports."""

    store: set[str] = field(default_factory=set)
    pulls: dict[str, list[Exception | Sequence[LayerReport]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def images(self) -> tuple[Image, ...]:
        return tuple(Image(id=name, tags=(name,)) for name in self.store)

    def inspect(self, name: str) -> Image | None:
        return Image(id=name, tags=(name,)) if name in self.store else None

    def pull(
        self,
        name: str,
        on_layer: Callable[[LayerReport], None],
        cancel: threading.Event | None = None,
    ) -> None:
        self.asked.append(name)
        queue = self.pulls.get(name, [])
        outcome = queue.pop(0) if queue else ()
        if isinstance(outcome, Exception):
            raise outcome
        for report in outcome:
            on_layer(report)
        self.store.add(name)


@dataclass
class MemoryEtcd:
    """Keys with indexes; ``trouble`` is raised by every call."""

    keys: dict[str, tuple[str, int]] = field(default_factory=dict)
    index: int = 100
    trouble: Exception | None = None

    def get(self, key: str) -> KeyFact | None:
        if self.trouble:
            raise self.trouble
        if key not in self.keys:
            return None
        value, index = self.keys[key]
        return KeyFact(key=key, value=value, index=index)

    def tree(self, prefix: str) -> tuple[tuple[KeyFact, ...], int]:
        facts = [self.get(key) for key in self.keys if key.startswith(prefix)]
        return tuple(fact for fact in facts if fact is not None), self.index

    def put(self, key: str, value: str, *, expect: int | None, ttl: int | None = None) -> KeyFact:
        self._expect(key, expect)
        self.index += 1
        self.keys[key] = (value, self.index)
        return KeyFact(key=key, value=value, index=self.index)

    def remove(self, key: str, *, expect: int | None) -> None:
        self._expect(key, expect)
        self.keys.pop(key, None)

    def _expect(self, key: str, expect: int | None) -> None:
        if self.trouble:
            raise self.trouble
        now = self.keys.get(key, ("", 0))[1]
        if expect is not None and now != expect:
            raise PlanStaleError((f"{key} was written",))

    def facts(self) -> EtcdFacts:
        return EtcdFacts(index=self.index)


class MemoryCluster:
    """Implements ``access.ClusterAccess``."""

    def __init__(self, *names: str) -> None:
        self.calls: list[Call] = []
        self.hosts = {name: MemoryHost(name, self) for name in names}
        self.dockers = {name: MemoryDocker() for name in names}
        self.store = MemoryEtcd()
        self.machines = frozenset(f"{name}-machine" for name in names)

    def host(self, name: str) -> MemoryHost:
        if name not in self.hosts:
            raise LinkError(name, f"{name} is not connected")
        return self.hosts[name]

    def docker(self, name: str) -> MemoryDocker:
        return self.dockers[name]

    def etcd(self) -> MemoryEtcd:
        return self.store

    def machine_ids(self) -> frozenset[str]:
        return self.machines

    def commands(self) -> list[str]:
        """``host: command`` in the order in which they came."""
        return [f"{call.host}: {call.command}" for call in self.calls]


def command(name: str, host: str = "a", **more: Any) -> CommandStep:
    """A command step whose id and command are ``name``."""
    more.setdefault("danger", Danger.WRITE)
    return CommandStep(id=name, title=f"do {name}", host=host, command=name, **more)


def stage(*steps: Step, name: str = "one", at_a_time: int = 32) -> Stage:
    return Stage(id=name, title=f"stage {name}", steps=steps, hosts_at_a_time=at_a_time)


def plan_of(*stages: Stage, basis: Basis | None = None, **more: Any) -> Plan:
    return Plan(
        recommendation="test",
        title="A test",
        cluster="prod",
        stages=stages,
        impact=Impact(danger=Danger.WRITE, undo="the keys are written back"),
        basis=basis or Basis(taken_at=0.0),
        **more,
    )
