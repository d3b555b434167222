"""The two clusters that every flow is tried on, behind one shape."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Protocol

from deiswizard.cluster.image_names import normalised
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.commands_data import dump
from deiswizard.demo.gate import Gate
from deiswizard.demo.s3 import PretendStore
from deiswizard.inventory import Target
from tests.lab.lab import Lab
from tests.lab.store import LabStore, RemoteGate

HOSTS = ("deis-1", "deis-2", "deis-3")
COMPONENTS_IN_USE = 12
MODE_KEY = "/deis/controller/registrationMode"


class ObjectStore(Protocol):
    """What the store gateway leads to."""

    @property
    def gate(self) -> Gate | RemoteGate:
        """Who reads or writes an object goes through it."""

    def start(self) -> None:
        """It is up, and the buckets db_wal and registry have something in them."""

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What a bucket really holds."""

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object."""


class Cluster(Protocol):
    """A cluster of three hosts that a flow may look at and hurt behind the wizard's back."""

    kind: str
    unknown_image: str
    """The name of an image that no registry has."""
    receiver_name: str
    """How the cluster's hosts call the machine on which a test receives logs."""
    parts: tuple[str, ...]
    """What of it can be backed up."""

    @property
    def store(self) -> ObjectStore:
        """The buckets."""

    def dump(self) -> str:
        """All that the database really holds, as SQL."""

    def lose_applications(self) -> None:
        """The database has none any more."""

    def flags(self) -> list[str]:
        """How the command line names it."""

    def target(self) -> Target:
        """The same as a target."""

    def images(self, host: str) -> set[str]:
        """What the host's engine really has."""

    def value(self, key: str) -> str | None:
        """What etcd really has."""

    def put(self, key: str, value: str) -> None:
        """Write a key, as another operator would."""

    def file(self, host: str, path: str) -> str:
        """A file on a host, empty when there is none."""

    def remove_file(self, host: str, path: str) -> None:
        """Remove a file, if it is there."""

    def set_admins(self, count: int) -> None:
        """How many active superusers the database has."""

    def take_down(self, host: str) -> None:
        """Nobody reaches it any more."""

    def stop_engine(self, host: str) -> None:
        """Its Docker engine does not answer."""

    def unit_file(self, name: str) -> str:
        """The file of a fleet unit, empty when there is none."""

    def receiver_address(self) -> str:
        """An address of this machine at which a test can receive what hosts send."""

    def let_reach(self, port: int) -> None:
        """Hosts reach that port of the receiver."""

    def balancer_address(self) -> tuple[str, int]:
        """Where a load balancer before it can listen on this machine; port 0: any."""

    def dial_router(self, host: str) -> Any:
        """A connection to port 80 of that host's router, as a load balancer makes it."""

    def name_leads_to(self, name: str, port: int) -> None:
        """Hosts find a load balancer of ours by that name, on 443."""

    def forget_name(self, name: str) -> None:
        """Hosts know no such name any more."""

    def journal(self, host: str, text: str) -> None:
        """A line in a host's journal."""

    def slow_down(self, speed: float = 0.3) -> None:
        """Pulls take long enough to be interrupted. ``speed``: the pretend engines'."""

    def speed_up(self) -> None:
        """Pulls are as fast as can be again."""


def target_flags(target: Target) -> list[str]:
    """``--tunnel ... -i ... --known-hosts ...`` for a target."""
    return [
        "--tunnel", f"{target.host}:{target.port}", "--user", target.user, "--ssh-config", "/dev/null",
        *(word for path in target.identities for word in ("-i", str(path))),
        *(word for path in target.known_hosts for word in ("--known-hosts", str(path))),
    ]  # fmt: skip


class PretendedStore:
    """The pretend cluster's."""

    def __init__(self, store: PretendStore) -> None:
        self.gate = store.gate
        self._buckets = store.buckets

    def start(self) -> None:
        """It always runs."""

    def objects(self, bucket: str) -> dict[str, bytes]:
        return dict(self._buckets[bucket])

    def remove(self, bucket: str, key: str) -> None:
        del self._buckets[bucket][key]


class Pretended:
    """The demo's cluster in this process."""

    kind = "demo"
    unknown_image = "deis/nothing:v1"
    receiver_name = "logs.example.com"
    fast = 50.0
    parts: tuple[str, ...] = ("etcd", "database", "db_wal", "registry", "volume")

    def __init__(self, cluster: PretendCluster) -> None:
        self.cluster = cluster
        self.store = PretendedStore(cluster.data_store)

    def target(self) -> Target:
        return self.cluster.target

    def flags(self) -> list[str]:
        return target_flags(self.cluster.target)

    def _host(self, name: str) -> int:
        return [host.name for host in self.cluster.hosts].index(name)

    def images(self, host: str) -> set[str]:
        shown = self.cluster.hosts[self._host(host)].engine.images()
        return {tag for image in shown for tag in image["RepoTags"]}

    def value(self, key: str) -> str | None:
        return self.cluster.store.value(key)

    def put(self, key: str, value: str) -> None:
        self.cluster.store.put(key, value)

    def file(self, host: str, path: str) -> str:
        return (self.cluster.hosts[self._host(host)].read_file(path) or b"").decode()

    def remove_file(self, host: str, path: str) -> None:
        self.cluster.hosts[self._host(host)].remove_file(path)

    def dump(self) -> str:
        return (self.cluster.database or dump()).decode()

    def lose_applications(self) -> None:
        self.cluster.database = b"-- nothing\n"

    def set_admins(self, count: int) -> None:
        self.cluster.scenario = self.cluster.scenario.model_copy(update={"admins": count})

    def take_down(self, host: str) -> None:
        self.cluster.hosts[self._host(host)].is_down = True

    def stop_engine(self, host: str) -> None:
        self.cluster.hosts[self._host(host)].engine_runs = False

    def refuse_pulls(self, host: str) -> None:
        self.cluster.hosts[self._host(host)].engine.registry_answers = False

    def unit_file(self, name: str) -> str:
        return self.cluster.fleet.file(name) or ""

    def receiver_address(self) -> str:
        return "127.0.0.1"

    def let_reach(self, port: int) -> None:
        self.cluster.outside[f"{self.receiver_name}:{port}"] = ("127.0.0.1", port)

    def balancer_address(self) -> tuple[str, int]:
        return ("127.0.0.1", 0)

    def dial_router(self, host: str) -> Any:
        ours, theirs = socket.socketpair()
        self.cluster.hosts[self._host(host)].serve_port(80, theirs, "10.21.2.250")
        return ours

    def name_leads_to(self, name: str, port: int) -> None:
        self.cluster.outside[f"{name}:443"] = ("127.0.0.1", port)

    def forget_name(self, name: str) -> None:
        self.cluster.outside.pop(f"{name}:443", None)

    def journal(self, host: str, text: str) -> None:
        """Its forwarder has sent a line of its own when it connected."""

    def slow_down(self, speed: float = 0.3) -> None:
        for host in self.cluster.hosts:
            host.engine.speed = speed

    def speed_up(self) -> None:
        for host in self.cluster.hosts:
            host.engine.speed = self.fast


class Real:
    """The lab: OpenSSH, systemd, etcd, Docker engines and a registry."""

    kind = "lab"
    parts: tuple[str, ...] = ("etcd", "database", "db_wal", "registry")  # no Ceph: no volume

    def __init__(self, lab: Lab, address: str) -> None:
        self.lab = lab
        self.unknown_image = f"{lab.network.registry}/deis/nothing:v1"
        self.receiver_name = f"{lab.network.inside}.1"
        self._address = address

    def target(self) -> Target:
        return Target(
            host=self._address,
            user="core",
            identities=(self.lab.client_key,),
            explicit_identities=(self.lab.client_key,),
            use_agent=False,
            known_hosts=(self.lab.known_hosts,),
            explicit_known_hosts=(self.lab.known_hosts,),
            ssh_config=Path("/dev/null"),
        )

    def flags(self) -> list[str]:
        return target_flags(self.target())

    def images(self, host: str) -> set[str]:
        return {normalised(name) for name in self.lab.host(host).images()}

    def value(self, key: str) -> str | None:
        return self.lab.value(key)

    def put(self, key: str, value: str) -> None:
        self.lab.put(key, value)

    def file(self, host: str, path: str) -> str:
        return self.lab.host(host).run("cat", path, check=False).stdout

    def remove_file(self, host: str, path: str) -> None:
        self.lab.host(host).run("rm", "-f", path)

    @property
    def store(self) -> LabStore:
        return self.lab.store

    def dump(self) -> str:
        return self.lab.database.dump()

    def lose_applications(self) -> None:
        self.lab.database.sql("delete from api_app")

    def set_admins(self, count: int) -> None:
        self.lab.database.set_admins(count)

    def take_down(self, host: str) -> None:
        self.lab.host(host).drop_packets(but_etcd=True)

    def stop_engine(self, host: str) -> None:
        self.lab.host(host).stop_engine()

    def unit_file(self, name: str) -> str:
        return self.lab.host("deis-1").run("fleetctl", "cat", name, check=False).stdout

    def receiver_address(self) -> str:
        return self.receiver_name

    def let_reach(self, port: int) -> None:
        """Nothing is in the way."""

    def balancer_address(self) -> tuple[str, int]:
        return (self.receiver_name, 443)

    def dial_router(self, host: str) -> Any:
        return socket.create_connection((self.lab.host(host).address, 80))

    def name_leads_to(self, name: str, port: int) -> None:
        assert port == 443
        self.forget_name(name)
        for host in self.lab.hosts:
            host.run("tee", "-a", "/etc/hosts", stdin=f"{self.receiver_name} {name}\n")

    def forget_name(self, name: str) -> None:
        for host in self.lab.hosts:
            host.run("sed", "-i", f"/ {name}$/d", "/etc/hosts")

    def journal(self, host: str, text: str) -> None:
        self.lab.host(host).run("systemd-cat", "echo", text)

    def slow_down(self, speed: float = 0.3) -> None:
        self.lab.registry.limit(16)

    def speed_up(self) -> None:
        self.lab.registry.limit(None)


def direct(lab: Lab) -> Real:
    """Entered by an address that fleet knows: every host is dialled."""
    return Real(lab, lab.hosts[0].address)


def by_bastion(lab: Lab) -> Real:
    """Entered by an address that fleet does not know: the others are reached through it."""
    return Real(lab, f"{lab.network.outside}.11")
