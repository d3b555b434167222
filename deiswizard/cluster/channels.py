"""A command's output without a reader thread: the transport's thread feeds, the caller drains.

The sink takes the place of the channel's buffers. What it holds is bounded by the SSH window, which
is opened again only as the caller drains: a command that prints faster than it is read is held up
on its host. Both streams share one sink, so neither can block the other.
"""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST, cMSG_CHANNEL_WINDOW_ADJUST

from deiswizard.cluster.access import ByteSink, CommandResult, LineSink
from deiswizard.errors import CancelledError

WINDOW = 256 * 1024
"""Bytes that may wait here unread, for each command."""

BATCH_SECONDS = 0.05
"""How long lines are collected before they are handed on together."""

MAX_LINE = 100_000
"""A longer line is handed on in pieces."""

MAX_KEPT = 64 * 1024 * 1024
"""Bytes of output that a result holds; a command that prints more is for ``on_lines``."""

CANCEL_POLL = 0.2
WINDOW_POLL = 0.01
"""How often stdin looks whether the far side takes more; paramiko has no event for that."""

STDIN_CHUNK = 32 * 1024
STDIN_CHUNKS = 32


class LineSplitter:
    r"""Bytes to whole lines: UTF-8 with replacement; ``\n``, ``\r\n`` and ``\r`` end a line."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, data: bytes, *, final: bool = False) -> list[str]:
        """The lines completed by ``data``; ``final`` also hands on what has no end yet."""
        text = self._rest + self._decoder.decode(data, final)
        held_return = text.endswith("\r") and not final
        if held_return:
            text = text[:-1]
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop()
        if final and self._rest:
            lines.append(self._rest)
            self._rest = ""
        elif held_return:
            self._rest += "\r"
        pieces: list[str] = []
        for line in lines:
            pieces += [line[i : i + MAX_LINE] for i in range(0, len(line), MAX_LINE)] or [""]
        while len(self._rest) > MAX_LINE:
            pieces.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return pieces


class _Feed:
    """What a Channel sees in place of its BufferedPipe."""

    def __init__(self, sink: Sink, stream: str) -> None:
        self._sink = sink
        self._stream = stream

    def feed(self, data: bytes) -> None:
        self._sink.take(self._stream, data)

    def close(self) -> None:
        self._sink.end()

    def read_ready(self) -> bool:
        return False

    def set_event(self, event: Any) -> None:
        """Nobody selects on these channels."""

    def __len__(self) -> int:
        return 0


class Sink:
    """Holds what arrived on both streams until the caller drains it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._held: list[tuple[str, bytes]] = []
        self._size = 0
        self._ended = False

    def attach(self, channel: paramiko.Channel) -> None:
        """Take the place of the channel's buffers; before anything can have arrived."""
        inside: Any = channel
        inside.in_buffer = _Feed(self, "out")
        inside.in_stderr_buffer = _Feed(self, "err")

    def take(self, stream: str, data: bytes) -> None:
        """Hold data; wakes the caller only when there was none. Runs in the transport's thread."""
        with self._condition:
            was_empty = not self._held
            self._held.append((stream, bytes(data)))
            self._size += len(data)
            if was_empty or self._size > WINDOW // 2:
                self._condition.notify_all()

    def end(self) -> None:
        """No more will come."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def drain(self, timeout: float) -> tuple[list[tuple[str, bytes]], int, bool]:
        """What is held, its size, and whether it is the end. Waits ``timeout`` for a first byte."""
        with self._condition:
            self._condition.wait_for(lambda: self._held or self._ended, timeout)
            if self._held and not self._ended:
                self._condition.wait_for(
                    lambda: self._ended or self._size > WINDOW // 2, BATCH_SECONDS
                )
            held, size = self._held, self._size
            self._held, self._size = [], 0
            return held, size, self._ended


def reopen_window(channel: paramiko.Channel, size: int) -> None:
    """Let the far side send as much again as was drained."""
    inside: Any = channel
    grown = inside._check_add_window(size)
    if grown > 0 and inside.transport.is_active():
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
        message.add_int(inside.remote_chanid)
        message.add_int(grown)
        inside.transport._send_user_message(message)


class _Collector:
    """Turns drained bytes into lines for the caller, or keeps the text for the result."""

    def __init__(self, on_lines: LineSink | None, on_bytes: ByteSink | None = None) -> None:
        self._on_lines = on_lines
        self._on_bytes = on_bytes
        self._splitters = {"out": LineSplitter(), "err": LineSplitter()}
        self._kept: dict[str, list[bytes]] = {"out": [], "err": []}
        self._kept_size = 0

    @property
    def is_full(self) -> bool:
        """More was printed than a result holds."""
        return self._kept_size > MAX_KEPT

    def take(self, held: Sequence[tuple[str, bytes]], final: bool) -> None:
        """Hand on what was drained, in order of arrival, one batch for each stretch of a stream."""
        if self._on_lines is None:
            for stream, data in held:
                if self._on_bytes is not None and stream == "out":
                    self._on_bytes(data)
                    continue
                self._kept[stream].append(data)
                self._kept_size += len(data)
            return
        stretch: list[bytes] = []
        for index, (stream, data) in enumerate(held):
            stretch.append(data)
            if index + 1 == len(held) or held[index + 1][0] != stream:
                if lines := self._splitters[stream].feed(b"".join(stretch)):
                    self._on_lines(stream, lines)
                stretch = []
        if final:
            for stream, splitter in self._splitters.items():
                if lines := splitter.feed(b"", final=True):
                    self._on_lines(stream, lines)

    def text(self, stream: str) -> str:
        """What was kept of a stream."""
        return b"".join(self._kept[stream]).decode("utf-8", errors="replace")


class _Writer:
    """Feeds a command's stdin as far as the far side takes it, and closes it afterwards."""

    def __init__(self, channel: paramiko.Channel, data: Iterable[bytes]) -> None:
        self._channel = channel
        self._pieces = iter(data)
        self._unsent = memoryview(b"")
        self._has_more = True
        self.sent = 0
        self.is_done = False

    def _fill(self) -> None:
        """The next piece, when the last one is sent."""
        while not self._unsent and self._has_more:
            piece = next(self._pieces, None)
            self._has_more = piece is not None
            self._unsent = memoryview(piece or b"")

    def push(self) -> None:
        """Send what fits now, a good deal at most: the caller looks at the output between two calls.

        A command that ends without reading its input is no error.
        """
        for _ in range(STDIN_CHUNKS):
            self._fill()  # what the source of the input raises is not the channel's
            try:
                if not self._unsent:
                    self._channel.shutdown_write()
                    self.is_done = True
                    return
                if not self._channel.send_ready():
                    return
                sent = self._channel.send(self._unsent[:STDIN_CHUNK].tobytes())
                self._unsent = self._unsent[sent:]
                self.sent += sent
            except (OSError, EOFError):
                self.is_done = True
                return


def _request(
    channel: paramiko.Channel, command: str, deadline: float, cancel: threading.Event | None
) -> None:
    """Ask for the command, as paramiko's exec_command, which waits for ever and uninterrupted."""
    inside: Any = channel
    if channel.closed:
        raise paramiko.SSHException("the host closed the session at once")
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(inside.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)
    message.add_string(command)
    inside._event_pending()
    inside.transport._send_user_message(message)
    while not inside.event.wait(CANCEL_POLL):
        if cancel is not None and cancel.is_set():
            raise _stopped(channel)
        if time.monotonic() > deadline:
            raise paramiko.SSHException("the host did not say that it began")
    if not inside.event_ready:
        raise paramiko.SSHException("the host would not run a command")


def _stopped(channel: paramiko.Channel) -> CancelledError:
    channel.close()
    return CancelledError(
        "stopped waiting for a command",
        state="the command may still be running on the host",
    )


def run_on(
    channel: paramiko.Channel,
    command: str,
    *,
    timeout: float,
    stdin: bytes | Iterable[bytes] | None,
    on_lines: LineSink | None,
    cancel: threading.Event | None,
    on_bytes: ByteSink | None = None,
) -> CommandResult:
    """Run ``command`` on a fresh session channel and wait for its end.

    ``on_lines`` is called in the caller's own thread: however long it takes, the connection and
    the other commands on it go on. With ``on_bytes`` its output goes there as it is, and ``timeout``
    is how long nothing may move.

    Raises:
        CancelledError: ``cancel`` was set. Closing the channel does not end the command there.
        paramiko.SSHException: the command could not be started.
    """
    began = time.monotonic()
    deadline = began + timeout
    sink, collector = Sink(), _Collector(on_lines, on_bytes)

    def result(code: int | None, why: str = "") -> CommandResult:
        channel.close()
        seconds = time.monotonic() - began
        return CommandResult(code, collector.text("out"), collector.text("err"), seconds, why)

    sink.attach(channel)
    channel.settimeout(timeout)
    _request(channel, command, deadline, cancel)
    writer = _Writer(channel, (stdin,) if isinstance(stdin, bytes) else stdin or ())
    ended, moved = False, 0
    while True:
        if not writer.is_done:
            writer.push()
        left = max(deadline - time.monotonic(), 0.0)
        if ended and channel.status_event.wait(min(CANCEL_POLL, left)):
            break
        wait = min(CANCEL_POLL if writer.is_done else WINDOW_POLL, left)
        held, size, ended = sink.drain(0.0 if ended else wait)
        collector.take(held, False)
        if size:
            reopen_window(channel, size)
        if on_bytes is not None and (size or writer.sent > moved):
            moved, deadline = writer.sent, time.monotonic() + timeout
        if cancel is not None and cancel.is_set():
            raise _stopped(channel)
        if collector.is_full:
            return result(
                None,
                f"it printed more than {MAX_KEPT // 1024 // 1024} MiB; the rest was not waited for",
            )
        if left <= 0:
            collector.take((), True)
            return result(
                None, f"no end within {timeout:.0f} s; the command may still be running there"
            )
    collector.take(sink.drain(0.0)[0], True)
    if channel.exit_status != -1:
        return result(channel.exit_status)
    if signal := getattr(channel, "exit_signal", ""):
        return result(None, f"it was ended by the signal {signal}")
    transport = channel.get_transport()
    if transport is not None and transport.is_active():
        return result(None, "the host did not say how it ended; a signal may have ended it")
    return result(
        None, "the connection was lost while the command ran; it may still be running there"
    )
