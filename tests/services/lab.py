"""Three real hosts on this machine: OpenSSH, an etcd cluster, Docker engines, a registry between them.

``python -m tests.services.lab`` leaves them running and prints how to point the wizard at them.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deiswizard.cluster.probe_script import COMPONENTS
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.etcd_store import EtcdStore
from tests.services import network
from tests.services.images import MEBIBYTE, Registry, layer
from tests.services.lab_host import LabHost, answers, await_that
from tests.services.network import INSIDE, OUTSIDE, REGISTRY

HOSTS = 3
RELEASE = "v1.13.4"
PROGRAMS = (
    "/usr/sbin/sshd", "etcd", "etcdctl", "dockerd", "docker-registry", "ip", "tc", "nsenter",
    "unshare", "setpriv", "ssh-keygen", "sudo", "curl", "pgrep",
)  # fmt: skip
TRIAL = """\
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
ip link add dwz-try type bridge
ip link add dwz-one type veth peer name dwz-two
"""
"""Everything that a lab host needs of the kernel, in namespaces that end with it."""

FOLDER = Path(tempfile.gettempdir()) / "deiswizard-lab"
LOCK = FOLDER.with_suffix(".lock")


@functools.cache
def why_no_lab() -> str:
    """Empty when the lab can run on this machine, else the reason to skip."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the lab needs Linux and root"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"the lab needs {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--uts", "--pid", "--net", "--fork", "--mount-proc", "sh", "-ec", TRIAL],
        capture_output=True, text=True,
    )  # fmt: skip
    return f"this machine allows no lab: {tried.stderr.strip()}" if tried.returncode else ""


class Lab:
    """The hosts, their etcd and the registry. Use ``running``."""

    def __init__(self) -> None:
        self.folder = FOLDER
        self.client_key = self.folder / "id_ed25519"
        self.known_hosts = self.folder / "known_hosts"
        self.hosts: list[LabHost] = []
        self.registry = Registry(REGISTRY)
        self._registry_process: subprocess.Popen[bytes] | None = None
        self._first: dict[str, str] = {}
        self._lock = LOCK.open("w")

    def start(self) -> None:
        """Clear what an aborted run has left, then bring everything up."""
        self._clear_leftovers()
        self.folder.mkdir(mode=0o700)
        network.make_bridge()
        network.plug_in("registry", REGISTRY)
        self._start_registry()
        with PretendCluster.start("three", speed=1.0) as pretend:
            keys = dict(_leaves(pretend.store))
            self._make_hosts(pretend)
        filler = threading.Thread(target=self._push_images, name="push")
        filler.start()
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            host.await_services()
        self._first = {key: self._ours(value) for key, value in keys.items()}
        for key, value in self._first.items():
            self.put(key, value)
        self.controller_host.run("start-controller")
        self.database_host.run("sh", "-c", "echo 1 > /run/admins")
        await_that(self._controller_answers, "the controller")
        filler.join()

    def _clear_leftovers(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with its process
        except BlockingIOError:
            raise RuntimeError("another lab is running on this machine; end it first") from None
        network.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_registry(self) -> None:
        settings = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"{REGISTRY}:80"},
        }
        (self.folder / "registry.yml").write_text(json.dumps(settings))
        with (self.folder / "registry.log").open("wb") as log:
            self._registry_process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "nsenter", "--net=/run/netns/dwz-registry",
                 "docker-registry", "serve", self.folder / "registry.yml"],
                stdout=log, stderr=log,
            )  # fmt: skip
        await_that(lambda: answers(f"http://{REGISTRY}/v2/"), "the registry")

    def _push_images(self) -> None:
        base = layer("base", 6 * MEBIBYTE)
        names = [f"deis/{name}:{RELEASE}" for name in (*COMPONENTS, "store-admin")]
        for name in (*names, "library/alpine:3.2"):
            repository, _, tag = name.partition(":")
            own = [layer(f"{name}:{number}", number * MEBIBYTE) for number in (1, 2)]
            self.registry.push(repository, tag, [base, *own])

    def _make_hosts(self, pretend: PretendCluster) -> None:
        """As the pretend cluster's, so that its keys and its fleet registry are true of them."""
        self._addresses = {h.address: f"{INSIDE}.{10 + n}" for n, h in enumerate(pretend.hosts, 1)}
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.client_key], check=True
        )
        client = self.client_key.with_suffix(".pub").read_text()
        members = ",".join(
            f"{h.name}=http://{self._addresses[h.address]}:2380" for h in pretend.hosts
        )
        for number, model in enumerate(pretend.hosts, 1):
            address = self._addresses[model.address]
            outside = [f"{OUTSIDE}.11"] if number == 1 else []
            network.plug_in(model.name, address, *outside)
            host = LabHost(model.name, address, model.machine_id, self.folder)
            host.write_files(members, client, RELEASE)
            self.hosts.append(host)
        where = {unit: [h.name for h in hosts] for unit, hosts in pretend.placement.items()}
        self.controller_host = self.host(where["deis-controller.service"][0])
        self.database_host = self.host(where["deis-database.service"][0])
        self.known_hosts.write_text(
            f"{OUTSIDE}.11 {self.hosts[0].host_key}\n"
            + "".join(f"{host.address} {host.host_key}\n" for host in self.hosts)
        )

    def _ours(self, value: str) -> str:
        for theirs, ours in self._addresses.items():
            value = value.replace(theirs, ours)
        return value

    def _controller_answers(self) -> bool:
        return answers(f"http://{self.controller_host.address}:8000/") or True

    def host(self, name: str) -> LabHost:
        """By its name."""
        return next(host for host in self.hosts if host.name == name)

    def _etcd(
        self, method: str, key: str, query: str = "", value: str | None = None
    ) -> dict[str, Any]:
        """Ask whichever member answers; tried again while they elect a leader."""
        data = None if value is None else urllib.parse.urlencode({"value": value}).encode()
        told: list[dict[str, Any]] = []

        def ask() -> bool:
            for host in self.hosts:
                url = f"http://{host.address}:2379/v2/keys{urllib.parse.quote(key)}{query}"
                request = urllib.request.Request(url, data, method=method)
                try:
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        told.append(json.load(answer))
                        return True
                except urllib.error.HTTPError as error:
                    if error.code == 404:
                        told.append({})
                        return True
                except (OSError, ValueError):
                    continue
            return False

        await_that(ask, f"etcd: {method} {key}")
        return told[0]

    def value(self, key: str) -> str | None:
        """A key as etcd has it now, asked of a quorum."""
        found: str | None = self._etcd("GET", key, "?quorum=true").get("node", {}).get("value")
        return found

    def put(self, key: str, value: str) -> None:
        """Write a key."""
        self._etcd("PUT", key, value=value)

    def reset(self) -> None:
        """As it was when it started: keys, no images, every service up, no limits."""
        network.set_bandwidth("registry", None)
        for host in self.hosts:
            network.set_cable(host.name, plugged=True)
        for host in self.hosts:
            host.run("sh", "-c", "pgrep dockerd >/dev/null || start-docker")
            host.await_etcd()
            host.await_engine()
            host.remove_images()
        for key, value in self._first.items():
            if self.value(key) != value:
                self.put(key, value)
        self.database_host.run("sh", "-c", "echo 1 > /run/admins")

    def stop(self) -> None:
        """Everything ends and nothing stays."""
        for host in self.hosts:
            host.stop()
        if self._registry_process is not None:
            self._registry_process.kill()
            self._registry_process.wait()
        network.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _leaves(store: EtcdStore) -> Iterator[tuple[str, str]]:
    """Every key and value of a pretend etcd."""

    def walk(node: dict[str, object]) -> Iterator[tuple[str, str]]:
        if node.get("dir"):
            for child in node.get("nodes", []):  # type: ignore[attr-defined]
                yield from walk(child)
        else:
            yield str(node["key"]), str(node["value"])

    for root in ("/deis", "/_coreos.com/fleet"):  # the second is hidden in a listing of all
        yield from walk(store.get(root, recursive=True)["node"])


@contextmanager
def running() -> Iterator[Lab]:
    """A lab that lives as long as the block."""
    lab = Lab()
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


def main() -> None:
    """Stay until ctrl-c."""
    if reason := why_no_lab():
        sys.exit(reason)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with running() as lab:
        flags = f"-i {lab.client_key} --known-hosts {lab.known_hosts}"
        first = lab.hosts[0].address
        print(
            f"three hosts: {', '.join(f'{h.name} {h.address}' for h in lab.hosts)}\n"
            f"  deiswizard core@{first} {flags}\n"
            f"  deiswizard core@{OUTSIDE}.11 {flags}     # through the first host\n"
            f"  ssh -i {lab.client_key} -o UserKnownHostsFile={lab.known_hosts} core@{first}\n"
            f"  ETCDCTL_API=2 etcdctl --no-sync -C http://{first}:2379 ls --recursive /deis\n"
            "ctrl-c ends it",
            flush=True,
        )
        ended.wait()


if __name__ == "__main__":
    main()
