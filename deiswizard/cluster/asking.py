"""What connecting asks and tells, for those who connect: shapes only, nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import SecretStr

from deiswizard.cluster.known_hosts import UnknownKey


class Asker(Protocol):
    """The only way in which the engine asks the operator. Blocks; called from engine threads."""

    def accept_host_keys(self, keys: Sequence[UnknownKey]) -> bool:
        """Whether all these unknown host keys are accepted."""
        ...

    def passphrase(self, identity: Path) -> SecretStr | None:
        """The passphrase of a private key, None to leave the key out."""
        ...


@dataclass(frozen=True)
class ConnectProgress:
    """How far one host has come. ``said`` is the reason when it failed."""

    host: str
    state: Literal["waiting", "connecting", "connected", "failed"]
    said: str = ""
