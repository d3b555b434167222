"""What is asked about planes: a matrix of hosts and planes, and how far to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option
from deiswizard.recommendations.planes.assess import planes_of_units
from deiswizard.recommendations.planes.choices import tallies
from deiswizard.recommendations.planes.facts import PlanesChoices, has_ceph, moves
from deiswizard.recommendations.provisioning import fields, makes_files, on_cluster
from deiswizard.userdata.metadata import PLANES

SHOWN_MOVES = 3

COLUMNS = (
    Option("control", "control", explain="Controller, database, registry, builder, logger, Ceph."),
    Option("data", "data", explain="Apps, and the publisher that tells the routers of them."),
    Option("router", "router", explain="The routers: load balancer and DNS point at these hosts."),
)


def _rows(snapshot: Snapshot) -> tuple[Option, ...]:
    there = planes_of_units(snapshot)
    return tuple(
        Option(
            host.name,
            host.name,
            note=there[host.name],
            warning="" if host.reachable else "cannot be reached: stays as it is",
            explain=f"fleet knows it at {host.address}. There now: {there[host.name] or 'nothing'}. "
            "Metadata that is none of a plane stays.",
        )
        for host in snapshot.hosts
    )


def _foot(snapshot: Snapshot, raw: dict[str, Any]) -> Sequence[str]:
    """Which unit moves from where to where."""
    if makes_files(snapshot, raw):
        return ()
    try:
        choices = PlanesChoices.model_validate(
            {k: raw[k] for k in ("hosts", "how_far") if k in raw}
        )
    except ValueError:
        return ()
    found = moves(snapshot, choices)
    lines = [f"moves  {move.words}" for move in found[:SHOWN_MOVES]]
    more = len(found) - SHOWN_MOVES
    return [*lines, f"and {more} more units move"] if more > 0 else lines


def _far(snapshot: Snapshot) -> tuple[Option, ...]:
    away = " Ceph and what stands on it go down together." if has_ceph(snapshot) else ""
    return (
        Option(
            "components",
            "keep units to their planes, one by one",
            recommended=True,
            explain="Metadata on every host, then the setting, then each component of Deis is made again, "
            "one after the other: each is away for as long as it starts, routers one by one."
            + away,
        ),
        Option(
            "platform",
            "the same, the platform at once",
            explain="As Deis's documentation has it: everything down, then up. Apps answer 503 for 10 to "
            "30 minutes.",
            warning="10 to 30 min outage",
        ),
        Option(
            "metadata",
            "only the hosts' metadata",
            explain="No unit stops, except what is kept to a plane already and must leave its host.",
        ),
    )


FIELDS = (
    *fields("hosts of each set of planes"),
    FormField(
        "hosts",
        "Planes of each host",
        "matrix",
        "Arrows move, space or a click ticks, a ticks a whole column.",
        options=_rows,
        columns=COLUMNS,
        tallies=tallies,
        foot=_foot,
        placeholder=" ".join(PLANES),
    ),
    *on_cluster((FormField("how_far", "How far to go", "one", options=_far),)),
)
