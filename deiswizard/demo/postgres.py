"""A PostgreSQL beyond the pretend cluster: version 3 of its protocol, as far as a look at it needs.

It really checks the password (md5), really refuses, and holds the rows of tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import socket
import struct
import threading
from collections.abc import Mapping, Sequence

from deiswizard.demo.database import content

VERSION = "9.6.24"
SSL_REQUEST, GSS_REQUEST, CANCEL = 80877103, 80877104, 80877102
TEXT = 25
TABLE = re.compile(r"CREATE TABLE (?:public\.)?(\w+)", re.IGNORECASE)
COPIED = re.compile(r"^COPY (?:public\.)?(\w+) [^\n]*FROM stdin;\n(.*?)^\\\.$", re.MULTILINE | re.DOTALL)  # fmt: skip


class Refusal(Exception):
    """An error with PostgreSQL's own code."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class PretendPostgres:
    """``users`` maps names to passwords, ``databases`` names to tables and their rows.

    ``readers`` may log in but make no table. ``wants_scram``: the server takes no other way.
    """

    def __init__(
        self, users: Mapping[str, str], databases: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> None:
        self.users = dict(users)
        self.databases: dict[str, dict[str, tuple[str, ...]]] = {
            name: {table: tuple(rows) for table, rows in tables.items()}
            for name, tables in databases.items()
        }
        self.readers: set[str] = set()
        self.wants_scram = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._listen, name="pretend-postgres", daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it really listens."""
        return ("127.0.0.1", int(self._listener.getsockname()[1]))

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def why_not(self, user: str, password: str, database: str) -> str:
        """Why somebody is not let in; empty: they are."""
        if self.users.get(user) != password:
            return f'password authentication failed for user "{user}"'
        return "" if database in self.databases else f'database "{database}" does not exist'

    def load(self, database: str, script: str) -> str:
        """What ``psql`` does with a script in one transaction; its first error, empty: none."""
        there = self.databases[database]
        for table in TABLE.findall(script):
            if table in there:
                return f'ERROR:  relation "{table}" already exists'
        if "COMMIT;" in script.rpartition("\\.")[2]:
            there.update(dict.fromkeys(TABLE.findall(script), ()))
            there.update(
                {table: tuple(rows.splitlines()) for table, rows in COPIED.findall(script)}
            )
        return ""

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), connection:
            session = Session(connection)
            try:
                user, database = self._login(session)
            except Refusal as error:
                session.refuse(error, fatal=True)
                return
            while (message := session.message())[0] != b"X":
                self._query(session, user, database, message[1].rstrip(b"\0").decode())

    def _login(self, session: Session) -> tuple[str, str]:
        words = session.startup()
        user = words.get("user", "")
        database = words.get("database", user)
        if self.wants_scram:
            session.send(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")
            session.message()
            raise Refusal("28P01", f'password authentication failed for user "{user}"')
        salt = secrets.token_bytes(4)
        session.send(b"R", struct.pack("!i", 5) + salt)
        said = session.message()[1].rstrip(b"\0").decode()
        inner = hashlib.md5(f"{self.users.get(user, '')}{user}".encode()).hexdigest()
        wanted = "md5" + hashlib.md5(inner.encode() + salt).hexdigest()
        if user not in self.users or not secrets.compare_digest(said, wanted):
            raise Refusal("28P01", f'password authentication failed for user "{user}"')
        if database not in self.databases:
            raise Refusal("3D000", f'database "{database}" does not exist')
        session.send(b"R", struct.pack("!i", 0))
        for name, value in (("server_version", VERSION), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")):  # fmt: skip
            session.send(b"S", f"{name}\0{value}\0".encode())
        session.ready()
        return user, database

    def _query(self, session: Session, user: str, database: str, text: str) -> None:
        words = text.strip().lower()
        if "query_to_xml" in words:
            tables = self.databases[database].items()
            session.rows(sorted((table, content(rows)) for table, rows in tables))
        elif words.startswith("create table") and user in self.readers:
            session.state = b"E"
            session.refuse(Refusal("42501", "permission denied for schema public"))
        elif words.split(" ")[0] in ("begin", "rollback", "create", "set"):
            session.state = {"begin": b"T", "rollback": b"I"}.get(words, session.state)
            session.send(b"C", words.split(" ")[0].upper().encode() + b"\0")
        else:
            session.refuse(Refusal("42601", "this is more than a pretend PostgreSQL knows"))
        session.ready()


class Session:
    """Messages of one connection. ``state`` is that of its transaction: I, T or E."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self.state = b"I"

    def _read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def startup(self) -> dict[str, str]:
        """What the client wants; encryption is refused."""
        while True:
            size, code = struct.unpack("!ii", self._read(8))
            body = self._read(size - 8)
            if code in (SSL_REQUEST, GSS_REQUEST):
                self._connection.sendall(b"N")
            elif code == CANCEL:
                raise EOFError
            else:
                parts = body.rstrip(b"\0").decode().split("\0")
                return dict(zip(parts[::2], parts[1::2], strict=False))

    def message(self) -> tuple[bytes, bytes]:
        """Its type and content."""
        kind, size = struct.unpack("!ci", self._read(5))
        return kind, self._read(size - 4)

    def send(self, kind: bytes, body: bytes) -> None:
        """One message."""
        self._connection.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def ready(self) -> None:
        """The next question may come."""
        self.send(b"Z", self.state)

    def refuse(self, error: Refusal, *, fatal: bool = False) -> None:
        """An error, after which the connection ends if it is fatal."""
        level = "FATAL" if fatal else "ERROR"
        fields = f"S{level}\0V{level}\0C{error.code}\0M{error}\0\0"
        self.send(b"E", fields.encode())

    def rows(self, rows: list[tuple[str, str]]) -> None:
        """A table of two columns."""
        columns = b"".join(
            name + b"\0" + struct.pack("!ihihih", 0, 0, TEXT, -1, -1, 0)
            for name in (b"relname", b"case")
        )
        self.send(b"T", struct.pack("!h", 2) + columns)
        for row in rows:
            cells = [cell.encode() for cell in row]
            body = b"".join(struct.pack("!i", len(cell)) + cell for cell in cells)
            self.send(b"D", struct.pack("!h", 2) + body)
        self.send(b"C", f"SELECT {len(rows)}\0".encode())
