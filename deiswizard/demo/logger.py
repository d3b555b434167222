"""Stands in for deis-logger: takes lines, follows its keys late, and really dials its drain.

As the code of logger 1.13.4: it looks at the keys every ten seconds, takes a line's app by one
pattern, ends for good at a line that does not match, and is muted after five failed dials. It dials
only what ``receivers`` says, which are addresses of this machine; nothing else is reached.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Mapping
from typing import Protocol

DRAIN, STORAGE = "/deis/logs/drain", "/deis/logs/storageAdapterType"
LAG = 10.0
"""Seconds at speed 1 until a changed key is followed."""

MUTE = 300.0
DIALS = 5
SCHEMES = ("udp://", "syslog://", "tcp://")
TAG = re.compile(r"^.* ([-_a-z0-9]+)\[[a-z0-9-_\.]+\].*")
MEMORY = re.compile(r"^memory(:(\d+))?$")

Address = tuple[str, int]


class Keys(Protocol):
    """What logger reads of etcd."""

    def value(self, path: str) -> str | None:
        """A key's value, None when there is none."""

    def changed_at(self, path: str) -> float:
        """When it was written last, in seconds since the epoch."""


class Logger:
    """``receivers`` maps ``host:port`` of a drain to where that is on this machine."""

    def __init__(self, keys: Keys, speed: float, receivers: Mapping[str, Address]) -> None:
        self._keys = keys
        self._speed = speed
        self._receivers = receivers
        self._lock = threading.Lock()
        self._drain = ""
        self._storage = ""
        self._connection: tuple[str, socket.socket] | None = None
        self._muted_until = 0.0
        self._is_over = False
        self._said = ["configurer running", "syslogish server running", "deis-logger running"]
        self.listeners: dict[str, list[str]] = {}
        self.kept: dict[str, list[str]] = {}
        self._follow(is_first=True)

    def restart(self) -> None:
        """A new process: nothing of before is known."""
        with self._lock:
            self._drain = self._storage = ""
            self._is_over = False
            self._muted_until = 0.0
            self._said = self._said[:3]
            self.kept = {}
        self._follow(is_first=True)

    def words(self) -> tuple[str, ...]:
        """What it has written since it started (``docker logs``)."""
        self._follow()
        return tuple(f"2016/07/01 10:00:00 {line}" for line in self._said)

    def _is_due(self, key: str, *, is_first: bool) -> bool:
        return is_first or time.time() - self._keys.changed_at(key) >= LAG / self._speed

    def _follow(self, *, is_first: bool = False) -> None:
        with self._lock:
            storage, drain = self._keys.value(STORAGE) or "file", self._keys.value(DRAIN) or ""
            if storage != self._storage and self._is_due(STORAGE, is_first=is_first):
                self._take_storage(storage)
            if drain != self._drain and self._is_due(DRAIN, is_first=is_first):
                self._take_drain(drain)

    def _take_storage(self, wanted: str) -> None:
        memory = MEMORY.match(wanted)
        if wanted != "file" and not (memory and int(memory[2] or 1000) > 0):
            self._say("configurer: Error creating new storage adapter.  Skipping.")
            return
        self._storage = wanted
        self.kept = {}
        self._say(f"configurer: Activated new storage adapter: {wanted}")

    def _take_drain(self, wanted: str) -> None:
        if wanted and not wanted.startswith(SCHEMES):
            self._say(
                f"configurer: Error creating new drain.  Skipping. Cannot construct a drain for URL: '{wanted}'"
            )
            return
        self._drain = wanted
        self._close()
        words = f"Activated new drain: {wanted}" if wanted else "Deactivated drain"
        self._say(f"configurer: {words}")

    def _say(self, line: str) -> None:
        if self._said[-1] != line:
            self._said.append(line)

    def take(self, container: str, text: str) -> None:
        """What a container says, as logspout would send it."""
        self.take_line(f"{time.strftime('%Y-%m-%dT%H:%M:%S')}UTC {container}[1]: {text}")

    def take_line(self, line: str) -> None:
        """A line that has come."""
        self._follow()
        with self._lock:
            if self._is_over:
                return
            match = TAG.match(line)
            if match is None:
                self._say(f"Could not find app name in message: {line}")
                self._is_over = True
                return
            self.kept.setdefault(match[1], []).append(line)
            if self._drain and time.monotonic() >= self._muted_until:
                self._send(line)

    def _send(self, line: str) -> None:
        scheme, _, to = self._drain.partition("://")
        if to in self.listeners:
            self.listeners[to].append(line)
            return
        for _ in range(DIALS):
            try:
                self._dialled("tcp" if scheme == "tcp" else "udp", to).sendall(f"{line}\n".encode())
                return
            except OSError:
                self._close()
        self._say(
            f"drain: Experienced {DIALS} consecutive failed connection attempts; muting drain for 5m0s."
        )
        self._muted_until = time.monotonic() + MUTE / self._speed

    def _dialled(self, protocol: str, to: str) -> socket.socket:
        if self._connection is not None and self._connection[0] == self._drain:
            return self._connection[1]
        address = self._receivers.get(to)
        if address is None and protocol == "tcp":
            raise ConnectionRefusedError(to)
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        made = socket.socket(socket.AF_INET, kind)
        made.settimeout(2)
        try:
            made.connect(address or ("127.0.0.1", 9))  # nobody is at a receiver that is not known
        except OSError:
            made.close()
            raise
        self._connection = (self._drain, made)
        return made

    def _close(self) -> None:
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None

    def forget(self, app: str) -> None:
        """``DELETE /APP`` of its web port."""
        with self._lock:
            self.kept.pop(app, None)

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._close()
