"""The etcd of this host, in version 2 of its API."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

URL = "http://127.0.0.1:4001"


class EtcdDownError(Exception):
    """Nobody answers, or there is no quorum. Its text is the cause."""


class EtcdError(Exception):
    """etcd's own refusal."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.code = int(body["errorCode"])
        super().__init__(f"{self.code}: {body['message']} ({body.get('cause')}) [{body['index']}]")


class Etcd:
    """Keys by path. All raise EtcdDownError."""

    def __init__(self, url: str = URL, timeout: float = 5.0) -> None:
        self.url = url
        self._timeout = timeout

    def ask(self, method: str, key: str, **fields: str) -> dict[str, Any]:
        """One request. Raises EtcdError."""
        url = f"{self.url}/v2/keys{urllib.parse.quote(key)}"
        text = urllib.parse.urlencode(fields)
        if method != "PUT":
            url, text = f"{url}?{text}", ""
        request = urllib.request.Request(url, text.encode() or None, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as said:
                found: dict[str, Any] = json.load(said)
                return found
        except urllib.error.HTTPError as error:
            with error:
                content = error.read()
            if error.code >= 500:
                raise EtcdDownError("Unexpected HTTP status code") from None
            raise EtcdError(json.loads(content)) from None
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)
            words = (getattr(cause, "strerror", None) or str(cause)).lower()
            place = urllib.parse.urlsplit(url).netloc
            raise EtcdDownError(
                f'{method.title()} "{url}": dial tcp {place}: connect: {words}'
            ) from None

    def tree(self, folder: str) -> dict[str, str]:
        """Every key below a folder; none when there is no such folder."""
        try:
            node = self.ask("GET", folder, recursive="true", quorum="true")["node"]
        except EtcdError:
            return {}
        return dict(_leaves(node))

    def value(self, key: str) -> str | None:
        """None when there is no such key."""
        try:
            found: str = self.ask("GET", key)["node"].get("value", "")
        except EtcdError:
            return None
        return found

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        """Write a key; with ``ttl`` it goes after so many seconds. Raises EtcdError."""
        self.ask("PUT", key, value=value, **({"ttl": str(ttl)} if ttl else {}))

    def remove(self, key: str) -> None:
        """A key or a folder with all that is below; no error when there is none."""
        try:
            self.ask("DELETE", key, recursive="true")
        except EtcdError:
            return


def _leaves(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if node.get("dir"):
        for child in node.get("nodes") or []:
            yield from _leaves(child)
    elif "value" in node:
        yield str(node["key"]), str(node["value"])
