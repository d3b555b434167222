"""Application segregation: which hosts carry which fleet metadata, and where ``deis tags`` would place what.

The wizard writes no tags and no metadata. ``deis tags set k=v -a app`` makes the controller write
``MachineMetadata`` into the app's units; fleet runs them only where all of it is there (deis-facts 1, 5d).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deiswizard.cluster.placement import DATA_PLANE, app_of, fits, pairs_of
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.userdata.metadata import PLANES

PLACEMENT = "/deis/platform/enablePlacementOptions"


NOT_HERE = (
    "the wizard sets neither tags nor metadata: metadata is read when fleet starts, and a restart of fleet "
    "stops every unit of that host. With Deis 1.12 tags that were set before placement options were on get "
    "lost: set them again and scale the app"
)


@dataclass(frozen=True)
class Confined:
    """An app whose containers may not run everywhere: its tags, and the hosts that have them all."""

    app: str
    tags: tuple[str, ...]
    hosts: tuple[str, ...]


def metadata(snapshot: Snapshot) -> Mapping[str, tuple[str, ...]]:
    """``key=value`` to the names of the hosts that carry it; what tells planes apart comes last."""
    found: dict[str, list[str]] = {}
    for host in snapshot.hosts:
        for key, value in host.metadata:
            found.setdefault(f"{key}={value}", []).append(host.name)
    return {
        pair: tuple(found[pair])
        for pair in sorted(
            found, key=lambda pair: (pair.partition("=")[0] in PLANES.values(), pair)
        )
    }


def needs_data_plane(snapshot: Snapshot) -> bool:
    """Whether the controller gives every app unit ``dataPlane=true`` besides."""
    return snapshot.value(PLACEMENT) in ("true", "True", "TRUE", "1")


def places(snapshot: Snapshot, tags: Iterable[str]) -> tuple[str, ...]:
    """The hosts on which ``deis tags set TAGS`` would let an app run."""
    pairs = [*pairs_of(tags), *([DATA_PLANE] if needs_data_plane(snapshot) else [])]
    return tuple(host.name for host in snapshot.hosts if fits(host.metadata, pairs))


def told(snapshot: Snapshot, tags: Sequence[str], app: str = "APP") -> str:
    """What a command of ``deis tags`` would do, in a sentence."""
    command = f"deis tags set {' '.join(tags)} -a {app}"
    if hosts := places(snapshot, tags):
        return f"'{command}' would place its containers on {', '.join(hosts)} only"
    return (
        f"'{command}' would place its containers nowhere: no host has all of it, and they would "
        "never start"
    )


def confined(snapshot: Snapshot) -> tuple[Confined, ...]:
    """The apps whose units carry tags now, as fleet has them."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for unit in snapshot.units:
        app, pairs = app_of(unit.name), pairs_of(unit.machine_metadata)
        if app and any(pair != DATA_PLANE for pair in pairs):
            found[app] = pairs
    return tuple(
        Confined(
            app,
            tuple(f"{key}={value}" for key, value in pairs),
            tuple(host.name for host in snapshot.hosts if fits(host.metadata, pairs)),
        )
        for app, pairs in sorted(found.items())
    )
