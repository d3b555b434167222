"""The lab: hosts on a network of their own, their etcd, and a registry. Use ``running``."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.platform import METADATA
from tests.lab import cgroups, place, platform, root
from tests.lab.database import LabDatabase
from tests.lab.disk import Identity, Setting
from tests.lab.host import LabHost
from tests.lab.keys import FLEET, Keys, is_object, is_target
from tests.lab.place import Place
from tests.lab.registry import LabRegistry
from tests.lab.store import LabStore
from tests.lab.waiting import await_that

RELEASE = "v1.13.4"
SCENARIOS = {3: "three", 5: "five"}
"""How many hosts a lab can have, and the pretend cluster whose platform it runs."""

PROGRAMS = (
    "debootstrap", "docker-registry", "ip", "iptables", "tc", "nsenter", "unshare", "setpriv",
    "ssh-keygen", "mkfs.ext4", "openssl",
)  # fmt: skip
TRIAL = """\
mkdir upper work
mount -t overlay -o lowerdir=/etc,upperdir=$PWD/upper,workdir=$PWD/work overlay /etc
truncate -s 4M image
mkfs.ext4 -q image
mount -o loop image /mnt
mount -t cgroup -o none,name=systemd cgroup /mnt
ip link add dwz-try type bridge
ip link add dwz-one type veth peer name dwz-two
iptables -A INPUT -j DROP
"""
"""What a lab host needs of the kernel, in namespaces that end with it."""

DATABASE = "deis-database.service"

PLACED = 180.0
"""Seconds for all units to be where they belong: what fleet knows of a machine or a unit is believed for 30 s."""

KNOWN_FOR = 8
"""Seconds that etcd must keep a machine yet: one whose fleetd is well has 15 at least (half of fleet's TTL)."""


@functools.cache
def why_no_lab() -> str:
    """Empty when the lab can run on this machine, else the reason to skip. May build the hosts' root."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the lab needs Linux and root"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"the lab needs {', '.join(missing)}"
    if "systemd" not in cgroups.hierarchies():
        return "this machine allows no lab: it has no version 1 control groups"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(
            ["unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--cgroup", "--fork",
             "--mount-proc", "sh", "-ec", TRIAL],
            capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
    if tried.returncode:
        return f"this machine allows no lab: {tried.stderr.strip()}"
    try:
        root.build()
    except root.NoRootError as error:
        return f"the lab's hosts have no root file system: {error}"
    return ""


class Lab:
    """The hosts, their etcd and the registry, at a place that is theirs alone."""

    def __init__(self, place: Place, hosts: int) -> None:
        self.place = place
        self.network = place.network
        self.folder = place.folder
        self.client_key = self.folder / "id_ed25519"
        self.known_hosts = self.folder / "known_hosts"
        self.hosts: list[LabHost] = []
        self.registry = LabRegistry(place)
        self.store = LabStore(place)
        self._scenario = SCENARIOS[hosts]

    def start(self) -> None:
        """Bring everything up."""
        self.folder.mkdir(mode=0o700)
        self.network.make_bridge()
        self.registry.prepare()
        self.registry.start()
        self.store.prepare()
        pushed = ThreadPoolExecutor(1, "push").submit(self.registry.fill, RELEASE)
        with PretendCluster.start(self._scenario, speed=1.0) as pretend:
            self._make_hosts(pretend)
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            host.await_services()
        for key, value in self.platform.keys.items():
            self.keys.put(key, value)
        pushed.result()
        self.await_platform()
        self.database.reset()

    def _make_hosts(self, pretend: PretendCluster) -> None:
        """As the pretend cluster's, so that its keys are true of them."""
        inside, outside = self.network.inside, self.network.outside
        addresses = {h.address: f"{inside}.{10 + n}" for n, h in enumerate(pretend.hosts, 1)}

        def ours(text: str) -> str:
            for theirs, address in addresses.items():
                text = text.replace(theirs, address)
            return text

        self.platform = platform.of(pretend, ours, self.store.address)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.client_key], check=True
        )
        setting = Setting(
            members=",".join(
                f"{h.machine_id}=http://{addresses[h.address]}:2380" for h in pretend.hosts
            ),
            client_key=self.client_key.with_suffix(".pub").read_text(),
            release=RELEASE,
            registry=self.network.registry,
            authority=self.registry.authority,
            metadata=",".join(f"{name}={value}" for name, value in METADATA.items()),
            templates=self.platform.templates,
        )
        for number, model in enumerate(pretend.hosts, 1):
            address, public = addresses[model.address], f"{outside}.{10 + number}"
            self.network.plug_in(model.name, address, *([public] if number == 1 else []))
            identity = Identity(model.name, address, model.machine_id, public)
            host = LabHost(identity, self.place, root.path())
            host.prepare(setting)
            self.hosts.append(host)
        [at] = self.platform.places[DATABASE]
        self.database = LabDatabase(next(h for h in self.hosts if h.machine_id == at))
        self.keys = Keys([host.address for host in self.hosts])
        self.known_hosts.write_text(
            f"{outside}.11 {self.hosts[0].host_key}\n"
            + "".join(f"{host.address} {host.host_key}\n" for host in self.hosts)
        )

    def host(self, name: str) -> LabHost:
        """By its name."""
        return next(host for host in self.hosts if host.name == name)

    def value(self, key: str) -> str | None:
        """A key as etcd has it now."""
        return self.keys.value(key)

    def put(self, key: str, value: str) -> None:
        """Write a key."""
        self.keys.put(key, value)

    def reset(self) -> None:
        """As it was when it started: keys, the database, no images, no store, every host and service up, no limits.

        What else a test changes on a host's disk, or in the list of etcd's members, it puts back itself.
        """
        self.registry.start()
        self.store.stop()
        for host in self.hosts:
            host.revive()
        for host in self.hosts:
            host.put_right()
        self.keys.remove("/deiswizard")  # the lock of a wizard that a test has killed
        now = self.keys.below("/deis") | self.keys.below(FLEET)
        extra = (
            key for key in now.keys() - self.platform.keys if not platform.is_kept_by_hosts(key)
        )
        for key in sorted(extra, key=is_object, reverse=True):
            self.keys.remove(key)
        for key, value in sorted(self.platform.keys.items(), key=lambda item: is_object(item[0])):
            if now.get(key) != value:
                self.keys.put(key, value)
        for host in self.hosts:
            host.remove_images()
        self.await_platform()
        self.database.reset()

    def await_platform(self) -> None:
        """Every unit of Deis is where it belongs, runs, and says where it is; and every machine is known for a while yet.

        Units whose machine was away too long are put back: fleet leaves them where they went.
        """
        await_that(self._platform_runs, "every unit of the platform runs where it belongs", PLACED)

    def _platform_runs(self) -> bool:
        known = self.keys.below(FLEET)
        placed = {key: self.platform.keys[key] for key in self.platform.keys if is_target(key)}
        found = {key: known[key] for key in known if is_target(key)}
        for key in found.keys() - placed:
            self.keys.remove(key)
        for key in (key for key, at in placed.items() if found.get(key) != at):
            self.keys.put(key, placed[key])
        wanted = {
            f"{FLEET}/states/{unit}/{ident}"
            for unit, where in self.platform.places.items()
            for ident in where
        }
        runs = {
            key
            for key, value in known.items()
            if key.startswith(f"{FLEET}/states/") and json.loads(value)["subState"] == "running"
        }
        if wanted != runs or placed != found:
            return False
        said = self.keys.below("/deis")
        if any(said.get(key) != value for key, value in self.platform.announced.items()):
            return False
        machines = (f"{FLEET}/machines/{host.machine_id}/object" for host in self.hosts)
        return all(self.keys.seconds_left(key) >= KNOWN_FOR for key in machines)

    def stop(self) -> None:
        """Everything ends."""
        for host in self.hosts:
            host.stop()
        self.registry.stop()
        self.store.stop()


@contextmanager
def running(hosts: int = 3, number: int | None = None) -> Iterator[Lab]:
    """A lab that lives as long as the block, at a place of that number or any; nothing of it stays.

    Raises RuntimeError when there are too many labs on this machine.
    """
    with place.taken(number) as found:
        lab = Lab(found, hosts)
        try:
            lab.start()
            yield lab
        finally:
            lab.stop()
