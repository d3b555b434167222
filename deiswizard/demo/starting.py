"""``deisctl install``, ``start``, ``stop`` and ``uninstall`` on a pretend cluster, traps included.

The exit status is 0 whatever happens (deis-facts 0.5). The real one waits without an end for a unit that has
no place; this one waits until it is told to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deiswizard.cluster.unit_files import options_of
from deiswizard.demo import platform
from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

SECONDS = 4.0
"""How long a component takes to start, at speed 1."""

PAUSE = 0.5
GATEWAY_KEYS = {"accessKey": "NEWACCESSKEY00000000", "secretKey": "new-gateway-secret"}
FLAG = "/deis/platform/enablePlacementOptions"
TRUE, FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def _units(cluster: PretendCluster, name: str) -> list[str]:
    """What a word of deisctl's means."""
    planned = platform.place(cluster.hosts)
    if name in ("platform", "stateless-platform"):
        is_stateless = name != "platform"
        return [u for u in planned if not (is_stateless and platform.needs_ceph(u))]
    unit = f"deis-{name}.service"
    return [unit] if unit in planned else []


def _without_logger(cluster: PretendCluster, name: str) -> list[str]:
    found = _units(cluster, name)
    return [u for u in found if name != "stateless-platform" or u != "deis-logger.service"]


def _until_somewhere(cluster: PretendCluster, process: Process, unit: str) -> None:
    """Some machine reports it; for ever where none may."""
    while not cluster.fleet.states(unit) and not process.gone.is_set():
        process.sleep(PAUSE)


def install(host: PretendHost, process: Process, name: str, routers: int = 3) -> int:
    """Of a unit that is there nothing is replaced, but it is stopped."""
    cluster = host.cluster
    flag = cluster.store.value(FLAG) or "false"
    for unit in _units(cluster, name):
        if unit.startswith("deis-router@") and int(unit[12:].partition(".")[0]) > routers:
            continue
        if flag not in (*TRUE, *FALSE):
            process.err(f'Error creating: strconv.ParseBool: parsing "{flag}": invalid syntax\n')
            continue
        if cluster.fleet.file(unit) is not None:
            cluster.fleet.aim(unit, "loaded")
            continue
        path = platform.decorator_path(unit)
        found = (host.read_file(path) or b"").decode() if flag in TRUE else ""
        text = platform.unit_file(unit, decorator=found)
        cluster.fleet.submit(unit, list(options_of(text)), "loaded")
        _until_somewhere(cluster, process, unit)
    process.out("Done.\n")
    return 0


def stop(host: PretendHost, process: Process, name: str) -> int:
    """Its units end; ``stateless-platform`` leaves logger (deis-facts 0.6)."""
    for unit in _without_logger(host.cluster, name):
        if host.cluster.fleet.file(unit) is not None:
            host.cluster.fleet.aim(unit, "loaded")
    return 0


def uninstall(host: PretendHost, process: Process, name: str) -> int:
    """Its units are destroyed, except as in ``stop``."""
    for unit in _without_logger(host.cluster, name):
        if host.cluster.fleet.file(unit) is not None:
            host.cluster.fleet.destroy(unit)
            process.out(f"{unit}: destroyed\n")
    return 0


def start(host: PretendHost, process: Process, name: str) -> int:
    """Units that were installed start, and write their keys."""
    cluster = host.cluster
    found = [unit for unit in _units(cluster, name) if cluster.fleet.file(unit) is not None]
    if not found:
        process.err(f"Error: could not find unit: {name}\n")
        return 0
    process.sleep(SECONDS)
    for unit in found:
        cluster.fleet.aim(unit, "launched")
        if unit == "deis-store-gateway@1.service":
            for key, value in GATEWAY_KEYS.items():
                if cluster.store.value(f"/deis/store/gateway/{key}") is None:
                    cluster.store.put(f"/deis/store/gateway/{key}", value)
        process.out(f"{unit}: loaded\n")
    return 0
