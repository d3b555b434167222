"""A program under a pseudo-terminal of a given size: type into it, await text, as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

ESCAPES = re.compile(rb"\x1b(\[[0-9;?<>=]*[a-zA-Z]|\][^\x07]*\x07|[()][A-Z0-9])")


class Terminal:
    """The program starts at once; ``close`` ends it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **(environ or {})},
        )
        os.close(slave)
        self._seen = b""

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    def type(self, keys: str) -> None:
        """Send keys and forget what was on the screen before."""
        self._seen = b""
        os.write(self._master, keys.encode())

    def await_text(self, text: str, limit: float = 30.0) -> float:
        """Read until ``text`` was painted; answers the moment. Raises TimeoutError."""
        deadline = time.perf_counter() + limit
        while True:
            if text.encode() in ESCAPES.sub(b"", self._seen):
                return time.perf_counter()
            ready, _, _ = select.select([self._master], [], [], deadline - time.perf_counter())
            if not ready:
                raise TimeoutError(f"{text!r} was not painted; last: {self._seen[-2000:]!r}")
            self._seen = self._seen[-200_000:] + os.read(self._master, 65536)

    def drain(self) -> None:
        """Read and drop what is waiting, so that the program never blocks on a full terminal."""
        while select.select([self._master], [], [], 0)[0]:
            os.read(self._master, 65536)

    def close(self) -> None:
        """End the program."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._master)
