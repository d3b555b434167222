"""What the screens need of the engine, and the operator's answers to its questions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.cluster.known_hosts import UnknownKey
from deiswizard.cluster.snapshot import Lock, Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.plan.reach import Reach
from deiswizard.run.hub import Hub
from deiswizard.run.resume import Unfinished
from deiswizard.run.state import RunState


class RunLike(Protocol):
    """A run, or a recorded one that is told again."""

    plan: Plan
    id: str
    folder: Path
    hub: Hub
    ended: threading.Event
    is_ours: bool

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait for the end."""
        ...

    def retry(self, steps: Sequence[str] | None = None) -> None:
        """Try failed steps again."""
        ...

    def skip(self, step: str, reason: str) -> None:
        """Leave a step out."""
        ...

    def stop(self, *, now: bool = False) -> None:
        """Stop."""
        ...

    def leave(self, said: str) -> None:
        """Stop following it without ending it."""
        ...


class SessionLike(Protocol):
    """A connected cluster."""

    @property
    def name(self) -> str:
        """What the operator calls it."""
        ...

    def look(self) -> Snapshot:
        """Probe."""
        ...

    def reach(self, snapshot: Snapshot) -> Reach:
        """How the operator's own ssh gets to the hosts."""
        ...

    def start(
        self,
        plan: Plan,
        *,
        before: Snapshot,
        secrets: Mapping[str, SecretStr] | None = None,
        interactive: bool = False,
        break_lock: str = "",
    ) -> Any:
        """Start a plan; the run."""
        ...

    def lock_holder(self) -> Lock | None:
        """Whose lock would keep a run from beginning now."""
        ...

    def resume(
        self,
        cut_off: Unfinished,
        *,
        before: Snapshot,
        secrets: Mapping[str, SecretStr] | None = None,
        interactive: bool = False,
    ) -> Any:
        """Take a run up again; the run."""
        ...

    @property
    def outlives_us(self) -> bool:
        """The cluster is there when this program has ended."""
        ...

    def hand_over(self, folder: Path) -> int:
        """Let a wizard without a screen get ready to take a run up."""
        ...

    def close(self) -> None:
        """End every connection."""
        ...


Start = Callable[[str, Asker, Callable[[ConnectProgress], None]], SessionLike]
"""Connects to an address that was typed."""


@dataclass
class Question:
    """Something the engine waits to hear. ``answer`` lets it go on."""

    keys: tuple[UnknownKey, ...] = ()
    identity: Path | None = None
    _reply: list[Any] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def answer(self, reply: Any) -> None:
        """Give the engine its answer."""
        self._reply.append(reply)
        self._done.set()

    def wait(self) -> Any:
        """Block the engine's thread until there is one."""
        self._done.wait()
        return self._reply[0]


class ScreenAsker:
    """Called from engine threads: puts a question where the app finds it, and waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[Question] = []

    def accept_host_keys(self, keys: Sequence[UnknownKey]) -> bool:
        """As ``Asker``."""
        return bool(self._ask(Question(keys=tuple(keys))))

    def passphrase(self, identity: Path) -> SecretStr | None:
        """As ``Asker``."""
        reply = self._ask(Question(identity=identity))
        return SecretStr(reply) if reply else None

    def _ask(self, question: Question) -> Any:
        with self._lock:
            self._open.append(question)
        return question.wait()

    def take(self) -> Question | None:
        """The next question that nobody has shown yet."""
        with self._lock:
            return self._open.pop(0) if self._open else None
