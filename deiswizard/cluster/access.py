"""What the engine may ask of a cluster, as protocols.

The runner and the probe work against these; ``cluster/connection.py`` provides them over SSH.
Everything blocks the calling thread and honours a ``threading.Event`` that means "stop now".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from deiswizard.cluster.snapshot import EtcdFacts, Image, KeyFact, Member, UnitState
from deiswizard.cluster.unit_files import UnitOption
from deiswizard.cluster.web import WebAnswer, WebRequest
from deiswizard.frozen import Frozen

LineSink = Callable[[str, Sequence[str]], None]
"""Called with ``"out"`` or ``"err"`` and a batch of whole lines, from the reading thread."""

ByteSink = Callable[[bytes], None]
"""Called with each piece of a command's output, in the caller's own thread."""


@dataclass(frozen=True)
class CommandResult:
    """How a command on a host ended.

    ``code`` is None when that is UNKNOWN: the link broke, the deadline passed, or it was killed by
    a signal that SSH did not report; ``why`` then says which. Never treat None as failure or success.
    """

    code: int | None
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    why: str = ""

    @property
    def ok(self) -> bool:
        """Ended with exit status 0."""
        return self.code == 0


@dataclass(frozen=True)
class LayerReport:
    """One line of a pull's progress.

    ``state`` is Docker's own word (``Downloading``, ``Pull complete``, ``Already exists`` ...);
    ``current`` and ``total`` are bytes, None where the engine does not say.
    """

    layer: str
    state: str
    current: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class EtcdNode:
    """A key, or a directory (``value`` None). ``ttl`` in seconds, None when it does not expire."""

    key: str
    value: str | None = field(repr=False)
    ttl: int | None = None


class HostAccess(Protocol):
    """One host over SSH."""

    @property
    def name(self) -> str:
        """The host's name in the snapshot."""
        ...

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
        """Run ``command`` with the host's ``sh``.

        Output that goes to ``on_lines`` is not kept in the result.

        Raises:
            LinkError: the host could not be reached, so nothing was started.
            CancelledError: ``cancel`` was set; the command may still be running there.
        """
        ...

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
        """Run ``command``; its output goes to ``on_bytes`` as it is, piece by piece.

        It may take as long as it likes, but nothing may stand still for ``idle`` seconds.
        ``on_bytes`` may raise a WizardError, which ends the command. Otherwise as ``run``.
        """
        ...

    def open_tcp(self, host: str, port: int, cancel: threading.Event | None = None) -> Any:
        """A socket-like channel to ``host:port`` as seen from this host. Raises LinkError."""
        ...

    def log_in_again(self) -> None:
        """Make a new connection beside the one in use, log in, run a command, and end it.

        Raises:
            LinkError, HostKeyError, LoginError: nobody could log in there now.
        """
        ...

    def upload(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> str:
        """Put ``content`` at ``path``: temporary file, mode, checksum, rename. Answers its sha256.

        Raises:
            LinkError, StepError: the checksum on the host differs, or the host refused.
        """
        ...

    def checksum(self, path: str, *, sudo: bool = False) -> str | None:
        """sha256 of the file at ``path``, None when there is none."""
        ...

    def web(self, request: WebRequest) -> WebAnswer:
        """Ask a service as its clients would; one that does not answer is an answer, too.

        Raises:
            LinkError, HostKeyError, LoginError: the host itself could not be reached.
        """
        ...


class DockerAccess(Protocol):
    """One host's Docker engine, over the tunnel."""

    def images(self) -> tuple[Image, ...]:
        """Every image in the local store. Raises ServiceError."""
        ...

    def inspect(self, name: str) -> Image | None:
        """The image of that name, None when it is not there. Raises ServiceError."""
        ...

    def pull(
        self,
        name: str,
        on_layer: Callable[[LayerReport], None],
        cancel: threading.Event | None = None,
    ) -> None:
        """Pull and return when the engine is done.

        Raises:
            PullError: with the daemon's words, also where it answers 200 and fails in the stream.
            LinkError: the tunnel broke; the engine may go on.
            CancelledError: ``cancel`` was set.
        """
        ...


class EtcdAccess(Protocol):
    """etcd's v2 API, over the tunnel. No hidden retries; a write that times out is UNKNOWN."""

    def get(self, key: str, *, quorum: bool = False) -> KeyFact | None:
        """One key, None when absent. Raises ServiceError.

        ``quorum``: as a majority of members has it now, never as one member remembers it.
        """
        ...

    def tree(self, prefix: str) -> tuple[tuple[KeyFact, ...], int]:
        """Every key below ``prefix`` (empty when absent) and X-Etcd-Index. Raises ServiceError."""
        ...

    def nodes(self, prefix: str) -> tuple[tuple[EtcdNode, ...], int]:
        """Everything below ``prefix`` as it is, directories too, and X-Etcd-Index: for a copy.

        The values of secrets are among them. Raises ServiceError.
        """
        ...

    def put(self, key: str, value: str, *, expect: int | None, ttl: int | None = None) -> KeyFact:
        """Write a key if it stands as expected.

        Args:
            expect: modifiedIndex that the key must still have; 0: it must not exist; None: any.

        Raises:
            PlanStaleError: it does not stand as expected.
            ServiceError: etcd refused or timed out (then the write may still be applied later).
        """
        ...

    def remove(self, key: str, *, expect: int | None) -> None:
        """Remove one key if it stands as expected; as ``put``."""
        ...

    def members(self) -> tuple[Member, ...]:
        """The members as the one that answers remembers them, health not asked. Raises ServiceError."""
        ...

    def add_member(self, peer_url: str) -> Member:
        """One voter more. It counts against the quorum from now on, whether it starts or not.

        Raises:
            MemberError: 409 there is one with that peer URL; 400; 500 (then it may still be applied).
            ServiceError: no answer came.
        """
        ...

    def remove_member(self, member_id: str) -> None:
        """One voter less, for good: its data can never join again. Raises as ``add_member``: 404, 410."""
        ...

    def facts(self) -> EtcdFacts:
        """Version, members, health, leader. Raises ServiceError."""
        ...


class FleetUnit(Frozen):
    """A unit as fleet's API tells it. States are ``inactive``, ``loaded`` or ``launched``."""

    name: str
    options: tuple[UnitOption, ...] = ()
    desired: str = ""
    current: str = ""


class FleetAccess(Protocol):
    """fleet's v1 API. No hidden retries; a write that got no answer is UNKNOWN."""

    def unit(self, name: str) -> FleetUnit | None:
        """A unit, None when there is none. Raises ServiceError."""
        ...

    def put(self, name: str, options: Sequence[UnitOption], desired: str) -> bool:
        """Submit a unit, or say what state one that is there shall have; whether it is new.

        The file of a unit that is there is not replaced: destroy it first.

        Raises:
            ServiceError: fleet refused, or gave no answer (then it may still be done).
        """
        ...

    def delete(self, name: str) -> bool:
        """Destroy a unit; False when there was none. Raises as ``put``."""
        ...

    def states(self, name: str) -> tuple[UnitState, ...]:
        """What each machine reports of a unit, a second old at most. Raises ServiceError."""
        ...


class ClusterAccess(Protocol):
    """A connected cluster."""

    def host(self, name: str) -> HostAccess:
        """Raises LinkError, HostKeyError or LoginError when it is not connected."""
        ...

    def docker(self, name: str) -> DockerAccess:
        """The Docker engine of a host. Raises as ``host``."""
        ...

    def etcd(self) -> EtcdAccess:
        """Etcd through whichever host answers. Raises ServiceError."""
        ...

    def fleet(self) -> FleetAccess:
        """Fleet through whichever host answers. Its calls raise ServiceError when none does."""
        ...

    def try_ports(self, host: str, places: Sequence[tuple[str, int]]) -> tuple[bool, ...] | None:
        """Whether each address and port takes a connection, seen from a host.

        An empty ``host`` is this machine; None: it does not reach the hosts' addresses itself.
        Raises LinkError, HostKeyError, LoginError: the host that is to try is not connected.
        """
        ...

    def machine_ids(self) -> frozenset[str]:
        """Ids in fleet's machine registry, read now. Raises ServiceError."""
        ...
