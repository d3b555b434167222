"""paramiko's Transport, tuned and extended.

Faster small packets, unix sockets on the far side (direct-streamlocal), and RSA keys against an
sshd older than OpenSSH 7.2, which knows only SHA-1 signatures.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
import time
from typing import Any

import paramiko
from cryptography.hazmat.primitives import hashes
from paramiko.common import cMSG_CHANNEL_OPEN
from paramiko.packet import Packetizer

from deiswizard.errors import LinkError

CONNECT_TIMEOUT = 10.0
HANDSHAKE_TIMEOUT = 20.0
AUTH_TIMEOUT = 30.0
CHANNEL_TIMEOUT = 20.0
PEER_TIMEOUT_MS = 20_000
"""After this long without an acknowledgement of what was sent, the kernel calls the peer dead."""

KEEPALIVE = 15
OLD_SSHD = re.compile(r"OpenSSH_(?:[1-6]\.|7\.[01])")

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False
# paramiko logs tracebacks at ERROR; without a handler they would be written over the screen.


class LegacyRSAKey(paramiko.RSAKey):
    """An RSA key that can still sign with SHA-1, for an sshd that knows nothing newer."""

    HASHES = {**paramiko.RSAKey.HASHES, "ssh-rsa": hashes.SHA1}  # type: ignore[misc]


class BufferingPacketizer(Packetizer):
    """Reads 64 KiB at a time and serves packets from memory.

    Two recv() calls a packet are two hand-overs of the interpreter lock a packet, which is what
    limits many hosts that stream small lines. The buffer is the one that paramiko itself uses for
    what it reads too far in the banner.
    """

    _REMAINDER = "_Packetizer__remainder"
    _SOCKET = "_Packetizer__socket"

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """As Packetizer.read_all."""
        if hasattr(self, self._REMAINDER) and hasattr(self, self._SOCKET):
            held: bytes = getattr(self, self._REMAINDER)
            if len(held) < n:
                with contextlib.suppress(socket.timeout, OSError):
                    held += getattr(self, self._SOCKET).recv(65536)
                    setattr(self, self._REMAINDER, held)
        return super().read_all(n, check_rekey)


class Transport(paramiko.Transport):
    """One connection to one host."""

    _active_check_timeout = 1.0
    _key_info = {**paramiko.Transport._key_info, "ssh-rsa": LegacyRSAKey}  # type: ignore[attr-defined]
    _preferred_keys = (*paramiko.Transport._preferred_keys, "ssh-rsa")  # type: ignore[attr-defined]

    def __init__(self, sock: Any) -> None:
        super().__init__(sock, packetizer_class=BufferingPacketizer)
        self.banner_timeout = HANDSHAKE_TIMEOUT
        self.handshake_timeout = HANDSHAKE_TIMEOUT
        self.auth_timeout = AUTH_TIMEOUT
        self.channel_timeout = CHANNEL_TIMEOUT
        options = self.get_security_options()
        options.ciphers = _first(options.ciphers, "gcm")
        options.kex = _first(options.kex, "curve25519", "mlkem", "ecdh", "group16")

    @property
    def is_old_server(self) -> bool:
        """The sshd is older than OpenSSH 7.2: RSA only with SHA-1."""
        return bool(OLD_SSHD.search(self.remote_version or "")) and not self.server_mode

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

    def open_unix(self, path: str, timeout: float = CHANNEL_TIMEOUT) -> paramiko.Channel:
        """A channel to a unix socket on the far side (OpenSSH 6.7 and newer).

        Raises:
            paramiko.ChannelException: the far side refused, or there is no such socket.
            paramiko.SSHException: the connection is gone, or no answer came in time.
        """
        if not self.is_active():
            raise paramiko.SSHException("SSH session not active")
        internals: Any = self
        with internals.lock:
            window = internals._sanitize_window_size(None)
            packet = internals._sanitize_packet_size(None)
            number = internals._next_channel()
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_OPEN)
            message.add_string("direct-streamlocal@openssh.com")
            for value in (number, window, packet):
                message.add_int(value)
            message.add_string(path)
            message.add_string("")
            message.add_int(0)
            channel = paramiko.Channel(number)
            internals._channels.put(number, channel)
            internals.channel_events[number] = event = threading.Event()
            internals.channels_seen[number] = True
            opened: Any = channel
            opened._set_transport(self)
            opened._set_window(window, packet)
        internals._send_user_message(message)
        deadline = time.monotonic() + timeout
        while not event.wait(0.1):
            if not self.is_active() or time.monotonic() > deadline:
                raise self.get_exception() or paramiko.SSHException(
                    "no answer to a channel request"
                )
        if internals._channels.get(number) is None:
            raise self.get_exception() or paramiko.SSHException(f"{path} could not be opened")
        return channel


def _first(offered: Any, *words: str) -> tuple[str, ...]:
    """``offered`` with the algorithms that contain one of ``words`` in front, in that order."""

    def place(name: str) -> int:
        return next((i for i, word in enumerate(words) if word in name), len(words))

    return tuple(sorted(offered, key=place))


def dial(host: str, port: int) -> socket.socket:
    """A TCP connection with the measured settings: no Nagle, a dead peer found in about 20 s.

    Raises:
        LinkError: with the reason in plain words.
    """
    try:
        sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    except socket.gaierror as error:
        raise LinkError(
            host, f"the name '{host}' is not known", said=str(error), do="check the spelling"
        ) from error
    except TimeoutError as error:
        silent = LinkError(
            host,
            f"{host} did not answer on port {port} within {CONNECT_TIMEOUT:.0f} s",
            do="check that the host is up and that a firewall lets you through",
        )
        silent.is_transient = True
        raise silent from error
    except OSError as error:
        raise LinkError(
            host,
            f"{host} refused the connection on port {port}",
            said=error.strerror or str(error),
            do="check the address and the port",
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 10),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 2),
        ("TCP_USER_TIMEOUT", PEER_TIMEOUT_MS),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock
