"""One host over SSH: commands, uploads and channels, all on one connection."""

from __future__ import annotations

import contextlib
import hashlib
import random
import secrets
import shlex
import threading
import time
from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from deiswizard.cluster.access import CommandResult, LineSink
from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.channels import WINDOW, run_on
from deiswizard.cluster.known_hosts import (
    KnownHosts,
    UnknownKey,
    Verdict,
    fingerprint,
    name_in_file,
)
from deiswizard.cluster.transport import CHANNEL_TIMEOUT, KEEPALIVE, Transport, dial
from deiswizard.errors import HostKeyError, LinkError, StepError
from deiswizard.inventory import Target

SESSIONS = 4
"""Commands side by side on one host; sshd allows ten sessions (MaxSessions)."""

RETRIES = 3
RETRY_SECONDS = 0.5


class UnknownHostKeyError(HostKeyError):
    """The host showed a key that no known_hosts file knows."""

    def __init__(self, key: UnknownKey) -> None:
        super().__init__(
            key.host,
            f"the key of {key.host} is not known ({key.fingerprint})",
            state="nothing was sent to it",
            do="compare the fingerprint with the host's console and accept it",
        )
        self.key = key


def _handshake(target: Target, through: HostLink | None, keys: KnownHosts | None) -> Transport:
    """Connect and exchange keys; tried again with growing pauses when the network is at fault."""
    for attempt in range(1, RETRIES + 1):
        transport: Transport | None = None
        try:
            sock: Any = (
                dial(target.host, target.port)
                if through is None
                else through.open_tcp(target.host, target.port)
            )
            transport = Transport(sock)
            if keys is not None:
                transport.prefer_host_keys(keys.key_types_for(target.host, target.port))
            transport.start_client(timeout=CHANNEL_TIMEOUT)
            return transport
        except LinkError as error:
            if attempt == RETRIES or not error.is_transient:
                raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            if transport is not None:
                transport.close()
            if attempt == RETRIES or isinstance(error, IncompatiblePeer):
                raise LinkError(
                    target.host,
                    f"{target.host} did not speak SSH on port {target.port}",
                    said=str(error),
                    do="check that sshd runs there and has room (MaxStartups)",
                ) from error
        time.sleep(RETRY_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
    raise AssertionError("the loop above returns or raises")


def _shown_key(transport: Transport, target: Target) -> UnknownKey:
    key = transport.get_remote_server_key()
    return UnknownKey(
        host=target.host,
        name_in_file=name_in_file(target.host, target.port),
        key_type=key.get_name(),
        fingerprint=fingerprint(key.asbytes()),
        key_b64=key.get_base64(),
    )


def check_key(keys: KnownHosts, key: UnknownKey, port: int) -> None:
    """Judge a host's key as OpenSSH does.

    Raises:
        UnknownHostKeyError: nobody has accepted it yet.
        HostKeyError: it has changed or is revoked. There is no way around this one.
    """
    match keys.check(key.host, port, key.key_type, key.key_b64):
        case Verdict.KNOWN:
            return
        case Verdict.UNKNOWN:
            raise UnknownHostKeyError(key)
        case Verdict.REVOKED:
            raise HostKeyError(
                key.host,
                f"the key of {key.host} is revoked in known_hosts ({key.fingerprint})",
                state="nothing was sent to this host",
                do="find out who answers at this address",
            )
        case Verdict.CHANGED:
            raise HostKeyError(
                key.host,
                f"the key of {key.host} has CHANGED: it now shows {key.fingerprint}",
                state="nothing was sent to this host; somebody may be answering in its place",
                do="find out why. Only if the host was made anew: ssh-keygen -R "
                f"'{key.name_in_file}', then connect again",
            )


class HostLink:
    """One host, one connection; made again on the next use after it was lost.

    Implements ``access.HostAccess``. Safe to use from many threads.
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
        self._sessions = threading.BoundedSemaphore(SESSIONS)
        self._transport: Transport | None = None
        self._closed = False

    def open(self) -> HostLink:
        """Connect and log in, if not connected already.

        Raises:
            LinkError, HostKeyError, LoginError: with the reason in plain words.
        """
        self._live()
        return self

    def _live(self) -> Transport:
        with self._lock:
            if self._closed:
                raise LinkError(self.name, f"the connection to {self.name} was closed")
            if self._transport is not None and self._transport.is_active():
                return self._transport
            transport = _handshake(self.target, self._through, self._keys)
            try:
                check_key(self._keys, _shown_key(transport, self.target), self.target.port)
                self._credentials.log_in(transport, self.target, self.name)
            except BaseException:
                transport.close()
                raise
            transport.set_keepalive(KEEPALIVE)
            self._transport = transport
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
        address: str = transport.getpeername()[0]
        return address

    @property
    def server_version(self) -> str:
        """What the sshd calls itself."""
        return (self._transport.remote_version or "") if self._transport else ""

    def close(self) -> None:
        """End the connection for good."""
        with self._lock:
            self._closed = True
            if self._transport is not None:
                self._transport.close()

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except paramiko.ChannelException as error:
            raise LinkError(self.name, f"{self.name}: {what}", said=error.text) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise LinkError(
                self.name,
                f"{self.name}: {what}: the connection was lost",
                said=str(error),
                do="the connection is made again at the next try",
            ) from error

    def open_tcp(self, host: str, port: int) -> paramiko.Channel:
        """A channel to ``host:port`` as seen from this host. Raises LinkError."""
        transport = self._live()
        with self._translated(f"{host}:{port} cannot be reached from there"):
            return transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CHANNEL_TIMEOUT
            )

    def open_unix(self, path: str) -> paramiko.Channel:
        """A channel to a unix socket on this host. Raises LinkError."""
        transport = self._live()
        with self._translated(f"{path} cannot be opened there"):
            return transport.open_unix(path)

    def disable_nagle(self) -> None:
        """Run one command, because sshd switches Nagle off only when a session starts.

        A connection that only forwards would otherwise add 40 ms to every round trip.
        """
        self.run("true", timeout=CHANNEL_TIMEOUT)

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
        text = f"sudo -n sh -c {shlex.quote(command)}" if sudo else command
        with self._sessions:
            transport = self._live()
            with self._translated("no session could be opened"):
                channel = transport.open_channel(
                    "session", window_size=WINDOW, timeout=CHANNEL_TIMEOUT
                )
            try:
                return run_on(
                    channel, text, timeout=timeout, stdin=stdin, on_lines=on_lines, cancel=cancel
                )
            except (paramiko.SSHException, EOFError, OSError) as error:
                return CommandResult(
                    None,
                    why=f"the connection was lost ({error}); whether the command ran is not known",
                )
            finally:
                channel.close()

    def upload(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> str:
        """As ``access.HostAccess.upload``."""
        wanted = hashlib.sha256(content).hexdigest()
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.deiswizard-{secrets.token_hex(4)}"
        quoted = shlex.quote(temporary)
        put = self.run(
            f"umask 077 && cat > {quoted} && chmod {mode:04o} {quoted} && sha256sum {quoted}",
            sudo=sudo,
            stdin=content,
            timeout=120,
        )
        if put.ok and put.out.split()[:1] == [wanted]:
            moved = self.run(f"mv -f {quoted} {shlex.quote(path)}", sudo=sudo)
            if moved.ok:
                return wanted
            put = moved
        self.run(f"rm -f {quoted}", sudo=sudo)
        raise StepError(
            f"{path} could not be written on {self.name}",
            said=put.err.strip() or put.why or "the checksum on the host differs",
            state="the file there is as it was",
            do="look at room and rights on that host, then try again",
        )

    def checksum(self, path: str, *, sudo: bool = False) -> str | None:
        """As ``access.HostAccess.checksum``."""
        quoted = shlex.quote(path)
        result = self.run(f"test ! -e {quoted} || sha256sum {quoted}", sudo=sudo)
        if not result.ok:
            raise StepError(
                f"{path} cannot be read on {self.name}", said=result.err.strip() or result.why
            )
        return result.out.split()[0] if result.out.strip() else None
