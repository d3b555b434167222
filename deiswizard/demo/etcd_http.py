"""etcd's v2 API over HTTP, as each host of the pretend cluster answers it."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any

from deiswizard.demo.etcd_answers import answer
from deiswizard.demo.http_base import Handler

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost


class EtcdHandler(Handler):
    """Answers as ``host``'s own etcd over the store that all share."""

    def __init__(self, cluster: PretendCluster, host: PretendHost, *args: Any) -> None:
        self._cluster = cluster
        self._host = host
        super().__init__(*args)

    def respond(self) -> None:
        """One request; none is answered once etcd has ended on the host."""
        text = self.body()
        if not self._host.etcd.mode:
            self.close_connection = True
            raise ConnectionError("nothing listens any more")
        said = answer(self._host, self.command, self.path, text, self._client_left)
        if said.body is not None:
            self.send(said.status, said.body, dict(said.headers))

    def _client_left(self) -> bool:
        """The asker of a watch has gone, or the pretend cluster ends."""
        if self._cluster.is_closed or not self._host.etcd.mode:
            return True
        if isinstance(self.connection, socket.socket):
            ready, _, _ = select.select([self.connection], [], [], 0)
            return bool(ready) and self.connection.recv(1, socket.MSG_PEEK) == b""
        return bool(getattr(self.connection, "closed", False) or self.connection.eof_received)
