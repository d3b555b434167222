"""A TCP connection with the measured settings, that can be interrupted while it is made."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time

from deiswizard.errors import CancelledError, LinkError

CONNECT_TIMEOUT = 10.0
"""Seconds for all addresses of a name together."""

POLL = 0.1
PEER_TIMEOUT_MS = 20_000
"""After this long without an acknowledgement of what was sent, the kernel calls the peer dead."""


def transient(host: str, what: str, *, said: str = "", state: str = "", do: str = "") -> LinkError:
    """A LinkError where another try may go through."""
    error = LinkError(host, what, said=said, state=state, do=do)
    error.is_transient = True
    return error


def dial(host: str, port: int, cancel: threading.Event | None = None) -> socket.socket:
    """Connect to the first address of ``host`` that answers.

    Raises:
        LinkError: with the reason in plain words.
        CancelledError: ``cancel`` was set.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise LinkError(
            host, f"the name '{host}' is not known", said=str(error), do="check the spelling"
        ) from error
    deadline = time.monotonic() + CONNECT_TIMEOUT
    failure = LinkError(host, f"the name '{host}' has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        share = (deadline - time.monotonic()) / (len(addresses) - number)
        sock = socket.socket(family, kind, protocol)
        try:
            _connect(sock, address, host, port, share, cancel)
            _tune(sock)
        except LinkError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _connect(
    sock: socket.socket,
    address: object,
    host: str,
    port: int,
    seconds: float,
    cancel: threading.Event | None,
) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(address)  # type: ignore[arg-type]
    deadline = time.monotonic() + seconds
    poller = select.poll()  # unlike select.select, it takes descriptors above 1023
    poller.register(sock, select.POLLOUT)
    while code in (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY):
        if cancel is not None and cancel.is_set():
            raise CancelledError(f"connecting to {host} was stopped", state="nothing was sent")
        if time.monotonic() > deadline:
            raise transient(
                host,
                f"{host} did not answer on port {port} within {CONNECT_TIMEOUT:.0f} s",
                do="check that the host is up and that a firewall lets you through",
            )
        if poller.poll(POLL * 1000):
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if not code:
        sock.setblocking(True)
        return
    if code in (errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED):
        raise transient(
            host,
            f"the connection to {host} port {port} broke while it was made",
            said=os.strerror(code),
            do="check that the host is up and that a firewall lets you through",
        )
    if code == errno.ECONNREFUSED:
        raise LinkError(
            host,
            f"{host} refused the connection on port {port}",
            said=os.strerror(code),
            do="check the address and the port, and that sshd runs there",
        )
    raise LinkError(
        host,
        f"{host} cannot be reached on port {port}",
        said=os.strerror(code),
        do="check the address and the way there (VPN, route, firewall)",
    )


def _tune(sock: socket.socket) -> None:
    """No Nagle (45 ms on every command), and a dead peer is found in about 20 s."""
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
