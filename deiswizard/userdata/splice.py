"""Changes of a text that leave every other byte as it is.

The text is cut where YAML's nodes say that they begin and end, never written anew. What a change
means is worked out beside it, and a new text that does not mean exactly that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from deiswizard.errors import PreconditionError
from deiswizard.userdata.meaning import is_same, with_value
from deiswizard.userdata.nodes import (
    Document,
    KeyPath,
    NotYamlError,
    child,
    entry,
    is_null,
    line_of,
    parsed,
)
from deiswizard.userdata.writing import (
    STEP,
    Item,
    NewValue,
    is_block,
    item,
    literal,
    pair,
    plain_data,
    scalar,
)

LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Place:
    """Where a change goes: ``node`` is changed, or ``keys`` are missing below ``parent``.

    ``empty``: the first missing key is there, and holds nothing.
    """

    path: KeyPath
    parent: Node
    node: Node | None
    keys: tuple[str, ...] = ()
    empty: Node | None = None


def set_value(text: str, path: KeyPath, value: NewValue, *, placeholder: str = "") -> str:
    """The text with one value set, or put in where there was none, with the sections above it.

    Keys that exist keep their spelling. ``placeholder`` is a comment, such as ``#DISCOVERY_URL``, that
    stands in the value's place and goes with it.

    Raises:
        NotYamlError: the text cannot be read.
        PreconditionError: the place is written in a way that cannot be changed by itself.
    """
    document = parsed(text)
    place = _place(document, path)
    if not placeholder and is_same(with_value(document.data, path, value), document.data):
        return text
    if place.node is None:
        new = _with_entry(text, place, value)
    elif isinstance(place.node, ScalarNode):
        new = _with_scalar(text, place.parent, place.node, value, placeholder)
    else:
        raise _refused(place, "a list or a section stands there")
    return _checked(document, new, path, value)


def append_item(text: str, path: KeyPath, fields: Item) -> str:
    """The text with one more entry at the end of the list at ``path``, which is begun if there is none.

    Raises:
        NotYamlError, PreconditionError: as ``set_value``.
    """
    document = parsed(text)
    place = _place(document, path, is_list=True)
    node = place.node
    if node is None:
        new = _with_entry(text, place, [fields])
        return _checked(document, new, path, [plain_data(fields)])
    if not isinstance(node, SequenceNode) or node.flow_style:
        raise _refused(place, "a list with its entries on lines of their own is needed there")
    indent = node.start_mark.column
    at, newline = _line_after(text, _end_of(text, node, place))
    new = _with_line(text, at, " " * indent + item(fields, indent, newline), newline)
    return _checked(document, new, (*path, len(node.value)), plain_data(fields))


def _place(document: Document, path: KeyPath, *, is_list: bool = False) -> Place:
    parent: Node = document.root
    node: Node = document.root
    for depth, key in enumerate(path):
        below = child(node, key)
        is_last = depth == len(path) - 1
        if below is None or (is_null(below) and (is_list or not is_last)):
            keys = tuple(str(rest) for rest in path[depth:])
            place = Place(path, node, None, keys, below)
            if not isinstance(node, MappingNode) or keys != path[depth:]:
                raise _refused(place, "there is nothing to change")
            return place
        if below.start_mark.index < _beginning(node, key):
            raise _refused(Place(path, node, None), "an alias (*) stands there")
        parent, node = node, below
    return Place(path, parent, node)


def _beginning(parent: Node, key: str | int) -> int:
    """The index before which nothing below ``key`` can stand. An alias has the marks of what it stands
    for, elsewhere in the text.
    """
    if isinstance(key, str) and (found := entry(parent, key)):
        return int(found[1].end_mark.index)
    if isinstance(key, int) and key:
        return int(parent.value[key - 1].start_mark.index) + 1
    return int(parent.start_mark.index)


def _with_scalar(
    text: str, parent: Node, node: ScalarNode, value: NewValue, placeholder: str
) -> str:
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    is_flow = isinstance(parent, CollectionNode) and bool(parent.flow_style)
    before = text[:start]
    if is_block(node):
        end = _end_of_block(text, node)
    elif start == end:
        before += " "
    waiting = re.match(rf"[ \t]*{re.escape(placeholder)}", text[end:])
    end += waiting.end() if placeholder and waiting else 0
    style = None if is_null(node) else '"' if is_block(node) else node.style
    block = None
    if isinstance(value, str) and not is_flow and not _rest_of_line(text, end).strip():
        indent, least = int(parent.start_mark.column) + STEP, 2
        if is_block(node):
            indent, least = _indent_of_block(text, node) or indent, 1
        block = literal(value, indent, _newline(text), least)
    return before + (block or scalar(value, style, is_flow=is_flow)) + text[end:]


def _with_entry(text: str, place: Place, value: NewValue | Sequence[Item]) -> str:
    """The text with the keys that are missing, and the value."""
    node, keys = place.parent, place.keys
    if isinstance(node, CollectionNode) and node.flow_style:
        if place.empty is not None or len(keys) > 1 or not isinstance(value, str | bool):
            raise _refused(place, "the section above it is written between { and }")
        at = text.index("{", node.start_mark.index) + 1
        rest = ", " if node.value else ""
        return f"{text[:at]}{keys[0]}: {scalar(value, is_flow=True)}{rest}{text[at:]}"
    indent = int(node.start_mark.column)
    if place.empty is None:
        end = _end_of(text, node, place)
    elif place.empty.start_mark.index == place.empty.end_mark.index:
        keys, indent, end = keys[1:], indent + STEP, int(place.empty.end_mark.index)
    else:
        raise _refused(place, "a word for nothing stands above it")
    at, newline = _line_after(text, end)
    return _with_line(text, at, _rows(keys, value, indent, newline), newline)


def _rows(keys: Sequence[str], value: NewValue | Sequence[Item], indent: int, newline: str) -> str:
    """``value`` below nested keys, each deeper by a step; without keys, a list's entries."""
    if keys and (len(keys) > 1 or not isinstance(value, str | bool)):
        below = _rows(keys[1:], value, indent + STEP, newline)
        return f"{' ' * indent}{keys[0]}:{newline}{below}"
    if isinstance(value, str | bool):
        return " " * indent + pair(keys[0], value, indent, newline)
    return newline.join(" " * indent + item(one, indent, newline) for one in value)


def _end_of(text: str, node: Node, place: Place) -> int:
    """The index behind the last character of what a node says; YAML counts the comments below it, too."""
    end = int(node.end_mark.index)
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        key, value = node.value[-1] if isinstance(node, MappingNode) else (None, node.value[-1])
        first = key.end_mark.index if key else _beginning(node, len(node.value) - 1)
        if value.start_mark.index < first:
            raise _refused(place, "the last entry there is an alias (*)")
        return _end_of(text, value, place)
    if isinstance(node, ScalarNode) and is_block(node):
        if end == len(text) and text[-1] not in "\r\n":
            raise _refused(place, "the last line of the file, inside a block, does not end")
        return _end_of_block(text, node)
    return end


def _end_of_block(text: str, node: ScalarNode) -> int:
    """The empty lines below a block belong to it only where it says so (``|+``)."""
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if "+" in _rest_of_line(text, start).partition("#")[0]:
        return end
    indent = _indent_of_block(text, node) or 0
    below = re.search(rf"(?:\r\n|\n|\r)(?: {{0,{indent}}}(?:\r\n|\n|\r))*\Z", text[start:end])
    return start + below.start() if below else end


def _indent_of_block(text: str, node: ScalarNode) -> int | None:
    """The spaces before its first line; None: it has no line."""
    first = re.search(r"[\r\n]( *)[^ \r\n]", text[node.start_mark.index : node.end_mark.index])
    return len(first[1]) if first else None


def _line_after(text: str, index: int) -> tuple[int, str]:
    """Where the line after ``index`` begins, and how lines end there."""
    if index and text[index - 1] in "\r\n":
        return index, _newline(text)
    found = LINE_END.search(text, index)
    return (found.end(), found.group()) if found else (len(text), _newline(text))


def _rest_of_line(text: str, index: int) -> str:
    return LINE_END.split(text[index:], maxsplit=1)[0]


def _newline(text: str) -> str:
    found = LINE_END.search(text)
    return found.group() if found else "\n"


def _with_line(text: str, at: int, row: str, newline: str) -> str:
    """``row`` as a line of its own; a file that ends without a line's end goes on doing so."""
    before, after = text[:at], text[at:]
    if not before.endswith(("\n", "\r")):
        return f"{before}{newline}{row}"
    return f"{before}{row}{newline}{after}"


def _checked(document: Document, new: str, path: KeyPath, value: object) -> str:
    """``new``, if it means what the old text meant with ``value`` at ``path``."""
    try:
        if is_same(parsed(new).data, with_value(document.data, path, value)):
            return new
    except (NotYamlError, RecursionError):
        pass
    raise PreconditionError(
        f"{_name(path)} cannot be changed by itself",
        state="nothing was changed",
        do="write it on a line of its own, without anchors and tags, and try again",
    )


def _name(path: KeyPath) -> str:
    return ".".join(str(key) for key in path)


def _refused(place: Place, why: str) -> PreconditionError:
    return PreconditionError(
        f"line {line_of(place.node or place.parent)}: {_name(place.path)} cannot be changed: {why}",
        state="nothing was changed",
        do="write it on lines of its own, and try again",
    )
