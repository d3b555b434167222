"""The key space of etcd's v2 API: directories, TTL, compare-and-swap, watch. No network here."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

HISTORY = 1000
"""Changes that a watch can go back to, as in etcd."""

HEARTBEAT_TTL = 20
"""What Deis's components give their discovery keys, refreshed every 10 s (deis-facts 0.4)."""

MESSAGES = {
    100: "Key not found",
    101: "Compare failed",
    102: "Not a file",
    104: "Not a directory",
    105: "Key already exists",
    107: "Root is read only",
    108: "Directory not empty",
    203: "The given TTL in POST form is not a number",
    401: "The event in requested index is outdated and cleared",
}


class StoreError(Exception):
    """An error with etcd's code."""

    def __init__(self, code: int, cause: str, index: int) -> None:
        super().__init__(MESSAGES[code])
        self.code = code
        self.cause = cause
        self.index = index

    @property
    def body(self) -> dict[str, Any]:
        """As etcd answers it."""
        return {
            "errorCode": self.code,
            "message": MESSAGES[self.code],
            "cause": self.cause,
            "index": self.index,
        }


@dataclass
class Node:
    """A key (``children`` None) or a directory. ``expires`` and ``changed`` in epoch seconds."""

    value: str = ""
    children: dict[str, Node] | None = None
    created: int = 0
    modified: int = 0
    expires: float | None = None
    is_heartbeat: bool = False
    changed: float = field(default_factory=time.time)


class EtcdStore:
    """Thread-safe. Paths begin with a slash. ``clock`` in seconds since the epoch."""

    def __init__(self, index: int = 48_000, clock: Callable[[], float] = time.time) -> None:
        self.index = index
        self._clock = clock
        self._root = Node(children={})
        self._changed = threading.Condition(threading.RLock())
        self._history: list[tuple[int, str, dict[str, Any]]] = []

    def _parts(self, path: str) -> list[str]:
        return [part for part in path.split("/") if part]

    def _find(self, path: str) -> Node | None:
        self._expire()
        node = self._root
        for part in self._parts(path):
            if node.children is None or part not in node.children:
                return None
            node = node.children[part]
        return node

    def _expire(self) -> None:
        now = self._clock()

        def sweep(path: str, node: Node) -> None:
            for name, child in list((node.children or {}).items()):
                where = f"{path}/{name}"
                if child.expires is not None and child.expires <= now:
                    assert node.children is not None
                    del node.children[name]
                    self._record("expire", where, None, child)
                else:
                    sweep(where, child)

        if any(self._with_ttl(self._root)):
            sweep("", self._root)

    def _with_ttl(self, node: Node) -> Iterator[bool]:
        for child in (node.children or {}).values():
            if child.expires is not None:
                yield True
            yield from self._with_ttl(child)

    def _shown(
        self, path: str, node: Node, *, deep: bool = False, top: bool = True
    ) -> dict[str, Any]:
        out: dict[str, Any] = {"key": path or "/"}
        if node.children is None:
            out["value"] = node.value
        else:
            out["dir"] = True
            if top or deep:
                nodes = [
                    self._shown(f"{path}/{name}", child, deep=deep, top=False)
                    for name, child in sorted(node.children.items())
                    if not name.startswith("_") or path
                ]
                if nodes:
                    out["nodes"] = nodes
        expires = node.expires
        if node.is_heartbeat:
            expires = self._clock() + HEARTBEAT_TTL - self._clock() % (HEARTBEAT_TTL / 2)
        if expires is not None:
            out["expiration"] = datetime.fromtimestamp(expires, UTC).strftime(
                "%Y-%m-%dT%H:%M:%S.%fZ"
            )
            out["ttl"] = max(1, math.ceil(expires - self._clock()))  # etcd rounds up
        if path:
            out |= {"modifiedIndex": node.modified, "createdIndex": node.created}
        return out

    def _record(
        self, action: str, path: str, node: Node | None, before: Node | None
    ) -> dict[str, Any]:
        self.index += 1
        if node is not None:
            node.modified, node.changed = self.index, self._clock()
            node.created = node.created or self.index
            shown = self._shown(path, node, top=False)
        else:
            shown = {"key": path, "modifiedIndex": self.index}
            shown["createdIndex"] = before.created if before else self.index
            if before is not None and before.children is not None:
                shown["dir"] = True
        body: dict[str, Any] = {"action": action, "node": shown}
        if before is not None:
            body["prevNode"] = self._shown(path, before, top=False)
        self._history = [*self._history[-HISTORY:], (self.index, path, body)]
        self._changed.notify_all()
        return body

    def get(self, path: str, *, recursive: bool = False) -> dict[str, Any]:
        """The answer to a GET. Raises StoreError 100."""
        with self._changed:
            clean = "/" + "/".join(self._parts(path))
            node = self._find(path)
            if node is None:
                raise StoreError(100, clean, self.index)
            return {"action": "get", "node": self._shown(clean.rstrip("/"), node, deep=recursive)}

    def value(self, path: str) -> str | None:
        """A key's value, None when there is none."""
        with self._changed:
            node = self._find(path)
            return None if node is None or node.children is not None else node.value

    def has_below(self, path: str) -> bool:
        """Whether there is a folder with something in it."""
        with self._changed:
            node = self._find(path)
            return node is not None and bool(node.children)

    def is_heartbeat(self, path: str) -> bool:
        """Whether a component goes on writing a key as long as it lives."""
        with self._changed:
            node = self._find(path)
            return node is not None and node.is_heartbeat

    def changed_at(self, path: str) -> float:
        """When a key was written last; 0 when it is absent."""
        with self._changed:
            node = self._find(path)
            return node.changed if node else 0.0

    def put(
        self,
        path: str,
        value: str,
        *,
        ttl: int | None = None,
        is_dir: bool = False,
        is_heartbeat: bool = False,
        prev_value: str | None = None,
        prev_index: int | None = None,
        prev_exist: bool | None = None,
    ) -> tuple[dict[str, Any], bool]:
        """The answer to a PUT, and whether the key is new. Raises StoreError."""
        with self._changed:
            parts = self._parts(path)
            clean = "/" + "/".join(parts)
            if not parts:
                raise StoreError(107, "/", self.index)
            before = self._find(path)
            action = self._judge(clean, before, is_dir, prev_value, prev_index, prev_exist)
            parent, at = self._root, ""
            for part in parts[:-1]:
                assert parent.children is not None
                at += f"/{part}"
                parent = parent.children.setdefault(
                    part, Node(children={}, created=self.index + 1, modified=self.index + 1)
                )
                if parent.children is None:
                    raise StoreError(104, at, self.index)
            node = Node(
                value="" if is_dir else value,
                children={} if is_dir else None,
                expires=None if ttl is None else self._clock() + ttl,
                is_heartbeat=is_heartbeat,
                created=before.created if before and action != "set" else 0,
            )
            assert parent.children is not None
            parent.children[parts[-1]] = node
            return self._record(action, clean, node, before), before is None

    def _judge(
        self,
        path: str,
        before: Node | None,
        is_dir: bool,
        prev_value: str | None,
        prev_index: int | None,
        prev_exist: bool | None,
    ) -> str:
        """What a PUT is called, or why it may not be."""
        if before is not None and prev_exist is False:
            raise StoreError(105, path, self.index)
        if before is not None and (before.children is not None or is_dir):
            raise StoreError(102, path, self.index)
        compares = prev_value is not None or prev_index is not None
        if before is None:
            if prev_exist or compares:
                raise StoreError(100, path, self.index)
            return "create" if prev_exist is False else "set"
        self._compare(before, prev_value, prev_index)
        return "compareAndSwap" if compares else "update" if prev_exist else "set"

    def _compare(self, node: Node, prev_value: str | None, prev_index: int | None) -> None:
        causes = []
        if prev_value is not None and prev_value != node.value:
            causes.append(f"[{prev_value} != {node.value}]")
        if prev_index is not None and prev_index != node.modified:
            causes.append(f"[{prev_index} != {node.modified}]")
        if causes:
            raise StoreError(101, " ".join(causes), self.index)

    def delete(
        self,
        path: str,
        *,
        recursive: bool = False,
        is_dir: bool = False,
        prev_value: str | None = None,
        prev_index: int | None = None,
    ) -> dict[str, Any]:
        """The answer to a DELETE. Raises StoreError."""
        with self._changed:
            parts = self._parts(path)
            clean = "/" + "/".join(parts)
            node = self._find(path)
            if node is None or not parts:
                raise StoreError(100, clean, self.index)
            if node.children is not None and not (recursive or is_dir):
                raise StoreError(102, clean, self.index)
            if node.children and not recursive:
                raise StoreError(108, clean, self.index)
            compares = prev_value is not None or prev_index is not None
            self._compare(node, prev_value, prev_index)
            parent = self._find("/".join(parts[:-1]))
            assert parent is not None and parent.children is not None
            del parent.children[parts[-1]]
            return self._record("compareAndDelete" if compares else "delete", clean, None, node)

    def wait(
        self, path: str, *, after: int | None, recursive: bool, is_gone: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """The next change at ``path`` with an index of at least ``after``; None when the asker left.

        Raises StoreError 401 when that is further back than the history.
        """
        clean = "/" + "/".join(self._parts(path))
        with self._changed:
            start = after or self.index + 1
            if self._history and start < self._history[0][0] - 1:
                raise StoreError(
                    401, f"the requested history has been cleared [{start}]", self.index
                )
            while not is_gone():
                self._expire()
                for index, where, body in self._history:
                    below = recursive and where.startswith(f"{clean.rstrip('/')}/")
                    if index >= start and (where == clean or below):
                        return body
                self._changed.wait(0.2)
        return None
