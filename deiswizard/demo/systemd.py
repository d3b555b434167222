"""A pretend host's systemd: units that run in threads, and the journal of what they print."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Write = Callable[[str], None]
Work = Callable[[Write, threading.Event], int]
"""Runs a command: where its output goes, and an event that means "end"; its exit status."""


@dataclass(frozen=True)
class Service:
    """A unit from a file: what it runs, and who hears when its state changes.

    ``is_oneshot``: it is active once it has ended. ``pause``: seconds until what has ended is started
    again (Restart=always); None: never.
    """

    work: Work
    on_change: Callable[[], None]
    is_oneshot: bool = True
    pause: float | None = None


@dataclass
class Unit:
    """A unit that stays after its process has ended (RemainAfterExit=yes); a transient one has no
    ``service``.
    """

    name: str
    service: Service | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    status: int | None = None
    is_waiting: bool = False

    def properties(self) -> dict[str, str]:
        """As ``systemctl show`` names them (systemd 229)."""
        if self.is_waiting:
            values = ("activating", "auto-restart", "exit-code", "1", "1")
        elif self.status is None and self.service is not None and self.service.is_oneshot:
            values = ("activating", "start", "success", "0", "0")
        elif self.status is None:
            values = ("active", "running", "success", "0", "0")
        elif self.status == 0:
            values = ("active", "exited", "success", "1", "0")
        else:
            values = ("failed", "failed", "exit-code", "1", str(self.status))
        names = ("ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus")
        return {"LoadState": "loaded", **dict(zip(names, values, strict=True))}


MISSING = {
    "LoadState": "not-found",
    "ActiveState": "inactive",
    "SubState": "dead",
    "Result": "success",
    "ExecMainCode": "0",
    "ExecMainStatus": "0",
}


class PretendSystemd:
    """Units by name, and the journal, whose cursors count from 1."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._units: dict[str, Unit] = {}
        self._journal: list[tuple[str, str]] = [("kernel", "Linux version 4.6.3-coreos")]

    def start(self, name: str, work: Work, service: Service | None = None) -> bool:
        """Begin a unit in a thread of its own; False when there is one of that name."""
        unit = Unit(name, service)
        with self._lock:
            if name in self._units:
                return False
            self._units[name] = unit
        if service is not None:
            service.on_change()
        threading.Thread(target=self._run, args=(unit, work), name=name, daemon=True).start()
        return True

    def _run(self, unit: Unit, work: Work) -> None:
        rest = ""

        def write(text: str) -> None:
            nonlocal rest
            *lines, rest = (rest + text).split("\n")
            with self._lock:
                self._journal += [(unit.name, line) for line in lines]

        status = work(write, unit.stop)
        service = unit.service
        while service is not None and service.pause is not None and not unit.stop.is_set():
            unit.is_waiting = True
            service.on_change()
            if unit.stop.wait(service.pause):
                break
            unit.is_waiting = False
            service.on_change()
            status = work(write, unit.stop)
        unit.status, unit.is_waiting = status, False
        if rest:
            write("\n")
        unit.ended.set()
        if unit.service is not None and not unit.stop.is_set():
            unit.service.on_change()

    def restart(self, name: str) -> bool:
        """End a unit that is from a file, and begin it again; False when there is none."""
        with self._lock:
            unit = self._units.get(name)
        if unit is None or unit.service is None:
            return False
        self.stop(name)
        return self.start(name, unit.service.work, unit.service)

    def stop(self, name: str) -> bool:
        """End a unit, wait until it has, and forget it; False when there is none."""
        with self._lock:
            unit = self._units.get(name)
        if unit is None:
            return False
        unit.stop.set()
        unit.ended.wait()
        with self._lock:
            self._units.pop(name, None)
        return True

    def reboot(self) -> None:
        """Every unit is gone; the journal stays."""
        with self._lock:
            units, self._units = list(self._units.values()), {}
        for unit in units:
            unit.stop.set()

    def show(self, name: str) -> dict[str, str]:
        """A unit's properties, also of one that is not there."""
        with self._lock:
            unit = self._units.get(name)
        return MISSING if unit is None else unit.properties()

    def entries(self, unit: str = "", after: int = 0) -> list[str]:
        """Journal entries as ``journalctl -o json`` prints them, after a cursor.

        As the real one: it skips the first that matches from the cursor on, whether or not that is
        the cursor's own.
        """
        with self._lock:
            found = [
                (number, name, line)
                for number, (name, line) in enumerate(self._journal, 1)
                if unit in ("", name) and number >= after
            ]
        return [
            json.dumps({"__CURSOR": cursor_of(number), "_SYSTEMD_UNIT": name, "MESSAGE": line})
            for number, name, line in found[1 if after else 0 :]
        ]


def exec_words(value: str) -> list[str]:
    """The words of an ``ExecStart=``: continued lines joined, ``$$`` and ``%%`` read as one."""
    joined = value.replace("\\\n", " ").replace("$$", "$").replace("%%", "%")
    return shlex.split(joined)


def cursor_of(number: int) -> str:
    """In the form of a real cursor."""
    return f"s=3d0a4b1f;i={number:x};b=5c1f"


def number_of(cursor: str) -> int:
    """The entry that a cursor names."""
    fields = dict(part.split("=", 1) for part in cursor.split(";") if "=" in part)
    return int(fields.get("i", "0"), 16)
