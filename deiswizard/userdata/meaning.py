"""What a change means, worked out on data, to compare with what the changed text says."""

from __future__ import annotations

import copy
from typing import Any

from deiswizard.userdata.nodes import KeyPath, plain_key


def with_value(data: dict[Any, Any], path: KeyPath, value: object) -> dict[Any, Any]:
    """A copy with ``value`` at ``path``: a list's next index appends, sections are made on the way."""
    changed = copy.deepcopy(data)
    below: Any = changed
    for depth, key in enumerate(path):
        is_last = depth == len(path) - 1
        where = key
        if isinstance(key, str):
            known = [k for k in below if isinstance(k, str) and plain_key(k) == plain_key(key)]
            where = known[-1] if known else key
        if not is_last:
            if isinstance(below, dict) and below.get(where) is None:
                below[where] = {}
            below = below[where]
        elif isinstance(below, list) and where == len(below):
            below.append(value)
        else:
            below[where] = value
    return changed


def is_same(one: Any, other: Any) -> bool:
    """Equal, and of the same kinds: 1 and true are not the same here."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)
