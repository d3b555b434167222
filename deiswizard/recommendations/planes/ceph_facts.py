"""What is known of Ceph before a host leaves it: its OSDs, monitors, copies and room.

The texts are Ceph's of the releases that Deis ran (hammer, infernalis): ``OSDMap::print``,
``MonMap::print``, and the JSON of ``osd df``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from deiswizard.cluster.snapshot import HostFacts, Question, Snapshot
from deiswizard.recommendations.planes.facts import (
    PlanesChoices,
    ceph_asker,
    ceph_hosts,
)

MONITOR = "docker exec deis-store-monitor"
"""A monitor's container holds the administrator's key; deis-store-admin is optional."""

OSDS, MONITORS, ROOM = "planes.ceph.osds", "planes.ceph.monitors", "planes.ceph.room"
ASK: Mapping[str, str] = {
    OSDS: f"{MONITOR} ceph osd dump",
    MONITORS: f"{MONITOR} ceph mon dump",
    ROOM: f"{MONITOR} ceph osd df -f json",
}
OSD_LINE = re.compile(r"^osd\.(\d+) +(up|down) +(in|out) +", re.MULTILINE)
POOL_LINE = re.compile(r"^pool \d+ '([^']*)' (?:replicated|erasure) size (\d+) ", re.MULTILINE)
MONITOR_LINE = re.compile(r"^\d+: ([0-9.]+):\d+/\d+ mon\.(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Osd:
    """One of Ceph's stores of data. ``size`` and ``used`` in bytes, 0: not known."""

    id: int
    is_up: bool
    is_in: bool
    size: int = 0
    used: int = 0


@dataclass(frozen=True)
class Ceph:
    """``copies``: pool to how often it keeps everything; ``monitors``: address to name."""

    osds: tuple[Osd, ...]
    copies: Mapping[str, int]
    monitors: Mapping[str, str]


def osds_of(dump: str, room: str) -> tuple[Osd, ...]:
    """From ``ceph osd dump``, with the room that ``ceph osd df -f json`` tells."""
    sizes = _sizes(room)
    return tuple(
        Osd(int(number), up == "up", inside == "in", *sizes.get(int(number), (0, 0)))
        for number, up, inside in OSD_LINE.findall(dump)
    )


def _sizes(room: str) -> dict[int, tuple[int, int]]:
    try:
        return {
            int(node["id"]): (int(node["kb"]) * 1024, int(node["kb_used"]) * 1024)
            for node in json.loads(room)["nodes"]
        }
    except (ValueError, KeyError, TypeError):
        return {}


def copies_of(dump: str) -> dict[str, int]:
    """Pool to its size, from ``ceph osd dump``."""
    return {name: int(size) for name, size in POOL_LINE.findall(dump)}


def monitors_of(dump: str) -> dict[str, str]:
    """Address to name, from ``ceph mon dump``."""
    return dict(MONITOR_LINE.findall(dump))


def ceph_of(snapshot: Snapshot) -> Ceph | None:
    """None: something of it could not be asked."""
    said = {}
    for question in ASK:
        answer = snapshot.answer(question)
        if answer is None or answer.code != 0:
            return None
        said[question] = answer.out
    osds = osds_of(said[OSDS], said[ROOM])
    monitors = monitors_of(said[MONITORS])
    return Ceph(osds, copies_of(said[OSDS]), monitors) if osds and monitors else None


def ceph_questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Where a monitor can be asked."""
    host = ceph_asker(snapshot)
    if host is None:
        return ()
    return tuple(Question(id=name, host=host.name, command=ask) for name, ask in ASK.items())


def osd_key(host: HostFacts) -> str:
    """Holds the id of a host's OSD; without it, the daemon makes a new one (store/daemon/bin/boot)."""
    return f"/deis/store/osds/{host.address}"


def host_key(host: HostFacts) -> str:
    """From these keys Ceph's clients know its monitors (store/base/templates/ceph.conf)."""
    return f"/deis/store/hosts/{host.address}"


def osd_id(snapshot: Snapshot, host: HostFacts) -> int | None:
    """The OSD of a host, as the daemon there has written it."""
    value = (snapshot.value(osd_key(host)) or "").strip()
    return int(value) if value.isdecimal() else None


def leaving(snapshot: Snapshot, choices: PlanesChoices) -> tuple[HostFacts, ...]:
    """Hosts with Ceph that are not to be of the control plane."""
    return tuple(
        host
        for host in ceph_hosts(snapshot)
        if "control" not in choices.hosts.get(host.name, ()) and host.reachable
    )
