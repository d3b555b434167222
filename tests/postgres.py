"""A real PostgreSQL 15 for tests, reached by a socket of its own, and a ``docker`` that leads to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.sshd import free_port

BIN = Path("/usr/lib/postgresql/15/bin")


def why_no_postgres() -> str:
    """Empty when a server can be started here, else the reason to skip."""
    if not BIN.is_dir():
        return "postgresql-15 is not installed"
    return "" if os.geteuid() == 0 else "PostgreSQL is started as the user postgres: root is needed"


@dataclass
class Postgres:
    """A server. ``url`` reaches it over loopback, ``folder`` holds its socket."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def sql(self, text: str, database: str = "postgres") -> str:
        """What psql prints."""
        words = ["psql", "-X", "-q", "-tA", "-h", str(self.folder), "-p", str(self.port)]
        done = subprocess.run(
            [*words, "-U", "postgres", "-d", database], input=text, capture_output=True, text=True
        )
        assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
        return done.stdout.strip()


def as_postgres(*words: str) -> list[str]:
    return ["runuser", "-u", "postgres", "--", *words]


@contextlib.contextmanager
def postgres(address: str = "127.0.0.1") -> Iterator[Postgres]:
    """Start a server with nothing in it, that listens at a free port of an address of this machine."""
    folder = Path(tempfile.mkdtemp(prefix="deiswizard-pg-"))
    shutil.chown(folder, "postgres", "postgres")
    data = str(folder / "data")
    initdb = [str(BIN / "initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-D", data]
    subprocess.run(as_postgres(*initdb), check=True, capture_output=True)
    port = free_port(address)  # right before it is taken
    options = f"-F -p {port} -k {folder} -h {address}"
    ctl = [str(BIN / "pg_ctl"), "-D", data, "-w"]
    start = as_postgres(*ctl, "-o", options, "-l", str(folder / "log"), "start")
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    try:
        yield Postgres(folder, port)
    finally:
        stop = as_postgres(*ctl, "-m", "immediate", "stop")
        subprocess.run(stop, check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


def fill(server: Postgres, rows: int = 20_000) -> None:
    """Something like a small Deis database, awkward characters included."""
    server.sql("create role deis login password 'md5abc'; create database deis owner deis;")
    server.sql(
        "create table auth_user (id serial primary key, username text, is_active bool);"
        f"insert into auth_user (username, is_active) select 'user ' || n || E'\\t''\\\\ü', true "
        f"from generate_series(1, {rows}) n;"
        "create table api_app (uuid text, structure text);"
        "insert into api_app select md5(n::text), repeat(md5(n::text), 20) from generate_series(1, 3000) n;",
        "deis",
    )


def docker_stand_in(folder: Path, server: Postgres) -> Path:
    """``docker exec [-i] deis-database sudo -u postgres WORDS`` on the server, or ``sh -c`` here; its folder."""
    folder.mkdir(exist_ok=True)
    script = folder / "docker"
    script.write_text(
        '#!/bin/sh\nshift\n[ "$1" = -i ] && shift\n'
        '[ "$1" = deis-database ] || { echo "Error response from daemon: No such container: $1" >&2; exit 1; }\n'
        'shift\n[ "$1" = sh ] && exec "$@"\nshift 3\n'
        f'PGHOST={server.folder} PGPORT={server.port} PGUSER=postgres exec "$@"\n'
    )
    script.chmod(0o755)
    return folder
