"""A fleet of dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deiswizard.cluster.access import FleetUnit
from deiswizard.cluster.snapshot import UnitState
from deiswizard.cluster.unit_files import UnitOption
from deiswizard.errors import ServiceError


def row(machine: str, how: str, unit: str = "job.service") -> UnitState:
    """``how`` is ``active/exited``."""
    active, _, sub = how.partition("/")
    return UnitState(unit=unit, machine_id=machine, load="loaded", active=active, sub=sub)


@dataclass
class MemoryFleet:
    """``rows`` are what each look at the states tells in turn, the last one for ever. ``late`` are
    errors that changes meet in turn; with ``applies_late`` they are done all the same. ``trouble``
    are errors that looks meet in turn.
    """

    units: dict[str, FleetUnit] = field(default_factory=dict)
    rows: list[Sequence[UnitState]] = field(default_factory=list)
    late: list[ServiceError] = field(default_factory=list)
    applies_late: bool = False
    trouble: list[ServiceError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def unit(self, name: str) -> FleetUnit | None:
        if self.trouble:
            raise self.trouble.pop(0)
        return self.units.get(name)

    def put(self, name: str, options: Sequence[UnitOption], desired: str) -> bool:
        self.asked.append(f"put {name} {desired}")
        error = self.late.pop(0) if self.late else None
        if error is not None and not self.applies_late:
            raise error
        before = self.units.get(name)
        kept = before.options if before else tuple(options)
        self.units[name] = FleetUnit(name=name, options=kept, desired=desired)
        if error is not None:
            raise error
        return before is None

    def delete(self, name: str) -> bool:
        self.asked.append(f"delete {name}")
        error = self.late.pop(0) if self.late else None
        if error is not None and not self.applies_late:
            raise error
        was_there = self.units.pop(name, None) is not None
        if error is not None:
            raise error
        return was_there

    def states(self, name: str) -> tuple[UnitState, ...]:
        if self.trouble:
            raise self.trouble.pop(0)
        if not self.rows:
            return ()
        found = self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]
        return tuple(one for one in found if one.unit == name)
