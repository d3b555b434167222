"""Breaking another run's lock: by the owner's name, typed or given, and only that lock."""

from __future__ import annotations

import argparse
import sys
import time

from deiswizard.cluster.lock_key import said_of
from deiswizard.cluster.snapshot import Lock
from deiswizard.commands.saying import talk
from deiswizard.errors import LockedError
from deiswizard.run.lock import RISK, UNTOUCHED, way_out
from deiswizard.session import Session


def token_to_break(session: Session, args: argparse.Namespace) -> str:
    """The lock that ``--break-lock [OWNER]`` means, empty: none.

    Raises:
        LockedError: it is another's than was said, or nobody confirmed.
    """
    if args.break_lock is None or (holder := session.lock_holder()) is None:
        return ""
    if args.break_lock:
        if args.break_lock != holder.owner:
            raise _refusal(holder, f"it is not the lock of {args.break_lock}")
        return holder.token
    if args.yes or not sys.stdin.isatty():
        raise _refusal(holder, "nobody said whose lock to break")
    return ask_to_break(holder)


def ask_to_break(holder: Lock) -> str:
    """The token, when the operator types whose lock it is. Raises LockedError."""
    talk(f"The lock is held by {said_of(holder, time.time())}.\n{RISK}")
    talk(f"Type {holder.owner} to break it: ", end="")
    if input().strip() != holder.owner:
        raise _refusal(holder, "it was not confirmed")
    return holder.token


def _refusal(holder: Lock, why: str) -> LockedError:
    return LockedError(
        f"the lock was not broken: {why}",
        said=f"held by {said_of(holder, time.time())}",
        state=UNTOUCHED,
        do=way_out(holder),
        holder=holder,
    )
