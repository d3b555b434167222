"""A small pretend Ceph: monitors, OSDs, and placement groups that take their time to move.

Which daemon runs is what the pretend fleet says; what one does when it starts is what Deis's boot scripts do
(store/monitor/bin/boot, store/daemon/bin/boot), traps included: a monitor that was removed does not start on
its old store, and a daemon that finds a keyring of its new id does not make its OSD.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

MONITOR, DAEMON = "deis-store-monitor.service", "deis-store-daemon.service"
MONITOR_DATA, DAEMON_DATA = "deis-store-monitor-data", "deis-store-daemon-data"
POOLS = (
    "rbd", "data", "metadata", ".rgw.root", ".rgw.control", ".rgw", ".rgw.gc", ".users.uid", ".users",
    ".rgw.buckets.index", ".rgw.buckets", ".log",
)  # fmt: skip
PER_POOL, COPIES = 64, 3
GROUPS = len(POOLS) * PER_POOL
OBJECTS = 453
KB_SIZE, KB_DATA = 16_402_000, 3_800_000
"""Of each OSD, and of everything that is stored, once."""

MOVES = 20.0
"""Seconds until placement groups have moved, at speed 1."""


@dataclass
class Osd:
    """``holds``: placement groups have copies there."""

    id: int
    host: PretendHost
    is_in: bool = True
    in_crush: bool = True
    has_key: bool = True
    holds: bool = True


class PretendCeph:
    """The whole of it. ``said`` instead of what it would say of its health, where a test wants that."""

    def __init__(self, cluster: PretendCluster) -> None:
        self._cluster = cluster
        self._lock = threading.RLock()
        self._running: dict[str, set[str]] = {MONITOR: set(), DAEMON: set()}
        self._moved_at = 0.0
        self.said = cluster.scenario.ceph
        self.epoch = 1
        self.osds: dict[int, Osd] = {}
        self.monitors: dict[str, PretendHost] = {}
        self.kb_data = KB_DATA
        self.settle()
        self._moved_at = 0.0

    def settle(self) -> None:
        """What starts on a host by now does what its boot script does."""
        with self._lock:
            for unit, begin in ((MONITOR, self._monitor_starts), (DAEMON, self._daemon_starts)):
                now = {host.name: host for host in self._cluster.placement.get(unit, [])}
                new = [host for name, host in now.items() if name not in self._running[unit]]
                self._running[unit] = set(now)
                for host in sorted(new, key=lambda host: host.number):
                    begin(host)

    def _monitor_starts(self, host: PretendHost) -> None:
        self._cluster.store.put(f"/deis/store/hosts/{host.address}", host.name)
        inside = host.data_containers.setdefault(MONITOR_DATA, set())
        if "store" in inside and host.name not in self.monitors:
            return  # not in monmap and have been in a quorum before; must have been removed
        inside.add("store")
        self.monitors[host.name] = host

    def _daemon_starts(self, host: PretendHost) -> None:
        store, key = self._cluster.store, f"/deis/store/osds/{host.address}"
        inside = host.data_containers.setdefault(DAEMON_DATA, set())
        if store.value(key) is None:
            number = next(n for n in range(1000) if n not in self.osds)
            store.put(key, str(number))
            is_known = f"ceph-{number}" in inside
            osd = Osd(number, host, in_crush=not is_known, has_key=not is_known, holds=False)
            self.osds[number] = osd
            inside.add(f"ceph-{number}")
            if not is_known:
                self._move()

    def _move(self) -> None:
        """Placement groups go where they belong by now."""
        self.epoch += 1
        self._moved_at = time.monotonic() + MOVES / self._cluster.speed

    @property
    def moving(self) -> int:
        """How many placement groups are still on their way."""
        left = (self._moved_at - time.monotonic()) * self._cluster.speed / MOVES
        if left > 0:
            return max(1, int(GROUPS * left / max(1, len(self.osds))))
        for osd in self.osds.values():
            osd.holds = osd.is_in and osd.in_crush
        return 0

    def is_up(self, osd: Osd) -> bool:
        """Its daemon runs, and may."""
        return osd.has_key and not osd.host.is_down and osd.host.name in self._running[DAEMON]

    def runs(self, monitor: str) -> bool:
        """A monitor of the map answers."""
        host = self.monitors.get(monitor)
        return host is not None and not host.is_down and monitor in self._running[MONITOR]

    @property
    def ranks(self) -> list[str]:
        """The monitors' names in the order of their addresses."""
        return sorted(self.monitors, key=lambda name: self.monitors[name].number)

    @property
    def quorum(self) -> list[str]:
        """Those that answer; nobody when they are no majority."""
        found = [name for name in self.ranks if self.runs(name)]
        return found if 2 * len(found) > len(self.monitors) else []

    def pg_states(self) -> str:
        """``711 active+clean, 57 active+remapped+backfilling``, as pg stat counts them."""
        moving = self.moving
        lost = self._degraded()
        clean = max(0, GROUPS - moving - lost)
        parts = [f"{lost} active+undersized+degraded"] if lost else []
        parts += [f"{moving} active+remapped+backfilling"] if moving else []
        return ", ".join([*parts, f"{clean} active+clean"] if clean else parts)

    def _degraded(self) -> int:
        """Placement groups with a copy that is not there."""
        lost = [o for o in self.osds.values() if o.is_in and o.in_crush and not self.is_up(o)]
        well = [osd for osd in self.osds.values() if osd.is_in and osd not in lost]
        if lost or (self.osds and len(well) < COPIES):
            return min(GROUPS, GROUPS * COPIES * max(1, len(lost)) // len(self.osds))
        return 0

    def health(self) -> str:
        """``HEALTH_OK``, or what is wrong."""
        if self.said != "HEALTH_OK":
            return self.said
        with self._lock:
            moving, lost = self.moving, self._degraded()
            inside = [osd for osd in self.osds.values() if osd.is_in]
            down = [osd for osd in inside if not self.is_up(osd)]
            found = [f"{lost} pgs degraded; {lost} pgs undersized"] if lost else []
            if moving:
                share = 100 * moving / GROUPS
                found.append(
                    f"{moving} pgs backfilling; {moving} pgs stuck unclean; recovery "
                    f"{moving * OBJECTS // GROUPS}/{OBJECTS} objects misplaced ({share:.3f}%)"
                )
            if down:
                found.append(f"{len(down)}/{len(inside)} in osds are down")
            quorum = self.quorum
            if away := len(self.monitors) - len(quorum):
                numbers = ",".join(str(self.ranks.index(name)) for name in quorum)
                found.append(f"{away} mons down, quorum {numbers} {','.join(quorum)}")
            return f"HEALTH_WARN {'; '.join(found)}" if found else "HEALTH_OK"

    def mark(self, number: int, *, is_in: bool) -> str:
        """``osd out``, ``osd in``."""
        word = "in" if is_in else "out"
        with self._lock:
            osd = self.osds.get(number)
            if osd is None:
                return f"osd.{number} does not exist. "
            if osd.is_in == is_in:
                return f"osd.{number} is already {word}. "
            osd.is_in = is_in
            self._move()
            return f"marked {word} osd.{number}. "

    def remove_osd(self, number: int) -> tuple[int, str]:
        """``osd rm``: the exit status, and the words."""
        with self._lock:
            osd = self.osds.get(number)
            if osd is None:
                return 0, f"osd.{number} does not exist. "
            if self.is_up(osd):
                return 16, f"Error EBUSY: osd.{number} is still up; must be down before removal. "
            del self.osds[number]
            self.epoch += 1
            return 0, f"removed osd.{number}"

    def out_of_crush(self, number: int) -> str:
        """``osd crush remove``: the other OSDs share what is left anew."""
        with self._lock:
            osd = self.osds.get(number)
            if osd is None or not osd.in_crush:
                return f"device 'osd.{number}' does not appear in the crush map"
            osd.in_crush = False
            self._move()
            return f"removed item id {number} name 'osd.{number}' from crush map"

    def forget_key(self, number: int) -> str:
        """``auth del``."""
        with self._lock:
            osd = self.osds.get(number)
            if osd is None or not osd.has_key:
                return f"entity osd.{number} does not exist"
            osd.has_key = False
            return "updated"

    def remove_monitor(self, name: str) -> str:
        """``mon remove``."""
        with self._lock:
            host = self.monitors.pop(name, None)
            if host is None:
                return f"mon.{name} does not exist or has already been removed"
            left = len(self.monitors)
            return f"removed mon.{name} at {host.address}:6789/0, there are now {left} monitors"
