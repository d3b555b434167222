"""How a value is written as YAML: as the file writes such values already, quoted where it must be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import yaml
from yaml.nodes import ScalarNode

NewValue: TypeAlias = str | bool
Item: TypeAlias = Mapping[str, "NewValue | Sequence[Item]"]
"""An entry of a list, such as a unit with its drop-ins."""

PLAIN = re.compile(r"[A-Za-z0-9/$][A-Za-z0-9./:=,_%$@+-]*(?<!:)")
"""Words that are safe without quotes, unless YAML makes something else of them."""

NEVER_PLAIN = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Go's YAML knows more words for true and false than Python's does."""

STEP = 2
"""Spaces by which what is new is indented below its key."""


def scalar(value: NewValue, style: str | None = None, *, is_flow: bool = False) -> str:
    """One value on one line, in the style of the one it replaces where that can hold it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if style is None and not is_flow and _is_plain(value):
        return value
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return yaml.dump(value, default_style='"', width=float("inf")).rstrip("\n")


def _is_plain(value: str) -> bool:
    if not PLAIN.fullmatch(value) or value.lower() in NEVER_PLAIN:
        return False
    loaded: object = yaml.safe_load(value)
    return loaded == value and isinstance(loaded, str)


def literal(value: str, indent: int, newline: str, least: int = 2) -> str | None:
    """A text of ``least`` lines or more as a block: ``|`` and its lines; None where only quotes are
    exact.
    """
    body, chomping = (value[:-1], "") if value.endswith("\n") else (value, "-")
    lines = body.split("\n")
    if len(lines) + (chomping == "") < least or body[:1] in ("", " ", "\n", "\t") or not lines[-1]:
        return None
    if not all(char.isprintable() or char in "\n\t" for char in body):
        return None
    rows = [" " * indent + line if line else "" for line in lines]
    return newline.join([f"|{chomping}", *rows])


def pair(
    key: str, value: NewValue | Sequence[Item], indent: int, newline: str, style: str | None = None
) -> str:
    """``key: value`` without the indent of its first line and without the end of its last."""
    if isinstance(value, str | bool):
        block = literal(value, indent + STEP, newline) if isinstance(value, str) else None
        return f"{key}: {block or scalar(value, style)}"
    items = (" " * indent + item(one, indent, newline) for one in value)
    return newline.join([f"{key}:", *items])


def item(fields: Item, indent: int, newline: str) -> str:
    """``- name: ...`` and the entry's other fields, without the indent of its first line."""
    inner = indent + 2
    rows = [pair(key, value, inner, newline) for key, value in fields.items()]
    return "- " + f"{newline}{' ' * inner}".join(rows)


def plain_data(fields: Item) -> dict[str, object]:
    """What YAML will read of an entry."""
    return {
        key: value if isinstance(value, str | bool) else [plain_data(one) for one in value]
        for key, value in fields.items()
    }


def is_block(node: ScalarNode) -> bool:
    """A text of several lines that begins with ``|`` or ``>``."""
    return node.style in ("|", ">")
