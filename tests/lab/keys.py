"""The keys of the lab's etcd, asked of whichever member answers."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from tests.lab.waiting import await_that

FLEET = "/_coreos.com/fleet"


def leaves(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every key and value below a node of a recursive answer."""
    if node.get("dir"):
        for child in node.get("nodes") or []:
            yield from leaves(child)
    elif "value" in node:
        yield str(node["key"]), str(node["value"])


def is_target(key: str) -> bool:
    """Whether it says on which machine fleet runs a unit."""
    return key.startswith(f"{FLEET}/job/") and key.endswith("/target")


def is_object(key: str) -> bool:
    """Whether it is what makes a unit known to fleet: without it the rest is of none."""
    return key.startswith(f"{FLEET}/job/") and key.endswith("/object")


class Keys:
    """``addresses`` are the members' own."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    def _ask(
        self, method: str, key: str, query: str = "", value: str | None = None
    ) -> dict[str, Any]:
        """Tried again while they elect a leader. Empty when there is no such key."""
        data = None if value is None else urllib.parse.urlencode({"value": value}).encode()
        told: list[dict[str, Any]] = []

        def ask() -> bool:
            for address in self._addresses:
                url = f"http://{address}:2379/v2/keys{urllib.parse.quote(key)}{query}"
                request = urllib.request.Request(url, data, method=method)
                try:
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        told.append(json.load(answer))
                        return True
                except urllib.error.HTTPError as error:
                    if error.code == 404:
                        told.append({})
                        return True
                except (OSError, ValueError):
                    continue
            return False

        await_that(ask, f"etcd: {method} {key}")
        return told[0]

    def value(self, key: str) -> str | None:
        """A key as etcd has it now, asked of a quorum."""
        found: str | None = self._ask("GET", key, "?quorum=true").get("node", {}).get("value")
        return found

    def seconds_left(self, key: str) -> int:
        """How long etcd keeps a key yet, asked of a quorum; 0 when there is none, or it stays for ever."""
        found: int = self._ask("GET", key, "?quorum=true").get("node", {}).get("ttl", 0)
        return found

    def below(self, folder: str) -> dict[str, str]:
        """Every key below a folder, asked of a quorum."""
        said = self._ask("GET", folder, "?recursive=true&quorum=true")
        return dict(leaves(said.get("node", {})))

    def put(self, key: str, value: str) -> None:
        """Write a key."""
        self._ask("PUT", key, value=value)

    def remove(self, key: str) -> None:
        """Remove a key or a folder with all that is below."""
        self._ask("DELETE", key, "?recursive=true")
