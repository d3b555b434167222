"""A lab's network: a bridge, and a network namespace for each host, for the registry and for the store.

Everything is named ``dwzN-*``, so that what an aborted run has left is known as ours and cleared.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


def ip(*words: str, check: bool = True) -> str:
    """Run ``ip``; its output."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Network:
    """The network of the lab with that number; no two have an address in common."""

    number: int

    @property
    def prefix(self) -> str:
        """How the names of all that is ours begin."""
        return f"dwz{self.number}-"

    @property
    def inside(self) -> str:
        """The hosts' own network, as fleet knows it: the first three numbers of its addresses."""
        return f"172.31.{230 + 2 * self.number}"

    @property
    def outside(self) -> str:
        """An address of the first host that fleet does not know: a bastion's public side."""
        return f"172.31.{231 + 2 * self.number}"

    @property
    def registry(self) -> str:
        """The registry's address."""
        return f"{self.inside}.2"

    @property
    def store(self) -> str:
        """The address of what stands behind the store gateway, in the place of Ceph."""
        return f"{self.inside}.3"

    @property
    def _bridge(self) -> str:
        return f"{self.prefix}br"

    def space(self, name: str) -> Path:
        """The file of a namespace, for ``nsenter --net``."""
        return Path("/run/netns") / f"{self.prefix}{name}"

    def clear(self) -> None:
        """Remove every namespace and interface of ours. Processes in them are not touched."""
        for line in ip("netns", "list", check=False).splitlines():
            if (name := line.split()[0]).startswith(self.prefix):
                ip("netns", "delete", name, check=False)
        for line in ip("-o", "link", "show", check=False).splitlines():
            name = line.split(": ")[1].partition("@")[0]
            if name.startswith(self.prefix):
                ip("link", "delete", name, check=False)

    def make_bridge(self) -> None:
        """The switch that all are plugged into; this machine has the first address of both networks."""
        ip("link", "add", self._bridge, "type", "bridge")
        ip("address", "add", f"{self.inside}.1/24", "dev", self._bridge)
        ip("address", "add", f"{self.outside}.1/24", "dev", self._bridge)
        ip("link", "set", self._bridge, "up")

    def plug_in(self, name: str, *addresses: str) -> None:
        """A namespace of that name with an ``eth0`` that has these addresses."""
        space, cable = self.space(name).name, f"{self.prefix}v{name}"
        ip("netns", "add", space)
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", cable, "master", self._bridge, "up")
        for address in addresses:
            ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "set", "eth0", "up")

    def set_bandwidth(self, name: str, megabits: int | None) -> None:
        """How fast a namespace can send; None: as fast as it goes."""
        tc = ["ip", "netns", "exec", self.space(name).name, "tc", "qdisc"]
        if megabits is None:
            subprocess.run([*tc, "delete", "dev", "eth0", "root"], capture_output=True)
        else:  # in one, for between two it would be as fast as it goes
            shape = ["tbf", "rate", f"{megabits}mbit", "burst", "64kbit", "latency", "400ms"]
            subprocess.run([*tc, "replace", "dev", "eth0", "root", *shape], check=True)
