"""The text as YAML nodes, which know where they stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from deiswizard.errors import AnswersError

KeyPath = tuple[str | int, ...]
"""Keys of mappings (``-`` and ``_`` are the same) and indexes of lists, from the top."""

NULL = "tag:yaml.org,2002:null"
BOOL = "tag:yaml.org,2002:bool"
INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"


@dataclass(frozen=True)
class Document:
    """A text that is YAML with a mapping at the top. ``data`` is what it means."""

    text: str
    root: MappingNode
    data: dict[Any, Any]


class NotYamlError(AnswersError):
    """The text cannot be read. ``line`` and ``column`` count from 1; 0: not known."""

    def __init__(self, why: str, line: int = 0, column: int = 0) -> None:
        where = f"line {line}, column {column}: " if line else ""
        super().__init__(f"{where}{why}", do="correct the file")
        self.why = why
        self.line = line
        self.column = column


def parsed(text: str) -> Document:
    """The nodes of a text and what they mean. Raises NotYamlError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = ", ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise NotYamlError(f"not YAML: {why}", line, column) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise NotYamlError(
            "not YAML: a character that is not allowed there", line, column
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise NotYamlError(f"not YAML: {error}") from error
    except RecursionError as error:
        raise NotYamlError("not YAML that anybody needs: it is nested too deeply") from error
    if not isinstance(root, MappingNode) or not isinstance(data, dict):
        where = root.start_mark.line + 1 if root is not None else 1
        raise NotYamlError("no sections: a mapping such as 'coreos:' is needed", where, 1)
    return Document(text, root, data)


def plain_key(key: str) -> str:
    """A key as coreos-cloudinit understands it."""
    return key.replace("-", "_")


def entries(node: MappingNode) -> Iterator[tuple[str, ScalarNode, Node]]:
    """The entries whose keys are single words: the key as written, its node, the value's."""
    for key, value in node.value:
        if isinstance(key, ScalarNode):
            yield key.value, key, value


def entry(node: Node, key: str) -> tuple[str, ScalarNode, Node] | None:
    """The entry of a key; of several the last, which is the one that counts."""
    found = None
    if isinstance(node, MappingNode):
        for one in entries(node):
            if plain_key(one[0]) == plain_key(key):
                found = one
    return found


def child(node: Node, key: str | int) -> Node | None:
    """What stands below a key, or at an index."""
    if isinstance(key, str):
        found = entry(node, key)
        return found[2] if found else None
    if isinstance(node, SequenceNode) and key < len(node.value):
        item: Node = node.value[key]
        return item
    return None


def find(node: Node, path: KeyPath) -> Node | None:
    """What stands at a path."""
    found: Node | None = node
    for key in path:
        if found is None:
            return None
        found = child(found, key)
    return found


def is_null(node: Node | None) -> bool:
    """Nothing is written there, or a word for nothing."""
    return node is None or (isinstance(node, ScalarNode) and node.tag == NULL)


def text_at(node: Node, path: KeyPath) -> str:
    """The single value at a path as it is written; empty where there is none.

    A bare ``on`` is ``on`` here: what YAML makes of it is for the checks to say.
    """
    found = find(node, path)
    return found.value if isinstance(found, ScalarNode) and not is_null(found) else ""


def line_of(node: Node) -> int:
    """The line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1
