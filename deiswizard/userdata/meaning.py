"""What a change means, worked out on data, to compare with what the changed text says."""

from __future__ import annotations

import itertools
from typing import Any

from deiswizard.userdata.nodes import KeyPath, plain_key


def with_value(data: dict[Any, Any], path: KeyPath, value: object) -> dict[Any, Any]:
    """A copy with ``value`` at ``path``: a list's next index appends, sections are made on the way.

    Only what lies on the path is copied: where YAML's aliases have the same object elsewhere, it keeps
    its former value there.
    """
    changed = dict(data)
    below: Any = changed
    for depth, key in enumerate(path):
        is_last = depth == len(path) - 1
        where = key
        if isinstance(key, str):
            known = [k for k in below if isinstance(k, str) and plain_key(k) == plain_key(key)]
            where = known[-1] if known else key
        if isinstance(below, list) and where == len(below):
            below.append(value)
        elif is_last:
            below[where] = value
        else:
            inner = below.get(where) if isinstance(below, dict) else below[where]
            below[where] = inner.copy() if isinstance(inner, dict | list) else {}
            below = below[where]
    return changed


def is_same(one: Any, other: Any) -> bool:
    """Equal, and of the same kinds: 1 and true are not the same here."""
    return _is_same(one, other, set())


def _is_same(one: Any, other: Any, seen: set[tuple[int, int]]) -> bool:
    if type(one) is not type(other):
        return False
    if not isinstance(one, dict | list):
        return bool(one == other)
    if (id(one), id(other)) in seen:
        return True  # of what aliases repeat, each pair once
    seen.add((id(one), id(other)))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _is_same(one[key], other[key], seen) for key in one
        )
    return len(one) == len(other) and all(map(_is_same, one, other, itertools.repeat(seen)))
