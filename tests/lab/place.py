"""Where a lab is on this machine: several live side by side, and all that one has bears its number."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.lab.cgroups import Groups
from tests.lab.network import Network
from tests.lab.waiting import await_that

MOST = 4
"""How many labs a machine can have."""


@dataclass(frozen=True)
class Place:
    """The names, addresses and folder of the lab with that number."""

    number: int

    @property
    def folder(self) -> Path:
        """All its files."""
        return Path(tempfile.gettempdir()) / f"deiswizard-lab-{self.number}"

    @property
    def network(self) -> Network:
        """Its network."""
        return Network(self.number)

    @property
    def groups(self) -> Groups:
        """Its control groups."""
        return Groups(self.number)

    def clear(self) -> None:
        """Remove what an aborted lab has left. Its hosts have ended, or are about to."""
        await_that(lambda: not self.groups.members(), "the hosts of an aborted lab are gone")
        self.groups.clear()
        self.network.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        """Held by us alone, until it is closed. Raises BlockingIOError when a lab lives there."""
        lock = self.folder.with_suffix(".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with its process
            yield lock
        finally:
            lock.close()


@contextmanager
def taken(number: int | None = None) -> Iterator[Place]:
    """A place of one's own as long as the block lasts, cleared before and after; None: any that is free.

    What aborted labs have left at other places is cleared, too. Raises RuntimeError when a lab lives
    at each.
    """
    places = [Place(n) for n in range(MOST) if number in (None, n)]
    with contextlib.ExitStack() as stack:
        found = None
        for place in places:
            with contextlib.suppress(BlockingIOError):
                if found is None:
                    stack.enter_context(place._locked())
                    found = place
                    stack.callback(place.clear)
                    place.clear()
                else:
                    with place._locked():
                        place.clear()
        if found is None:
            raise RuntimeError("other labs are running on this machine; end one first")
        yield found
