"""paramiko's Transport, tuned and extended.

Faster small packets, unix sockets on the far side (direct-streamlocal), a peer that is dead is
noticed, and RSA keys against an sshd older than OpenSSH 7.2, which knows only SHA-1 signatures.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from typing import Any

import paramiko
from cryptography.hazmat.primitives import hashes
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_CHANNEL_OPEN,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.packet import Packetizer

from deiswizard.errors import CancelledError
from deiswizard.wording import harmless

HANDSHAKE_TIMEOUT = 20.0
AUTH_TIMEOUT = 30.0
CHANNEL_TIMEOUT = 20.0
FORWARD_TIMEOUT = 10.0
"""Seconds for the far side to reach another host, as long as a host is dialled from here."""

POLL = 0.1
"""How often a wait looks at the operator's wish to stop."""

KEEPALIVE = 5
"""Seconds without traffic after which the peer is asked for a sign of life."""

PEER_SILENCE = 20.0
"""A peer that has not answered for so long is dead. Needed beside TCP's own time-outs, which say
nothing of a host behind a bastion."""

ASKS = 2
"""Signs of life asked for in vain before a peer is called dead. Between two of them the socket is read:
an answer that lies there because this machine was asleep or too busy to read is not overlooked."""

OLD_SSHD = re.compile(r"OpenSSH_(?:[1-6]\.|7\.[01])")
READ_SIZE = 65536
LONGEST = 200
"""Characters of the far side's words that are kept."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False
# paramiko logs tracebacks at ERROR; without a handler they would be written over the screen.


class LegacyRSAKey(paramiko.RSAKey):
    """An RSA key that can still sign with SHA-1, for an sshd that knows nothing newer."""

    HASHES = {**paramiko.RSAKey.HASHES, "ssh-rsa": hashes.SHA1}  # type: ignore[misc]


class BufferingPacketizer(Packetizer):
    """Reads 64 KiB at a time and serves packets from memory.

    Two recv() calls a packet are two hand-overs of the interpreter lock a packet, which is what
    limits many hosts that stream small lines. Touches two of paramiko's private attributes; where
    they are missing it behaves like the original.
    """

    _REMAINDER = "_Packetizer__remainder"
    _SOCKET = "_Packetizer__socket"

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.heard_at = time.monotonic()
        self.is_buffering = hasattr(self, self._REMAINDER) and hasattr(self, self._SOCKET)
        self._held = b""
        self._at = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """As Packetizer.read_all."""
        end = self._at + n
        if end <= len(self._held):
            served = self._held[self._at : end]
            self._at = end
            return served
        if self.is_buffering:
            held: bytes = self._held[self._at :] + getattr(self, self._REMAINDER)
            self._held, self._at = b"", 0
            setattr(self, self._REMAINDER, b"")
            with contextlib.suppress(OSError):  # what is wrong, the original meets again and tells
                held += getattr(self, self._SOCKET).recv(READ_SIZE)
            if len(held) >= n:
                self._held, self._at = held, n
                self.heard_at = time.monotonic()
                return held[:n]
            setattr(self, self._REMAINDER, held)
        data: bytes = super().read_all(n, check_rekey)
        self.heard_at = time.monotonic()
        return data


class Channel(paramiko.Channel):
    """A channel whose end is never an error: where the connection has gone first, it is ended already.

    paramiko says goodbye on a connection that may have broken a moment ago, and raises EOFError then.
    """

    def close(self) -> None:
        """As paramiko's. Raises nothing."""
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            super().close()


def _note_signal(channel: Any, message: Any) -> None:
    """Keep the name of the signal that ended a command, which paramiko throws away."""
    position = message.packet.tell()
    kind = message.get_text()
    message.get_boolean()
    if kind == "exit-signal":
        channel.exit_signal = message.get_text()
    message.packet.seek(position)
    channel._handle_request(message)


class Transport(paramiko.Transport):
    """One connection to one host."""

    _active_check_timeout = 1.0
    _key_info = {**paramiko.Transport._key_info, "ssh-rsa": LegacyRSAKey}  # type: ignore[attr-defined]
    _preferred_keys = (*paramiko.Transport._preferred_keys, "ssh-rsa")  # type: ignore[attr-defined]
    _channel_handler_table = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_REQUEST: _note_signal,
    }

    def __init__(self, sock: Any) -> None:
        super().__init__(sock, packetizer_class=BufferingPacketizer)
        self.has_had_session = False
        self.is_presumed_dead = False
        self._asked_at = 0.0
        self._unanswered = 0
        self._refusals: dict[int, paramiko.ChannelException] = {}
        self._ended: set[int] = set()
        self.banner_timeout = HANDSHAKE_TIMEOUT
        self.handshake_timeout = HANDSHAKE_TIMEOUT
        self.auth_timeout = AUTH_TIMEOUT
        self.channel_timeout = CHANNEL_TIMEOUT
        options = self.get_security_options()
        options.ciphers = _first(options.ciphers, "gcm")
        options.kex = _first(options.kex, "curve25519", "mlkem", "ecdh", "group16")

    @property
    def is_old_server(self) -> bool:
        """The sshd takes RSA only with SHA-1: it is older than OpenSSH 7.2, or says so itself."""
        if self.server_mode:
            return False
        extensions: dict[str, bytes] = getattr(self, "server_extensions", {})
        said = extensions.get("server-sig-algs", b"").decode("ascii", "replace")
        if said:
            kinds = said.split(",")
            return "ssh-rsa" in kinds and not any(kind.startswith("rsa-sha2") for kind in kinds)
        return bool(OLD_SSHD.search(self.remote_version or ""))

    @property
    def preferred_pubkeys(self) -> tuple[str, ...]:
        """Signature algorithms to offer; consulted by paramiko for RSA keys only."""
        return ("ssh-rsa",) if self.is_old_server else tuple(super().preferred_pubkeys)

    def prefer_host_keys(self, key_types: tuple[str, ...]) -> None:
        """Ask for host keys of these types first: those that known_hosts can judge."""
        wanted: list[str] = []
        for kind in key_types:
            wanted += ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] if kind == "ssh-rsa" else [kind]
        options = self.get_security_options()
        offered = tuple(options.key_types)
        known = tuple(kind for kind in wanted if kind in offered)
        options.key_types = known + tuple(kind for kind in offered if kind not in known)

    def watch_peer(self) -> None:
        """Ask the peer for a sign of life when it is silent, and end the connection without one."""
        packetizer: Any = self.packetizer
        packetizer.set_keepalive(KEEPALIVE, self._ask_for_life)

    def _ask_for_life(self) -> None:
        """Runs in the transport's thread when nothing came or went for KEEPALIVE seconds."""
        packetizer: Any = self.packetizer
        silence = time.monotonic() - packetizer.heard_at
        if packetizer.heard_at > self._asked_at:
            self._unanswered = 0
        if self._unanswered >= ASKS and silence > PEER_SILENCE - KEEPALIVE:
            self.is_presumed_dead = True
            packetizer.close()
            return
        self._asked_at = time.monotonic()
        self._unanswered += 1
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)  # a reply is wanted, unlike paramiko's own keepalive
        internals: Any = self
        internals._send_message(message)

    def _send_message(self, data: paramiko.Message) -> None:
        """As paramiko's, but nothing is said of a channel once its end was.

        Its threads make a message first and send it later. When the other side ends the channel in
        between, as every short command does, what was to be said before the end would be said after
        it, and sshd ends the whole connection for that ("packet referred to nonexistent channel").
        """
        kind, number = _of_channel(data)
        if MSG_CHANNEL_WINDOW_ADJUST <= kind <= MSG_CHANNEL_FAILURE:
            if number in self._ended:  # one message at a time comes here: clear_to_send_lock
                return
            if kind == MSG_CHANNEL_CLOSE:
                self._ended.add(number)
        super()._send_message(data)  # type: ignore[misc]

    def _parse_channel_open_success(self, message: paramiko.Message) -> None:
        """Paramiko's handler; a number that had an end has a new beginning."""
        position = message.packet.tell()
        message.get_int()
        self._ended.discard(message.get_int())
        message.packet.seek(position)
        super()._parse_channel_open_success(message)  # type: ignore[misc]

    def run(self) -> None:
        """Paramiko's thread. A connection inside another may notice its end after the outer one's;
        that is no news, and a traceback of it would only stand in the operator's way.
        """
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            super().run()

    def open_kind(
        self,
        kind: str,
        *fields: str | int,
        window: int | None = None,
        cancel: threading.Event | None = None,
        timeout: float = CHANNEL_TIMEOUT,
    ) -> paramiko.Channel:
        """A channel of any kind, ``fields`` being what the request carries.

        paramiko's own open_channel knows no unix sockets, cannot be interrupted, and tells a caller
        of what was refused to another one. A channel that the far side has closed again at once is
        answered all the same: its reader finds the end there.

        Raises:
            paramiko.ChannelException: the far side refused; its ``text`` are the far side's words.
            paramiko.SSHException, EOFError, OSError: the connection is gone, or no answer came.
            CancelledError: ``cancel`` was set.
        """
        if not self.is_active():
            raise paramiko.SSHException(self.why_gone)
        internals: Any = self
        with internals.lock:
            window_size = internals._sanitize_window_size(window)
            packet_size = internals._sanitize_packet_size(None)
            number = internals._next_channel()
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_OPEN)
            message.add_string(kind)
            for value in (number, window_size, packet_size):
                message.add_int(value)
            for field in fields:
                if isinstance(field, str):
                    message.add_string(field)
                else:
                    message.add_int(field)
            channel = Channel(number)
            internals._channels.put(number, channel)
            internals.channel_events[number] = event = threading.Event()
            internals.channels_seen[number] = True
            opened: Any = channel
            opened._set_transport(self)
            opened._set_window(window_size, packet_size)
        internals._send_user_message(message)
        deadline = time.monotonic() + timeout
        while not event.wait(POLL):
            if cancel is not None and cancel.is_set():
                self._abandon(number)
                raise CancelledError("stopped waiting for a channel")
            if not self.is_active():
                break
            if time.monotonic() > deadline:
                self._abandon(number)
                raise paramiko.SSHException(f"no answer within {timeout:.0f} s")
        if refusal := self._refusals.pop(number, None):
            raise refusal
        if not opened.active:
            raise paramiko.SSHException(self.why_gone)
        self.has_had_session = self.has_had_session or kind == "session"
        return channel

    def _abandon(self, number: int) -> None:
        """Nobody waits for that channel any more."""
        internals: Any = self
        internals.channel_events.pop(number, None)
        internals._unlink_channel(number)

    @property
    def why_gone(self) -> str:
        """Why the connection stands no more, in a few words."""
        if self.is_presumed_dead:
            return f"no sign of life for {PEER_SILENCE:.0f} s"
        saved = getattr(self, "saved_exception", None)
        words = "" if isinstance(saved, paramiko.ChannelException) else str(saved or "")
        return words or "the connection is gone"

    def _parse_channel_open_failure(self, message: paramiko.Message) -> None:
        """Paramiko's handler, which keeps one refusal for all callers and drops the far side's words."""
        position = message.packet.tell()
        number, code = message.get_int(), message.get_int()
        words = harmless(" ".join(message.get_text().split()))[:LONGEST]
        message.packet.seek(position)
        if number in self.channel_events:  # somebody still waits for it
            self._refusals[number] = paramiko.ChannelException(code, words)
        super()._parse_channel_open_failure(message)  # type: ignore[misc]
        self.saved_exception = None

    def open_unix(
        self, path: str, cancel: threading.Event | None = None, timeout: float = CHANNEL_TIMEOUT
    ) -> paramiko.Channel:
        """A channel to a unix socket on the far side (OpenSSH 6.7 and newer). As ``open_kind``."""
        return self.open_kind(
            "direct-streamlocal@openssh.com", path, "", 0, cancel=cancel, timeout=timeout
        )


def _of_channel(message: paramiko.Message) -> tuple[int, int]:
    """A message's kind, and the channel's number at the other side if it is about one."""
    with message.packet.getbuffer() as data:
        return data[0], int.from_bytes(data[1:5], "big")


def _first(offered: Any, *words: str) -> tuple[str, ...]:
    """``offered`` with the algorithms that contain one of ``words`` in front, in that order."""

    def place(name: str) -> int:
        return next((i for i, word in enumerate(words) if word in name), len(words))

    return tuple(sorted(offered, key=place))
