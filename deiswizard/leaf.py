"""What a certificate is about, as data: its names, its dates, what tells it and its key from others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Leaf:
    """What matters of a certificate. Times in seconds since the epoch; ``sha256`` hex of its DER."""

    subject: str
    names: tuple[str, ...]
    begins: float
    ends: float
    sha256: str
    key_sha256: str
    is_self_signed: bool


def covers(names: Iterable[str], wanted: str) -> bool:
    """Whether a certificate with these names is valid for ``wanted`` (a name, or ``*.domain``)."""
    parent = wanted.partition(".")[2]
    return any(name == wanted or name == f"*.{parent}" for name in names)
