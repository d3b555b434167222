"""What a pretend host's etcd answers to a request: as a member, or as a proxy in another's name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from deiswizard.demo.etcd_cluster import TIME_OUT, peers_of, told
from deiswizard.demo.etcd_members import MembershipError
from deiswizard.demo.etcd_store import StoreError

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
NOT_FOUND = b"404 page not found\n"
LATENCY = {"current": 0.9, "average": 1.1, "standardDeviation": 0.4, "minimum": 0.3, "maximum": 9.9}


@dataclass(frozen=True)
class Said:
    """Status, body (bytes as they are, anything else as JSON; None: the asker has left), headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(
    host: PretendHost,
    method: str,
    target: str,
    text: bytes,
    has_left: Callable[[], bool] = lambda: False,
) -> Said:
    """One request to port 2379 or 4001 of a host on which etcd runs."""
    url = urlsplit(target)
    cluster, mode = host.cluster, host.etcd.mode
    behind = cluster.etcd.answers_for(host)
    if url.path == "/v2/config/local/proxy":
        voters = cluster.etcd.members.listed()
        endpoints = [voter.client_url for voter in voters if voter.client_url and behind]
        return Said(404, NOT_FOUND) if mode == "member" else Said(200, {"endpoints": endpoints})
    if behind is None:
        return Said(503, b"proxy: zero endpoints currently available\n")
    if mode == "readonly" and method not in ("GET", "HEAD"):
        return Said(501, b"")
    try:
        if url.path.startswith("/v2/keys"):
            path = unquote(url.path.removeprefix("/v2/keys")) or "/"
            return _keys(cluster, method, path, parse_qs(url.query), text, has_left)
        if url.path.startswith("/v2/members"):
            name = url.path.removeprefix("/v2/members").strip("/")
            return _members(cluster, method, name, text)
    except MembershipError as error:
        if error.is_lost:
            time.sleep(TIME_OUT / cluster.speed)
        return Said(error.status, {"message": error.message})
    return _rest(cluster, url.path, behind)


def _rest(cluster: PretendCluster, path: str, behind: PretendHost) -> Said:
    members, leader = cluster.etcd.members, cluster.etcd.leader()
    leads = leader is not None and behind.etcd.member == leader.id
    match path:
        case "/version":
            return Said(200, {"etcdserver": VERSION, "etcdcluster": "2.3.0"})
        case "/health" if members.has_quorum and not behind.etcd.has_blinked():
            return Said(200, {"health": "true"})
        case "/health":
            return Said(503, {"health": "false"})
        case "/v2/machines":
            urls = [voter.client_url for voter in members.listed() if voter.client_url]
            return Said(200, ", ".join(urls).encode())
        case "/v2/stats/leader" if leader is not None and leads:
            counts = {"latency": LATENCY, "counts": {"fail": 0, "success": 48000}}
            others = [voter.id for voter in members.listed() if voter.id != leader.id]
            return Said(200, {"leader": leader.id, "followers": dict.fromkeys(others, counts)})
        case "/v2/stats/leader":
            return Said(403, {"message": "not current leader"})
        case "/v2/stats/self":
            known = {"leader": leader.id if leader else "", "uptime": "1h2m3s"}
            return Said(
                200,
                {
                    "name": behind.machine_id,
                    "id": behind.etcd.member,
                    "state": "StateLeader" if leads else "StateFollower",
                    "leaderInfo": known,
                    "recvAppendRequestCnt": 0,
                    "sendAppendRequestCnt": 0,
                },
            )
        case "/v2/stats/store":
            return Said(200, {"getsSuccess": 1, "watchers": 0})
    return Said(404, NOT_FOUND)


def _members(cluster: PretendCluster, method: str, name: str, text: bytes) -> Said:
    etcd = cluster.etcd
    match method, name:
        case "GET", "":
            return Said(200, {"members": [told(voter) for voter in etcd.members.listed()]})
        case "GET", "leader":
            leader = etcd.leader()
            return Said(200, told(leader)) if leader else Said(503, {"message": "During election"})
        case "POST", "":
            return Said(201, told(etcd.add((peers_of(text) or [""])[0])))
        case "DELETE", _:
            etcd.remove(name)
            return Said(204, b"")
    return Said(405, b"Method Not Allowed\n")


def _keys(
    cluster: PretendCluster,
    method: str,
    path: str,
    query: dict[str, list[str]],
    text: bytes,
    has_left: Callable[[], bool],
) -> Said:
    sent = parse_qs(text.decode("utf-8", "replace"), keep_blank_values=True)
    options = {name: values[-1] for name, values in {**sent, **query}.items()}
    store = cluster.store
    needs_majority = method not in ("GET", "HEAD") or options.get("quorum") == "true"

    def change() -> tuple[int, Any]:
        return _change(cluster, method, path, options, has_left)

    try:
        status, body = cluster.etcd.change(change) if needs_majority else change()
    except StoreError as error:
        status, body = STATUSES[error.code], error.body
    except MembershipError:
        time.sleep(TIME_OUT / cluster.speed)
        cause = "etcdserver: request timed out"
        lost = {"errorCode": 300, "message": "Raft Internal Error", "cause": cause, "index": 0}
        return Said(500, lost)
    headers = {
        "X-Etcd-Cluster-Id": "7e27652122e8b2ae",
        "X-Etcd-Index": str(store.index),
        "X-Raft-Index": str(store.index + 1000),
        "X-Raft-Term": "2",
    }
    return Said(status, body, headers)


def _change(
    cluster: PretendCluster,
    method: str,
    path: str,
    options: dict[str, str],
    has_left: Callable[[], bool],
) -> tuple[int, dict[str, Any] | None]:
    store = cluster.store
    is_on = {name for name in options if options[name] == "true"}
    compare: dict[str, Any] = {"prev_value": options.get("prevValue")}
    if options.get("prevIndex", "").isdecimal():
        compare["prev_index"] = int(options["prevIndex"])
    match method:
        case "GET" if "wait" in is_on:
            after = int(options["waitIndex"]) if "waitIndex" in options else None
            return 200, store.wait(
                path, after=after, recursive="recursive" in is_on, is_gone=has_left
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
