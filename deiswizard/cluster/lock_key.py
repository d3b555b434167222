"""The cluster's lock as it stands in etcd: one key that says who runs something now.

The key lives in a folder of its own, so that neither Deis nor a look at ``/deis`` meets it.
"""

from __future__ import annotations

import json

from pydantic import ValidationError

from deiswizard.cluster.access import EtcdAccess
from deiswizard.cluster.snapshot import KeyFact, Lock

KEY = "/deiswizard/lock"
LAST_KEY = "/deiswizard/last-lock"
"""Who held the lock last, without an end: shows whether somebody had it in between."""

WRITTEN = ("owner", "run", "since", "doing", "wizard", "token")


def value_of(lock: Lock) -> str:
    """The value of the key: one JSON object."""
    return lock.model_dump_json(include=set(WRITTEN))


def parse_lock(fact: KeyFact | None) -> Lock | None:
    """Who holds the lock; None: nobody.

    What no wizard wrote is a lock too, of an unknown owner: somebody wanted it held. Fields that a
    newer wizard adds are left out.
    """
    if fact is None:
        return None
    try:
        found = json.loads(fact.text)
        known = {name: found[name] for name in WRITTEN if name in found}
        return Lock.model_validate({**known, "expires": fact.ttl})
    except (ValueError, TypeError, ValidationError):
        return Lock(
            owner="unknown",
            run="",
            since=None,
            doing="a value that no wizard wrote",
            token=f"index-{fact.index}",
            expires=fact.ttl,
        )


def read_lock(etcd: EtcdAccess, key: str = KEY, *, quorum: bool = False) -> Lock | None:
    """Who holds the lock; with ``quorum`` never as one member remembers it. Raises ServiceError."""
    return parse_lock(etcd.get(key, quorum=quorum))


def coarse(seconds: float) -> str:
    """``12 s``, ``3 min``, ``5 h``: coarser as it grows."""
    if seconds < 60:
        return f"{int(max(0, seconds))} s"
    if seconds < 7200:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h"


def age_of(lock: Lock, now: float) -> str:
    """How long it has been held, by the clock of its owner; empty when that is not known."""
    return "" if lock.since is None else coarse(now - lock.since)


def said_of(lock: Lock, now: float) -> str:
    """``ann@laptop, for 3 min (run 20261122-223104): Registration mode: Set``."""
    age = age_of(lock, now)
    out = lock.owner + (f", for {age}" if age else "")
    out += f" (run {lock.run})" if lock.run else ""
    return out + (f": {lock.doing}" if lock.doing else "")


def ends_of(lock: Lock) -> str:
    """What becomes of a lock whose wizard has gone."""
    if lock.expires is None:
        return "it does not end by itself"
    return f"if that wizard is gone, it ends by itself within {lock.expires} s"
