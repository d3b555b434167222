"""fleet's machines as its registry in etcd has them now: what guards and waits ask."""

from __future__ import annotations

from deiswizard.cluster import fleet
from deiswizard.plan.fleet_conditions import MachinesCarry, MetadataIs
from deiswizard.run.context import Context


def _machines(context: Context) -> tuple[fleet.Machine, ...]:
    found, _ = context.access.etcd().tree(f"{fleet.PREFIX}/machines")
    return fleet.machines(found)


def machines_carry(condition: MachinesCarry, context: Context) -> tuple[bool, str]:
    """Whether enough machines carry a pair, and how many do. Raises ServiceError."""
    key, _, value = condition.pair.partition("=")
    count = sum(
        (key, value) in machine.metadata
        for machine in _machines(context)
        if machine.id != condition.but
    )
    others = "other " if condition.but else ""
    return count >= condition.least, f"{count} {others}hosts carry {condition.pair}"


def metadata_is(condition: MetadataIs, context: Context) -> tuple[bool, str]:
    """Whether a machine has one of these metadata, and what it has. Raises ServiceError."""
    for machine in _machines(context):
        if machine.id == condition.machine:
            now = ",".join(f"{key}={value}" for key, value in machine.metadata)
            return now in condition.either, now or "no metadata"
    return False, "fleet does not know the machine"
