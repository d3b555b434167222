"""A cluster that is nothing but dictionaries: enough for the runner, and for what may go wrong."""

from __future__ import annotations

import contextlib
import hashlib
import math
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deiswizard.cluster.access import ByteSink, CommandResult, EtcdNode, LayerReport, LineSink
from deiswizard.cluster.snapshot import EtcdFacts, Image, KeyFact, Member
from deiswizard.cluster.web import WebAnswer, WebRequest
from deiswizard.demo.shell import Write
from deiswizard.errors import CancelledError, LinkError, PlanStaleError, ServiceError
from deiswizard.plan.conditions import KeyIs
from deiswizard.plan.plan import Basis, Impact, Plan, Stage
from deiswizard.plan.step import CommandStep, Step, WaitStep
from deiswizard.vocabulary import Danger
from tests.unit.memory_fleet import MemoryFleet
from tests.unit.memory_jobs import JobHost

LIMIT = 120.0
"""Seconds after which something hangs; on an idle machine nothing here takes a tenth of one."""

JOB_WORDS = ("boot_id", "journalctl", "systemd-run", "systemctl")

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
    """Answers commands by ``answers[command]``, 0 and nothing where there is none. What is asked of
    its systemd is answered by ``keeper``, unless ``links`` holds an error for it; with
    ``breaks_after`` the error comes after the host has done as asked.
    """

    name: str
    cluster: MemoryCluster
    keeper: JobHost
    links: list[Exception | None] = field(default_factory=list)
    breaks_after: bool = False
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, Sequence[bytes]] = field(default_factory=dict)
    fed: dict[str, bytes] = field(default_factory=dict)
    tunnels: dict[tuple[str, int], int] = field(default_factory=dict)
    webs: list[WebAnswer] = field(default_factory=lambda: [WebAnswer(said="nothing there")])
    asked_web: list[WebRequest] = field(default_factory=list)
    logins: list[Exception | None] = field(default_factory=list)

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
        if any(word in command for word in JOB_WORDS):
            return self._ask_keeper(command)
        self.cluster.calls.append(call)
        answers = self.answers.get(command, [])
        answer = (
            (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else CommandResult(0)
        )
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, CommandResult) else answer(call)

    def _ask_keeper(self, command: str) -> CommandResult:
        error = self.links.pop(0) if self.links else None
        if error is not None and not self.breaks_after:
            raise error
        status, out = self.keeper.ask(command)
        if error is not None:
            raise error
        return CommandResult(status, out)

    def stream(
        self,
        command: str,
        *,
        on_bytes: ByteSink,
        sudo: bool = False,
        stdin: Iterable[bytes] | None = None,
        idle: float = 300.0,
        cancel: threading.Event | None = None,
    ) -> CommandResult:
        """``outputs[command]`` are the pieces that a command prints before it is answered as by ``run``."""
        self.fed[command] = b"".join(stdin or ())
        for piece in self.outputs.get(command, ()):
            on_bytes(piece)
        result = self.run(command, sudo=sudo, timeout=idle, cancel=cancel)
        return CommandResult(result.code, "", result.err, result.seconds, result.why)

    def open_tcp(self, host: str, port: int, cancel: threading.Event | None = None) -> Any:
        """``tunnels`` maps an address to a port of 127.0.0.1."""
        if (host, port) not in self.tunnels:
            raise LinkError(self.name, f"{host}:{port} cannot be reached from there")
        return socket.create_connection(("127.0.0.1", self.tunnels[host, port]), timeout=LIMIT)

    def log_in_again(self) -> None:
        """``logins`` are the errors that new logins meet in turn; None: it works."""
        if error := self.logins.pop(0) if self.logins else None:
            raise error

    def upload(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> str:
        self.files[path] = content
        return hashlib.sha256(content).hexdigest()

    def web(self, request: WebRequest) -> WebAnswer:
        """``webs`` in turn; the last one stays."""
        self.asked_web.append(request)
        return self.webs.pop(0) if len(self.webs) > 1 else self.webs[0]

    def checksum(self, path: str, *, sudo: bool = False) -> str | None:
        content = self.files.get(path)
        return None if content is None else hashlib.sha256(content).hexdigest()


@dataclass
class MemoryDocker:
    """``pulls[image]`` are the outcomes of pulls in turn: an error, or layer reports.

    A job that pulls ends as the engine's answer says: it waits for one that is no broken link.
    """

    store: set[str] = field(default_factory=set)
    answered: dict[str, queue.Queue[Exception | None]] = field(default_factory=dict)
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
        outcomes = self.pulls.get(name, [])
        outcome = outcomes.pop(0) if outcomes else ()
        answered = self.answered.setdefault(name, queue.Queue())
        if isinstance(outcome, Exception):
            if not isinstance(outcome, LinkError | CancelledError):
                answered.put(outcome)
            raise outcome
        for report in outcome:
            on_layer(report)
        self.store.add(name)
        answered.put(None)

    def job(self, name: str, out: Write, stop: threading.Event) -> int:
        """``docker pull``."""
        answered = self.answered.setdefault(name, queue.Queue())
        while not stop.is_set():
            with contextlib.suppress(queue.Empty):
                outcome = answered.get(timeout=0.01)
                out(f"{getattr(outcome, 'said', 'Status: Downloaded')}\n")
                return 0 if outcome is None else 1
        return 143


@dataclass
class MemoryEtcd:
    """Keys with indexes; ``trouble`` is raised by every call, ``unheard`` after it was done. ``late``
    are errors that changes meet in turn; with ``applies_late`` they are done all the same.
    What has a TTL is gone when ``clock`` says so.
    """

    keys: dict[str, tuple[str, int]] = field(default_factory=dict)
    index: int = 100
    trouble: Exception | None = None
    unheard: Exception | None = None
    late: list[ServiceError] = field(default_factory=list)
    applies_late: bool = False
    asked: list[str] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    ends: dict[str, float] = field(default_factory=dict)
    listed: list[Member] = field(default_factory=list)
    _one: threading.RLock = field(default_factory=threading.RLock)

    def get(self, key: str, *, quorum: bool = False) -> KeyFact | None:
        with self._one:
            self._expect(key, None)
            if key not in self.keys:
                return None
            value, index = self.keys[key]
            left = math.ceil(self.ends[key] - self.clock()) if key in self.ends else None
            return KeyFact(key=key, value=value, index=index, ttl=left)

    def tree(self, prefix: str) -> tuple[tuple[KeyFact, ...], int]:
        facts = [self.get(key) for key in self.keys if key.startswith(f"{prefix}/")]
        return tuple(fact for fact in facts if fact is not None), self.index

    def nodes(self, prefix: str) -> tuple[tuple[EtcdNode, ...], int]:
        facts, index = self.tree(prefix)
        return tuple(EtcdNode(fact.key, fact.text, fact.ttl) for fact in facts), index

    def put(self, key: str, value: str, *, expect: int | None, ttl: int | None = None) -> KeyFact:
        with self._one:
            self._expect(key, expect)
            self.asked.append("put")
            error = self.late.pop(0) if self.late else self.unheard
            if error is not None and error is not self.unheard and not self.applies_late:
                raise error
            self.index += 1
            self.keys[key] = (value, self.index)
            self.ends.pop(key, None)
            if ttl is not None:
                self.ends[key] = self.clock() + ttl
            if error is not None:
                raise error
            return KeyFact(key=key, value=value, index=self.index, ttl=ttl)

    def remove(self, key: str, *, expect: int | None) -> None:
        with self._one:
            self._expect(key, expect)
            self.keys.pop(key, None)
            if self.unheard:
                raise self.unheard

    def _expect(self, key: str, expect: int | None) -> None:
        if self.trouble:
            raise self.trouble
        if key in self.ends and self.ends[key] <= self.clock():
            del self.ends[key]
            self.keys.pop(key, None)
        now = self.keys.get(key, ("", 0))[1]
        if expect is not None and now != expect:
            raise PlanStaleError((f"{key} was written",))

    def members(self) -> tuple[Member, ...]:
        self._expect("", None)
        return tuple(self.listed)

    def add_member(self, peer_url: str) -> Member:
        self._expect("", None)
        self.listed.append(Member(id=f"{len(self.listed):016x}", name="", peer_urls=(peer_url,)))
        return self.listed[-1]

    def remove_member(self, member_id: str) -> None:
        self._expect("", None)
        self.listed = [member for member in self.listed if member.id != member_id]

    def facts(self) -> EtcdFacts:
        return EtcdFacts(index=self.index, members=tuple(self.listed))


class MemoryCluster:
    """Implements ``access.ClusterAccess``."""

    def __init__(self, *names: str) -> None:
        self.calls: list[Call] = []
        self.dockers = {name: MemoryDocker() for name in names}
        self.hosts = {
            name: MemoryHost(name, self, JobHost(docker.job))
            for name, docker in self.dockers.items()
        }
        self.store = MemoryEtcd()
        self.fleetd = MemoryFleet()
        self.open_ports: set[tuple[str, int]] | None = None
        self.machines = frozenset(f"{name}-machine" for name in names)

    def host(self, name: str) -> MemoryHost:
        if name not in self.hosts:
            raise LinkError(name, f"{name} is not connected")
        return self.hosts[name]

    def docker(self, name: str) -> MemoryDocker:
        return self.dockers[name]

    def etcd(self) -> MemoryEtcd:
        return self.store

    def fleet(self) -> MemoryFleet:
        return self.fleetd

    def machine_ids(self) -> frozenset[str]:
        return self.machines

    def try_ports(self, host: str, places: Sequence[tuple[str, int]]) -> tuple[bool, ...] | None:
        """``open_ports`` are open from everywhere; None: this machine reaches no host itself."""
        if self.open_ports is None and not host:
            return None
        return tuple(place in (self.open_ports or ()) for place in places)

    def commands(self) -> list[str]:
        """``host: command`` in the order in which they came."""
        return [f"{call.host}: {call.command}" for call in self.calls]


def command(name: str, host: str = "a", **more: Any) -> CommandStep:
    """A command step whose id and command are ``name``."""
    more.setdefault("danger", Danger.WRITE)
    return CommandStep(id=name, title=f"do {name}", host=host, command=name, **more)


def wait_for_key(name: str, **more: Any) -> WaitStep:
    """Waits until ``/k`` is ``yes``."""
    condition = KeyIs(key="/k", value="yes")
    return WaitStep(id=name, title=name, condition=condition, waiting_for="the key", **more)


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
