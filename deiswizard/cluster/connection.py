"""A whole cluster, connected from one address. Implements ``access.ClusterAccess``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from deiswizard.cluster import fleet
from deiswizard.cluster.access import DockerAccess, EtcdAccess, FleetAccess, HostAccess
from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.connected_host import POOL, ConnectedHost, named
from deiswizard.cluster.docker import DockerAdapter
from deiswizard.cluster.etcd import HEALTH_TIMEOUT, PORTS, EtcdAdapter
from deiswizard.cluster.fleet import Machine
from deiswizard.cluster.fleet_api import FleetAdapter, channel_to_any
from deiswizard.cluster.host import HostLink, UnknownHostKeyError
from deiswizard.cluster.known_hosts import KnownHosts
from deiswizard.cluster.port_tries import try_from, try_from_here
from deiswizard.errors import (
    CancelledError,
    HostError,
    HostKeyError,
    LinkError,
    ServiceError,
    WizardError,
)
from deiswizard.inventory import Target, for_host

DOCKER_SOCKET = "/var/run/docker.sock"
DOCKER_PORT = 2375


def _nobody(progress: ConnectProgress) -> None:
    """Progress that nobody watches."""


class ClusterConnection:
    """Links to every host that could be reached.

    The first host is dialled; the others directly when the address that was reached is in fleet's
    registry itself, and otherwise through the first host. So nothing is dialled blindly.
    """

    def __init__(self, target: Target, asker: Asker) -> None:
        self.name = target.alias or target.host
        self.via = target.text
        self.hosts: tuple[ConnectedHost, ...] = ()
        self._target = target
        self._asker = asker
        self._keys = KnownHosts(target.known_hosts)
        self._credentials = Credentials(asker)
        self._jumps: list[HostLink] = []
        self._entry: HostLink | None = None
        self._etcd: EtcdAdapter | None = None
        self._fleet = FleetAdapter(lambda: channel_to_any(self._links()))
        self._addresses: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        target: Target,
        asker: Asker,
        on_progress: Callable[[ConnectProgress], None] = _nobody,
        cancel: threading.Event | None = None,
    ) -> ClusterConnection:
        """Log in to the first host, read fleet's registry, connect to every host.

        Raises:
            LinkError, HostKeyError, LoginError: the first host cannot be used.
            CancelledError: ``cancel`` was set.
        """
        connection = cls(target, asker)
        try:
            connection._open_entry(on_progress, cancel)
            connection.refresh(on_progress, cancel)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over in known_hosts."""
        return tuple(self._keys.notes)

    def _accepting(self, link: HostLink, cancel: threading.Event | None) -> HostLink:
        """Open a link; an unknown key is shown and asked."""
        try:
            return link.open(cancel)
        except UnknownHostKeyError as error:
            if not self._asker.accept_host_keys([error.key]):
                raise HostKeyError(
                    link.name,
                    f"the key of {link.name} was not accepted",
                    state="nothing was sent to it",
                    do="compare the fingerprint with the host's console, then connect again",
                ) from error
            self._keys.add([error.key])
            return link.open(cancel)

    def _open_entry(
        self, on_progress: Callable[[ConnectProgress], None], cancel: threading.Event | None
    ) -> None:
        through: HostLink | None = None
        for target in (*self._target.jumps, self._target):
            on_progress(ConnectProgress(target.host, "connecting"))
            link = HostLink(target, keys=self._keys, credentials=self._credentials, through=through)
            try:
                through = self._accepting(link, cancel)
            except WizardError as error:
                on_progress(ConnectProgress(target.host, "failed", str(error)))
                raise
            on_progress(ConnectProgress(target.host, "connected"))
            self._jumps.append(link)
        self._entry = self._jumps.pop()

    @property
    def target(self) -> Target:
        """Where and how the first host was logged in to."""
        return self._target

    @property
    def entry(self) -> HostLink:
        """The host that was logged in to first."""
        assert self._entry is not None, "open() has set it"
        return self._entry

    def refresh(
        self,
        on_progress: Callable[[ConnectProgress], None] = _nobody,
        cancel: threading.Event | None = None,
    ) -> None:
        """Read fleet's registry again and connect to every host that is not connected yet."""
        registry, entry_id = self._read_registry()
        self._addresses = frozenset(machine.address for machine in registry)
        known = {host.machine.id: host for host in self.hosts}
        hosts = []
        for machine in registry:
            host = known.get(machine.id) or ConnectedHost(machine, machine.address)
            host.machine = machine
            hosts.append(host)
            if machine.id == entry_id and host.link is None:
                host.link, host.error = self.entry, None
        for host in hosts:
            on_progress(ConnectProgress(host.name, "waiting" if host.link is None else "connected"))
        missing = [host for host in hosts if host.link is None]
        self._connect_all(missing, on_progress, cancel)
        self.hosts = tuple(named(hosts))

    def _read_registry(self) -> tuple[tuple[Machine, ...], str]:
        """Fleet's machines and the id of the first host. Without etcd: the first host alone."""
        said = self.entry.run("cat /etc/machine-id; uname -n")
        entry_id = said.out.split()[0] if said.out.split() else ""
        alone = Machine(id=entry_id, address=self.entry.peer_address)
        try:
            facts, _ = self._etcd_at(self.entry).tree(f"{fleet.PREFIX}/machines")
        except (ServiceError, LinkError):
            return (tuple(host.machine for host in self.hosts) or (alone,)), entry_id
        return fleet.machines(facts) or (alone,), entry_id

    def _connect_all(
        self,
        hosts: Sequence[ConnectedHost],
        on_progress: Callable[[ConnectProgress], None],
        cancel: threading.Event | None,
    ) -> None:
        """Connect side by side; all unknown keys are asked at once, in one table."""

        def attempt(host: ConnectedHost) -> None:
            if cancel is not None and cancel.is_set():
                host.error = CancelledError("connecting was stopped")
                return
            on_progress(ConnectProgress(host.name, "connecting"))
            try:
                host.link, host.error = self._reach(host.machine, cancel), None
                on_progress(ConnectProgress(host.name, "connected"))
            except WizardError as error:
                host.error = error
                if not isinstance(error, UnknownHostKeyError):
                    on_progress(ConnectProgress(host.name, "failed", str(error)))

        if not hosts:
            return
        with ThreadPoolExecutor(min(POOL, len(hosts)), "connect") as pool:
            list(pool.map(attempt, hosts))
            unknown = [host for host in hosts if isinstance(host.error, UnknownHostKeyError)]
            keys = [h.error.key for h in unknown if isinstance(h.error, UnknownHostKeyError)]
            if keys and self._asker.accept_host_keys(keys):
                self._keys.add(keys)
                list(pool.map(attempt, unknown))
            else:
                for host in unknown:
                    on_progress(ConnectProgress(host.name, "failed", str(host.error)))
        if cancel is not None and cancel.is_set():
            raise CancelledError("connecting was stopped", state="nothing was changed")

    def _reach(self, machine: Machine, cancel: threading.Event | None) -> HostLink:
        """A link to a machine, whose machine-id must be the one that fleet knows."""
        if self.entry.peer_address in self._addresses and not self._jumps:
            try:
                link = self._link(machine, None, self.entry.target.port)
                return self._checked(machine, link, cancel)
            except LinkError:
                pass  # not reachable from here: the first host may reach it
        link = self._link(machine, self.entry, None)
        try:
            return self._checked(machine, link, cancel)
        except LinkError as error:
            if error.host != self.entry.name:
                raise
            raise LinkError(
                machine.address,
                f"{machine.address} cannot be reached from {self.entry.name}",
                said=error.said,
                do="check that the host is up and that sshd runs there",
            ) from error

    def _link(self, machine: Machine, through: HostLink | None, port: int | None) -> HostLink:
        return HostLink(
            for_host(self._target, machine.address, port),
            keys=self._keys,
            credentials=self._credentials,
            through=through,
            name=machine.address,
        )

    def _checked(
        self, machine: Machine, link: HostLink, cancel: threading.Event | None
    ) -> HostLink:
        link.open(cancel)
        said = link.run("cat /etc/machine-id")
        found = said.out.strip()
        if found and found != machine.id:
            link.close()
            raise HostError(
                machine.address,
                f"another machine answers at {machine.address}",
                said=f"its machine-id is {found}, fleet knows {machine.id}",
                state="nothing was changed on it",
                do="look at the network and at fleet's machine list",
            )
        return link

    def find(self, name: str) -> ConnectedHost:
        """The host of that name. Raises LinkError when the registry has none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LinkError(name, f"fleet knows no host {name}", do="look again")

    def host(self, name: str) -> HostAccess:
        """As ``access.ClusterAccess.host``."""
        return self.link(name)

    def link(self, name: str) -> HostLink:
        """The link to a host. Raises the error that kept it from being connected."""
        found = self.find(name)
        if found.link is None:
            raise found.error or LinkError(name, f"{name} is not connected")
        return found.link

    def docker(self, name: str) -> DockerAccess:
        """As ``access.ClusterAccess.docker``."""
        return self.docker_adapter(name)

    def docker_adapter(self, name: str) -> DockerAdapter:
        """The host's engine: its unix socket, else port 2375 as Deis opens it."""
        link, found = self.link(name), self.find(name)

        def open_channel() -> Any:
            said = []
            ways: tuple[Callable[[], Any], ...] = (
                lambda: link.open_unix(DOCKER_SOCKET),
                lambda: link.open_tcp("127.0.0.1", DOCKER_PORT),
            )
            for way in ways:
                try:
                    return way()
                except LinkError as error:
                    if not link.is_connected:
                        raise
                    said.append(str(error))
            raise ServiceError(
                f"Docker does not answer on {found.name}, neither at {DOCKER_SOCKET} nor on "
                f"port {DOCKER_PORT}",
                said="; ".join(said),
                do="look at docker.service on that host",
            )

        with self._lock:
            if found.docker is None:
                found.docker = DockerAdapter(open_channel, name)
            return found.docker

    def _etcd_at(self, link: HostLink) -> EtcdAdapter:
        """Etcd as it answers on a host: port 2379, else 4001. Raises ServiceError, LinkError."""
        problem: WizardError | None = None
        for port in PORTS:
            adapter = EtcdAdapter(
                partial(link.open_tcp, "127.0.0.1", port),
                partial(link.open_tcp, timeout=HEALTH_TIMEOUT),
                link.name,
            )
            try:
                adapter.version()
            except (ServiceError, LinkError) as error:
                adapter.close()
                problem = problem or error
                continue
            return adapter
        assert problem is not None
        raise problem

    def etcd(self) -> EtcdAccess:
        """As ``access.ClusterAccess.etcd``."""
        with self._lock:
            if self._etcd is not None:
                try:
                    self._etcd.version()
                    return self._etcd
                except (ServiceError, LinkError):
                    self._etcd = None
            problems = []
            for link in self._links():
                try:
                    self._etcd = self._etcd_at(link)
                    return self._etcd
                except (ServiceError, LinkError) as error:
                    problems.append(f"{link.name}: {error}")
        raise ServiceError(
            "etcd answers on no host",
            said="; ".join(problems[:3]),
            do="look at etcd2.service on the hosts",
        )

    def _links(self) -> list[HostLink]:
        """Every link, the first host's first."""
        return [self.entry, *(h.link for h in self.hosts if h.link and h.link is not self.entry)]

    def fleet(self) -> FleetAccess:
        """As ``access.ClusterAccess.fleet``."""
        return self._fleet

    def try_ports(self, host: str, places: Sequence[tuple[str, int]]) -> tuple[bool, ...] | None:
        """As ``access.ClusterAccess.try_ports``."""
        if not host:
            is_direct = self.entry.peer_address in self._addresses and not self._jumps
            return try_from_here(places) if is_direct else None
        return try_from(self.link(host), places)

    def machine_ids(self) -> frozenset[str]:
        """As ``access.ClusterAccess.machine_ids``."""
        facts, _ = self.etcd().tree(f"{fleet.PREFIX}/machines")
        return frozenset(machine.id for machine in fleet.machines(facts))

    def close(self) -> None:
        """End every connection."""
        if self._etcd is not None:
            self._etcd.close()
        self._fleet.close()
        for host in self.hosts:
            if host.docker is not None:
                host.docker.close()
            if host.link is not None:
                host.link.close()
        for link in (self._entry, *reversed(self._jumps)):
            if link is not None:
                link.close()
        self._credentials.close()
