"""A real OpenSSH server on loopback, for tests: one process, some addresses, one client key."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deiswizard.inventory import Target

SSHD = "/usr/sbin/sshd"
MARKER = "DEISWIZARD_TEST_SSHD"
"""Set in every command's environment: the tests' process id and the server's folder."""


def why_no_sshd() -> str:
    """Empty when a real sshd can be started here, else the reason to skip."""
    if os.geteuid() != 0:
        return "a real sshd needs root"
    if not Path(SSHD).exists():
        return "openssh-server is not installed"
    return ""


@dataclass
class Sshd:
    """A running server. ``session_pids`` are its connections' processes."""

    folder: Path
    addresses: tuple[str, ...]
    port: int
    process: subprocess.Popen[bytes]

    def target(self, address: str = "", **changes: object) -> Target:
        """How to log in to one of its addresses."""
        fields: dict[str, object] = {
            "host": address or self.addresses[0],
            "port": self.port,
            "user": "root",
            "identities": (self.folder / "client",),
            "use_agent": False,
            "known_hosts": (self.folder / "known_hosts",),
        }
        return Target(**{**fields, **changes})  # type: ignore[arg-type]

    def known_hosts_line(self, address: str, marker: str = "") -> str:
        """What known_hosts says of one address, with a marker in front if one is given."""
        key = " ".join((self.folder / "host.pub").read_text().split()[:2])
        return f"{marker} [{address}]:{self.port} {key}\n".lstrip()

    def connections(self) -> list[int]:
        """The processes that serve connections."""
        said = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(line) for line in said.stdout.split()]

    def cut_connections(self) -> None:
        """Kill the processes that serve connections; the server itself goes on."""
        subprocess.run(["pkill", "-KILL", "-P", str(self.process.pid)], check=False)


def kill_commands(is_leftover: Callable[[int, str], bool]) -> None:
    """Kill what commands on our servers have started and left, told by the marker alone."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError, ValueError):
            for entry in environ.read_bytes().decode(errors="replace").split("\0"):
                name, _, value = entry.partition("=")
                owner, _, folder = value.partition(":")
                if name == MARKER and is_leftover(int(owner), folder):
                    os.kill(int(environ.parent.name), signal.SIGKILL)


def free_port(address: str) -> int:
    """A port that is free on ``address`` now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def sshd(folder: Path, addresses: tuple[str, ...], *options: str) -> Iterator[Sshd]:
    """Start a server that knows its client's key and whose key known_hosts holds."""
    kill_commands(lambda owner, _: not Path(f"/proc/{owner}").exists())  # of an aborted run
    Path("/run/sshd").mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    port = free_port(addresses[0])
    for key in ("host", "client"):
        if not (folder / key).exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True
            )
    shutil.copy(folder / "client.pub", folder / "authorized")
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(
        "".join(f"[{address}]:{port} {host_key}\n" for address in addresses)
    )
    lines = [f"ListenAddress {address}:{port}" for address in addresses]
    lines += [
        *options,
        f"SetEnv {MARKER}={os.getpid()}:{folder}",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {folder}/authorized",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
    ]
    (folder / "config").write_text("\n".join(lines) + "\n")
    # killed by the kernel when the tests are: an aborted run leaves no server behind
    process = subprocess.Popen(
        [
            "setpriv",
            "--pdeathsig",
            "KILL",
            SSHD,
            "-D",
            "-f",
            folder / "config",
            "-E",
            folder / "log",
        ]
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((addresses[0], port), timeout=1).close()
                break
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield Sshd(folder, addresses, port, process)
    finally:
        subprocess.run(["pkill", "-KILL", "-P", str(process.pid)], check=False)
        process.terminate()
        process.wait()
        kill_commands(lambda _, place: place == str(folder))
