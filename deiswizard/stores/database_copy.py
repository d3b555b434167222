"""Copies the tables of the cluster's own database to one outside: all of them, or nothing.

``pg_dump`` and ``psql`` both run in the database's container: the dump comes out, passes through this
machine, where it is counted, and goes in again. Nothing is stored on the way. The transaction is
committed by the last line, which is sent only after the dump has said that it is whole: whatever
breaks before leaves the new database as it was.
"""

from __future__ import annotations

import queue
import shlex
import threading
from collections.abc import Callable, Iterator

from pydantic import SecretStr

from deiswizard.backup.content import END_OF_ONE, Tail
from deiswizard.cluster.access import CommandResult, HostAccess
from deiswizard.errors import CancelledError, StepError, WizardError
from deiswizard.stores.database import CONTENTS, SAME_WORDS, Content, DatabaseAddress

OWN = "docker exec deis-database sudo -u postgres"
BEGIN, COMMIT = "BEGIN;", "COMMIT;"
"""By hand: ``psql -1`` commits what it has got when its input is cut off."""

HELD = 64
"""Pieces of the dump that may wait here: the dump is held up when the new database is slower."""

POLL_SECONDS = 0.2
STOPPED, AS_IT_WAS = "stopped while copying", "the new database is as it was"
CONNECT_SECONDS = 15


def dump_command(name: str) -> str:
    """What prints the tables of a database, and nothing that only its superuser may make again.

    ``-t`` leaves out extensions and the schema itself: their comments belong to the superuser, and
    elsewhere (RDS) nobody is one.
    """
    return f"{OWN} pg_dump --no-owner --no-privileges --encoding=UTF8 -t 'public.*' {shlex.quote(name)}"


def load_words(address: DatabaseAddress) -> str:
    """The ``psql`` that reads them in, and stops at the first error."""
    return shlex.join(
        [
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-",
            "-h", address.host, "-p", str(address.port), "-U", address.user, "-d", address.name,
        ]
    )  # fmt: skip


def load_command(address: DatabaseAddress) -> str:
    """It in the container; the password is the first line of its standard input."""
    script = (
        "IFS= read -r PGPASSWORD; export PGPASSWORD; "
        f"export PGCONNECT_TIMEOUT={CONNECT_SECONDS}; exec {load_words(address)}"
    )
    return f"docker exec -i deis-database sh -c {shlex.quote(script)}"


def contents_command(name: str) -> str:
    """What prints each table and what it holds, a tab between."""
    words = [*OWN.split(), "psql", "-d", name, "-qtAX", "-F", "\t"]
    return shlex.join([*words, "-c", f"{SAME_WORDS}; {CONTENTS}"])


def contents_here(host: HostAccess, name: str) -> dict[str, Content]:
    """What every table of the cluster's own database holds.

    Raises:
        LinkError: the host was not reached. StepError: the database did not tell.
    """
    result = host.run(contents_command(name), timeout=600)
    silent = StepError(
        "the cluster's database did not say what it holds",
        said=result.why or _first_error(result),
        do="look at the database: docker logs deis-database",
    )
    if not result.ok:
        raise silent
    try:
        pairs = (line.split("\t") for line in result.out.splitlines() if line.strip())
        return {table: Content.read(said) for table, said in pairs}
    except ValueError:
        raise silent from None


class _Pipe:
    """The dump on its way: filled by one thread, taken by another."""

    def __init__(self, interrupted: threading.Event) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue(HELD)
        self._interrupted = interrupted
        self._is_closed = threading.Event()
        self.problem: WizardError | None = None

    def close(self) -> None:
        """Nobody takes any more."""
        self._is_closed.set()

    def put(self, piece: bytes | None) -> None:
        """Raises CancelledError when nobody takes it."""
        while not (self._interrupted.is_set() or self._is_closed.is_set()):
            try:
                self._pieces.put(piece, timeout=POLL_SECONDS)
                return
            except queue.Full:
                continue
        raise CancelledError(STOPPED, state=AS_IT_WAS)

    def pieces(self) -> Iterator[bytes]:
        """Until the end of the dump. Raises what made it end before."""
        while True:
            if self._interrupted.is_set():
                raise CancelledError(STOPPED, state=AS_IT_WAS)
            try:
                piece = self._pieces.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self.problem is None:
                    continue
                raise self.problem from None
            if piece is None:
                return
            yield piece


def copy_tables(
    host: HostAccess,
    name: str,
    address: DatabaseAddress,
    password: SecretStr,
    *,
    moved: Callable[[int], None],
    interrupted: threading.Event,
) -> int:
    """Copy the database ``name`` of the container on ``host``; the bytes of its dump.

    ``moved`` is called with the bytes so far.

    Raises:
        StepError: the dump or the reading of it failed; nothing is in the new database.
        LinkError: the host was lost. CancelledError: stopped.
    """
    pipe, tail, size = _Pipe(interrupted), Tail(END_OF_ONE), 0

    def dump() -> None:
        def take(piece: bytes) -> None:
            tail.feed(piece)
            pipe.put(piece)

        try:
            result = host.stream(dump_command(name), on_bytes=take, cancel=interrupted)
            if not result.ok or not tail.is_whole_dump:
                raise StepError(
                    "the dump of the cluster's database did not come to its end",
                    said=result.why or _first_error(result),
                    state=AS_IT_WAS,
                    do="look at the database: docker logs deis-database",
                )
            pipe.put(None)
        except WizardError as error:
            pipe.problem = error

    def script() -> Iterator[bytes]:
        nonlocal size
        yield f"{password.get_secret_value()}\n{BEGIN}\n".encode()
        for piece in pipe.pieces():
            yield piece
            size += len(piece)
            moved(size)
        yield f"\n{COMMIT}\n".encode()

    dumping = threading.Thread(target=dump, name="dump", daemon=True)
    dumping.start()
    try:
        result = host.stream(
            load_command(address), on_bytes=lambda data: None, stdin=script(), cancel=interrupted
        )
    finally:
        pipe.close()
        dumping.join(timeout=5 * POLL_SECONDS)
    if result.code is None:
        raise StepError(
            "how the copying of the tables ended is not known",
            said=result.why,
            state="not known: the tables are all there, or none is",
            do="try again: it looks first",
        )
    if result.code:
        raise StepError(
            f"the database at {address.host} did not take the tables",
            said=_first_error(result),
            state="nothing was written there",
            do="see what it says; then try again",
        )
    return size


def _first_error(result: CommandResult) -> str:
    """Psql's first complaint without the data that it is about."""
    lines = [line.strip() for line in result.err.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line or "error" in line]
    return next(iter([*errors, *lines]), f"exit status {result.code}")
