"""How many voters etcd needs, and what of that is told in words. Pure arithmetic."""

from __future__ import annotations

FEWEST, MOST = 3, 9
"""Members that a Deis cluster should have: below, one loss is the end; above, writes get slow."""


def quorum(voters: int) -> int:
    """How many of ``voters`` must agree."""
    return voters // 2 + 1


def can_lose(voters: int, healthy: int) -> int:
    """How many healthy ones may still be lost; below 0: there is no quorum."""
    return healthy - quorum(voters)


def in_words(voters: int, healthy: int) -> str:
    """``4 voters, 4 healthy, quorum 3: can lose 1``."""
    spare = can_lose(voters, healthy)
    end = f"can lose {spare}" if spare >= 0 else "quorum is lost"
    return f"{voters} voters, {healthy} healthy, quorum {quorum(voters)}: {end}"


def tolerance(size: int) -> str:
    """What a healthy set of that size means: ``3 members: quorum 2, can lose 1``."""
    noun = "member" if size == 1 else "members"
    return f"{size} {noun}: quorum {quorum(size)}, can lose {can_lose(size, size)}"
