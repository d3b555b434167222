"""A real terminal with the real program in it, driven by the keyboard (tmux)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NAME = "dwz-test"
LIMIT = 180.0
"""Seconds to wait for words to appear; a whole run on real hosts may be before them."""

PASSED_ON = ("DEISWIZARD_STATE", "DEISWIZARD_CONFIG", "PATH", "HOME")
"""Nothing else: pytest sets COLUMNS, which would stand in the way of a resize."""


def clear_leftovers() -> None:
    """End the terminals of test runs that are gone."""
    for socket in Path(f"/tmp/tmux-{os.getuid()}").glob(f"{NAME}-*"):
        owner = socket.name.split("-")[2]
        if not Path(f"/proc/{owner}").exists():
            subprocess.run(["tmux", "-L", socket.name, "kill-server"], capture_output=True)
            socket.unlink(missing_ok=True)


class Terminal:
    """One window of one program."""

    def __init__(self, server: str) -> None:
        self._server = server

    def _tmux(self, *words: str) -> str:
        clean = {name: value for name, value in os.environ.items() if name in PASSED_ON}
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-L", self._server, *words],
            capture_output=True,
            text=True,
            env={**clean, "LANG": "C.UTF-8", "TERM": "xterm-256color"},
        )
        return done.stdout

    def start(self, words: Sequence[str], width: int, height: int) -> None:
        command = f"{shlex.join(words)}; echo ended with $?; cat"
        self._tmux("new-session", "-d", "-x", str(width), "-y", str(height), command)

    def press(self, *keys: str) -> None:
        if keys:
            self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    def until(self, *words: str, limit: float = LIMIT) -> str:
        """Wait until all are shown; the text then. A word may be a regular expression."""
        deadline = time.monotonic() + limit
        while True:
            text = self.text()
            if all(re.search(word, text) for word in words):
                return text
            assert time.monotonic() < deadline, f"never showed {words}:\n{text}"
            time.sleep(0.1)

    def close(self) -> None:
        self._tmux("kill-server")


@contextmanager
def terminal(words: Sequence[str], width: int = 80, height: int = 24) -> Iterator[Terminal]:
    """The program in a terminal of that size, until the block ends."""
    clear_leftovers()
    opened = Terminal(f"{NAME}-{os.getpid()}-{time.monotonic_ns()}")
    try:
        opened.start(words, width, height)
        yield opened
    finally:
        opened.close()
