"""fleet's metadata: ``controlPlane=true,dataPlane=true,ssd=true``.

fleet splits at commas, cuts spaces off, passes over what has no "=", and of two entries with the same
key the last counts (fleet 0.11, config.Config.Metadata). A plane is there when its value is ``true``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deiswizard.errors import AnswersError

PLANES: Mapping[str, str] = {
    "control": "controlPlane",
    "data": "dataPlane",
    "router": "routerMesh",
}
"""The planes, by the words for them, and their keys in fleet's metadata."""


def pairs(metadata: str) -> tuple[tuple[str, str], ...]:
    """The entries that fleet sees, in order, repeated keys included."""
    split = (entry.partition("=") for entry in metadata.split(","))
    return tuple((key.strip(), value.strip()) for key, equals, value in split if equals)


def lost(metadata: str) -> tuple[str, ...]:
    """The entries that fleet passes over."""
    entries = (entry.strip() for entry in metadata.split(","))
    return tuple(entry for entry in entries if entry and "=" not in entry)


def planes_of(metadata: str) -> tuple[str, ...]:
    """The planes that a host with this metadata belongs to."""
    known = dict(pairs(metadata))
    return tuple(plane for plane, key in PLANES.items() if known.get(key) == "true")


def with_planes(metadata: str, planes: Iterable[str]) -> str:
    """The metadata with exactly these planes; every other entry stays as it is written, where it is.

    Raises:
        AnswersError: there is no such plane.
    """
    asked = set(planes)
    if unknown := asked - set(PLANES):
        raise AnswersError(
            f"there is no plane '{min(unknown)}'", do="name one of: " + ", ".join(PLANES)
        )
    missing = [key for plane, key in PLANES.items() if plane in asked]
    kept: list[str] = []
    for entry in metadata.split(","):
        key, _, value = (part.strip() for part in entry.partition("="))
        if key in missing:
            missing.remove(key)
            kept.append(entry if value == "true" else f"{key}=true")
        elif entry.strip() and key not in PLANES.values():
            kept.append(entry)
    return ",".join([*kept, *(f"{key}=true" for key in missing)])
