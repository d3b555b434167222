"""A command's output without a reader thread: the transport's thread feeds, the caller drains.

The sink takes the place of the channel's buffers. What it holds is bounded by the SSH window, which
is opened again only as the caller drains: a command that prints faster than it is read is held up
on its host. Both streams share one sink, so neither can block the other.
"""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Sequence
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_WINDOW_ADJUST

from deiswizard.cluster.access import CommandResult, LineSink
from deiswizard.errors import CancelledError

WINDOW = 256 * 1024
"""Bytes that may wait here unread, for each command."""

BATCH_SECONDS = 0.05
"""How long lines are collected before they are handed on together."""

MAX_LINE = 100_000
"""A longer line is handed on in pieces."""

CANCEL_POLL = 0.2
STDIN_CHUNK = 32 * 1024


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
    if grown > 0:
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
        message.add_int(inside.remote_chanid)
        message.add_int(grown)
        inside.transport._send_user_message(message)


class _Collector:
    """Turns drained bytes into lines for the caller, or keeps the text for the result."""

    def __init__(self, on_lines: LineSink | None) -> None:
        self._on_lines = on_lines
        self._splitters = {"out": LineSplitter(), "err": LineSplitter()}
        self._kept: dict[str, list[bytes]] = {"out": [], "err": []}

    def take(self, held: Sequence[tuple[str, bytes]], final: bool) -> None:
        """Hand on what was drained, in order of arrival, one batch for each stretch of a stream."""
        if self._on_lines is None:
            for stream, data in held:
                self._kept[stream].append(data)
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


def run_on(
    channel: paramiko.Channel,
    command: str,
    *,
    timeout: float,
    stdin: bytes | None,
    on_lines: LineSink | None,
    cancel: threading.Event | None,
) -> CommandResult:
    """Run ``command`` on a fresh session channel and wait for its end.

    Raises:
        CancelledError: ``cancel`` was set. Closing the channel does not end the command there.
        paramiko.SSHException: the command could not be started.
    """
    began = time.monotonic()
    sink, collector = Sink(), _Collector(on_lines)
    sink.attach(channel)
    channel.settimeout(timeout)
    channel.exec_command(command)
    unsent = memoryview(stdin or b"")
    stdin_open = True
    ended = False
    while True:
        left = timeout - (time.monotonic() - began)
        if stdin_open and not unsent:
            channel.shutdown_write()
            stdin_open = False
        if stdin_open and channel.send_ready():
            unsent = unsent[channel.send(unsent[:STDIN_CHUNK].tobytes()) :]
        if ended and channel.status_event.wait(min(CANCEL_POLL, max(left, 0.0))):
            break
        wait = 0.01 if stdin_open else min(CANCEL_POLL, max(left, 0.0))
        held, size, ended = sink.drain(0.0 if ended else wait)
        collector.take(held, ended)
        if size:
            reopen_window(channel, size)
        if cancel is not None and cancel.is_set():
            channel.close()
            raise CancelledError(
                "stopped waiting for a command",
                state="the command may still be running on the host",
            )
        if left <= 0:
            channel.close()
            return CommandResult(
                None,
                collector.text("out"),
                collector.text("err"),
                time.monotonic() - began,
                f"no end within {timeout:.0f} s; the command may still be running there",
            )
    held, _, _ = sink.drain(0.0)
    collector.take(held, True)
    code: int | None = channel.exit_status
    why = ""
    if code == -1:
        code = None
        transport = channel.get_transport()
        why = (
            "it was ended by a signal"
            if transport is not None and transport.is_active()
            else "the connection was lost while the command ran; it may still be running there"
        )
    channel.close()
    return CommandResult(
        code, collector.text("out"), collector.text("err"), time.monotonic() - began, why
    )
