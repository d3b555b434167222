"""The pretend cluster without SSH: its hosts' shells and etcds, called directly in this process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deiswizard.cluster.access import CommandResult, LineSink
from deiswizard.cluster.etcd import EtcdAdapter
from deiswizard.cluster.probe import probe
from deiswizard.cluster.snapshot import Member, Snapshot
from deiswizard.cluster.upload import checksum_command, store_command
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.host import PretendHost
from deiswizard.demo.http_base import serve_on
from deiswizard.errors import LinkError, ServiceError
from deiswizard.plan.step import as_run
from deiswizard.recommendations.etcd import declaration as etcd

Watch = Callable[[str, Callable[[], Any]], Any]
"""Sees each call that may change something: its words, and the call itself."""


def simply(words: str, call: Callable[[], Any]) -> Any:
    """Nobody watches."""
    return call()


class DirectHost:
    """One host; unreachable when it is down."""

    def __init__(self, host: PretendHost, watch: Watch) -> None:
        self._host = host
        self._watch = watch

    @property
    def name(self) -> str:
        return self._host.name

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
        if self._host.is_down:
            raise LinkError(self.name, f"{self.name} is down")
        out: list[str] = []
        err: list[str] = []

        def call() -> int:
            return self._host.execute(
                as_run(command, sudo=sudo), out.append, err.append, stdin or b"", threading.Event()
            )

        code = self._watch(f"{self.name}: {command}", call)
        return CommandResult(code, "".join(out), "".join(err))

    def upload(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> str:
        command, checksum = store_command(path, content, mode)
        assert self.run(command, sudo=sudo, stdin=content).ok
        return checksum

    def checksum(self, path: str, *, sudo: bool = False) -> str | None:
        said = self.run(checksum_command(path), sudo=sudo)
        return said.out.split()[0] if said.ok else None


class DirectEtcd(EtcdAdapter):
    """etcd as one host's port answers."""

    def __init__(self, host: PretendHost, watch: Watch) -> None:
        super().__init__(
            lambda: channel(host),
            lambda address, port: channel(at(host, address)),
            via=host.name,
        )
        self._watch = watch

    def add_member(self, peer_url: str) -> Member:
        member: Member = self._watch(
            f"add {peer_url}", lambda: super(DirectEtcd, self).add_member(peer_url)
        )
        return member

    def remove_member(self, member_id: str) -> None:
        self._watch(f"remove {member_id}", lambda: super(DirectEtcd, self).remove_member(member_id))


def at(host: PretendHost, address: str) -> PretendHost:
    """The host of an address. Raises LinkError when there is none."""
    found = host.cluster.host_at(host, address)
    if found is None:
        raise LinkError(host.name, f"no route to {address}")
    return found


def channel(host: PretendHost) -> Any:
    """A connection to its port 2379."""
    handler = None if host.is_down else host.handler_for_port(2379)
    if handler is None:
        raise LinkError(host.name, "connection refused")
    here, there = socket.socketpair()
    serve_on(handler, there)
    return here


class Direct:
    """Implements what a run of etcd's members needs of ``access.ClusterAccess``."""

    def __init__(self, cluster: PretendCluster, watch: Watch = simply) -> None:
        self.cluster = cluster
        self.watch = watch

    def host(self, name: str) -> Any:
        found = next(host for host in self.cluster.hosts if host.name == name)
        return DirectHost(found, lambda words, call: self.watch(words, call))

    def docker(self, name: str) -> Any:
        raise LinkError(name, "nobody asks for an engine here")

    def etcd(self) -> Any:
        for host in self.cluster.hosts:
            with contextlib.suppress(LinkError, ServiceError):
                found = DirectEtcd(host, lambda words, call: self.watch(words, call))
                found.version()
                return found
        raise ServiceError("etcd answers on no host")

    def fleet(self) -> Any:
        raise ServiceError("nobody asks fleet here")

    def try_ports(self, host: str, places: Any) -> Any:
        raise LinkError(host, "nobody tries ports here")

    def machine_ids(self) -> frozenset[str]:
        return frozenset(host.machine_id for host in self.cluster.hosts)

    def look(self) -> Snapshot:
        """A snapshot with what is asked about etcd."""
        return probe(_Connected(self), etcd.RECOMMENDATION.questions)  # type: ignore[arg-type]


class _Connected:
    """Looks to the probe like a connection."""

    name = via = "direct"

    def __init__(self, direct: Direct) -> None:
        self._direct = direct
        self.hosts = [_Machine(host) for host in direct.cluster.hosts]

    def link(self, name: str) -> Any:
        return self._direct.host(name)

    def docker_adapter(self, name: str) -> Any:
        return self._direct.docker(name)

    def etcd(self) -> Any:
        return self._direct.etcd()


class _Machine:
    def __init__(self, host: PretendHost) -> None:
        self.name = host.name
        self.machine = self
        self.id, self.address = host.machine_id, host.address
        self.metadata: Sequence[tuple[str, str]] = tuple(sorted(host.metadata.items()))


@contextlib.contextmanager
def pretend(scenario: str, speed: float = 500) -> Iterator[PretendCluster]:
    """A pretend cluster that knows every command it is sent."""
    with PretendCluster.start(scenario, speed=speed) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()
