"""Where the pretend fleet puts Deis's own units and those of apps: by metadata and conflicts, as the engine of fleet 0.11.

They do not really run: ``cluster.placement`` says where each one does, and the registry tells the same.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from typing import TYPE_CHECKING

from deiswizard.cluster.fleet import PLATFORM, unit_options
from deiswizard.cluster.placement import app_of, fits, pairs_of
from deiswizard.demo import platform
from deiswizard.demo.etcd_store import StoreError

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

VOLUME, DAEMON = "deis-store-volume.service", "deis-store-daemon.service"
STATES = "/_coreos.com/fleet/states"


def is_placed(name: str) -> bool:
    """Whether a unit is one of Deis's own, or of an app."""
    return bool(PLATFORM.fullmatch(name) or app_of(name))


class FleetEngine:
    """Decides for all machines. Use it under the lock of the pretend fleet."""

    def __init__(self, cluster: PretendCluster) -> None:
        self._cluster = cluster
        self.away: set[str] = set()
        """Names of hosts whose fleetd was told to end."""
        self._places: dict[str, list[PretendHost]] = {}

    def _may_run(self, host: PretendHost, options: dict[str, list[str]]) -> bool:
        wanted = pairs_of(options.get("MachineMetadata", ()))
        is_there = not host.is_down and host.name not in self.away
        return is_there and fits(host.fleetd.metadata.items(), wanted)

    def settle(self) -> None:
        """Every unit where it may and shall be; one that may stay does. A loaded unit has its place too."""
        fleet = self._cluster.fleet
        for name in filter(is_placed, list(self._cluster.placement)):
            raw, desired = fleet.file(name), fleet.desired(name)
            if raw is None or desired not in ("loaded", "launched"):
                self._places[name] = []
            else:
                options = unit_options(raw)
                can = [host for host in self._cluster.hosts if self._may_run(host, options)]
                is_global = options.get("Global", [""])[-1].lower() == "true"
                self._places[name] = can if is_global else self._one_of(name, can, options)
            self._tell(name, runs=desired == "launched")
        self._cluster.ceph.settle()

    def _where(self, name: str) -> list[PretendHost]:
        """The hosts that a unit was given; at first those where it runs."""
        return self._places.get(name, self._cluster.placement.get(name, []))

    def _one_of(
        self, name: str, can: list[PretendHost], options: dict[str, list[str]]
    ) -> list[PretendHost]:
        """Where it is, if it may stay; where Deis had it first; else where the fewest units are."""
        units = self._cluster.placement
        barred = {
            host.name
            for other in units
            if other != name and any(fnmatch.fnmatchcase(other, p) for p in _patterns(options))
            for host in self._where(other)
        }
        free = [host for host in can if host.name not in barred]
        stays = [host for host in self._where(name) if host in free]
        if stays or not free:
            return stays
        first = platform.place(self._cluster.hosts).get(name, [])
        liked = [host for host in first if host in free]
        counts = {host.name: sum(host in self._where(unit) for unit in units) for host in free}
        return liked or [min(free, key=lambda host: counts[host.name])]

    def _tell(self, name: str, *, runs: bool) -> None:
        """Where it runs, in the registry and to all who ask what is where."""
        cluster, store = self._cluster, self._cluster.store
        hosts = self._places[name]
        if name == DAEMON:
            for host in cluster.placement.get(name, []):
                if not runs or host not in hosts:
                    host.store_daemon_ends()
        cluster.placement[name] = hosts if runs else []
        digest = hashlib.sha1((cluster.fleet.file(name) or "").encode()).hexdigest()
        active, sub = ("active", "running") if runs else ("inactive", "dead")
        rows = {
            host.machine_id: {
                "loadState": "loaded",
                "activeState": active,
                "subState": sub,
                "machineState": {"ID": host.machine_id},
                "unitHash": digest,
            }
            for host in hosts
        }
        try:
            told = store.get(f"{STATES}/{name}", recursive=True)["node"].get("nodes", [])
        except StoreError:
            told = []
        now = {node["key"].rpartition("/")[2]: json.loads(node["value"]) for node in told}
        for machine in now.keys() - rows.keys():
            store.delete(f"{STATES}/{name}/{machine}")
        for machine, state in rows.items():
            if now.get(machine) != state:
                store.put(f"{STATES}/{name}/{machine}", json.dumps(state))
        if hosts and runs:
            platform.announce(cluster, name)
        else:
            platform.silence(cluster, name)
        if name == VOLUME:
            for host in cluster.hosts:
                host.mount(is_there=runs and host in hosts)


def _patterns(options: dict[str, list[str]]) -> list[str]:
    """With which other units it may not share a machine."""
    return [pattern for line in options.get("Conflicts", ()) for pattern in line.split()]
