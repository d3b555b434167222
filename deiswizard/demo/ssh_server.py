"""SSH as a pretend host speaks it: commands, and channels to its own and its neighbours' services."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

from deiswizard.cluster.joining import join

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

READS_STDIN = re.compile(
    r"cat [>|]|tee|^\s*(sh|bash)\s*$|etcdctl (set|mk) (--\S+ \S+ )?\S+$|docker exec -i|tar -xf -"
)
"""Commands that wait for their standard input; others begin without it."""

STREAMLOCAL = "direct-streamlocal@openssh.com"
SSH_PORT = 22
LOOPBACK, DOCKER_BRIDGE = ("127.0.0.1", "localhost"), "172.17.0.1"


class _Server(paramiko.ServerInterface):
    """Decides what a client may do."""

    def __init__(self, host: PretendHost, cluster: PretendCluster) -> None:
        self._host = host
        self._cluster = cluster
        self.commands: dict[int, str] = {}
        self.destinations: dict[int, tuple[str, int]] = {}
        self.outside: dict[int, socket.socket] = {}
        self.paths: dict[int, str] = {}
        self.unix_path = ""

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        ok = username == "core" and key.asbytes() == self._cluster.client_key.asbytes()
        return paramiko.AUTH_SUCCESSFUL if ok else paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == "session":
            return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]
        if kind == STREAMLOCAL and self._host.handler_for_socket(self.unix_path):
            self.paths[chanid] = self.unix_path
            return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]
        return paramiko.OPEN_FAILED_CONNECT_FAILED  # type: ignore[attr-defined,no-any-return]

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        if self._cluster.listens(self._host, *destination):
            self.destinations[chanid] = destination
            return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]
        if (connection := self._cluster.dial_outside(*destination)) is not None:
            self.outside[chanid] = connection
            return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]
        return paramiko.OPEN_FAILED_CONNECT_FAILED  # type: ignore[attr-defined,no-any-return]

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands[channel.get_id()] = command.decode("utf-8", "replace")
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        self.commands[channel.get_id()] = "echo a pretend host has no interactive shell; exit 1"
        return True

    def check_channel_pty_request(self, *args: Any) -> bool:
        return True

    def check_channel_env_request(self, *args: Any) -> bool:
        return True


class ServerTransport(paramiko.Transport):
    """The far side of one connection.

    A command starts only after its request was answered: a fast one would otherwise close the
    channel before the client hears that it was started.
    """

    def __init__(self, sock: Any, host: PretendHost, cluster: PretendCluster) -> None:
        super().__init__(sock)
        self.local_version = "SSH-2.0-OpenSSH_7.2"
        self._host = host
        self._cluster = cluster
        self._interface = _Server(host, cluster)
        self.add_server_key(host.cluster.host_keys[host.name])
        self._channel_handler_table = {
            **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
            MSG_CHANNEL_REQUEST: self._request_then_start,
        }

    def run(self) -> None:
        """The thread; a connection within a connection that was cut ends without a traceback."""
        with contextlib.suppress(EOFError, OSError):
            super().run()

    def serve(self) -> None:
        """Start speaking; a thread of its own takes the channels."""
        self.start_server(server=self._interface, event=threading.Event())
        threading.Thread(
            target=self._accept, name=f"pretend-{self._host.name}", daemon=True
        ).start()

    def _parse_channel_open(self, message: paramiko.Message) -> None:
        copy = paramiko.Message(message.asbytes())
        if copy.get_text() == STREAMLOCAL:
            for _ in range(3):
                copy.get_int()
            self._interface.unix_path = copy.get_text()
        super()._parse_channel_open(message)  # type: ignore[misc]

    def _request_then_start(self, channel: Any, message: paramiko.Message) -> None:
        channel._handle_request(message)
        command = self._interface.commands.pop(channel.get_id(), None)
        if command is not None:
            threading.Thread(
                target=self._execute, args=(channel, command), name="pretend-exec", daemon=True
            ).start()

    def _accept(self) -> None:
        """Connect each new channel with what it asked for.

        All are held until they are closed: paramiko closes a channel that nobody refers to, such
        as one whose command has not been named yet.
        """
        held: list[paramiko.Channel] = []
        while self.is_active() or not self.is_authenticated():
            channel = self.accept(1.0)
            if self._cluster.is_closed or (channel is None and not self.is_alive()):
                break
            if channel is None:
                continue
            number = channel.get_id()
            held = [channel, *(one for one in held if not one.closed)]
            if path := self._interface.paths.pop(number, ""):
                self._host.serve_socket(path, channel)
            elif connection := self._interface.outside.pop(number, None):
                join(channel, connection)
            elif destination := self._interface.destinations.pop(number, None):
                self._connect(channel, *destination)
        with contextlib.suppress(Exception):
            self.close()

    def _connect(self, channel: paramiko.Channel, address: str, port: int) -> None:
        host = self._cluster.host_at(self._host, address)
        assert host is not None
        if port == SSH_PORT:
            ServerTransport(channel, host, self._cluster).serve()
        else:
            host.serve_port(port, channel, self._seen_as(address))

    def _seen_as(self, address: str) -> str:
        """Whom a published port sees: docker's own bridge for what comes from the host itself."""
        return DOCKER_BRIDGE if address in LOOPBACK else self._host.address

    def _execute(self, channel: paramiko.Channel, command: str) -> None:
        gone = threading.Event()

        def write(send: Any, text: str) -> None:
            try:
                send(text.encode("utf-8", "surrogateescape"))
            except (OSError, EOFError):
                gone.set()

        stdin = b""
        with contextlib.suppress(Exception):
            if READS_STDIN.search(command):
                stdin = channel.makefile("rb").read()
        status = self._host.execute(
            command,
            lambda text: write(channel.sendall, text),
            lambda text: write(channel.sendall_stderr, text),
            stdin,
            gone,
        )
        with contextlib.suppress(Exception):
            channel.send_exit_status(status)
            channel.shutdown_write()
            channel.close()
