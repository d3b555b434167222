"""HTTP over SSH channels, without a local port.

A listener on loopback would let every user of this machine talk to the hosts' Docker engines, so
the HTTP client's connections are the channels themselves.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import paramiko
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.wait import wait_for_read

from deiswizard.cluster.joining import join
from deiswizard.cluster.web import OpenTcp

OpenChannel = Callable[[], Any]
"""Opens a socket-like channel to the one service meant. Raises LinkError."""

BASE_URL = "http://service.invalid:80"
"""Where clients believe the service is; no name is ever looked up."""


class ChannelSocket:
    """A channel that ends as a socket does: when it and every file made of it are closed.

    A server that says ``Connection: close`` makes the HTTP client close its connection before it
    reads the body. A bare channel would be gone then, and an answer without a length look empty.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._files = 0
        self._is_closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    @property
    def is_idle(self) -> bool:
        """It can take another request: nothing has come unasked, not even its end."""
        channel = self._channel
        if not isinstance(channel, paramiko.Channel):
            return not wait_for_read(channel, timeout=0.0)
        return not (channel.closed or channel.eof_received or channel.recv_ready())

    def makefile(self, *args: Any, **kwargs: Any) -> Any:
        """A file that keeps the channel open."""
        self._files += 1
        return _ChannelFile(self, self._channel.makefile(*args, **kwargs))

    def close(self) -> None:
        """No new files; the channel ends with the last one."""
        self._is_closed = True
        if not self._files:
            self._channel.close()

    def file_closed(self) -> None:
        """One file less."""
        self._files -= 1
        if self._is_closed and not self._files:
            self._channel.close()


class _ChannelFile:
    def __init__(self, socket: ChannelSocket, file: Any) -> None:
        self._socket: ChannelSocket | None = socket
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            self._file.close()
            socket.file_closed()


def pool_class(open_to: OpenTcp) -> type[HTTPConnectionPool]:
    """A connection pool whose connections are channels to its host and port from ``open_to``."""

    class ChannelConnection(HTTPConnection):
        def _new_conn(self) -> Any:
            return ChannelSocket(open_to(self.host, self.port or 80))

        @property
        def is_connected(self) -> bool:
            # urllib3 would ask the channel for a file number. paramiko makes a pipe for it, which
            # its threads still write to while it is closed: into whatever has its number then.
            return isinstance(self.sock, ChannelSocket) and self.sock.is_idle

    class ChannelPool(HTTPConnectionPool):
        ConnectionCls = ChannelConnection

    return ChannelPool


def tls_pool_class(open_to: OpenTcp) -> type[HTTPSConnectionPool]:
    """The same with TLS. ``ssl`` wraps only what is a socket, so it goes through a pair of them."""

    class TlsConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            channel = open_to(self.host, self.port or 443)
            ours, theirs = socket.socketpair()
            join(theirs, channel)
            return ours

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return TlsPool


def over(manager: urllib3.PoolManager, open_channel: OpenChannel) -> urllib3.PoolManager:
    """Make an existing manager use channels to one service, whatever it is called, and never try a request
    again by itself.
    """
    return _over(manager, {"http": pool_class(lambda host, port: open_channel())})


def over_host(manager: urllib3.PoolManager, open_to: OpenTcp) -> urllib3.PoolManager:
    """Make a manager reach every service through a host, those with TLS too; as ``over`` otherwise."""
    return _over(manager, {"http": pool_class(open_to), "https": tls_pool_class(open_to)})


def _over(manager: urllib3.PoolManager, pools: dict[str, Any]) -> urllib3.PoolManager:
    manager.pool_classes_by_scheme = pools
    manager.connection_pool_kw["retries"] = urllib3.Retry(0, redirect=0)
    return manager


class ChannelAdapter(HTTPAdapter):
    """The same for a requests session (docker)."""

    def __init__(self, open_channel: OpenChannel) -> None:
        self._open_channel = open_channel
        super().__init__(max_retries=0, pool_maxsize=16)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by requests; puts the channels in."""
        super().init_poolmanager(*args, **kwargs)
        over(self.poolmanager, self._open_channel)
