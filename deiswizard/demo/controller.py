"""The pretend controller: follows its settings some seconds late, and judges who may register."""

from __future__ import annotations

import time
from typing import Protocol

KEY = "/deis/controller/registrationMode"
LAG = 8.0
"""confd looks every 5 s, gunicorn reloads: seconds at speed 1."""

NEEDED = ("/deis/registry/host", "/deis/database/host", "/deis/logs/host")


class Keys(Protocol):
    """What the controller reads of etcd."""

    def value(self, path: str) -> str | None:
        """A key's value, None when there is none."""

    def changed_at(self, path: str) -> float:
        """When it was written last, in seconds since the epoch."""


class Controller:
    """Answers ``POST /v1/auth/register`` as Deis 1.13's controller does."""

    def __init__(self, store: Keys, speed: float) -> None:
        self._store = store
        self._lag = LAG / speed
        self._mode = store.value(KEY)

    def _follow(self) -> str | None:
        """What the controller believes now: the key, once it is old enough and confd can render."""
        can_render = all(self._store.value(key) is not None for key in NEEDED)
        if can_render and time.time() - self._store.changed_at(KEY) >= self._lag:
            self._mode = self._store.value(KEY)
        return self._mode

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body for somebody without a token: only its health is for everybody."""
        if path == "/healthz":
            return 200, b""
        if path.startswith("/v1/"):
            return 401, b'{"detail": "Authentication credentials were not provided."}'
        return 404, b"<h1>Not Found</h1>"

    def register(self) -> tuple[int, str]:
        """Status and body for an anonymous, empty request: permission first, then the form."""
        match self._follow():
            case "disabled":
                return 403, '{"detail": "Registration is disabled"}'
            case "admin_only":
                return 403, '{"detail": "You do not have permission to perform this action."}'
            case "enabled" | None:
                return 400, (
                    '{"username": ["This field is required."], "password": ["This field is required."]}'
                )
            case _:
                return 500, "<h1>Server Error (500)</h1>"
