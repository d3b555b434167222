"""A real PostgreSQL as deis-database: it runs as long as the unit, and keeps its data on the host's disk.

A database that comes to another host begins as at first. Deis's restores itself from wal-e's backups.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

DATA = Path("/var/lib/postgresql/deis")
LOADED = DATA / "deis.loaded"
"""There once Deis's database was made: whether it can be connected to tells nothing, while another makes it anew."""
SOCKETS = Path("/run/postgresql")
SERVER = "/usr/lib/postgresql/15/bin/postgres"
SCHEMA = "/usr/lib/lab/deis.sql"
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
PAUSE = 0.05
"""Seconds between two tries to connect."""


def psql(*words: str) -> subprocess.CompletedProcess[str]:
    """As the superuser, by the socket."""
    return subprocess.run(
        [*AS_POSTGRES, "psql", "-X", "-q", "-tA", "-v", "ON_ERROR_STOP=1", *words],
        capture_output=True, text=True, cwd="/",
    )  # fmt: skip


@contextlib.contextmanager
def running(port: int) -> Iterator[None]:
    """A server that answers and has Deis's database, as long as the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    SOCKETS.mkdir(exist_ok=True)
    subprocess.run(["chown", "postgres:", SOCKETS], check=True)
    # Whoever wrote it is gone: systemd has ended all that the unit had before.
    (DATA / "postmaster.pid").unlink(missing_ok=True)
    server = subprocess.Popen(
        [*AS_POSTGRES, SERVER, "-D", DATA, "-p", str(port), "-h", "0.0.0.0"], cwd="/"
    )
    try:
        while psql("-c", "select 1").returncode:
            if server.poll() is not None:
                sys.exit("the database server has ended")
            time.sleep(PAUSE)
        if not LOADED.exists():
            print(psql("-f", SCHEMA).stderr, flush=True)
            LOADED.touch()
        yield
    finally:
        server.send_signal(signal.SIGINT)  # fast: clients are cut off, what is written is kept
        server.wait()
