"""Deis's units made again with their planes: stopped, destroyed, submitted, awaited.

Through fleet's own API, not by ``deisctl install``: its exit status proves nothing, it waits without
an end for a unit that has no place, it takes whatever template and decorator its host has, and
says nothing when one is missing (deis-facts 0.5, 1). Here the file that runs now is submitted again with
one line more, so the preview shows exactly what changes, and the way back submits what was there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deiswizard.cluster.fleet import job_key
from deiswizard.cluster.snapshot import Snapshot, Unit
from deiswizard.cluster.unit_files import UnitOption, digest, options_of, text_of
from deiswizard.plan.fleet_conditions import MachinesCarry
from deiswizard.plan.fleet_steps import SubmitUnitStep
from deiswizard.plan.plan import Change, KeyBasis, Stage, chained
from deiswizard.plan.step import GuardStep, Step
from deiswizard.recommendations.deis_units import runs_on, short, stay, taken_down
from deiswizard.recommendations.planes.facts import (
    ON_CEPH,
    PLANE_OF,
    Plane,
    PlanesChoices,
    ceph_asker,
    component_of,
    has_ceph,
    hosts_of,
    in_short,
    is_ceph_well,
    needed,
    pair_of,
    plane_of,
    to_decorate,
)
from deiswizard.recommendations.planes.hosts import DETAIL, ceph_guard, ceph_well, etcd_guard
from deiswizard.userdata.metadata import PLANES
from deiswizard.vocabulary import Danger


@dataclass(frozen=True)
class Group:
    """Units that go down together, the last first, and come up together, the first first."""

    id: str
    title: str
    units: tuple[Unit, ...]


def groups(snapshot: Snapshot, choices: PlanesChoices) -> tuple[Group, ...]:
    """Each unit by itself, so that only one component is away at a time; Ceph and what hangs without it
    together. Or all in one.
    """
    units = to_decorate(snapshot, choices)
    if not units:
        return ()
    if choices.how_far == "platform":
        return (Group("platform", "The platform is made again", units),)
    found = []
    together = tuple(u for u in units if component_of(u.name) in ON_CEPH)
    if any(component_of(unit.name).startswith("store-") for unit in together):
        found.append(Group("store", "Ceph, and what stands on it, is made again", together))
        units = tuple(unit for unit in units if unit not in together)
    found += [Group(u.name, f"{short(u.name)} is made again", (u,)) for u in units]
    return tuple(found)


def decorated(unit: Unit) -> str:
    """Its file, kept to the hosts of its plane, as Deis's decorators write it."""
    pair = pair_of(PLANE_OF[component_of(unit.name)])
    line = UnitOption(section="X-Fleet", name="MachineMetadata", value=f'"{pair}"')
    return text_of([*options_of(unit.content), line])


def stage(snapshot: Snapshot, choices: PlanesChoices, group: Group) -> Stage:
    """A group down and up again; every step needs the one before."""
    steps: list[Step] = list(_guards(snapshot, group))
    for unit in reversed(group.units):
        steps += taken_down(unit.name, "", (digest(unit.content),))
    for unit in group.units:
        steps += _up(snapshot, choices, unit, decorated(unit), "")
    steps += stay(f"stay:{group.id}", steps)
    if touches_ceph(snapshot, group) and (asker := ceph_asker(snapshot)) is not None:
        steps.append(ceph_well(asker.name, f"ceph:{group.id}", ()))
    return Stage(id=f"group:{group.id}", title=group.title, steps=chained(steps))


def touches_ceph(snapshot: Snapshot, group: Group) -> bool:
    """A unit of Ceph is made again."""
    return has_ceph(snapshot) and any(
        component_of(unit.name).startswith("store-") for unit in group.units
    )


def _stores(group: Group) -> tuple[str, ...]:
    """Ceph's units, in the order in which they start."""
    names = (unit.name for unit in group.units)
    return tuple(name for name in names if component_of(name).startswith("store-"))


def _well_guards(snapshot: Snapshot, group: Group, prefix: str) -> Iterator[GuardStep]:
    """Etcd is healthy, and Ceph before the first of its units stops: from then on it is not."""
    key, until = f"{prefix}{group.id}", tuple(f"{prefix}submit:{unit.name}" for unit in group.units)
    if snapshot.reachable_hosts:
        yield etcd_guard(snapshot.reachable_hosts[0].name, key, until)
    asker = ceph_asker(snapshot)
    if touches_ceph(snapshot, group) and asker is not None and is_ceph_well(snapshot):
        why = f"Ceph is not well, and its units would all stop for a while. {DETAIL}"
        last = f"{prefix}stop:{_stores(group)[-1]}"
        yield ceph_guard(asker.name, f"guard:ceph:{key}", why, (last,))


def _guards(snapshot: Snapshot, group: Group) -> Iterator[GuardStep]:
    """All is well, and there are enough hosts for every plane of the group; without one a unit would be
    gone, and nobody says so.
    """
    yield from _well_guards(snapshot, group, "")
    least, until = needed(snapshot), tuple(f"submit:{unit.name}" for unit in group.units)
    planes: dict[Plane, None] = {}
    for unit in group.units:
        plane = plane_of(unit.name)
        if plane is not None:
            planes[plane] = None
    for plane in planes:
        yield GuardStep(
            id=f"guard:{plane}:{group.id}",
            title=f"{least[plane].count} hosts of the {plane} plane are there",
            condition=MachinesCarry(pair=pair_of(plane), least=least[plane].count),
            otherwise=f"{least[plane].why}: a unit would have no place and run nowhere. "
            "See fleetctl list-machines",
            until=until,
        )


def _up(
    snapshot: Snapshot, choices: PlanesChoices | None, unit: Unit, content: str, prefix: str
) -> Iterator[Step]:
    """Submitted, and running where it may. ``choices`` None: where it ran, or anywhere."""
    name, plane = unit.name, plane_of(unit.name)
    yield SubmitUnitStep(
        id=f"{prefix}submit:{name}",
        title=f"submit {short(name)}" + (f", {pair_of(plane or '')}" if choices else ", as it was"),
        unit=name,
        content=content,
        danger=Danger.RESTART,
        undo="its file of before is submitted again",
    )
    hosts = [
        host
        for host in snapshot.hosts
        if choices is None or plane in choices.hosts.get(host.name, ())
    ]
    if choices is None and unit.is_global:
        hosts = list(hosts_of(name, snapshot))
    yield runs_on(name, hosts, f"{prefix}runs:{name}", every=unit.is_global)


def undo(snapshot: Snapshot, group: Group) -> Iterator[Stage]:
    """Down in whatever file it is by then, and up with the file of before. Only what was begun.

    Ceph must be well only when the last of its units was made again: before that it is away by our own doing.
    """
    stores = _stores(group)
    guards = [
        guard.model_copy(
            update={
                "undoes": (f"submit:{stores[-1]}",)
                if guard.id.startswith("guard:ceph:")
                else _touched(*group.units)
            }
        )
        for guard in _well_guards(snapshot, group, "back:")
    ]
    needs = tuple(guard.id for guard in guards)
    down: list[Step] = [*guards]
    up: list[Step] = []
    for unit in reversed(group.units):
        both = (digest(decorated(unit)), digest(unit.content))
        first, *rest = _tied(taken_down(unit.name, "back:", both), unit)
        down += [first.model_copy(update={"needs": needs}), *rest]
    for unit in group.units:
        up += _tied(tuple(_up(snapshot, None, unit, unit.content, "back:")), unit)
    up += stay(f"back:stay:{group.id}", up)
    yield Stage(
        id=f"back:down:{group.id}", title=f"{group.title}: back, stopped", steps=tuple(down)
    )
    yield Stage(id=f"back:up:{group.id}", title=f"{group.title}: back, started", steps=tuple(up))
    asker = ceph_asker(snapshot)
    if touches_ceph(snapshot, group) and asker is not None and is_ceph_well(snapshot):
        touched = _touched(*(unit for unit in group.units if unit.name in stores))
        yield Stage(
            id=f"back:ceph:{group.id}",
            title=f"{group.title}: back, and well",
            steps=(ceph_well(asker.name, f"back:ceph:{group.id}", ()),),
        ).undoing(*touched)


def _touched(*units: Unit) -> tuple[str, ...]:
    return tuple(f"{what}:{u.name}" for u in units for what in ("stop", "destroy", "submit"))


def _tied(steps: Sequence[Step], unit: Unit) -> tuple[Step, ...]:
    """Each after the one before of the same unit, and only where that unit was touched."""
    undoes = _touched(unit)
    return tuple(step.model_copy(update={"undoes": undoes}) for step in chained(steps))


def changes(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Change]:
    """Each unit: where it may run and runs, and where it may run then."""
    for unit in to_decorate(snapshot, choices):
        plane = plane_of(unit.name)
        here = [host.name for host in hosts_of(unit.name, snapshot)]
        then = [host.name for host in snapshot.hosts if plane in choices.hosts.get(host.name, ())]
        leaves = [name for name in here if name not in then]
        note = f"leaves {in_short(leaves)}" if leaves else ""
        yield Change(
            where=f"fleet unit {unit.name}",
            current=f"any host ({in_short(here)} now)",
            desired=f"{PLANES[plane or '']}=true ({in_short(then)})",
            note=note,
            steps=_touched(unit),
        )


def basis(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[KeyBasis]:
    """The submissions as they are."""
    for unit in to_decorate(snapshot, choices):
        yield KeyBasis(key=job_key(unit.name), index=unit.index)
