"""etcd's membership as a state machine: no threads, no files, no network; time is handed in.

Awkward where the real one is (deis-facts 14, lab.md 1): a 500 within seconds of a join, a write
without a majority that is refused and applied later, a leader that is named although it is gone,
the list as it was, 409, 410, 404.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from deiswizard.cluster.quorum import quorum

JOIN_SECONDS = 5.0
"""A member that came or started less long ago: another is refused."""


class MembershipError(Exception):
    """What etcd refuses, by HTTP status. ``is_lost``: there was no majority, and it took its time."""

    def __init__(self, status: int, message: str, *, is_lost: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.is_lost = is_lost


@dataclass(frozen=True)
class Voter:
    """A member of the list. ``name`` and ``client_url`` are empty until it has started once."""

    id: str
    peer_url: str
    name: str = ""
    client_url: str = ""


@dataclass
class Membership:
    """Who may vote, who is alive, who leads. ``alive`` are ids of voters whose etcd runs now.

    ``waiting`` are changes of anything that were refused without a majority: they are applied when
    there is one again. ``joined_at`` is when a member last came or started.
    """

    voters: dict[str, Voter] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    alive: set[str] = field(default_factory=set)
    leader: str = ""
    waiting: list[Callable[[], None]] = field(default_factory=list)
    joined_at: float = float("-inf")
    changes: int = 0
    started: dict[str, Voter] = field(default_factory=dict)

    @property
    def has_quorum(self) -> bool:
        """Enough of those who may vote are alive."""
        alive = len(self.alive & self.voters.keys())
        return bool(self.voters) and alive >= quorum(len(self.voters))

    def listed(self) -> tuple[Voter, ...]:
        """The list in the order of ids, as etcd has it."""
        return tuple(self.voters[name] for name in sorted(self.voters))

    def turn(self) -> None:
        """What happens by itself: a leader is chosen, names are published, what waited is applied."""
        if not self.has_quorum:
            return
        if self.leader not in self.alive or self.leader not in self.voters:
            self.leader = next(name for name in self.voters if name in self.alive)
        for name, voter in list(self.started.items()):
            if name in self.voters and name in self.alive:
                self.voters[name] = voter
                del self.started[name]
        waiting, self.waiting = self.waiting, []
        for change in waiting:
            change()
        if waiting:
            self.turn()

    def begin(self, voters: Iterable[Voter]) -> None:
        """A new cluster of these, all alive."""
        self.voters = {voter.id: voter for voter in voters}
        self.alive = set(self.voters)
        self.turn()

    def add(self, peer_url: str, now: float, join_seconds: float = JOIN_SECONDS) -> Voter:
        """A voter that has not started. Raises MembershipError."""
        if not peer_url.startswith(("http://", "https://")) or ":" not in peer_url[8:]:
            raise MembershipError(400, "URL scheme must be http or https, with a port")
        self._needs_majority(lambda: self._add(peer_url))
        if now - self.joined_at < join_seconds:
            raise MembershipError(500, "Internal Server Error")
        if any(voter.peer_url == peer_url for voter in self.voters.values()):
            raise MembershipError(409, "etcdserver: peerURL exists")
        voter = self._add(peer_url)
        self.joined_at = now
        self.turn()
        return voter

    def _add(self, peer_url: str) -> Voter:
        known = next((v for v in self.voters.values() if v.peer_url == peer_url), None)
        if known is not None:
            return known
        self.changes += 1
        name = hashlib.md5(f"{peer_url} {self.changes}".encode()).hexdigest()[:16]
        self.voters[name] = Voter(name, peer_url)
        return self.voters[name]

    def remove(self, name: str) -> None:
        """One voter less; its etcd ends by itself. Raises MembershipError."""
        if name in self.removed:
            raise MembershipError(410, f"Member permanently removed: {name}")
        if name not in self.voters:
            raise MembershipError(404, f"No such member: {name}")
        self._needs_majority(lambda: self._remove(name))
        self._remove(name)
        self.turn()

    def _remove(self, name: str) -> None:
        self.voters.pop(name, None)
        self.alive.discard(name)
        self.removed.add(name)

    def _needs_majority(self, change: Callable[[], object]) -> None:
        """Without one it is refused, and applied later all the same."""
        if not self.has_quorum:
            self.waiting.append(lambda: _quietly(change))
            raise MembershipError(500, "Internal Server Error", is_lost=True)

    def start(self, name: str, now: float, machine: str = "", client_url: str = "") -> None:
        """A voter's etcd runs. Raises MembershipError 410 for one that was removed."""
        if name not in self.voters:
            raise MembershipError(410, "the member has been permanently removed from the cluster")
        self.alive.add(name)
        if machine:
            self.started[name] = replace(self.voters[name], name=machine, client_url=client_url)
            self.joined_at = now
        self.turn()

    def stop(self, name: str) -> None:
        """A voter's etcd does not run any more."""
        self.alive.discard(name)
        self.turn()

    def joining(self, peer_url: str, cluster: Iterable[str]) -> Voter:
        """The voter that a fresh etcd with that peer URL becomes, told that ``cluster`` are all.

        Raises:
            MembershipError: it exits at once; says why, as its log does.
        """
        named = set(cluster)
        listed = {voter.peer_url: voter for voter in self.voters.values()}
        if len(named) != len(listed):
            raise MembershipError(0, "error validating peerURLs: member count is unequal")
        if named != listed.keys():
            raise MembershipError(0, "error validating peerURLs: unmatched member while checking")
        if peer_url not in listed:
            raise MembershipError(
                0, "couldn't find local name in the initial cluster configuration"
            )
        return listed[peer_url]


def _quietly(change: Callable[[], object]) -> None:
    """What was asked for long ago, and may make no sense any more."""
    try:
        change()
    except MembershipError:
        return
