"""Where fleet may run a unit: what the unit asks for, and what a host carries.

``deis tags set k=v -a app`` makes the controller write ``MachineMetadata`` into the app's units; fleet runs them
only where all of it is there (deis-facts 1, 5d).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from functools import lru_cache

APP_UNIT = re.compile(r"([a-z0-9][a-z0-9-]*)_v\d+\.[^.]+\.\d+\.service")
DATA_PLANE = ("dataPlane", "true")


def app_of(unit: str) -> str:
    """``shop_v3.web.1.service`` -> ``shop``; empty: no unit of an app."""
    match = APP_UNIT.fullmatch(unit)
    return match[1] if match else ""


def pairs_of(options: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The pairs of MachineMetadata options: several on a line, each perhaps in quotes."""
    return tuple(dict.fromkeys(pair for text in options for pair in _pairs_in(text)))


@lru_cache(1024)
def _pairs_in(text: str) -> tuple[tuple[str, str], ...]:
    """Of one option: the units of all apps have a few between them."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.replace('"', " ").split()
    found = (word.partition("=") for word in words if "=" in word)
    return tuple((key.strip(), value.strip()) for key, _, value in found)


def fits(metadata: Iterable[tuple[str, str]], pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether a host with that metadata may run what asks for these: every key, with any of its values."""
    wanted: dict[str, set[str]] = {}
    for key, value in pairs:
        wanted.setdefault(key, set()).add(value)
    has = dict(metadata)
    return all(has.get(key) in values for key, values in wanted.items())
