"""What a reading of the lock's key means, and when to write it again. Pure: no clock, no etcd."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from deiswizard.cluster.lock_key import coarse
from deiswizard.cluster.snapshot import Lock

TTL = 60
"""Seconds after which etcd lets go of a lock that nobody renews."""

RENEWALS = 4
"""Renewals in one TTL: three may go wrong."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Our lock as we know it.

    ``index`` is the modifiedIndex of our last write that is known; ``is_sure``: no later write of
    ours may have been applied. ``until``, by the clock that counts while the machine sleeps: only
    from then on may etcd have let it expire. ``doing`` is what was written, at ``written_at``.
    """

    token: str
    index: int
    until: float
    written_at: float
    doing: str
    is_sure: bool = True


class Finding(Enum):
    """What a reading of the key means for the one who held the lock."""

    OURS = auto()
    TAKEN = auto()
    REMOVED = auto()
    RAN_OUT = auto()


def judge(hold: Hold, asked_at: float, found: Lock | None) -> Finding:
    """The meaning of ``found``, which was asked for at ``asked_at``."""
    if found is not None:
        return Finding.OURS if found.token == hold.token else Finding.TAKEN
    return Finding.REMOVED if asked_at < hold.until else Finding.RAN_OUT


def is_due(hold: Hold, now: float, doing: str, ttl: float = TTL) -> bool:
    """Whether to write now: a quarter of the TTL is over, or there is something new to say."""
    return doing != hold.doing or now - hold.written_at >= ttl / RENEWALS


def written(token: str, index: int, sent_at: float, doing: str, ttl: float = TTL) -> Hold:
    """After a write that etcd confirmed. The TTL counts from before it was sent, to be safe."""
    return Hold(token, index, sent_at + ttl, sent_at, doing)


def doubted(hold: Hold) -> Hold:
    """After a write without an answer: it may have been applied, now or later."""
    return replace(hold, is_sure=False)


def adopted(hold: Hold, index: int) -> Hold:
    """After our own value was read: that is the index to compare with, and it is to be renewed."""
    return replace(hold, index=index, is_sure=True, written_at=float("-inf"))


def why_lost(finding: Finding, by: Lock | None, ttl: float = TTL) -> str:
    """Why the lock is lost. ``by`` holds it now or held it since, None: not known."""
    who = f"{by.owner}{f' (run {by.run})' if by.run else ''}" if by is not None else "somebody"
    match finding:
        case Finding.TAKEN:
            return f"the lock was taken by {who}"
        case Finding.REMOVED:
            return f"the lock was broken by {who}"
        case _:
            out = f"the lock could not be renewed for {coarse(ttl)}"
            return out + (f", and {who} has held it since" if by is not None else "")
