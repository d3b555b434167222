"""A command that goes on while a test hurts the cluster: watched by its journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deiswizard.run import events as e
from deiswizard.run.folders import JOURNAL, list_runs
from deiswizard.run.journal import read_journal
from tests.flows.commands import LIMIT, begun
from tests.flows.forked import Forked

Events = Sequence[e.Event]


class Running:
    """``deiswizard apply`` or ``resume`` in a process of its own."""

    def __init__(self, process: Forked, log: Path, known: int) -> None:
        self._process = process
        self._log = log
        self._known = known
        self._size = 0
        self._events: Events = []

    @property
    def events(self) -> Events:
        """What its journal holds so far: read anew when there is more of it."""
        runs = list_runs()
        if len(runs) > self._known:
            journal = runs[0] / JOURNAL
            size = journal.stat().st_size if journal.exists() else 0
            if size != self._size:
                self._size, self._events = size, list(read_journal(runs[0]))
        return self._events

    @property
    def said(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    @property
    def last_words(self) -> str:
        """The end of what it has said."""
        return "\n".join(self.said.splitlines()[-25:])

    def until(self, condition: Callable[[Events], object], limit: float = LIMIT) -> None:
        """Wait for something in its journal; it may not end before."""
        deadline = time.monotonic() + limit
        while True:
            has_ended = (
                self._process.poll() is not None
            )  # before the look: what it did last is in it
            if condition(self.events):
                return
            assert not has_ended, self.last_words
            assert time.monotonic() < deadline, self.last_words
            time.sleep(0.02)

    def ended(self, limit: float = LIMIT) -> int:
        """Wait for its end; its exit status."""
        return self._process.wait(limit)

    def end(self) -> None:
        """Nothing of it stays."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running(folder: Path, *words: str, is_new: bool = True) -> Iterator[Running]:
    """A command, until the block ends. ``is_new``: it makes a run of its own."""
    known = len(list_runs()) if is_new else 0
    log = folder / f"log-{time.monotonic_ns()}"
    made = Running(begun(log, *words), log, known)
    try:
        yield made
    finally:
        made.end()


def layers_of(host: str) -> Callable[[Events], object]:
    """Bytes of an image have come to a host."""

    def condition(events: Events) -> object:
        mine = {
            event.step
            for event in events
            if isinstance(event, e.JobPrepared) and event.host == host
        }
        return any(
            isinstance(event, e.LayerProgressed) and event.step in mine and event.current
            for event in events
        )

    return condition


def has(kind: type[e.Event], **fields: object) -> Callable[[Events], object]:
    """An event of that kind with these fields."""

    def condition(events: Events) -> object:
        return any(
            isinstance(event, kind)
            and all(getattr(event, name) == value for name, value in fields.items())
            for event in events
        )

    return condition


def started_twice(events: Events) -> set[str]:
    """Units that were begun more than once: there may be none."""
    units = [event.job.unit for event in events if isinstance(event, e.JobPrepared)]
    return {unit for unit in units if units.count(unit) > 1}
