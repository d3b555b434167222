"""The copies out of Ceph: images while the platform runs and once more when nobody writes, then the tables."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.fleet_conditions import UnitStopped
from deiswizard.plan.plan import Stage, chained
from deiswizard.plan.step import GuardStep, Step
from deiswizard.recommendations.deis_units import short
from deiswizard.recommendations.planes import hosts
from deiswizard.recommendations.planes.facts import ceph_asker
from deiswizard.recommendations.stateless import components
from deiswizard.recommendations.stateless.facts import StatelessChoices, units_of
from deiswizard.recommendations.stateless.trials import (
    bucket_step,
    copies_database,
    copies_registry,
    database_step,
)


def guards(snapshot: Snapshot, choices: StatelessChoices) -> Stage:
    """Before the first copy."""
    return Stage(id="guards", title="Guards", steps=ceph_guard(snapshot, choices))


def ceph_guard(
    snapshot: Snapshot, choices: StatelessChoices, when: str = ""
) -> tuple[GuardStep, ...]:
    """What is copied out of Ceph is only whole while Ceph is."""
    asker = ceph_asker(snapshot)
    copies = copies_registry(snapshot, choices) or copies_database(snapshot, choices)
    if asker is None or not copies:
        return ()
    return (
        hosts.ceph_guard(
            asker.name,
            f"guard:ceph:{when}" if when else "guard:ceph",
            f"Ceph is not well: a copy may hang or miss objects. {hosts.DETAIL}",
            until=tuple(step.id for step in compare_steps(snapshot, choices, ())),
        ),
    )


def silent(snapshot: Snapshot, when: str, until: tuple[str, ...]) -> tuple[GuardStep, ...]:
    """What writes to the old stores is stopped, whoever has started it since. ``until`` is when they have ended."""
    return tuple(
        GuardStep(
            id=f"guard:silent:{when}:{unit.name}",
            title=f"{short(unit.name)} is stopped",
            condition=UnitStopped(unit=unit.name),
            otherwise=f"{short(unit.name)} runs: somebody has started it, and what it has written since is in the "
            "old stores only. Stop it and take this run up again: what differs is then found; or take the run back",
            until=until,
        )
        for component in components.WRITERS
        for unit in units_of(snapshot, component)
    )


def first_copy(snapshot: Snapshot, choices: StatelessChoices) -> Stage:
    """Images, while everything runs: what takes long is no outage."""
    steps: list[Step] = []
    if copies_registry(snapshot, choices):
        step = bucket_step(snapshot, choices, "copy", "first:registry", "copy images, nothing stops yet")  # fmt: skip
        steps.append(step)
    return Stage(id="first", title="Copy while all runs", steps=tuple(steps))


def copy_steps(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Step, ...]:
    """The tables, and the images that have come since."""
    steps: list[Step] = []
    if copies_database(snapshot, choices):
        steps.append(database_step(snapshot, choices, "copy", "copy:database", "copy the tables"))
    if copies_registry(snapshot, choices):
        steps.append(bucket_step(snapshot, choices, "copy", "copy:registry", "copy images that are new"))  # fmt: skip
    return chained(steps)


def compare_steps(
    snapshot: Snapshot, choices: StatelessChoices, until: tuple[str, ...]
) -> tuple[Step, ...]:
    """Both are there and nobody writes: what is not the same now was not copied. A run that is taken up again
    compares again until the steps ``until`` are done: then the old stores begin to end.
    """
    steps: list[Step] = []
    if copies_database(snapshot, choices):
        steps.append(database_step(snapshot, choices, "compare", "compare:database", "every table has as many rows"))  # fmt: skip
    if copies_registry(snapshot, choices):
        steps.append(bucket_step(snapshot, choices, "compare", "compare:registry", "every image is there, with its checksum"))  # fmt: skip
    return chained(step.model_copy(update={"until": until}) for step in steps)
