"""A lab host: this machine's programs in namespaces of their own, so that it has its own network,
processes, name, ``/etc``, ``/run`` and ``/var/lib``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.services.network import PREFIX, REGISTRY

CODE = Path(__file__).parent
ROOT = CODE.parent.parent
PATIENCE = 60.0
"""Seconds for a service to come up; measured: 1 to 3."""

PATH = "/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SSHD = f"""\
HostKey /etc/ssh/lab_host_key
AuthorizedKeysFile /etc/ssh/lab_authorized
PasswordAuthentication no
UsePAM no
StrictModes no
MaxStartups 100
PidFile /run/sshd.pid
SetEnv PATH={PATH}
"""
SUDOERS = f'Defaults secure_path="{PATH}"\nroot ALL=(ALL:ALL) ALL\ncore ALL=(ALL) NOPASSWD: ALL\n'
OS_RELEASE = 'NAME=CoreOS\nID=coreos\nVERSION_ID=1068.8.0\nPRETTY_NAME="CoreOS 1068.8.0 (MoreOS)"\n'


def await_that(is_true: Callable[[], bool], what: str, limit: float = PATIENCE) -> None:
    """Poll until it is true. Raises TimeoutError with ``what`` is not."""
    deadline = time.monotonic() + limit
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {limit:.0f} s still not: {what}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether an HTTP server says anything but an error of its own."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


class LabHost:
    """``start`` it, then ``run`` commands in it as root."""

    def __init__(self, name: str, address: str, machine_id: str, folder: Path) -> None:
        self.name = name
        self.address = address
        self.machine_id = machine_id
        self.folder = folder / name
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def write_files(self, members: str, client_key: str, release: str) -> None:
        """Its ``/etc``, and an SSH host key."""
        etc = self.folder / "etc"
        (etc / "ssh").mkdir(parents=True)
        key = etc / "ssh" / "lab_host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        lab = {
            "LAB_NAME": self.name,
            "LAB_ADDRESS": self.address,
            "LAB_MEMBERS": members,
            "LAB_REGISTRY": REGISTRY,
            "LAB_PYTHON": sys.executable,
            "LAB_CODE": str(ROOT),
        }
        files = {
            "ssh/lab_config": SSHD,
            "ssh/lab_authorized": client_key,
            "sudoers": SUDOERS,
            "machine-id": f"{self.machine_id}\n",
            "os-release": OS_RELEASE,
            "deis-release": f"DEIS_RELEASE={release}\n",
            "hosts": f"127.0.0.1 localhost {self.name}\n{REGISTRY} registry-1.docker.io\n",
            "lab": "".join(f"{name}='{value}'\n" for name, value in lab.items()),
        }
        for name, text in files.items():
            (etc / name).write_text(text)

    @property
    def host_key(self) -> str:
        """``TYPE BASE64`` of its public key."""
        text = (self.folder / "etc" / "ssh" / "lab_host_key.pub").read_text()
        return " ".join(text.split()[:2])

    def start(self) -> None:
        """Begin; it is up when ``await_services`` returns. The kernel ends it when we end."""
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "setpriv", "--pdeathsig", "KILL",
                "nsenter", f"--net=/run/netns/{PREFIX}{self.name}",
                "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                CODE / "host-init", self.folder, self.name,
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        log.close()

    def await_services(self) -> None:
        """sshd, etcd and Docker answer."""

        def is_up() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {(self.folder / 'log').read_text()}")
            return (self.folder / "ready").exists()

        await_that(is_up, f"{self.name} set up")
        assert self._process is not None
        said = subprocess.run(
            ["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=True
        )
        self._init = int(said.stdout.split()[0])
        self.await_etcd()
        self.await_engine()

    def await_etcd(self) -> None:
        """Its member is healthy."""
        await_that(lambda: answers(f"http://{self.address}:2379/health"), f"etcd on {self.name}")

    def await_engine(self) -> None:
        """Its Docker engine answers."""
        await_that(
            lambda: self.run("docker", "version", check=False).returncode == 0,
            f"Docker on {self.name}",
        )

    def run(
        self, *words: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command in the host, as root."""
        done = subprocess.run(
            ["nsenter", "-t", str(self._init), "-m", "-u", "-p", "-n", "--", *words],
            capture_output=True,
            text=True,
            input=stdin,
            env={**os.environ, "PATH": PATH},
            cwd="/",
        )
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(words)}: {done.stderr.strip()}")
        return done

    def images(self) -> set[str]:
        """Repository:tag of every image that its engine has."""
        said = self.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}")
        return set(said.stdout.split())

    def remove_images(self) -> None:
        """Every image, layers too."""
        if found := self.run("docker", "images", "-q").stdout.split():
            self.run("docker", "rmi", "-f", *dict.fromkeys(found))

    def stop(self) -> None:
        """All its processes, and with them its mounts."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._init:
                await_that(lambda: not Path(f"/proc/{self._init}").exists(), f"{self.name} gone")
        shutil.rmtree(self.folder, ignore_errors=True)
