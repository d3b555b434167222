"""The choices of preseeding, and the arithmetic that assessment and plan share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.recommendations.base import Choices
from deiswizard.recommendations.preseed.images import TYPICAL_SIZE, needed_images, sizes

IMAGE_NAME = re.compile(
    r"^(?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::\d+)?/)?"
    r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})?$"
)
"""A registry (with a dot, a port, or localhost), a path in lower case, a tag or a digest."""

ROOM_FACTOR = 1.3
"""Room wanted on Docker's disk, as a multiple of what is missing: layers are unpacked beside."""

SCRIPT = "/run/deis/bin/preseed"


class PreseedChoices(Choices):
    """On which hosts, how, how many side by side, and which images besides Deis's own.

    The method ``fleet`` is for every host, all at once: ``hosts`` and ``hosts_at_a_time`` mean
    nothing to it.
    """

    hosts: tuple[str, ...] = Field(description="hosts to preseed")
    method: Literal["pull", "script", "fleet"] = "pull"
    hosts_at_a_time: int = Field(default=3, ge=1, le=32)
    extra_images: tuple[str, ...] = ()

    @field_validator("extra_images")
    @classmethod
    def _image_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not IMAGE_NAME.match(name):
                raise ValueError(f"'{name}' is not an image name; write it as repository:tag")
        return tuple(dict.fromkeys(value))


def wanted(snapshot: Snapshot, choices: PreseedChoices) -> tuple[str, ...]:
    """Every image that the chosen hosts shall have."""
    names = [image.name for image in needed_images(snapshot)]
    return tuple(dict.fromkeys([*names, *choices.extra_images]))


def missing_on(host: HostFacts, images: Sequence[str]) -> tuple[str, ...]:
    """Which of the images the host does not have."""
    return tuple(name for name in images if not host.has_image(name))


def bytes_missing(snapshot: Snapshot, images: Sequence[str]) -> int:
    """About how much is to be fetched: sizes as other hosts have them, else a typical one."""
    known = sizes(snapshot)
    return sum(known.get(name, TYPICAL_SIZE) for name in images)


def in_gb(size: int) -> str:
    """``4.1 GB``, or MB below one."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def room_problem(snapshot: Snapshot, host: HostFacts, names: Sequence[str]) -> str:
    """Why the images do not fit, empty when they do or the room is not known."""
    if host.disk is None or not names:
        return ""
    needed = int(bytes_missing(snapshot, names) * ROOM_FACTOR)
    if host.disk.free >= needed:
        return ""
    return f"{in_gb(host.disk.free)} free, about {in_gb(needed)} needed"
