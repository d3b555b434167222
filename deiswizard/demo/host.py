"""One pretend host: its files, its engine, its shell, and what can be reached from it."""

from __future__ import annotations

import functools
import hashlib
import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deiswizard.cluster.etcd_host import ETCD_SHUTDOWN
from deiswizard.demo import components, router
from deiswizard.demo.ceph import DAEMON_DATA, MONITOR_DATA
from deiswizard.demo.commands import COMMANDS
from deiswizard.demo.commands_filter import UNITS, Timers, start_unit
from deiswizard.demo.commands_logging import takes_connections
from deiswizard.demo.docker_engine import DockerEngine
from deiswizard.demo.docker_http import DockerHandler
from deiswizard.demo.drop_ins import cloudinit_text
from deiswizard.demo.etcd_http import EtcdHandler
from deiswizard.demo.etcd_service import CLOUDINIT, EtcdService
from deiswizard.demo.fleet_http import FleetHandler
from deiswizard.demo.fleetd import Fleetd
from deiswizard.demo.gate import Gate
from deiswizard.demo.http_base import Handler, serve_on
from deiswizard.demo.packet_filter import PacketFilter
from deiswizard.demo.platform import METADATA, MOUNTS, decorators
from deiswizard.demo.s3 import GatewayHandler
from deiswizard.demo.shell import Process, Shell, Write
from deiswizard.demo.systemd import PretendSystemd
from deiswizard.userdata.roles import CEPH_SHUTDOWN

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster

GB = 1_000_000_000
DISK = 40 * GB
OPERATOR = "203.0.113.50"
"""From where the operator's connections seem to come: an address that is kept for documentation."""

DISCOVERY = "https://discovery.etcd.io/5d1e77aa0c3b4f6f9a1e2d3c4b5a6978"
"""A service that is gone: what asks it does not start."""

BOOT_ID = "/proc/sys/kernel/random/boot_id"
IF_INET6 = "/proc/net/if_inet6"
PUBLISHED: dict[str, tuple[tuple[int, str], ...]] = {
    "deis-router": ((80, "tcp"), (443, "tcp"), (2222, "tcp"), (9090, "tcp")),
    "deis-builder": ((2223, "tcp"),),
    "deis-controller": ((8000, "tcp"),),
    "deis-database": ((5432, "tcp"),),
    "deis-logger": ((514, "udp"), (8088, "tcp")),
    "deis-registry": ((5000, "tcp"),),
    "deis-store-gateway": ((8888, "tcp"),),
}
"""Docker's ``-p`` in Deis's units (deis-facts 0.2)."""

DATA_CONTAINERS = ("deis-database-data", DAEMON_DATA, MONITOR_DATA)
ALMOST_FULL = int(0.4 * GB)
GATEWAY, GATEWAY_PORT = "deis-store-gateway@1.service", 8888


class PretendHost:
    """``number`` counts from 1. Services are reached by address and port, or by a socket's path."""

    def __init__(self, cluster: PretendCluster, number: int) -> None:
        self.cluster = cluster
        self.name = f"deis-{number}"
        self.number = number
        self.address = f"10.21.2.{10 + number}"
        self.peer_url, self.client_url = (f"http://{self.address}:{port}" for port in (2380, 2379))
        self.machine_id = hashlib.md5(f"pretend {number}".encode()).hexdigest()
        self.is_down = self.name in cluster.scenario.down
        free = ALMOST_FULL if self.name in cluster.scenario.almost_full else DISK - 3 * GB
        self.engine = DockerEngine(free, DISK, cluster.speed)
        self.engine_runs = True
        release = cluster.scenario.wrong_release.get(self.name, cluster.scenario.release)
        self.systemd = PretendSystemd()
        self.filter = PacketFilter(self.published)
        self.timers = Timers(self)
        self.role = cluster.scenario.role
        self.enabled: set[str] = {ETCD_SHUTDOWN} if cluster.scenario.graceful else set()
        self._lock = threading.Lock()
        self.gates: dict[str, Gate] = {}
        """A command line, as it is sent, to what it has to go through before it runs."""

        self.containers: set[str] = set()
        self.data_containers: dict[str, set[str]] = {
            name: set() for name in (DATA_CONTAINERS if self._has_store else ())
        }
        """What holds the data of Ceph and of the database, and what is in it; stays when their units are gone."""

        self.modes: dict[str, str] = {}
        self._files: dict[str, bytes] = {
            path: text.encode()
            for path, text in {
                "/etc/os-release": "NAME=CoreOS\nID=coreos\nVERSION=1068.8.0\nVERSION_ID=1068.8.0\n"
                'PRETTY_NAME="CoreOS 1068.8.0 (MoreOS)"\n',
                "/etc/deis-release": f"DEIS_RELEASE={release}\n",
                "/etc/environment": f"COREOS_PRIVATE_IPV4={self.address}\n"
                f"COREOS_PUBLIC_IPV4=203.0.113.{10 + number}\n",
                "/etc/machine-id": f"{self.machine_id}\n",
                "/etc/hostname": f"{self.name}\n",
                BOOT_ID: f"{uuid.uuid4()}\n",
                "/proc/mounts": self._mounts(is_there=cluster.scenario.platform),
                IF_INET6: "fe80000000000000025056fffe000001 02 40 20 80     eth0\n",
                "/run/deis/bin/preseed": "#!/usr/bin/env bash\n",
                "/run/deis/bin/get_image": "#!/usr/bin/env bash\n",
                **decorators(),
            }.items()
        }
        self.write_file(CLOUDINIT, self._cloudinit().encode())
        self.etcd = EtcdService(self, cluster.scenario.etcd_data)
        self.etcd.reload()
        carried = {**METADATA, **cluster.scenario.metadata.get(self.name, {})}
        self.fleetd = Fleetd(self, ",".join(f"{key}={value}" for key, value in carried.items()))
        if cluster.scenario.graceful_ceph:
            self.enabled.add(CEPH_SHUTDOWN)
            self._files[f"{UNITS}/{CEPH_SHUTDOWN}"] = (
                b"[Service]\nType=oneshot\nExecStart=true\nExecStop=/opt/bin/graceful-shutdown.sh --ceph\n"
            )
        if ETCD_SHUTDOWN in self.enabled:
            self._files[f"/etc/systemd/system/{ETCD_SHUTDOWN}"] = (
                b"[Service]\nType=oneshot\nExecStart=true\n"
            )
        self._shell = Shell(
            {name: functools.partial(command, self) for name, command in COMMANDS.items()},
            self.read_file,
            self.write_file,
            cluster.note_unknown,
        )

    def store_daemon_ends(self) -> None:
        """What requires it ends too: on a host that leaves Ceph at shutdown, Ceph's data goes with it."""
        drop_in = self.read_file(f"{UNITS}/{CEPH_SHUTDOWN}.d/50-deiswizard.conf") or b""
        if CEPH_SHUTDOWN in self.enabled and b"ExecStop=\n" not in drop_in:
            self.data_containers.pop(DAEMON_DATA, None)

    @property
    def _has_store(self) -> bool:
        scenario = self.cluster.scenario
        return scenario.platform and not scenario.stateless

    def _cloudinit(self) -> str:
        """What cloudinit writes for etcd2 at every boot."""
        return cloudinit_text(
            ETCD_ADVERTISE_CLIENT_URLS=self.client_url,
            ETCD_DISCOVERY=DISCOVERY,
            ETCD_INITIAL_ADVERTISE_PEER_URLS=self.peer_url,
            ETCD_LISTEN_CLIENT_URLS="http://0.0.0.0:2379,http://0.0.0.0:4001",
            ETCD_LISTEN_PEER_URLS=self.peer_url,
        )

    def is_mount(self, path: str) -> bool:
        """Whether a disk of its own is mounted there: what etcd has on AWS."""
        return path == "/media/etcd"

    def _mounts(self, *, is_there: bool) -> str:
        """CephFS where the store-volume runs."""
        scenario = self.cluster.scenario
        lines = MOUNTS.splitlines(keepends=True)
        has = is_there and scenario.store_mount and not scenario.stateless
        return "".join(lines if has else lines[:1])

    def mount(self, *, is_there: bool) -> None:
        """The store-volume has started or ended here."""
        self.write_file("/proc/mounts", self._mounts(is_there=is_there).encode())

    @property
    def metadata(self) -> dict[str, str]:
        """What it carries in fleet: what its fleetd was started with."""
        return self.fleetd.metadata

    @property
    def has_etcdctl(self) -> bool:
        """Whether etcdctl on this host reaches etcd (a scenario may break it)."""
        return self.name not in self.cluster.scenario.no_etcdctl

    def reboot(self) -> None:
        """Another boot id; nothing of what ran is left."""
        self.write_file(BOOT_ID, f"{uuid.uuid4()}\n".encode())
        self.systemd.reboot()
        self.etcd.reboot()
        self.timers.clear()
        self.filter.flush()
        for unit in sorted(self.enabled):
            start_unit(self, unit)
        self.cluster.fleet.joined(self)

    def restart_docker(self) -> None:
        """Docker puts its rules first again; what follows it is started once more."""
        self.filter.docker_starts()
        for unit in sorted(self.enabled):
            if b"PartOf=docker.service" in (self.read_file(f"{UNITS}/{unit}") or b""):
                start_unit(self, unit)

    def published(self) -> set[tuple[int, str]]:
        """Ports that Docker passes on to containers here."""
        return {
            port
            for unit, hosts in self.cluster.placement.items()
            if self in hosts
            for port in PUBLISHED.get(unit.removesuffix(".service").partition("@")[0], ())
        }

    def read_file(self, path: str) -> bytes | None:
        """A file's content, None when there is none."""
        if path.startswith("/dev/tcp/"):
            return b"" if takes_connections(self, path) else None
        return self._files.get(path)

    def write_file(self, path: str, data: bytes, appends: bool = False) -> bool:
        """Write a file; whether its folder is there (any but /nowhere is)."""
        if path.startswith("/nowhere"):
            return False
        with self._lock:
            self._files[path] = (self._files.get(path, b"") if appends else b"") + data
        return True

    def remove_file(self, path: str) -> bool:
        """Whether there was such a file."""
        with self._lock:
            return self._files.pop(path, None) is not None

    def below(self, path: str) -> tuple[str, ...]:
        """A file itself, or every file below a folder."""
        return tuple(p for p in self.files() if p == path or p.startswith(f"{path}/"))

    def files(self) -> tuple[str, ...]:
        """Every path."""
        return tuple(self._files)

    def execute(
        self, command: str, out: Write, err: Write, stdin: bytes, gone: threading.Event
    ) -> int:
        """Run a command line in the host's shell."""
        environ = {
            "HOME": "/home/core",
            "SSH_CONNECTION": f"{self._peer()} 50122 {self.address} 22",
        }
        process = Process([], out, err, stdin, environ, gone, self.cluster.speed)
        if gate := self.gates.get(command):
            gate.wait()
        return self._shell.run(command, process)

    def _peer(self) -> str:
        """Who is connected over SSH: the operator to the first host, that one to the others."""
        entry = self.cluster.hosts[0]
        return OPERATOR if self is entry else entry.address

    def run_words(self, process: Process, text: str) -> int:
        """Run a command line on behalf of a running command (sudo, sh -c)."""
        return self._shell.run(text, process)

    @property
    def has_router(self) -> bool:
        """Whether one of Deis' routers runs here."""
        units = (unit for unit in self.cluster.placement if unit.startswith("deis-router@"))
        return any(self in self.cluster.placement[unit] for unit in units)

    def listens(self, port: int) -> bool:
        """Whether a channel to that port is opened."""
        return self.handler_for_port(port) is not None or (port in router.PORTS and self.has_router)

    def handler_for_port(self, port: int) -> Callable[..., Handler] | None:
        """What speaks plain HTTP on a port of this host, besides the router."""
        if port in (2379, 4001) and self.etcd.mode:
            return lambda *args: EtcdHandler(self.cluster, self, *args)
        if port == 2375 and self.engine_runs:
            return lambda *args: DockerHandler(self, *args)
        if (component := components.SERVED.get(port)) and self in components.hosts(
            self.cluster, component
        ):
            return lambda *args: components.Health(self.cluster, component, *args)
        if port == GATEWAY_PORT and self in self.cluster.placement.get(GATEWAY, []):
            return lambda *args: GatewayHandler(self, *args)
        return None

    def handler_for_socket(self, path: str) -> Callable[..., Handler] | None:
        """What listens on a unix socket of this host."""
        if path in ("/var/run/docker.sock", "/run/docker.sock") and self.engine_runs:
            return lambda *args: DockerHandler(self, *args)
        if path in ("/var/run/fleet.sock", "/run/fleet.sock"):
            return lambda *args: FleetHandler(self.cluster, *args)
        return None

    def serve_port(self, port: int, connection: Any, peer: str) -> None:
        """Speak to whoever opened a channel to a port that is served; ``peer`` is the address of that."""
        if port in router.PORTS:
            router.serve(self, port, connection, peer)
            return
        handler = self.handler_for_port(port)
        assert handler is not None
        serve_on(handler, connection)

    def serve_socket(self, path: str, connection: Any) -> None:
        """The same for a unix socket."""
        handler = self.handler_for_socket(path)
        assert handler is not None
        serve_on(handler, connection)
