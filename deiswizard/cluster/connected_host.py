"""A host of the cluster as it is connected, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deiswizard.cluster.docker import DockerAdapter
from deiswizard.cluster.fleet import Machine
from deiswizard.cluster.host import HostLink
from deiswizard.errors import WizardError

POOL = 32
"""Connections made side by side: the knee that was measured."""


@dataclass
class ConnectedHost:
    """A machine of fleet's registry, and the link to it or why there is none."""

    machine: Machine
    name: str
    link: HostLink | None = None
    error: WizardError | None = None
    docker: DockerAdapter | None = field(default=None, repr=False)


def named(hosts: Sequence[ConnectedHost]) -> Sequence[ConnectedHost]:
    """Give each host its own name where that is unique, else its address."""
    with ThreadPoolExecutor(min(POOL, max(1, len(hosts))), "names") as pool:
        names = list(pool.map(_own_name, hosts))
    for host, name in zip(hosts, names, strict=True):
        host.name = name if name and names.count(name) == 1 else host.machine.address
        if host.link is not None:
            host.link.name = host.name
    return hosts


def _own_name(host: ConnectedHost) -> str:
    if host.link is None:
        return host.name if host.name != host.machine.address else ""
    try:
        return host.link.run("uname -n").out.strip()
    except WizardError:
        return ""
