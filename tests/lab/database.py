"""The lab's database: a real PostgreSQL on the host that runs deis-database."""

from __future__ import annotations

from tests.lab.host import LabHost
from tests.lab.inside.database import LOADED, SCHEMA
from tests.lab.waiting import await_that

WRITTEN_TO = "select pg_current_wal_lsn()"
"""Grows with everything that is written: by itself the server writes nothing (root-setup)."""


class LabDatabase:
    """``host`` is the one that fleet runs it on."""

    def __init__(self, host: LabHost) -> None:
        self._host = host
        self._first = ""

    def sql(self, text: str, database: str = "deis") -> str:
        """What psql prints. Raises RuntimeError."""
        return self._psql("-d", database, "-c", text)

    def _psql(self, *words: str) -> str:
        done = self._host.run(
            "sudo", "-u", "postgres", "psql", "-X", "-q", "-tA", "-v", "ON_ERROR_STOP=1", *words
        )
        return done.stdout.strip()

    def dump(self) -> str:
        """What pg_dumpall prints, without the words that are others each time."""
        said = self._host.run("sudo", "-u", "postgres", "pg_dumpall").stdout
        return without_keys(said)

    def reset(self) -> None:
        """As at first, if anything was written to it."""
        await_that(self._answers, "the database answers")
        if self.sql(WRITTEN_TO, "postgres") != self._first:
            self._psql("-f", SCHEMA)
            self._first = self.sql(WRITTEN_TO, "postgres")

    def _answers(self) -> bool:
        asked = f"test -e {LOADED} && sudo -u postgres psql -X -c 'select 1'"
        return self._host.run("sh", "-c", asked, check=False).returncode == 0

    def set_admins(self, count: int) -> None:
        """How many active superusers there are."""
        self.sql(
            "update auth_user set is_superuser = false; insert into auth_user (username, password, "
            f"is_superuser, is_active) select 'admin-' || n, '', true, true from generate_series(1, {count}) n"
        )


def without_keys(dump: str) -> str:
    r"""A dump without ``\restrict KEY``, whose key is another one each time."""
    lines = dump.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))
