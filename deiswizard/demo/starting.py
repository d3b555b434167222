"""``deisctl install`` and ``start`` on a pretend cluster: units come, and say where they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deiswizard.demo import platform
from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster

SECONDS = 4.0
"""How long a component takes to start, at speed 1."""

GATEWAY_KEYS = {"accessKey": "NEWACCESSKEY00000000", "secretKey": "new-gateway-secret"}


def _units(cluster: PretendCluster, name: str) -> list[str]:
    """What a word of deisctl's means."""
    planned = platform.place(cluster.hosts)
    if name == "platform":
        return list(planned)
    unit = f"deis-{name}.service"
    return [unit] if unit in planned else []


def install(cluster: PretendCluster, process: Process, name: str) -> int:
    """The exit status is 0 whatever happens (deis-facts 0.5)."""
    for unit in _units(cluster, name):
        cluster.placement.setdefault(unit, [])
        platform.launch(cluster, unit, "loaded")
    process.out("Done.\n")
    return 0


def stop(cluster: PretendCluster, process: Process, name: str) -> int:
    """Its units end."""
    for unit in _units(cluster, name):
        cluster.placement[unit] = []
        platform.silence(cluster, unit)
    return 0


def start(cluster: PretendCluster, process: Process, name: str) -> int:
    """Units that were installed start, and write their keys."""
    found = [unit for unit in _units(cluster, name) if unit in cluster.placement]
    if not found:
        process.err(f"Error: could not find unit: {name}\n")
        return 0
    process.sleep(SECONDS)
    for unit in found:
        cluster.placement[unit] = platform.place(cluster.hosts)[unit]
        platform.launch(cluster, unit)
        platform.announce(cluster, unit)
        if unit == "deis-store-gateway@1.service":
            for key, value in GATEWAY_KEYS.items():
                if cluster.store.value(f"/deis/store/gateway/{key}") is None:
                    cluster.store.put(f"/deis/store/gateway/{key}", value)
        if unit == "deis-store-volume.service":
            for host in cluster.placement[unit]:
                host.write_file("/proc/mounts", platform.MOUNTS.encode())
        process.out(f"{unit}: loaded\n")
    return 0
