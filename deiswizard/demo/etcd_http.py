"""etcd's v2 API over HTTP, as each member of the pretend cluster answers it."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from deiswizard.demo.etcd_store import StoreError
from deiswizard.demo.http_base import Handler

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

VERSION = "2.3.8"
STATUSES = {
    100: 404,
    101: 412,
    102: 403,
    104: 400,
    105: 412,
    107: 403,
    108: 403,
    203: 400,
    401: 400,
}


class EtcdHandler(Handler):
    """Answers as ``host``'s own etcd over the store that all share."""

    def __init__(self, cluster: PretendCluster, host: PretendHost, *args: Any) -> None:
        self._cluster = cluster
        self._host = host
        super().__init__(*args)

    def respond(self) -> None:
        """One request."""
        url = urlsplit(self.path)
        if url.path.startswith("/v2/keys"):
            self._keys(unquote(url.path.removeprefix("/v2/keys")) or "/", parse_qs(url.query))
            return
        self.body()
        members = self._cluster.members
        leader = members[0]
        match url.path:
            case "/version":
                self.send(200, {"etcdserver": VERSION, "etcdcluster": "2.3.0"})
            case "/health":
                ok = self._host.name not in self._cluster.scenario.unhealthy_members
                self.send(200 if ok else 503, {"health": "true" if ok else "false"})
            case "/v2/machines":
                self.send(200, ", ".join(f"http://{m.address}:2379" for m in members).encode())
            case "/v2/members":
                self.send(200, {"members": [self._member(host) for host in members]})
            case "/v2/members/leader":
                self.send(200, self._member(leader))
            case "/v2/stats/leader" if self._host is leader:
                followers = {
                    host.member_id: {
                        "latency": {
                            "current": 0.9,
                            "average": 1.1,
                            "standardDeviation": 0.4,
                            "minimum": 0.3,
                            "maximum": 9.9,
                        },
                        "counts": {"fail": 0, "success": 48000},
                    }
                    for host in members[1:]
                }
                self.send(200, {"leader": leader.member_id, "followers": followers})
            case "/v2/stats/leader":
                self.send(403, {"message": "not current leader"})
            case "/v2/stats/self":
                state = "StateLeader" if self._host is leader else "StateFollower"
                self.send(
                    200,
                    {
                        "name": self._host.machine_id,
                        "id": self._host.member_id,
                        "state": state,
                        "leaderInfo": {"leader": leader.member_id, "uptime": "1h2m3s"},
                        "recvAppendRequestCnt": 0,
                        "sendAppendRequestCnt": 0,
                    },
                )
            case "/v2/stats/store":
                self.send(200, {"getsSuccess": 1, "watchers": 0})
            case _:
                self.send(404, b"404 page not found\n")

    @staticmethod
    def _member(host: PretendHost) -> dict[str, Any]:
        return {
            "id": host.member_id,
            "name": host.machine_id,
            "peerURLs": [f"http://{host.address}:2380"],
            "clientURLs": [f"http://{host.address}:2379"],
        }

    def _keys(self, path: str, query: dict[str, list[str]]) -> None:
        sent = parse_qs(self.body().decode("utf-8", "replace"), keep_blank_values=True)
        options = {name: values[-1] for name, values in {**sent, **query}.items()}
        store = self._cluster.store
        headers = {"X-Etcd-Cluster-Id": "7e27652122e8b2ae"}
        try:
            status, body = self._change(path, options)
        except StoreError as error:
            status, body = STATUSES[error.code], error.body
        if body is not None:
            headers |= {
                "X-Etcd-Index": str(store.index),
                "X-Raft-Index": str(store.index + 1000),
                "X-Raft-Term": "2",
            }
            self.send(status, body, headers)

    def _change(self, path: str, options: dict[str, str]) -> tuple[int, dict[str, Any] | None]:
        store = self._cluster.store
        is_on = {name for name in options if options[name] == "true"}
        compare: dict[str, Any] = {"prev_value": options.get("prevValue")}
        if options.get("prevIndex", "").isdecimal():
            compare["prev_index"] = int(options["prevIndex"])
        match self.command:
            case "GET" if "wait" in is_on:
                after = int(options["waitIndex"]) if "waitIndex" in options else None
                return 200, store.wait(
                    path, after=after, recursive="recursive" in is_on, is_gone=self._client_left
                )
            case "PUT":
                exist = {"true": True, "false": False}.get(options.get("prevExist", ""))
                ttl = options.get("ttl", "")
                if ttl and not ttl.isdecimal():
                    raise StoreError(203, 'invalid value for "ttl"', store.index)
                body, is_new = store.put(
                    path,
                    options.get("value", ""),
                    ttl=int(ttl) if ttl else None,
                    is_dir="dir" in is_on,
                    prev_exist=exist,
                    **compare,
                )
                return (201 if is_new else 200), body
            case "POST":
                body, _ = store.put(f"{path}/{store.index + 1:020d}", options.get("value", ""))
                return 201, body
            case "DELETE":
                return 200, store.delete(
                    path, recursive="recursive" in is_on, is_dir="dir" in is_on, **compare
                )
            case _:
                return 200, store.get(path, recursive="recursive" in is_on)

    def _client_left(self) -> bool:
        """The asker of a watch has gone, or the pretend cluster ends."""
        if self._cluster.is_closed:
            return True
        if isinstance(self.connection, socket.socket):
            ready, _, _ = select.select([self.connection], [], [], 0)
            return bool(ready) and self.connection.recv(1, socket.MSG_PEEK) == b""
        return bool(getattr(self.connection, "closed", False) or self.connection.eof_received)
