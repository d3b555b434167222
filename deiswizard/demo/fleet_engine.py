"""Where the pretend fleet puts Deis's own units: by metadata and conflicts, as the engine of fleet 0.11.

They do not really run: ``cluster.placement`` says where each one does, and the registry tells the same.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from typing import TYPE_CHECKING

from deiswizard.cluster.fleet import PLATFORM, unit_options
from deiswizard.demo import platform
from deiswizard.demo.etcd_store import StoreError
from deiswizard.recommendations.security_tags import pairs_of

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

STATES = "/_coreos.com/fleet/states"


def is_platform(name: str) -> bool:
    """Whether a unit is one of Deis's own."""
    return PLATFORM.fullmatch(name) is not None


class FleetEngine:
    """Decides for all machines. Use it under the lock of the pretend fleet."""

    def __init__(self, cluster: PretendCluster) -> None:
        self._cluster = cluster
        self.away: set[str] = set()
        """Names of hosts whose fleetd was told to end."""

    def _may_run(self, host: PretendHost, options: dict[str, list[str]]) -> bool:
        wanted: dict[str, set[str]] = {}
        for key, value in pairs_of(options.get("MachineMetadata", ())):
            wanted.setdefault(key, set()).add(value)
        has = host.fleetd.metadata
        is_there = not host.is_down and host.name not in self.away
        return is_there and all(has.get(key) in values for key, values in wanted.items())

    def settle(self) -> None:
        """Every unit where it may and shall be; one that may stay does."""
        fleet = self._cluster.fleet
        for name in filter(is_platform, list(self._cluster.placement)):
            raw = fleet.file(name)
            before = self._cluster.placement[name]
            if raw is None:
                self._place(name, [], None)
                continue
            options = unit_options(raw)
            can = [host for host in self._cluster.hosts if self._may_run(host, options)]
            if fleet.desired(name) != "launched":
                self._place(name, [], [host for host in before if host in can])
            elif options.get("Global", [""])[-1].lower() == "true":
                self._place(name, can, None)
            else:
                self._place(name, self._one_of(name, can, options), None)

    def _one_of(
        self, name: str, can: list[PretendHost], options: dict[str, list[str]]
    ) -> list[PretendHost]:
        """Where it is, if it may stay; where Deis had it first; else where the fewest units are."""
        placement = self._cluster.placement
        barred = {
            host.name
            for other, hosts in placement.items()
            if other != name and any(fnmatch.fnmatchcase(other, p) for p in _patterns(options))
            for host in hosts
        }
        free = [host for host in can if host.name not in barred]
        stays = [host for host in placement[name] if host in free]
        if stays or not free:
            return stays
        first = platform.place(self._cluster.hosts).get(name, [])
        liked = [host for host in first if host in free]
        counts = {host.name: sum(host in hosts for hosts in placement.values()) for host in free}
        return liked or [min(free, key=lambda host: counts[host.name])]

    def _place(self, name: str, hosts: list[PretendHost], loaded: list[PretendHost] | None) -> None:
        """Running on ``hosts``; loaded and dead on ``loaded``."""
        cluster, store = self._cluster, self._cluster.store
        cluster.placement[name] = hosts
        raw = cluster.fleet.file(name) or ""
        rows = {host.machine_id: ("active", "running") for host in hosts}
        rows |= {host.machine_id: ("inactive", "dead") for host in loaded or ()}
        try:
            told = store.get(f"{STATES}/{name}", recursive=True)["node"].get("nodes", [])
        except StoreError:
            told = []
        now = {node["key"].rpartition("/")[2]: json.loads(node["value"]) for node in told}
        if loaded is not None and not rows:
            rows = {name_: ("inactive", "dead") for name_ in now}
        for machine in now.keys() - rows.keys():
            store.delete(f"{STATES}/{name}/{machine}")
        for machine, (active, sub) in rows.items():
            state = {
                "loadState": "loaded",
                "activeState": active,
                "subState": sub,
                "machineState": {"ID": machine},
                "unitHash": hashlib.sha1(raw.encode()).hexdigest(),
            }
            if now.get(machine) != state:
                store.put(f"{STATES}/{name}/{machine}", json.dumps(state))
        if hosts:
            platform.announce(cluster, name)


def _patterns(options: dict[str, list[str]]) -> list[str]:
    """With which other units it may not share a machine."""
    return [pattern for line in options.get("Conflicts", ()) for pattern in line.split()]
