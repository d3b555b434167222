"""A lab host: a machine with sshd, etcd and a Docker engine, and what may happen to it."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from tests.lab import disk
from tests.lab.disk import Identity, Setting
from tests.lab.machine import Machine
from tests.lab.place import Place
from tests.lab.waiting import answers, await_that

SOCKETS = ("docker.socket", "docker-tcp.socket")
ENGINE = ("docker.service", *SOCKETS)
SERVICES = ("ssh.service", "etcd2.service", "fleet.service", *ENGINE)
FILLER = "/var/lib/docker/filler"
UNITS = "/etc/systemd/system"
LEFT_FREE = 64 << 10
"""Bytes that a full disk still has."""

TRIES = 20


class LabHost(Machine):
    """``prepare`` it, ``start`` it, then ``run`` commands in it as root."""

    def __init__(self, identity: Identity, place: Place, root: Path) -> None:
        super().__init__(identity.name, place)
        self.identity = identity
        self.address = identity.address
        self.machine_id = identity.machine_id
        self._root = root

    def prepare(self, setting: Setting) -> None:
        """Its disks, as they are before the first boot."""
        self.make_disks()
        disk.write(self.folder, self.identity, setting)

    @property
    def host_key(self) -> str:
        """``TYPE BASE64`` of its public key."""
        text = (self.folder / "disk/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(text.split()[:2])

    def start(self) -> None:
        """Begin to boot; it is up when ``await_services`` returns."""
        self.switch_on(self._root)

    def stop(self) -> None:
        """All its processes, and with them its mounts."""
        self.switch_off()

    def await_services(self) -> None:
        """sshd, etcd and Docker answer."""
        self.await_sshd()
        self.await_etcd()
        self.await_engine()

    def await_sshd(self) -> None:
        """It can be logged in to."""

        def greets() -> bool:
            try:
                with socket.create_connection((self.address, 22), 2) as connection:
                    return connection.recv(4) == b"SSH-"
            except OSError:
                return False

        await_that(greets, f"sshd on {self.name}")

    def await_etcd(self) -> None:
        """Its member is healthy."""
        await_that(lambda: answers(f"http://{self.address}:2379/health"), f"etcd on {self.name}")

    def await_engine(self) -> None:
        """Its Docker engine answers."""
        await_that(
            lambda: self.run("docker", "version", check=False).returncode == 0,
            f"Docker on {self.name}",
        )

    def images(self) -> set[str]:
        """Repository:tag of every image that its engine has."""
        said = self.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}")
        return set(said.stdout.split())

    def remove_images(self) -> None:
        """Every image, layers too, and what runs from one: a unit that is just ending, or begins again."""
        await_that(self._has_no_images, f"no image on {self.name}")

    def _has_no_images(self) -> bool:
        found = self.run("docker", "images", "-q").stdout.split()
        if found:
            if running := self.run("docker", "ps", "-aq").stdout.split():
                self.run("docker", "rm", "-f", *running, check=False)
            self.run("docker", "rmi", "-f", *dict.fromkeys(found), check=False)
        return not found

    def power_off(self) -> None:
        """All at once, as when the power fails."""
        self.switch_off()

    def power_on(self) -> None:
        """Boot again from the same disks, and wait for its services."""
        self.start()
        self.await_services()

    @property
    def boot_id(self) -> str:
        """Another one at each boot."""
        return self.run("cat", "/proc/sys/kernel/random/boot_id").stdout.strip()

    def drop_packets(self, *, but_etcd: bool = False) -> None:
        """A black hole: nobody is answered, not even with a refusal. Loopback goes on.

        With ``but_etcd`` its member still speaks to the others, so fleet does not miss the host.
        """
        self.accept_packets()
        for chain, other in (("INPUT", "-i"), ("OUTPUT", "-o")):
            self._filter("-A", chain, other, "lo", "-j", "ACCEPT")
            for port in ("--sport", "--dport") if but_etcd else ():
                self._filter("-A", chain, "-p", "tcp", port, "2380", "-j", "ACCEPT")
            self._filter("-A", chain, "-j", "DROP")

    def accept_packets(self) -> None:
        """No packet filter. Also one that a test has set by other means is gone."""
        for table in ("filter", "nat", "mangle"):
            self._filter("-t", table, "-F")
        for chain in ("INPUT", "OUTPUT", "FORWARD"):
            self._filter("-P", chain, "ACCEPT")

    def _filter(self, *words: str) -> None:
        """``iptables`` in its network, whether it is on or off."""
        subprocess.run(
            ["nsenter", f"--net={self.space}",
             "chroot", self._root, "iptables", "-w", *words],
            check=True, capture_output=True,
        )  # fmt: skip

    def kill_sshd(self) -> None:
        """Every connection is cut, and nobody can log in. What was started goes on."""
        self.run("systemctl", "stop", "ssh.service")
        self.run("pkill", "-KILL", "-x", "sshd", check=False)

    def stop_engine(self) -> None:
        """Nor does a socket start it again: in one stop the service would end before them."""
        self.run("systemctl", "stop", *SOCKETS)
        self.run("systemctl", "stop", "docker.service")

    def start_engine(self) -> None:
        """As after a boot."""
        self.run("systemctl", "start", *reversed(ENGINE))
        self.await_engine()

    def restart_engine(self) -> None:
        """As an operator would; pulls that are going on break."""
        self.run("systemctl", "restart", "docker.service")
        self.await_engine()

    def stop_etcd(self) -> None:
        """Its member ends in good order."""
        self.run("systemctl", "stop", "etcd2.service")

    def start_etcd(self) -> None:
        """Its member joins again."""
        self.run("systemctl", "start", "etcd2.service")
        self.await_etcd()

    def freeze_etcd(self) -> None:
        """Its member takes connections and answers nothing.

        The signal is for one thread to take: on a busy machine the others go on for a while.
        """
        self.run("systemctl", "kill", "-s", "STOP", "etcd2.service")
        await_that(self._is_frozen, f"etcd on {self.name} to stand still")

    def _is_frozen(self) -> bool:
        threads = self.run("ps", "-L", "-o", "stat=", "-C", "etcd2").stdout.split()
        return all(state.startswith("T") for state in threads)

    def thaw_etcd(self) -> None:
        """And goes on."""
        self.run("systemctl", "kill", "-s", "CONT", "etcd2.service")

    def fill_disk(self) -> None:
        """Docker's disk is full. A pull that is going on may take room while this does."""
        for _ in range(TRIES):
            self.free_disk()
            said = self.run("df", "-B1", "--output=avail", "/var/lib/docker").stdout
            wanted = int(said.split()[-1]) - LEFT_FREE
            if not self.run("fallocate", "-l", str(wanted), FILLER, check=False).returncode:
                return
        raise RuntimeError(f"{self.name}: its disk could not be filled")

    def free_disk(self) -> None:
        """And has room again."""
        self.run("rm", "-f", FILLER)

    def revive(self) -> None:
        """On and reachable, and its member on its way up: it needs the others' for that."""
        self.accept_packets()
        if not self.is_on:
            self.start()
            await_that(self._systemd_answers, f"systemd of {self.name}")
        self.run("systemctl", "kill", "-s", "CONT", "etcd2.service", check=False)
        self.run("systemctl", "reset-failed")
        self.run("systemctl", "start", "--no-block", "etcd2.service")

    def repair(self) -> None:
        """On, reachable, with room, every service up and set as at first."""
        self.revive()
        self.put_right()

    def put_right(self) -> None:
        """With room, every service up and set as at first, where all members have been revived."""
        self._remove_drop_ins()
        if self.run("systemctl", "start", *SERVICES, check=False).returncode:
            self.stop_engine()  # one that runs without its sockets does not let them start
            self.run("systemctl", "start", *SERVICES)
        self.free_disk()
        self.await_services()

    def _systemd_answers(self) -> bool:
        return not self.run("systemctl", "show", "-p", "Version", check=False).returncode

    def _remove_drop_ins(self) -> None:
        """Those that were not there at first; their services start anew."""
        found = self.run("find", UNITS, "-path", "*.d/*.conf").stdout.split()
        ours = disk.CODE / "files/disk"
        added = [path for path in found if not (ours / path.lstrip("/")).exists()]
        if added:
            self.run("rm", *added)
            self.run("systemctl", "daemon-reload")
            self.run(
                "systemctl", "restart", *{Path(path).parent.name[: -len(".d")] for path in added}
            )
