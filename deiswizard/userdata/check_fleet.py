"""What fleet makes of its metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from yaml.nodes import MappingNode

from deiswizard.userdata.metadata import PLANES, lost, pairs
from deiswizard.userdata.nodes import find, line_of, text_at
from deiswizard.userdata.problems import LineProblem, nearest

METADATA = ("coreos", "fleet", "metadata")


def fleet_problems(root: MappingNode) -> tuple[LineProblem, ...]:
    """Entries that are lost, or mean something else than they look like."""
    node = find(root, METADATA)
    if node is None:
        return ()
    line = line_of(node)
    return tuple(
        LineProblem(line, what, allowed, blocks=False)
        for what, allowed in _sentences(text_at(root, METADATA))
    )


def _sentences(metadata: str) -> Iterator[tuple[str, str]]:
    for entry in lost(metadata):
        yield f"fleet passes over '{entry:.60}' in metadata, which has no '='", "key=value"
    known = pairs(metadata)
    for key, count in Counter(key for key, _ in known).items():
        if count > 1:
            yield f"metadata has {key} {count} times; only the last one counts", "each key once"
    for key, value in dict(known).items():
        if key in PLANES.values():
            if value not in ("true", "false"):
                yield f"{key}={value:.40} is no plane to fleet", f"{key}=true"
        elif (meant := nearest(key, PLANES.values())) in PLANES.values():
            yield f"metadata has {key}, which is no plane (did you mean '{meant}'?)", meant
