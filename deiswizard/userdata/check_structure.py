"""Sections, keys and kinds of values, against what coreos-cloudinit knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from deiswizard.userdata.nodes import BOOL, FLOAT, INT, entries, is_null, line_of, plain_key
from deiswizard.userdata.problems import LineProblem, did_you_mean
from deiswizard.userdata.schema import CLOUD_CONFIG, Items, Kind, Shape, Value

MERGE = "tag:yaml.org,2002:merge"
TAGS: Mapping[Kind, tuple[str, ...]] = {
    "true or false": (BOOL,),
    "whole number": (INT,),
    "number": (INT, FLOAT),
}
BREAKS_ENVIRONMENT = re.compile(r'["\n\r]|\\$')


def structure_problems(root: MappingNode) -> tuple[LineProblem, ...]:
    """What coreos-cloudinit would pass over, or take for something else than is written."""
    return tuple(_section("", root, CLOUD_CONFIG))


def _problems(name: str, key: Node, node: Node, shape: Shape) -> Iterator[LineProblem]:
    if is_null(node):
        return
    if isinstance(shape, Value):
        yield from _value(name, key, node, shape)
    elif isinstance(shape, Items):
        if not isinstance(node, SequenceNode):
            yield LineProblem(line_of(key), f"{name} is no list", "entries that begin with '-'")
            return
        for item in node.value:
            yield from _problems(name, item, item, shape.item)
    elif isinstance(node, MappingNode):
        yield from _section(name, node, shape)
    else:
        yield LineProblem(line_of(key), f"{name} is no section", _some(shape))


def _section(name: str, node: MappingNode, shapes: Mapping[str, Shape]) -> Iterator[LineProblem]:
    seen: dict[str, int] = {}
    for written, key, value in entries(node):
        plain = plain_key(written)
        full = f"{name}.{written}" if name else written
        if key.tag == MERGE:
            continue
        if plain in seen:
            what = f"{full} is written twice (line {seen[plain]}, too); only the last one counts"
            yield LineProblem(line_of(key), what, "each key once", blocks=False)
        seen[plain] = line_of(key)
        if plain in shapes:
            yield from _problems(full, key, value, shapes[plain])
        else:
            yield _unknown(full, plain, key, shapes, is_top=not name)


def _unknown(
    full: str, key: str, node: Node, shapes: Mapping[str, Shape], *, is_top: bool
) -> LineProblem:
    what = f"coreos-cloudinit does not know {full} and passes over it"
    coreos = CLOUD_CONFIG["coreos"]
    if not is_top and key in CLOUD_CONFIG:
        return LineProblem(line_of(node), what, f"{key} at the top level", blocks=False)
    if is_top and isinstance(coreos, Mapping) and key in coreos:
        return LineProblem(line_of(node), what, f"{key} below coreos", blocks=False)
    return LineProblem(line_of(node), what + did_you_mean(key, shapes), _some(shapes), blocks=False)


def _some(shapes: Mapping[str, Shape]) -> str:
    """The known keys, as Deis writes them; a few of many."""
    names = [name if name == "write_files" else name.replace("_", "-") for name in shapes]
    return ", ".join(names) if len(names) <= 10 else ", ".join(names[:10]) + ", ..."


def _value(name: str, key: Node, node: Node, shape: Value) -> Iterator[LineProblem]:
    line = line_of(key)
    if not isinstance(node, ScalarNode):
        yield LineProblem(line, f"{name} is a list or a section", f"one value: {shape.kind}")
        return
    if not node.value:
        return  # the same to coreos-cloudinit as no value at all
    written, quoted = node.value, ", ".join(f'"{word}"' for word in shape.allowed)
    if shape.kind == "text" and node.tag == BOOL:
        yes = "true" if written.lower() in ("true", "yes", "on") else "false"
        what = f"{name} is {written} without quotes, which YAML reads as {yes}"
        yield LineProblem(line, what, quoted or f'"{written}"')
    elif shape.allowed and written not in shape.allowed:
        what = f"{name} cannot be '{written:.40}'{did_you_mean(written, shape.allowed)}"
        yield LineProblem(line, what, quoted)
    elif shape.kind != "text" and node.tag not in TAGS[shape.kind]:
        what = f"{name} is '{written:.40}', which coreos-cloudinit passes over"
        allowed = f"{shape.kind}, without quotes"
        yield LineProblem(line, what, allowed, blocks=False)
    elif shape.is_environment and BREAKS_ENVIRONMENT.search(written):
        what = f"{name} does not survive the way into the unit's drop-in, which does not quote it"
        yield LineProblem(line, what, "one line, without double quotes, no backslash at its end")
