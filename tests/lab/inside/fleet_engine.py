"""Where units go: what the engine of one fleetd decides for all."""

from __future__ import annotations

from tests.lab.inside.fleet_registry import Registry
from tests.lab.inside.fleet_units import Unit


def leads(registry: Registry, machine_id: str) -> bool:
    """Whether this machine's engine decides: that of the first machine."""
    return min(registry.machines, default="") == machine_id


def decisions(registry: Registry) -> dict[str, str]:
    """Unit to its new machine, empty for nowhere; only those that change.

    A unit stays as long as it may. Another goes to the eligible machine that has the fewest units.
    """
    placed: dict[str, list[Unit]] = {ident: [] for ident in registry.machines}
    homeless, changed = [], {}
    for unit in registry.units.values():
        if unit.is_global:
            continue
        wants = unit.desired in ("loaded", "launched")
        eligible = {machine.id for machine in registry.eligible(unit)}
        if wants and unit.target in eligible and _fits(unit, placed[unit.target]):
            placed[unit.target].append(unit)
            continue
        if unit.target:
            changed[unit.name] = ""
        if wants:
            homeless.append(unit)
    for unit in homeless:
        free = [m.id for m in registry.eligible(unit) if _fits(unit, placed[m.id])]
        if free:
            best = min(free, key=lambda ident: (len(placed[ident]), ident))
            placed[best].append(unit)
            changed[unit.name] = best
    return changed


def _fits(unit: Unit, others: list[Unit]) -> bool:
    """Whether none of them bars the other."""
    return not any(unit.bars(other.name) or other.bars(unit.name) for other in others)
