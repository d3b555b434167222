"""One hundred SSH hosts on loopback: real sshd processes, each on sixteen addresses at most."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LISTEN_LIMIT = 16
"""OpenSSH's MAX_LISTEN_SOCKS."""


@dataclass(frozen=True)
class Farm:
    """Where the hosts are and how to log in. ``known_hosts`` holds every host's key."""

    addresses: tuple[str, ...]
    port: int
    user: str
    key: Path
    known_hosts: Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.1.1", 0))
        return int(probe.getsockname()[1])


def _await_port(address: str, port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def farm(hosts: int = 100) -> Iterator[Farm]:
    """Start the hosts and stop them. Needs root and OpenSSH's sshd."""
    addresses = tuple(f"127.0.1.{number}" for number in range(1, hosts + 1))
    port = _free_port()
    Path("/run/sshd").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deiswizard-bench-") as name:
        folder = Path(name)
        for key in ("host", "client"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True
            )
        (folder / "authorized").write_text((folder / "client.pub").read_text())
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text(
            "".join(f"[{address}]:{port} {host_key}\n" for address in addresses)
        )
        daemons = []
        try:
            for first in range(0, hosts, LISTEN_LIMIT):
                config = folder / f"sshd_{first}"
                listen = "".join(
                    f"ListenAddress {address}:{port}\n"
                    for address in addresses[first : first + LISTEN_LIMIT]
                )
                config.write_text(
                    f"{listen}HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
                    f"PidFile {folder}/pid{first}\nMaxStartups 300\nStrictModes no\nUsePAM no\n"
                    "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
                    # else bash reads this machine's .bashrc, and that is what would be measured
                    f"SetEnv HOME={folder}\n"
                )
                daemons.append(
                    subprocess.Popen(
                        ["/usr/sbin/sshd", "-D", "-f", config, "-E", folder / "sshd.log"]
                    )
                )
            for address in addresses:
                _await_port(address, port)
            yield Farm(addresses, port, "root", folder / "client", folder / "known_hosts")
        finally:
            for daemon in daemons:
                daemon.terminate()
            for daemon in daemons:
                daemon.wait()
