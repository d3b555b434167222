"""The planes as user-data files: a role for each set of planes that some host has."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import provisioning
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.planes.facts import PlanesChoices
from deiswizard.userdata.edits import RoleEdits


def roles(choices: PlanesChoices) -> tuple[RoleEdits, ...]:
    """Each set of planes once, in the order of the hosts."""
    found = dict.fromkeys(planes for planes in choices.hosts.values() if planes)
    return tuple(RoleEdits(planes=planes) for planes in found)


def check_choices(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    """Of the file, and of the hosts that the matrix names; what the running cluster allows is not asked."""
    names = [host.name for host in snapshot.hosts]
    for name, planes in choices.hosts.items():
        if name not in names:
            yield Problem(
                field="hosts", what=f"there is no host '{name}'", allowed=", ".join(names)
            )
        elif not planes:
            yield Problem(
                field="hosts",
                what=f"{name} is in no plane: a host with such a file would run nothing",
                allowed="control, data, router",
            )
    yield from provisioning.problems(choices, roles(choices))


def plan(snapshot: Snapshot, choices: PlanesChoices) -> Plan:
    """A file for each role. The choices are right."""
    return provisioning.plan(
        snapshot,
        choices,
        roles(choices),
        recommendation="planes",
        title="Isolating the planes: files",
    )
