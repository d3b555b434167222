"""The cluster's lock in words that fit: for the title bar and for its dialog. Pure functions."""

from __future__ import annotations

from deiswizard.cluster.lock_key import age_of, ends_of
from deiswizard.cluster.snapshot import Lock
from deiswizard.screens.text import clean, hanging

FREE = ("lock: free",)
UNKNOWN = ("lock: not known",)
OWN = ("lock: this run",)
LONGEST_OWNER = 40


def held(lock: Lock, now: float) -> tuple[str, ...]:
    """Who holds it and for how long; the shorter ways of saying it after the longer."""
    owner, age = clean(lock.owner)[:LONGEST_OWNER], age_of(lock, now)
    user = owner.partition("@")[0]
    return (f"lock: {owner} {age}".rstrip(), f"lock: {user} {age}".rstrip(), "lock: held")


def title(demo: str, look: str, lock: tuple[str, ...], room: int) -> str:
    """As much as fits of: demo, age of the look, lock. A held lock outlives the age."""
    short = look.removeprefix("looked ").partition(" (")[0]
    lines = [(demo, age, words) for words in lock for age in (look, short)]
    if len(lock) > 1:
        lines += [(demo, "", words) for words in lock]
    texts = ["   ".join(part for part in line if part) for line in (*lines, (demo, look, ""))]
    return next((text for text in texts if len(text) <= room), texts[-1])


def rows(lock: Lock, now: float, width: int) -> str:
    """Who, what, since when, and what becomes of it if its wizard is gone."""
    told = (
        ("Who", lock.owner),
        ("Doing", lock.doing),
        ("For", age_of(lock, now)),
        ("Run", lock.run),
        ("Ends", ends_of(lock)),
    )
    return "\n".join(
        line for label, text in told if text for line in hanging(label, text[:200], 7, width)
    )


def confirmation(lock: Lock) -> str:
    """What is to be typed to break it: the owner, where a keyboard can type that."""
    owner = lock.owner
    can_be_typed = owner.isascii() and owner.isprintable() and owner == owner.strip() and owner
    return owner if can_be_typed and len(owner) <= LONGEST_OWNER else "break"
