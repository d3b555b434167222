"""The etcd of a whole pretend cluster: the state machine, the hosts that run it, and its key space."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from deiswizard.demo.etcd_members import JOIN_SECONDS, Membership, MembershipError, Voter

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

TIME_OUT = 7.0
"""Seconds after which a change without a majority is refused, at speed 1."""


class PretendEtcd:
    """Thread-safe. Asked by the hosts' services, the HTTP handlers and etcdctl."""

    def __init__(
        self, cluster: PretendCluster, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self.clock = clock
        self.lock = threading.RLock()
        self.members = Membership()

    def begin(self, hosts: Iterable[PretendHost]) -> None:
        """The first members, and every other host a proxy that discovery made one."""
        first = list(hosts)
        self.members.begin(
            Voter(first_id(host), host.peer_url, host.machine_id, host.client_url) for host in first
        )
        for host in self._cluster.hosts:
            if host in first:
                host.etcd.files_of_member(first_id(host))
            else:
                host.etcd.files_of_proxy([one.peer_url for one in first])
            host.etcd.start()
        self.settle()

    def settle(self) -> None:
        """What the hosts are now: one that is down does not vote, one that was removed ends."""
        with self.lock:
            for host in self._cluster.hosts:
                host.etcd.end_if_removed()
                if host.etcd.mode == "member":
                    here = self.members.alive
                    (here.discard if host.is_down else here.add)(host.etcd.member)
            self.members.turn()

    def start(self, name: str) -> None:
        """A member with data starts. Raises MembershipError."""
        with self.lock:
            self.members.start(name, self.clock())

    def join(self, peer_url: str, cluster: Iterable[str], host: PretendHost) -> str:
        """A fresh one starts; its id. Raises MembershipError."""
        with self.lock:
            voter = self.members.joining(peer_url, cluster)
            self.members.start(voter.id, self.clock(), host.machine_id, host.client_url)
            return voter.id

    def stop(self, name: str) -> None:
        """A member's etcd ends."""
        with self.lock:
            self.members.stop(name)

    def add(self, peer_url: str) -> Voter:
        """Raises MembershipError."""
        with self.lock:
            self.settle()
            return self.members.add(peer_url, self.clock(), JOIN_SECONDS / self._cluster.speed)

    def remove(self, name: str) -> None:
        """Raises MembershipError."""
        with self.lock:
            self.settle()
            self.members.remove(name)
            self.settle()

    def change(self, make: Callable[[], Any]) -> Any:
        """A change of the keys. Raises MembershipError without a majority; it is applied later."""
        with self.lock:
            self.settle()
            if not self.members.has_quorum:
                self.members.waiting.append(lambda: _quietly(make))
                raise MembershipError(500, "Raft Internal Error", is_lost=True)
        return make()

    def answers_for(self, host: PretendHost) -> PretendHost | None:
        """Whose etcd answers on a host's port: its own member, or any other's through its proxy."""
        self.settle()
        if host.etcd.mode == "member":
            return host
        if not self._follows(host):
            return None
        running = [
            one for one in self._cluster.hosts if one.etcd.mode == "member" and not one.is_down
        ]
        return next(iter(running), None)

    def _follows(self, host: PretendHost) -> bool:
        """Whether a proxy knows one of the members of now: then it learns of all, and keeps who they are."""
        listed = [voter.peer_url for voter in self.members.listed()]
        known = host.etcd.known_peers
        if not set(known) & set(listed):
            return False
        if host.etcd.mode and sorted(known) != sorted(listed):
            host.etcd.files_of_proxy(listed)
        return True

    def leader(self) -> Voter | None:
        """As the members remember it."""
        with self.lock:
            return self.members.voters.get(self.members.leader)


def first_id(host: PretendHost) -> str:
    """The id of a first member."""
    return hashlib.md5(f"member {host.number}".encode()).hexdigest()[:16]


def told(voter: Voter) -> dict[str, Any]:
    """A member as ``/v2/members`` has it."""
    return {
        "id": voter.id,
        "name": voter.name,
        "peerURLs": [voter.peer_url],
        "clientURLs": [voter.client_url] if voter.client_url else [],
    }


def peers_of(text: bytes) -> list[str]:
    """The ``peerURLs`` of a POST. Raises MembershipError 400."""
    try:
        found = json.loads(text)["peerURLs"]
        return [str(url) for url in found]
    except (ValueError, KeyError, TypeError):
        raise MembershipError(400, "the body is no member") from None


def _quietly(change: Callable[[], Any]) -> None:
    from deiswizard.demo.etcd_store import StoreError

    try:
        change()
    except StoreError:
        return
