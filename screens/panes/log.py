"""Log lines for a pane: what is new since the last time, in one batch."""

from __future__ import annotations

import time

from deiswizard.run.hub import Hub, LogLine
from deiswizard.screens.text import clean


def shown(line: LogLine, *, with_host: bool) -> str:
    """``22:31:07 deis-2: text``."""
    clock = time.strftime("%H:%M:%S", time.localtime(line.at))
    host = f" {line.host}:" if with_host and line.host else ""
    return f"{clock}{host} {clean(line.text)}"


class LogFeed:
    """Remembers how far a pane has read."""

    def __init__(self, limit: int = 500) -> None:
        self._next = 0
        self._limit = limit

    def new_lines(self, hub: Hub, host: str = "", words: str = "") -> list[str]:
        """The new lines, at most ``limit``; how many were left out stands in their place."""
        before = self._next
        self._next, lines = hub.lines(before, host=host, limit=self._limit)
        out = [shown(line, with_host=not host) for line in lines if words in line.text]
        left_out = (self._next - before) - len(lines)
        if left_out > 0 and not host and before:
            out.insert(0, f"... {left_out} lines left out here; the files have them all")
        return out
