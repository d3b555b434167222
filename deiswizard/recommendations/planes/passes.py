"""Which host's metadata changes, in which order: what is gained comes before what is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Change, FileBasis
from deiswizard.recommendations.planes.choices import changing
from deiswizard.recommendations.planes.facts import (
    PlanesChoices,
    hosts_of,
    is_decorated,
    of_planes,
    plane_of,
    planes_now,
)
from deiswizard.recommendations.planes.fleetd import PATH, Fleetd, drop_in, fleetd_of, wanted
from deiswizard.userdata.metadata import PLANES


def fleetd_for(snapshot: Snapshot, host: HostFacts) -> Fleetd:
    """Raises PreconditionError when it is not known."""
    found = fleetd_of(snapshot, host)
    if found is None:
        raise PreconditionError(
            f"{host.name} did not say how its fleetd is started", do="look again"
        )
    return found


@dataclass(frozen=True)
class Pass:
    """One change of one host's metadata, from ``old`` to ``new``. ``expect``: the drop-in's checksum.

    A host that gains planes and loses others has two: first it has both, so that what leaves another
    host finds it; ``key`` tells its steps apart.
    """

    host: HostFacts
    fleetd: Fleetd
    key: str
    planes: tuple[str, ...]
    old: str
    new: str
    expect: str
    is_second: bool = False


def passes(snapshot: Snapshot, choices: PlanesChoices) -> tuple[Pass, ...]:
    """In order: everything that is gained, then everything that is lost.

    Raises PreconditionError when a host did not say how its fleetd is started.
    """
    kept = {plane_of(unit.name) for unit in of_planes(snapshot) if is_decorated(unit)}
    gaining: list[Pass] = []
    losing: list[Pass] = []
    for host in changing(snapshot, choices):
        now, then = planes_now(host), choices.hosts[host.name]
        lost = [plane for plane in now if plane not in then]
        fleetd = fleetd_for(snapshot, host)
        old, key, is_second = fleetd.metadata, host.name, False
        expect = fleetd.checksum
        if set(then) - set(now) and kept.intersection(lost):
            both = tuple(plane for plane in PLANES if plane in (*now, *then))
            new = wanted(fleetd, both)
            gaining.append(Pass(host, fleetd, f"{key}:both", both, old, new, expect))
            expect = hashlib.sha256(drop_in(new).encode()).hexdigest()
            old, is_second = new, True
        new = wanted(fleetd, then)
        made = Pass(host, fleetd, key, then, old, new, expect, is_second)
        (losing if lost else gaining).append(made)
    return (*gaining, *losing)


def change(snapshot: Snapshot, choices: PlanesChoices, host: HostFacts) -> Change:
    """The metadata of a host as it is and as it will be."""
    fleetd = fleetd_for(snapshot, host)
    keys = [one.key for one in passes(snapshot, choices) if one.host is host]
    return Change(
        where=f"{host.name}: fleet metadata",
        current=fleetd.metadata or None,
        desired=wanted(fleetd, choices.hosts[host.name]),
        steps=tuple(f"{what}:{key}" for key in keys for what in ("drop-in", "apply")),
    )


def basis(snapshot: Snapshot, host: HostFacts) -> FileBasis:
    """The drop-in as it is."""
    return FileBasis(host=host.name, path=PATH, sha256=fleetd_for(snapshot, host).checksum)


def outages(snapshot: Snapshot, hosts: Sequence[HostFacts]) -> Mapping[str, tuple[str, ...]]:
    """Host to the units that stop because its fleetd must be restarted."""
    found = {}
    for host in hosts:
        if not fleetd_for(snapshot, host).comes_back:
            found[host.name] = tuple(
                unit.name for unit in snapshot.units if host in hosts_of(unit.name, snapshot)
            )
    return found
