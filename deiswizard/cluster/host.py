"""One host over SSH: commands, uploads and channels, all on one connection."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Iterable, Iterator

import paramiko

from deiswizard.cluster.access import ByteSink, CommandResult, LineSink
from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.channels import WINDOW, run_on
from deiswizard.cluster.dial import transient
from deiswizard.cluster.handshake import UnknownHostKeyError, check_key, shake_hands, shown_key
from deiswizard.cluster.known_hosts import KnownHosts
from deiswizard.cluster.transport import CHANNEL_TIMEOUT, FORWARD_TIMEOUT, POLL, Transport
from deiswizard.cluster.upload import STORED, checksum_command, store_command, store_seconds
from deiswizard.cluster.web import WebAnswer, WebRequest, ask_web
from deiswizard.errors import CancelledError, LinkError, StepError
from deiswizard.inventory import Target

__all__ = ["HostLink", "UnknownHostKeyError"]

SESSIONS = 4
"""Commands side by side on one host; sshd allows ten sessions (MaxSessions)."""

CHECKSUM_SECONDS = 120.0
CONNECT_PATIENCE = 90.0
"""Seconds to wait for another thread that is connecting to the same host."""


def _acquired(
    lock: threading.Lock | threading.Semaphore,
    seconds: float,
    cancel: threading.Event | None,
) -> bool:
    """Wait for a lock with a limit. Raises CancelledError when ``cancel`` is set meanwhile."""
    deadline = time.monotonic() + seconds
    while not lock.acquire(timeout=POLL):
        if cancel is not None and cancel.is_set():
            raise CancelledError("stopped while waiting for a host")
        if time.monotonic() > deadline:
            return False
    return True


class HostLink:
    """One host, one connection; made again on the next use after it was lost.

    Implements ``access.HostAccess``. Safe to use from many threads. ``through`` is the host to go
    through; the target's jumps are the caller's to open.
    """

    def __init__(
        self,
        target: Target,
        *,
        keys: KnownHosts,
        credentials: Credentials,
        through: HostLink | None = None,
        name: str = "",
    ) -> None:
        self.target = target
        self.name = name or target.host
        self._keys = keys
        self._credentials = credentials
        self._through = through
        self._lock = threading.Lock()
        self._sessions = threading.Semaphore(SESSIONS)
        self._transport: Transport | None = None
        self._closed = threading.Event()

    def open(self, cancel: threading.Event | None = None) -> HostLink:
        """Connect and log in, if not connected already.

        Raises:
            LinkError, HostKeyError, LoginError: with the reason in plain words.
            CancelledError: ``cancel`` was set.
        """
        self._live(cancel)
        return self

    def _live(self, cancel: threading.Event | None = None) -> Transport:
        """The connection, made now if there is none."""
        transport = self._transport
        if transport is not None and transport.is_active() and not self._closed.is_set():
            return transport
        if not _acquired(self._lock, CONNECT_PATIENCE, cancel):
            raise transient(self.name, f"{self.name} is being connected, and does not answer")
        try:
            self._refuse_when_closed()
            if self._transport is None or not self._transport.is_active():
                self._transport = self._logged_in(cancel)
            return self._transport
        finally:
            self._lock.release()

    def _refuse_when_closed(self) -> None:
        if self._closed.is_set():
            raise LinkError(self.name, f"the connection to {self.name} was closed")

    def _logged_in(self, cancel: threading.Event | None) -> Transport:
        open_tcp = self._through.open_tcp if self._through is not None else None
        transport = shake_hands(self.target, self._keys, open_tcp=open_tcp, cancel=cancel)
        try:
            check_key(self._keys, shown_key(transport, self.target), self.target.port)
            self._credentials.log_in(transport, self.target, self.name, cancel)
            self._refuse_when_closed()
        except BaseException:
            transport.close()
            raise
        transport.watch_peer()
        return transport

    @property
    def is_connected(self) -> bool:
        """The connection stands, as far as is known."""
        return self._transport is not None and self._transport.is_active()

    @property
    def peer_address(self) -> str:
        """The IP address that was dialled; the target's host when there is a host in between."""
        transport = self._transport
        if transport is None or self._through is not None:
            return self.target.host
        try:
            address: str = transport.getpeername()[0]
        except OSError:  # lost meanwhile
            return self.target.host
        return address

    @property
    def server_version(self) -> str:
        """What the sshd calls itself."""
        return (self._transport.remote_version or "") if self._transport else ""

    def close(self) -> None:
        """End the connection for good; also one that is just being made."""
        self._closed.set()
        if self._transport is not None:
            self._transport.close()

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except paramiko.ChannelException as error:
            raise LinkError(self.name, f"{self.name}: {what}", said=error.text) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise transient(
                self.name,
                f"{self.name}: {what}: the connection was lost",
                said=str(error),
                do="the connection is made again at the next try",
            ) from error

    def open_tcp(
        self,
        host: str,
        port: int,
        cancel: threading.Event | None = None,
        timeout: float = FORWARD_TIMEOUT,
    ) -> paramiko.Channel:
        """A channel to ``host:port`` as seen from this host. Raises LinkError, CancelledError."""
        transport = self._forwarding(cancel)
        with self._translated(f"{host}:{port} cannot be reached from there"):
            return transport.open_kind(
                "direct-tcpip", host, port, "127.0.0.1", 0, cancel=cancel, timeout=timeout
            )

    def log_in_again(self) -> None:
        """As ``access.HostAccess.log_in_again``."""
        second = HostLink(
            self.target,
            keys=self._keys,
            credentials=self._credentials,
            through=self._through,
            name=self.name,
        )
        try:
            said = second.open().run("echo here", timeout=CHANNEL_TIMEOUT)
            if "here" not in said.out:
                raise transient(
                    self.name,
                    f"a new login on {self.name} gets no answer",
                    said=said.why or said.err,
                )
        finally:
            second.close()

    def takes_connection(self, address: str, port: int, seconds: float) -> bool:
        """Whether a port takes a connection, seen from this host; no answer in time means no.

        Raises:
            LinkError, HostKeyError, LoginError: this host itself cannot be asked.
        """
        transport = self._forwarding(None)
        try:
            transport.open_kind(
                "direct-tcpip", address, port, "127.0.0.1", 0, timeout=seconds
            ).close()
        except paramiko.ChannelException:
            return False
        except (paramiko.SSHException, EOFError, OSError) as error:
            if transport.is_active():
                return False
            raise transient(
                self.name,
                f"the connection to {self.name} was lost while {address}:{port} was tried there",
                said=str(error),
                do="the connection is made again at the next try",
            ) from error
        return True

    def open_unix(self, path: str, cancel: threading.Event | None = None) -> paramiko.Channel:
        """A channel to a unix socket on this host. Raises LinkError, CancelledError."""
        transport = self._forwarding(cancel)
        with self._translated(f"{path} cannot be opened there"):
            return transport.open_unix(path, cancel)

    def _forwarding(self, cancel: threading.Event | None) -> Transport:
        """The connection, on which sshd has switched Nagle off."""
        transport = self._live(cancel)
        if not transport.has_had_session:
            transport.has_had_session = True  # before, so that other threads do not do it as well
            with contextlib.suppress(LinkError):
                self.disable_nagle(cancel)
        return transport

    def disable_nagle(self, cancel: threading.Event | None = None) -> None:
        """Run one command, because sshd switches Nagle off only when a session starts.

        A connection that only forwards would otherwise add 40 ms to every round trip. Done by
        itself before the first channel.
        """
        self.run("true", timeout=CHANNEL_TIMEOUT, cancel=cancel)

    def run(
        self,
        command: str,
        *,
        sudo: bool = False,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        on_lines: LineSink | None = None,
        cancel: threading.Event | None = None,
    ) -> CommandResult:
        """As ``access.HostAccess.run``."""
        return self._run(command, sudo, timeout, stdin, on_lines, cancel)

    def stream(
        self,
        command: str,
        *,
        on_bytes: ByteSink,
        sudo: bool = False,
        stdin: Iterable[bytes] | None = None,
        idle: float = 300.0,
        cancel: threading.Event | None = None,
    ) -> CommandResult:
        """As ``access.HostAccess.stream``."""
        return self._run(command, sudo, idle, stdin, None, cancel, on_bytes)

    def _run(
        self,
        command: str,
        sudo: bool,
        timeout: float,
        stdin: bytes | Iterable[bytes] | None,
        on_lines: LineSink | None,
        cancel: threading.Event | None,
        on_bytes: ByteSink | None = None,
    ) -> CommandResult:
        text = f"sudo -n sh -c {shlex.quote(command)}" if sudo else command
        if not _acquired(self._sessions, timeout, cancel):
            raise transient(
                self.name,
                f"{SESSIONS} commands are running on {self.name}, and none ended "
                f"within {timeout:.0f} s",
                state="the command was not started",
                do="wait for them, then try again",
            )
        try:
            transport = self._live(cancel)
            with self._translated("no session could be opened"):
                channel = transport.open_kind("session", window=WINDOW, cancel=cancel)
            try:
                return run_on(
                    channel,
                    text,
                    timeout=timeout,
                    stdin=stdin,
                    on_lines=on_lines,
                    cancel=cancel,
                    on_bytes=on_bytes,
                )
            except (paramiko.SSHException, EOFError, OSError) as error:
                return CommandResult(
                    None,
                    why=f"the connection was lost ({error}); whether the command ran is not known",
                )
            finally:
                channel.close()
        finally:
            self._sessions.release()

    def upload(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> str:
        """As ``access.HostAccess.upload``."""
        command, checksum = store_command(path, content, mode)
        stored = self.run(command, sudo=sudo, stdin=content, timeout=store_seconds(content))
        if stored.out.split()[-1:] == [STORED]:
            return checksum
        if stored.code is None:
            raise transient(
                self.name,
                f"whether {path} was written on {self.name} is not known",
                said=stored.why,
                state="the file there is either as it was or whole, never half",
                do="compare its checksum, or write it again",
            )
        raise StepError(
            f"{path} could not be written on {self.name}",
            said=stored.err.strip() or "the checksum on the host differs",
            state="the file there is as it was",
            do="look at room and rights on that host, then try again",
        )

    def web(self, request: WebRequest) -> WebAnswer:
        """As ``access.HostAccess.web``."""
        transport = self._live()
        answer = ask_web(request, self.open_tcp)
        if answer.status is None and not transport.is_active():
            raise transient(
                self.name,
                f"the connection to {self.name} was lost while {request.name} was asked there",
                said=transport.why_gone,
                do="the connection is made again at the next try",
            )
        return answer  # what went wrong otherwise is the service's doing

    def checksum(self, path: str, *, sudo: bool = False) -> str | None:
        """As ``access.HostAccess.checksum``."""
        result = self.run(checksum_command(path), sudo=sudo, timeout=CHECKSUM_SECONDS)
        if result.code is None:
            raise transient(self.name, f"{path} could not be read", said=result.why)
        if result.ok:
            return result.out.split()[0]
        if result.err.strip():
            raise StepError(f"{path} cannot be read on {self.name}", said=result.err.strip())
        return None
