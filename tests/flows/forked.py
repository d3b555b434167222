"""Processes that need not import the wizard first: each is forked from one that has.

One is a process like any other, with an environment, standard streams and threads of its own, and
can be killed. Starting the interpreter is tested where it matters: in a terminal, and from the wheel.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import sys
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["__main__", "tests.flows.preloaded"])

READ = os.O_RDONLY
WRITE = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Forked:
    """A call in a process of its own: ``main`` of a module, given words or with them in ``sys.argv``."""

    def __init__(
        self, module: str, *words: str, out: Path, err: Path, stdin: Path = Path(os.devnull)
    ) -> None:
        self._err = err
        self._process = CONTEXT.Process(
            target=_run,
            args=(module, words, dict(os.environ), (stdin, out, err)),
            daemon=True,
        )
        self._process.start()

    def poll(self) -> int | None:
        """Its exit status, when it has ended; below zero: the signal that ended it."""
        return self._process.exitcode

    def wait(self, limit: float | None = None) -> int:
        """Wait for its end. Raises TimeoutError, and leaves nothing of it."""
        self._process.join(limit)
        code = self._process.exitcode
        if code is None:
            self.kill()
            last = self._err.read_text(errors="replace")[-3000:]
            raise TimeoutError(f"it was not done after {limit} s; it had said:\n{last}")
        return code

    def kill(self) -> None:
        """As ``kill -9``."""
        self._process.kill()


def _run(
    module: str, words: tuple[str, ...], environ: dict[str, str], streams: tuple[Path, Path, Path]
) -> None:
    os.environ.clear()
    os.environ.update(environ)
    for number, (path, flags) in enumerate(zip(streams, (READ, WRITE, WRITE), strict=True)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
    sys.argv = [module, *words]
    try:
        sys.exit(importlib.import_module(module).main())
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
