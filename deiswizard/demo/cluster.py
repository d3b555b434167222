"""A whole pretend cluster in this process, on loopback. The wizard cannot tell the difference."""

from __future__ import annotations

import contextlib
import functools
import io
import shutil
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deiswizard.demo import database, platform, receiver, scenario
from deiswizard.demo.ceph import PretendCeph
from deiswizard.demo.controller import Controller
from deiswizard.demo.docker_http import DockerHandler
from deiswizard.demo.etcd_cluster import PretendEtcd
from deiswizard.demo.etcd_http import EtcdHandler
from deiswizard.demo.etcd_store import EtcdStore
from deiswizard.demo.fleet import PretendFleet
from deiswizard.demo.host import OPERATOR, PretendHost
from deiswizard.demo.http_base import LoopbackServer
from deiswizard.demo.logger import Address, Logger
from deiswizard.demo.outside_store import OutsideStore
from deiswizard.demo.postgres import PretendPostgres
from deiswizard.demo.router import Routers
from deiswizard.demo.s3 import PretendStore
from deiswizard.demo.scenario import Scenario
from deiswizard.demo.ssh_server import SSH_PORT, ServerTransport
from deiswizard.inventory import Target

OUTSIDE_DATABASE = "db.example.com:5432"
FLANNEL = '{"Network": "10.244.0.0/16", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}'


def _new_key() -> tuple[bytes, paramiko.PKey]:
    """An ed25519 key: its private file, and the key."""
    data = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return data, paramiko.Ed25519Key.from_private_key(io.StringIO(data.decode()))


class PretendCluster:
    """Use ``start``. Only the first host listens, on a port of 127.0.0.1; the others are behind it."""

    def __init__(self, name: str, speed: float, folder: Path, made: Scenario | None = None) -> None:
        self.name = name
        self.speed = speed
        self.folder = folder
        self.scenario = made or scenario.load(name)
        self.is_closed = False
        self.fleet_is_away = False
        self.log_path = folder / "demo.log"
        self.key_file = folder / "id_ed25519"
        self.known_hosts = folder / "known_hosts"
        self._unknown: list[str] = []
        self._servers: list[LoopbackServer] = []
        self.store = EtcdStore()
        self.data_store = PretendStore(is_new=not self.scenario.platform)
        self.database = b""
        self.hosts = [PretendHost(self, number + 1) for number in range(self.scenario.hosts)]
        self.etcd = PretendEtcd(self)
        self.etcd.begin(self.hosts[: self.scenario.members or len(self.hosts)])
        self.placement = platform.place(self.hosts) if self.scenario.platform else {}
        self._give_images()
        platform.fill(self)
        self.ceph = PretendCeph(self)
        self.store.put("/coreos.com/network/config", FLANNEL)
        self.fleet = PretendFleet(self)
        self.controller = Controller(self.store, speed)
        self.received = folder / "logs.example.com.log"
        self._receiver = receiver.LogReceiver(self.received)
        self.postgres = PretendPostgres(
            {"deis": platform.OUTSIDE_PASSWORD}, {"deis": self._outside_tables()}
        )
        self.outside_store = OutsideStore(folder, speed)
        self.outside: dict[str, Address] = {
            receiver.NAME: self._receiver.address,
            OUTSIDE_DATABASE: self.postgres.address,
            **self.outside_store.addresses(),
        }
        """Who beyond the cluster can be reached from it: ``name:port``, and where that is on this machine."""
        self.logger = Logger(self.store, speed, self.outside)
        self.silent: set[str] = set()
        """Hosts whose logspout runs, but passes nothing on."""

        self.routers = Routers(self.store, speed, lambda: self.is_closed)
        self.routers.start()
        private, self.client_key = _new_key()
        self.key_file.write_bytes(private)
        self.key_file.chmod(0o600)
        self.host_keys = {host.name: _new_key()[1] for host in self.hosts}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._write_known_hosts()
        threading.Thread(target=self._listen, name="pretend-sshd", daemon=True).start()
        self.etcd_url = (
            f"http://127.0.0.1:{self._serve(functools.partial(EtcdHandler, self, self.hosts[0]))}"
        )
        self.docker_urls: Mapping[str, str] = {
            host.name: f"tcp://127.0.0.1:{self._serve(functools.partial(DockerHandler, host))}"
            for host in self.hosts
            if not host.is_down
        }

    def _outside_tables(self) -> Mapping[str, tuple[str, ...]]:
        """What the database outside holds: the controller's tables where it is the controller's already."""
        return database.TABLES if self.scenario.stateless else {}

    @classmethod
    def start(
        cls,
        scenario: str | Scenario = "three",
        *,
        speed: float = 1.0,
        folder: Path | None = None,
    ) -> PretendCluster:
        """Start a scenario, by its name or one made for the purpose; ``speed`` is how many times faster
        than life. Raises AnswersError.
        """
        made = None if isinstance(scenario, str) else scenario
        name = scenario if isinstance(scenario, str) else "made"
        place = folder or Path(tempfile.mkdtemp(prefix="deiswizard-demo-"))
        return cls(name, max(speed, 0.1), place, made)

    def _serve(
        self, make: functools.partial[EtcdHandler] | functools.partial[DockerHandler]
    ) -> int:
        server = LoopbackServer(make)
        self._servers.append(server)
        return server.port

    def _give_images(self) -> None:
        """What runs on a host has its image there; a scenario may say more."""
        for host in self.hosts:
            how = self.scenario.images.get(host.name, "running")
            for unit, where in self.placement.items():
                component = platform.component_of(unit)
                if component == "store-volume" or (how == "running" and host not in where):
                    continue
                image = self.scenario.keys.get(f"/deis/{component}/image")
                host.engine.add(image or f"deis/{component}:{self.scenario.release}")
            if how == "all":
                host.engine.add("alpine:3.2")
                host.engine.add(f"deis/store-admin:{self.scenario.release}")

    def _write_known_hosts(self) -> None:
        entry = self.host_keys[self.hosts[0].name]
        lines = [f"[127.0.0.1]:{self.port} {entry.get_name()} {entry.get_base64()}"]
        for host in self.hosts:
            key = self.host_keys[host.name]
            if host.name in self.scenario.changed_keys:
                key = _new_key()[1]
            lines.append(f"{host.address} {key.get_name()} {key.get_base64()}")
        self.known_hosts.write_text("\n".join(lines) + "\n")

    @property
    def target(self) -> Target:
        """Where and how to log in."""
        return Target(
            is_pretended=True,
            host="127.0.0.1",
            port=self.port,
            identities=(self.key_file,),
            explicit_identities=(self.key_file,),
            use_agent=False,
            known_hosts=(self.known_hosts,),
            explicit_known_hosts=(self.known_hosts,),
            alias=f"demo-{self.name}",
            ssh_config=self._empty_config(),
        )

    def _empty_config(self) -> Path:
        """An SSH config that says nothing, so that the operator's own does not meddle."""
        path = self.folder / "ssh_config"
        path.touch()
        return path

    @property
    def unknown_commands(self) -> tuple[str, ...]:
        """Commands that were sent and that no pretend host knows."""
        return tuple(self._unknown)

    def note_unknown(self, command: str) -> None:
        """Write it to the log: what a pretend host lacks is a defect of the demo."""
        self._unknown.append(command)
        with self.log_path.open("a", encoding="utf-8") as log:
            log.write(f"127: {command}\n")

    def host_at(self, seen_from: PretendHost, address: str) -> PretendHost | None:
        """The host of an address, as seen from another."""
        if address in ("127.0.0.1", "localhost", seen_from.address):
            return seen_from
        return next((host for host in self.hosts if host.address == address), None)

    def listens(self, seen_from: PretendHost, address: str, port: int) -> bool:
        """Whether something answers there."""
        host = self.host_at(seen_from, address)
        if host is None or host.is_down:
            return False
        if host is not seen_from and host.filter.lets_in(seen_from.address, port) == "closed":
            return False
        return port == SSH_PORT or host.listens(port)

    def dial_outside(self, address: str, port: int) -> socket.socket | None:
        """A connection to somebody beyond the cluster; None: nobody is known there, or answers."""
        where = self.outside.get(f"{address}:{port}")
        try:
            return socket.create_connection(where, timeout=5) if where else None
        except OSError:
            return None

    def run_on_all(self, unit: str) -> None:
        """One more global unit, running on every host that is up."""
        self.placement[unit] = [host for host in self.hosts if not host.is_down]
        platform.launch(self, unit)

    def add_host(self) -> PretendHost:
        """One more machine, with none of Deis's images; fleet gives it every global unit."""
        host = PretendHost(self, len(self.hosts) + 1)
        self.host_keys[host.name] = _new_key()[1]
        self.hosts.append(host)
        self._write_known_hosts()
        host.etcd.files_of_proxy([voter.peer_url for voter in self.etcd.members.listed()])
        host.etcd.start()
        platform.register(self, host)
        self.fleet.joined(host)
        return host

    def take_away(self, host: PretendHost) -> None:
        """A machine that is gone for good, as fleet sees it once its lease is over."""
        host.is_down = True
        platform.withdraw(self, host)
        self.fleet.machine_leaves(host)

    def _listen(self) -> None:
        while not self.is_closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.hosts[0].filter.lets_in(OPERATOR, SSH_PORT) == "closed":
                connection.close()
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                ServerTransport(connection, self.hosts[0], self).serve()

    def close(self) -> None:
        """Stop everything and remove the folder."""
        if self.is_closed:
            return
        self.is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.data_store.gate.open()
        self.logger.close()
        self._receiver.close()
        self.postgres.close()
        self.outside_store.close()
        for server in self._servers:
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PretendCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
