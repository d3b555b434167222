"""TLS over whatever can send and receive: an SSH channel is no socket that ``ssl`` could wrap."""

from __future__ import annotations

import contextlib
import io
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

BLOCK = 16384
T = TypeVar("T")


class Timed:
    """A channel of which nothing may take longer than until ``deadline`` (``time.monotonic``).

    ``first`` goes out together with whatever is sent first. Closing is left to whoever opened it.
    """

    def __init__(self, channel: Any, deadline: float, first: bytes = b"") -> None:
        self._channel = channel
        self._deadline = deadline
        self._first = first

    def _hurry(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self._channel.settimeout(left)

    def recv(self, size: int) -> bytes:
        """As a socket's. Raises TimeoutError, OSError, EOFError."""
        self._hurry()
        data: bytes = self._channel.recv(size)
        return data

    def sendall(self, data: bytes) -> None:
        """As a socket's. Raises TimeoutError, OSError, EOFError."""
        self._hurry()
        first, self._first = self._first, b""
        try:
            self._channel.sendall(first + data)
        except OSError as error:
            if not getattr(self._channel, "closed", False):
                raise
            raise ConnectionError("it closed the connection") from error  # in paramiko's words ours

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """For ``http.client``, which only reads."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Not here."""


class Tls:
    """TLS over a stream, from either side; the handshake is done when it is there.

    Raises:
        ssl.SSLError: no handshake; the other side has been told why.
        OSError, EOFError: as the stream.
    """

    def __init__(
        self,
        stream: Any,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        server_side: bool = False,
    ) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._done(self._tls.do_handshake)

    def _done(self, call: Callable[[], T]) -> T:
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._stream.recv(BLOCK):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                with contextlib.suppress(OSError, EOFError):
                    self._flush()  # the alert
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._stream.sendall(data)

    @property
    def certificate(self) -> bytes:
        """The other side's own certificate (DER), empty when it showed none."""
        return self._tls.getpeercert(binary_form=True) or b""

    def recv(self, size: int) -> bytes:
        """Empty at the end, whether that was announced or not."""
        try:
            return self._done(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def sendall(self, data: bytes) -> None:
        """All of it."""
        view = memoryview(data)
        while view:
            at = view
            view = view[self._done(lambda: self._tls.write(at)) :]  # noqa: B023

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """For ``http.client``, which only reads."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Say that nothing more comes; the stream below stays open."""
        with contextlib.suppress(ssl.SSLError, OSError, EOFError):
            self._tls.unwrap()
        with contextlib.suppress(OSError, EOFError):
            self._flush()


class _Reader(io.RawIOBase):
    """What ``io`` buffers."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """One piece."""
        data = self._stream.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)
