"""A PostgreSQL outside: looked at and filled, on a real PostgreSQL 15 and on the demo's alike."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from deiswizard.cluster.access import ByteSink, CommandResult, HostAccess
from deiswizard.demo.database import content
from deiswizard.demo.postgres import PretendPostgres
from deiswizard.errors import CancelledError, LinkError, StepError, WizardError
from deiswizard.stores.database import (
    Content,
    DatabaseAddress,
    DatabaseFound,
    differences,
    look_at,
    problem_of_value,
)
from deiswizard.stores.database_copy import contents_here, copy_tables, load_command
from tests.postgres import Postgres, docker_stand_in, fill, postgres, why_no_postgres

USERS = {"plain": "md5-secret", "reader": "reader-secret", "modern": "scram-secret"}
HBA = """local all all trust
host all plain,reader 127.0.0.1/32 md5
host all modern 127.0.0.1/32 scram-sha-256
"""
ODD = ("(1)", "(2)")
"""The rows of the table ``odd``, as PostgreSQL writes a row: the demo's are asked about in the same words."""

needs_postgres = pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres())


@pytest.fixture(scope="module")
def real() -> Iterator[Postgres]:
    """Users of both ways to log in; ``own`` is a cluster's database, ``new`` one outside."""
    if why := why_no_postgres():
        pytest.skip(why)
    with postgres() as server:
        fill(server)
        server.sql(
            "set password_encryption = md5; create role plain login password 'md5-secret';"
            "create role reader login password 'reader-secret';"
            "set password_encryption = 'scram-sha-256'; create role modern login password 'scram-secret';"
        )
        server.sql("create database new owner plain")
        server.sql(
            "set role plain; create table odd (id int); insert into odd values (1), (2)", "new"
        )
        (server.folder / "data" / "pg_hba.conf").write_text(HBA)
        server.sql("select pg_reload_conf()")
        yield server


@pytest.fixture(params=["pretend", "real"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server with the database ``new``, which holds the table ``odd`` of two rows."""
    if request.param == "real":
        yield cast(Postgres, request.getfixturevalue("real")).port
        return
    made = PretendPostgres(USERS, {"new": {"odd": ODD}})
    made.readers.add("reader")
    yield made.address[1]
    made.close()


def looked(
    port: int, user: str, password: str | None = None, database: str = "new"
) -> DatabaseFound:
    address = DatabaseAddress(host="db.example.com", port=port, name=database, user=user)
    secret = SecretStr(USERS[user] if password is None else password)
    return look_at(address, secret, lambda: socket.create_connection(("127.0.0.1", port)))


def test_a_login_finds_the_version_and_every_table_and_leaves_nothing(port: int) -> None:
    for _ in range(2):
        found = looked(port, "plain")
        assert found.contents == {"odd": Content.read(content(ODD))}
        assert found.version_number >= 90000
        assert found.version and not found.encrypted


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another password": ({"user": "plain", "password": "wrong-one"}, "refuses plain"),
    "no such database": ({"user": "plain", "database": "gone"}, "is not there"),
    "no right to make tables": ({"user": "reader"}, "reader may not make tables"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_controller_could_not_work_with_is_told(port: int, name: str) -> None:
    given_words, words = REFUSED[name]
    with pytest.raises(StepError) as caught:
        looked(port, **given_words)
    assert words in str(caught.value) and caught.value.do
    told = f"{caught.value} {caught.value.do} {caught.value.__cause__}"
    assert not any(secret in told for secret in (*USERS.values(), "wrong-one"))


@needs_postgres
def test_scram_is_refused_though_the_password_is_right(real: Postgres) -> None:
    with pytest.raises(StepError, match="wants SCRAM for this user"):
        looked(real.port, "modern")
    with contextlib.closing(PretendPostgres(USERS, {"new": {}})) as pretend:
        pretend.wants_scram = True
        with pytest.raises(StepError, match="wants SCRAM for this user"):
            looked(pretend.address[1], "modern")


def test_a_way_that_is_not_there_is_told_in_its_own_words() -> None:
    def refuse() -> Any:
        raise LinkError("deis-1", "db.example.com is not reached from deis-1")

    address = DatabaseAddress(host="db.example.com", name="new", user="plain")
    with pytest.raises(LinkError, match="is not reached from deis-1"):
        look_at(address, SecretStr("x"), refuse)


def test_no_thread_and_no_port_stays(port: int) -> None:
    others = set(threading.enumerate())
    looked(port, "plain")
    ours = [t for t in set(threading.enumerate()) - others if t.name in ("join", "forwarding")]
    for thread in ours:
        thread.join(90)
    assert not any(thread.is_alive() for thread in ours)


@needs_postgres
def test_a_table_of_somebody_else_is_seen_though_it_may_not_be_read(real: Postgres) -> None:
    real.sql("create database others owner plain")
    real.sql("create table theirs (id int)", "others")
    assert looked(real.port, "plain", database="others").contents == {"theirs": Content(rows=-1)}


def test_differences_are_sentences() -> None:
    one, two = Content(rows=1, checksum="5"), Content(rows=2, checksum="5")
    other = Content(rows=1, checksum="6")
    found = differences({"a": one, "b": two, "d": one}, {"b": one, "c": one, "d": other})
    assert found == (
        "a is missing in the new database", "b has 2 rows here and 1 there", "c is only in the new database",
        "d has other values in 1 row there",
    )  # fmt: skip
    assert not differences({"a": one}, {"a": one})


@given(st.text(min_size=1, max_size=30))
def test_what_may_stand_in_the_settings_reads_as_itself_there(text: str) -> None:
    if not problem_of_value("password", text):
        assert eval(f"'{text}'") == text


class LocalHost:
    """A host whose shell is this machine's; ``docker`` leads to the real server."""

    name = "deis-1"

    def __init__(self, folder: Path) -> None:
        self._environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        self.commands: list[str] = []
        self.after: dict[str, Callable[[], None]] = {}

    def run(self, command: str, **_: Any) -> CommandResult:
        done = subprocess.run(
            ["sh", "-c", command], env=self._environ, capture_output=True, text=True
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def stream(
        self,
        command: str,
        *,
        on_bytes: ByteSink,
        stdin: Iterable[bytes] | None = None,
        cancel: threading.Event | None = None,
        **_: Any,
    ) -> CommandResult:
        self.commands.append(command)
        process = subprocess.Popen(
            ["sh", "-c", command], env=self._environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin and process.stdout and process.stderr
        try:
            with contextlib.suppress(BrokenPipeError):
                for piece in stdin or ():
                    process.stdin.write(piece)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            while piece := os.read(process.stdout.fileno(), 65536):
                on_bytes(piece)
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # a link that breaks: its input ends, and nobody takes its output
            process.stdout.close()
            said = process.stderr.read().decode()
            process.wait()
        return CommandResult(process.returncode, "", said)


@pytest.fixture
def target(real: Postgres) -> Iterator[DatabaseAddress]:
    real.sql("create database filled owner plain")
    yield DatabaseAddress(host="127.0.0.1", port=real.port, name="filled", user="plain")
    real.sql("drop database filled with (force)")


@pytest.fixture
def host(real: Postgres, tmp_path: Path) -> LocalHost:
    return LocalHost(docker_stand_in(tmp_path / "bin", real))


def copied(
    host: LocalHost,
    address: DatabaseAddress,
    interrupted: threading.Event | None = None,
    moved: Callable[[int], None] = lambda size: None,
    name: str = "deis",
) -> int:
    return copy_tables(
        cast(HostAccess, host),
        name,
        address,
        SecretStr(USERS["plain"]),
        moved=moved,
        interrupted=interrupted or threading.Event(),
    )


def different(host: LocalHost, address: DatabaseAddress, name: str = "deis") -> tuple[str, ...]:
    """What tells the copy from what it was made of."""
    here = contents_here(cast(HostAccess, host), name)
    return differences(here, looked(address.port, "plain", database=address.name).contents)


CHANGES = {
    "update auth_user set is_active = false where id = 7": (
        "auth_user has other values in 20000 rows there",
    ),
    "update auth_user set is_active = true where id = 7": (),
    "update auth_user set username = 'user 9' where id = 9": (
        "auth_user has other values in 20000 rows there",
    ),
    "delete from auth_user where id = 9": ("auth_user has 20000 rows here and 19999 there",),
}
"""To what is done to the copy, one after the other, what is told of it."""


@needs_postgres
def test_a_server_that_writes_values_in_another_way_holds_the_same(
    host: LocalHost, real: Postgres
) -> None:
    """Another encoding, time zone, date style; figures and bytes are written in another way, rows lie elsewhere.

    SQL_ASCII is what initdb makes without a locale, as in the container (deis/deis database/bin/boot).
    """
    real.sql(
        "create database odd_one template template0 encoding sql_ascii lc_collate 'C' lc_ctype 'C'"
    )
    real.sql(
        "create table odd (of_deis text, at timestamptz, took interval, x float8, y real, raw bytea, n numeric);"
        "insert into odd select 'ü ' || n, '2014-07-08 09:10:11.12+02', n * interval '61 minutes', n / 3.0::float8,"
        " n / 7.0::real, decode(md5(n::text), 'hex'), n / 9.0 from generate_series(1, 100) n",
        "odd_one",
    )
    real.sql(
        "create database otherwise owner plain template template0 encoding latin1 lc_collate 'C' lc_ctype 'C'"
    )
    for setting in (
        "timezone = 'Asia/Tokyo'", "datestyle = 'sql, dmy'", "intervalstyle = sql_standard",
        "extra_float_digits = 3", "bytea_output = escape",
    ):  # fmt: skip
        real.sql(f"alter database otherwise set {setting}")
    there = DatabaseAddress(host="127.0.0.1", port=real.port, name="otherwise", user="plain")
    copied(host, there, name="odd_one")
    assert tables(there) == {"odd": 100} and not different(host, there, "odd_one")
    real.sql("update odd set took = took where x < 5", "otherwise")
    assert not different(host, there, "odd_one"), "the order does not count"
    real.sql("update odd set at = at + interval '1 microsecond' where x = 20", "otherwise")
    assert different(host, there, "odd_one") == ("odd has other values in 100 rows there",)


def tables(address: DatabaseAddress) -> dict[str, int]:
    found = looked(address.port, "plain", database=address.name)
    return {table: held.rows for table, held in found.contents.items()}


@needs_postgres
def test_every_table_is_copied_by_a_user_who_is_no_superuser(
    host: LocalHost, target: DatabaseAddress, real: Postgres
) -> None:
    told: list[int] = []
    size = copied(host, target, moved=told.append)
    assert told[-1] == size > 1_000_000
    assert tables(target) == {"api_app": 3000, "auth_user": 20_000}
    assert not different(host, target)
    ask = "select md5(string_agg(username, ',' order by id)) from auth_user"
    assert real.sql(ask, "deis") == real.sql(ask, "filled"), "awkward characters too"
    for change, told_of in CHANGES.items():
        real.sql(change, "filled")
        assert different(host, target) == told_of
    assert not any(USERS["plain"] in command for command in host.commands)
    assert "PGPASSWORD" in load_command(target) and "read -r" in load_command(target)


@needs_postgres
def test_a_table_that_is_there_already_stops_it_with_nothing_written(
    host: LocalHost, target: DatabaseAddress, real: Postgres
) -> None:
    real.sql("set role plain; create table auth_user (id int)", "filled")
    with pytest.raises(StepError, match="did not take the tables") as caught:
        copied(host, target)
    assert "already exists" in caught.value.said
    assert tables(target) == {"auth_user": 0}


@needs_postgres
def test_a_dump_that_fails_leaves_nothing(host: LocalHost, target: DatabaseAddress) -> None:
    with pytest.raises(WizardError, match="did not come to its end"):
        copied(host, target, name="gone")
    assert tables(target) == {}


@needs_postgres
def test_a_dump_without_its_end_is_not_committed(
    host: LocalHost, target: DatabaseAddress, tmp_path: Path
) -> None:
    """It ends with 0, in the middle of a table."""
    cut = tmp_path / "bin" / "pg_dump"
    cut.write_text(f'#!/bin/sh\n{shutil.which("pg_dump")} "$@" | head -c 400000\nexit 0\n')
    cut.chmod(0o755)
    with pytest.raises(WizardError, match="did not come to its end"):
        copied(host, target)
    assert tables(target) == {}


@needs_postgres
def test_a_stop_in_the_middle_leaves_nothing(host: LocalHost, target: DatabaseAddress) -> None:
    interrupted = threading.Event()

    def moved(size: int) -> None:
        if size > 200_000:
            interrupted.set()

    with pytest.raises(CancelledError):
        copied(host, target, interrupted, moved)
    assert tables(target) == {}
