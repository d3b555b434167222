"""The lab's network: a bridge, and a network namespace for each host and for the registry.

Everything is named ``dwz-*``, so that what an aborted run has left is known as ours and cleared.
"""

from __future__ import annotations

import subprocess

PREFIX = "dwz-"
BRIDGE = f"{PREFIX}br"
INSIDE = "172.31.222"
"""The hosts' own network, as fleet knows it."""

OUTSIDE = "172.31.223"
"""An address of the first host that fleet does not know: a bastion's public side."""

REGISTRY = f"{INSIDE}.2"


def ip(*words: str, check: bool = True) -> str:
    """Run ``ip``; its output."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def clear() -> None:
    """Remove every namespace and interface of ours. Processes in them are not touched."""
    for line in ip("netns", "list", check=False).splitlines():
        if (name := line.split()[0]).startswith(PREFIX):
            ip("netns", "delete", name, check=False)
    for line in ip("-o", "link", "show", check=False).splitlines():
        name = line.split(": ")[1].partition("@")[0]
        if name.startswith(PREFIX):
            ip("link", "delete", name, check=False)


def make_bridge() -> None:
    """The switch that all are plugged into; this machine has the first address of both networks."""
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("address", "add", f"{INSIDE}.1/24", "dev", BRIDGE)
    ip("address", "add", f"{OUTSIDE}.1/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")


def plug_in(name: str, *addresses: str) -> None:
    """A namespace ``dwz-NAME`` with an ``eth0`` that has these addresses."""
    space, cable = f"{PREFIX}{name}", f"{PREFIX}v{name}"
    ip("netns", "add", space)
    ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
    ip("link", "set", cable, "master", BRIDGE, "up")
    for address in addresses:
        ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
    ip("-n", space, "link", "set", "lo", "up")
    ip("-n", space, "link", "set", "eth0", "up")


def set_bandwidth(name: str, megabits: int | None) -> None:
    """How fast ``dwz-NAME`` can send; None: as fast as it goes."""
    tc = ["ip", "netns", "exec", f"{PREFIX}{name}", "tc", "qdisc"]
    subprocess.run([*tc, "delete", "dev", "eth0", "root"], capture_output=True)
    if megabits is not None:
        shape = ["tbf", "rate", f"{megabits}mbit", "burst", "64kbit", "latency", "400ms"]
        subprocess.run([*tc, "add", "dev", "eth0", "root", *shape], check=True)
