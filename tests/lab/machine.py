"""A machine that can be switched on and off: a systemd in namespaces and control groups of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sysconfig
from pathlib import Path

from tests.lab import cgroups
from tests.lab.place import Place
from tests.lab.waiting import await_that

BOOT = Path(__file__).with_name("boot")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin"
SHARED = {
    "/usr/lib/lab/checkout": Path(__file__).parent.parent.parent,
    "/usr/lib/lab/packages": Path(sysconfig.get_path("purelib")),
}
"""Folders of this machine that every machine has too, read-only: ``/usr/local/bin/deiswizard`` runs from them."""

DISK_SIZE = 16 << 30
"""Bytes of Docker's disk. Its file takes no more room than what is written."""

JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"'
"""Put this process into control groups, then become a command."""


class Machine:
    """Its folder holds ``disk`` (what differs from the root file system), ``docker.img``, ``cloudinit``."""

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.folder = place.folder / name
        self.space = place.network.space(name)
        self._groups = place.groups
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def make_disks(self) -> None:
        """The folders, and an empty disk for Docker."""
        for name in ("disk/var/lib/docker", "work", "mounted", "cloudinit"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "hierarchies").write_text("\n".join(cgroups.hierarchies()) + "\n")
        (self.folder / "shared").write_text(
            "".join(f"{source} {target}\n" for target, source in SHARED.items())
        )
        with self._docker_disk.open("wb") as image:
            image.truncate(DISK_SIZE)
        subprocess.run(
            ["mkfs.ext4", "-q", "-m", "0", "-N", "200000", "-O", "^has_journal", self._docker_disk],
            check=True,
        )

    @property
    def _docker_disk(self) -> Path:
        return self.folder / "docker.img"

    @property
    def log(self) -> Path:
        """What it said before its own journal."""
        return self.folder / "log"

    def switch_on(self, root: Path) -> None:
        """Begin to boot. The kernel ends it when the thread ends that called this."""
        self.switch_off()  # it may have ended by itself, a moment ago
        groups = self._groups.make(self.name)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig", "KILL", "sh", "-c", JOIN, "sh", *groups, "--",
                    "nsenter", f"--net={self.space}",
                    "unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child",
                    BOOT, self.folder, root,
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        await_that(self._has_booted, f"{self.name} has begun to boot")

    def _has_booted(self) -> bool:
        """Whether its first process has become systemd."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} did not boot: {self.log.read_text().strip()}")
        own = self._process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        if not children:
            return False
        self._init = int(children[0])
        return Path(f"/proc/{self._init}/comm").read_text().strip() == "systemd"

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def switch_off(self) -> None:
        """As a loss of power: every process ends at once; what was written stays."""
        if self._process is None:
            return
        if self.is_on and self._init:
            os.kill(self._init, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process, self._init = None, 0
        await_that(lambda: not self._groups.members(self.name), f"{self.name} gone")
        await_that(lambda: not self._disk_is_used(), f"Docker's disk of {self.name} free")

    def _disk_is_used(self) -> bool:
        """Whether a loop device still has it: mounts end some time after the last process."""
        for file in Path("/sys/block").glob("loop*/loop/backing_file"):
            with contextlib.suppress(OSError):  # it has just been freed
                if file.read_text().strip() == str(self._docker_disk):
                    return True
        return False

    def run(
        self, *words: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command in the machine, as root. Raises RuntimeError when it fails and ``check`` is true."""
        done = subprocess.run(
            ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-p", "-n", "-C", "--", *words],
            capture_output=True,
            text=True,
            input=stdin,
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"},
            cwd="/",
        )
        if check and done.returncode:
            raise RuntimeError(
                f"{self.name}: {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done
