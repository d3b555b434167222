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
from deiswizard.plan.conditions import UnitGone
from deiswizard.plan.fleet_conditions import MachinesCarry, UnitStopped
from deiswizard.plan.plan import Change, KeyBasis, Stage, chained
from deiswizard.plan.step import (
    DestroyUnitStep,
    GuardStep,
    Step,
    StopUnitStep,
    SubmitUnitStep,
    WaitStep,
)
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
    needed,
    pair_of,
    plane_of,
    to_decorate,
)
from deiswizard.recommendations.planes.hosts import ceph_well, runs_on
from deiswizard.userdata.metadata import PLANES
from deiswizard.vocabulary import Danger

STOP_TIMEOUT = 15 * 60.0
"""A database pushes a backup before it ends."""

GONE_TIMEOUT = 120.0


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
    found += [Group(u.name, f"{_short(u.name)} is made again", (u,)) for u in units]
    return tuple(found)


def _short(unit: str) -> str:
    return unit.removeprefix("deis-").removesuffix(".service")


def decorated(unit: Unit) -> str:
    """Its file, kept to the hosts of its plane, as Deis's decorators write it."""
    pair = pair_of(PLANE_OF[component_of(unit.name)])
    line = UnitOption(section="X-Fleet", name="MachineMetadata", value=f'"{pair}"')
    return text_of([*options_of(unit.content), line])


def stage(snapshot: Snapshot, choices: PlanesChoices, group: Group) -> Stage:
    """A group down and up again; every step needs the one before."""
    steps: list[Step] = list(_guards(snapshot, group))
    for unit in reversed(group.units):
        steps += _down(unit, "", (digest(unit.content),))
    for unit in group.units:
        steps += _up(snapshot, choices, unit, decorated(unit), "")
    if _touches_ceph(snapshot, group) and (asker := ceph_asker(snapshot)) is not None:
        steps.append(ceph_well(asker.name, f"ceph:{group.id}", ()))
    return Stage(id=f"group:{group.id}", title=group.title, steps=chained(steps))


def _touches_ceph(snapshot: Snapshot, group: Group) -> bool:
    return has_ceph(snapshot) and any(
        component_of(unit.name).startswith("store-") for unit in group.units
    )


def _guards(snapshot: Snapshot, group: Group) -> Iterator[GuardStep]:
    """Enough hosts for every plane of the group; without one a unit would be gone, and nobody says so."""
    least = needed(snapshot)
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
        )


def _down(unit: Unit, prefix: str, expect: tuple[str, ...]) -> tuple[Step, ...]:
    """Stopped first and seen to be, so that it never runs twice; then destroyed and seen to be gone."""
    name = unit.name
    return (
        StopUnitStep(
            id=f"{prefix}stop:{name}",
            title=f"stop {_short(name)}",
            unit=name,
            danger=Danger.RESTART,
            undo="it is submitted again as it was",
        ),
        WaitStep(
            id=f"{prefix}stopped:{name}",
            title=f"{_short(name)} has stopped",
            condition=UnitStopped(unit=name),
            waiting_for=f"{name} to stop",
            timeout=STOP_TIMEOUT,
            interval=1.0,
            on_timeout=f"see what keeps it: fleetctl journal {name}",
        ),
        DestroyUnitStep(
            id=f"{prefix}destroy:{name}",
            title=f"destroy {_short(name)}",
            unit=name,
            expect=expect,
            danger=Danger.RESTART,
            undo="it is submitted again as it was",
        ),
        WaitStep(
            id=f"{prefix}gone:{name}",
            title=f"{_short(name)} is gone from every host",
            condition=UnitGone(unit=name),
            waiting_for=f"{name} to be gone",
            timeout=GONE_TIMEOUT,
            interval=1.0,
            on_timeout="see which host still has it: fleetctl list-units; look at fleet there",
        ),
    )


def _up(
    snapshot: Snapshot, choices: PlanesChoices | None, unit: Unit, content: str, prefix: str
) -> Iterator[Step]:
    """Submitted, and running where it may. ``choices`` None: where it ran, or anywhere."""
    name, plane = unit.name, plane_of(unit.name)
    yield SubmitUnitStep(
        id=f"{prefix}submit:{name}",
        title=f"submit {_short(name)}"
        + (f", {pair_of(plane or '')}" if choices else ", as it was"),
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
    """Down in whatever file it is by then, and up with the file of before. Only what was begun."""
    down: list[Step] = []
    up: list[Step] = []
    for unit in reversed(group.units):
        both = (digest(decorated(unit)), digest(unit.content))
        down += _tied(_down(unit, "back:", both), unit)
    for unit in group.units:
        up += _tied(tuple(_up(snapshot, None, unit, unit.content, "back:")), unit)
    yield Stage(
        id=f"back:down:{group.id}", title=f"{group.title}: back, stopped", steps=tuple(down)
    )
    yield Stage(id=f"back:up:{group.id}", title=f"{group.title}: back, started", steps=tuple(up))


def _tied(steps: Sequence[Step], unit: Unit) -> tuple[Step, ...]:
    """Each after the one before of the same unit, and only where that unit was touched."""
    undoes = tuple(f"{what}:{unit.name}" for what in ("stop", "destroy", "submit"))
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
            steps=tuple(f"{what}:{unit.name}" for what in ("stop", "destroy", "submit")),
        )


def basis(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[KeyBasis]:
    """The submissions as they are."""
    for unit in to_decorate(snapshot, choices):
        yield KeyBasis(key=job_key(unit.name), index=unit.index)
