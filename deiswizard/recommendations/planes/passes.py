"""Which host's metadata changes, in which order: what is gained comes before what is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deiswizard.cluster.placement import app_of
from deiswizard.cluster.snapshot import HostFacts, Snapshot, Unit
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Change, FileBasis
from deiswizard.recommendations.deis_units import short
from deiswizard.recommendations.planes.choices import changing
from deiswizard.recommendations.planes.facts import (
    PlanesChoices,
    hosts_of,
    kept_to,
    of_planes,
    planes_now,
)
from deiswizard.recommendations.planes.fleetd import PATH, Fleetd, drop_in, fleetd_of, known, wanted
from deiswizard.userdata.metadata import PLANES
from deiswizard.wording import counted, few


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
    kept = kept_planes(snapshot)
    gaining: list[Pass] = []
    losing: list[Pass] = []
    for host in changing(snapshot, choices):
        now, then = planes_now(host), choices.hosts[host.name]
        losses = [plane for plane in now if plane not in then]
        fleetd = fleetd_for(snapshot, host)
        old, key, is_second = fleetd.metadata, host.name, False
        expect = fleetd.checksum
        if set(then) - set(now) and kept.intersection(losses):
            both = tuple(plane for plane in PLANES if plane in (*now, *then))
            new = wanted(fleetd, both)
            gaining.append(Pass(host, fleetd, f"{key}:both", both, old, new, expect))
            expect = hashlib.sha256(drop_in(new).encode()).hexdigest()
            old, is_second = new, True
        new = wanted(fleetd, then)
        made = Pass(host, fleetd, key, then, old, new, expect, is_second)
        (losing if losses else gaining).append(made)
    return (*gaining, *losing)


def kept_planes(snapshot: Snapshot) -> frozenset[str]:
    """The planes that some unit is kept to."""
    return frozenset(plane for unit in snapshot.units if (plane := kept_to(unit)))


def lost(snapshot: Snapshot, before: str, planes: Sequence[str]) -> tuple[str, ...]:
    """The planes that units are kept to and that a host with the metadata ``before`` has no more."""
    had = dict(known(before))
    gone = [p for p, key in PLANES.items() if had.get(key) == "true" and p not in planes]
    kept = kept_planes(snapshot) if gone else frozenset()
    return tuple(plane for plane in gone if plane in kept)


def leaving(snapshot: Snapshot, one: Pass) -> tuple[Unit, ...]:
    """Deis's units that run on its host now and are kept to a plane that it loses: they stop there."""
    return _leaving(snapshot, one, of_planes(snapshot))


def leaving_apps(snapshot: Snapshot, one: Pass) -> tuple[Unit, ...]:
    """The containers of apps that do."""
    return _leaving(snapshot, one, [unit for unit in snapshot.units if app_of(unit.name)])


def _leaving(snapshot: Snapshot, one: Pass, units: Sequence[Unit]) -> tuple[Unit, ...]:
    machine = one.host.machine_id
    here = {s.unit for s in snapshot.unit_states if s.machine_id == machine and s.is_running}
    return tuple(
        unit for unit in units if unit.name in here and kept_to(unit) not in (None, *one.planes)
    )


def departures(snapshot: Snapshot, one: Pass) -> tuple[str, ...]:
    """What stops on its host and starts elsewhere, and what ends there, in words."""
    units = leaving(snapshot, one)
    go = [short(unit.name) for unit in units if not unit.is_global]
    end = [short(unit.name) for unit in units if unit.is_global]
    told = (
        [f"stops on {one.host.name}, and starts on another host of its plane: {few(go)}"]
        if go
        else []
    )
    told += [f"ends on {one.host.name}: {few(end)}"] if end else []
    if apps := leaving_apps(snapshot, one):
        names = dict.fromkeys(app_of(unit.name) for unit in apps)
        told.append(
            f"stops on {one.host.name}, and starts on another host of the data plane: "
            f"{counted(len(apps), 'container')} of {few(list(names))}"
        )
    return tuple(told)


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
