"""A PostgreSQL outside the cluster, looked at as the controller will use it.

The controller of Deis 1.13 is Django 1.6 with psycopg2 2.6.1 and the libpq of its time (deis/deis
controller/requirements.txt, Dockerfile); at each start it makes or changes its tables (bin/boot). confd
pastes what etcd holds between single quotes into its settings (templates/confd_settings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr

from deiswizard.cluster.forwarding import forwarded
from deiswizard.errors import PreconditionError, ServiceError, StepError
from deiswizard.frozen import Frozen
from deiswizard.wording import counted

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 15
OLDEST = 90000
"""Server version 9.0: what Django 1.6 works with begins before, and nothing older is left anywhere."""

OLD_WAYS = "password,md5,none"
"""How a client of 2014 can log in. SCRAM came with PostgreSQL 10, and its libpq knows nothing of it."""

SAME_WORDS = (
    "set datestyle = iso; set intervalstyle = postgres; set timezone = 'UTC'; "
    "set extra_float_digits = 0; set bytea_output = hex"
)
"""Of a session, so that every server writes the same value as the same text."""

OF_ONE = (
    "select count(*) || '' '' || coalesce(sum((''x'' || substr(md5(convert_to(of_deiswizard::text, ''UTF8'')), "
    "1, 15))::bit(60)::bigint), 0) as c from %I.%I of_deiswizard"
)
"""What a table holds: how many rows, and the sum of 60 bits of each row's MD5, which no order changes. The alias is
one that no column has: a column would hide the row.
"""

CONTENTS = (
    "select c.relname, case when has_table_privilege(c.oid, 'select') then (xpath('/row/c/text()', "
    f"query_to_xml(format('{OF_ONE}', n.nspname, c.relname), false, true, '')))[1]::text else '-1 0' end "
    "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
    "where n.nspname = 'public' and c.relkind in ('r', 'p') order by 1"
)
"""Each table and what it holds, -1 of one that may not be read, in one question that every server since 9.1
understands. Not by information_schema, which leaves out what somebody else owns.
"""

TRIAL = "deiswizard_trial"


class DatabaseAddress(Frozen):
    """Where a database is, as the hosts of the control plane name it."""

    host: str
    port: int = Field(default=5432, ge=1, le=65535)
    name: str
    user: str


class Content(Frozen):
    """What a table holds: its ``rows``, -1 where it may not be read, and a ``checksum`` over them."""

    rows: int
    checksum: str = "0"

    @classmethod
    def read(cls, text: str) -> Content:
        """From an answer to ``CONTENTS``: both, a blank between. Raises ValueError when it is none."""
        rows, checksum = text.split(" ")
        return cls(rows=int(rows), checksum=str(int(checksum)))


class DatabaseFound(Frozen):
    """What a login found. ``tables``: each of the schema public, and what it holds."""

    version: str
    version_number: int
    tables: tuple[tuple[str, Content], ...] = ()
    encrypted: bool = False

    @property
    def contents(self) -> dict[str, Content]:
        """Table to what it holds."""
        return dict(self.tables)


def problem_of_value(name: str, value: str) -> str:
    """Why a value cannot stand in the controller's settings, one sentence; empty: it can."""
    what = name.replace("_", " ")
    if not value:
        return f"the {what} is missing"
    if any(char in value for char in "'\\") or not value.isprintable():
        return (
            f"the {what} may hold neither ' nor \\ nor what cannot be printed: it is pasted between "
            "quotes into the controller's settings"
        )
    return ""


def differences(source: Mapping[str, Content], target: Mapping[str, Content]) -> tuple[str, ...]:
    """Where two databases differ, a sentence for each table; rows at ``target`` come second."""
    found = []
    for table in sorted({*source, *target}):
        here, there = source.get(table), target.get(table)
        if here is None:
            found.append(f"{table} is only in the new database")
        elif there is None:
            found.append(f"{table} is missing in the new database")
        elif here.rows != there.rows:
            found.append(f"{table} has {here.rows} rows here and {there.rows} there")
        elif here != there:
            found.append(f"{table} has other values in {counted(here.rows, 'row')} there")
    return tuple(found)


def driver() -> Any:
    """Psycopg. Raises PreconditionError when it is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise PreconditionError(
            "psycopg is not installed, and PostgreSQL needs it",
            do="pip install 'deiswizard[postgres]'",
        ) from error
    return psycopg


def look_at(
    address: DatabaseAddress, password: SecretStr, open_channel: Callable[[], Any]
) -> DatabaseFound:
    """Log in through a channel as the controller would, try to make a table, read what every table holds.

    Raises:
        StepError: the controller could not work with it; says why and what to do.
        LinkError: the host, or the way from it, was not there. PreconditionError: psycopg is missing.
    """
    pg = driver()
    with forwarded(open_channel) as way:
        try:
            with _connected(pg, address, password, way.port) as connection:
                return _found(connection, address)
        except pg.Error as error:
            if way.problem is not None:
                raise way.problem from None
            raise _explained(error, address) from None


def _connected(
    pg: Any, address: DatabaseAddress, password: SecretStr, port: int
) -> psycopg.Connection[Any]:
    """TLS where the server has it, as the old libpq prefers it too; nothing of this machine's environment."""
    connection: psycopg.Connection[Any] = pg.connect(
        host=address.host,
        hostaddr="127.0.0.1",
        port=port,
        dbname=address.name,
        user=address.user,
        password=password.get_secret_value(),
        connect_timeout=CONNECT_SECONDS,
        sslmode="prefer",
        gssencmode="disable",
        require_auth=OLD_WAYS,
        passfile="/dev/null",
        application_name="deiswizard",
        autocommit=True,
    )
    return connection


def _found(connection: psycopg.Connection[Any], address: DatabaseAddress) -> DatabaseFound:
    number = connection.info.server_version
    version = connection.info.parameter_status("server_version") or str(number)
    if number < OLDEST:
        raise StepError(
            f"the server at {address.host} is PostgreSQL {version}, too old for the controller",
            do="choose a server of 9.3 or newer",
        )
    connection.execute("begin")
    connection.execute(f"create table {TRIAL} (id integer)")
    connection.execute("rollback")
    connection.execute(SAME_WORDS)
    rows = connection.execute(CONTENTS).fetchall()
    return DatabaseFound(
        version=version.split(" ")[0],
        version_number=number,
        tables=tuple((str(name), Content.read(str(said))) for name, said in rows),
        encrypted=connection.pgconn.ssl_in_use,
    )


def _explained(error: Exception, address: DatabaseAddress) -> StepError | ServiceError:
    """Libpq's words as ours; they never hold the password."""
    said = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
    said = said.rpartition("FATAL:")[2].strip() or said
    where = f"the database {address.name} at {address.host}"
    text, state = str(error), getattr(error, "sqlstate", None) or ""
    if "scram" in text.lower() or "authentication method requirement" in text:
        return StepError(
            f"{where} wants SCRAM for this user, which the controller's old client cannot do",
            do="set password_encryption to md5 on the server (RDS: in its parameter group, and "
            "rds.accepted_password_auth_method to md5+scram), then give the user its password again",
        )
    if state == "42501" or "permission denied" in text:
        return StepError(
            f"{address.user} may not make tables in {where}",
            said=said,
            do=f"make {address.user} its owner, or: grant create on schema public to {address.user}",
        )
    if "password authentication failed" in text:
        return StepError(
            f"{where} refuses {address.user}", said=said, do="look at user and password"
        )
    if "does not exist" in text:
        return StepError(
            f"{where} is not there, or the user is not",
            said=said,
            do=f"create database {address.name} owner {address.user}",
        )
    if "pg_hba" in text:
        return StepError(
            f"{where} lets nobody in from there",
            said=said,
            do="look at pg_hba.conf, or the security group: the control plane's hosts must be let in",
        )
    return ServiceError(f"{where} cannot be used", said=said, do="look at the server")
