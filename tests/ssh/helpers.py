"""What the SSH tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.host import HostLink
from deiswizard.cluster.known_hosts import KnownHosts, UnknownKey
from deiswizard.inventory import Target


class NobodyAsks:
    """An operator who must not be asked."""

    def accept_host_keys(self, keys: Sequence[UnknownKey]) -> bool:
        raise AssertionError("asked for host keys")

    def passphrase(self, identity: Path) -> SecretStr | None:
        raise AssertionError("asked for a passphrase")


class Answers(NobodyAsks):
    """An operator who types these passphrases, one after the other."""

    def __init__(self, *words: str | None) -> None:
        self.words = list(words)
        self.asked: list[Path] = []

    def passphrase(self, identity: Path) -> SecretStr | None:
        self.asked.append(identity)
        word = self.words.pop(0)
        return None if word is None else SecretStr(word)


def open_link(
    target: Target, through: HostLink | None = None, credentials: Credentials | None = None
) -> HostLink:
    link = HostLink(
        target,
        keys=KnownHosts(target.known_hosts),
        credentials=credentials or Credentials(NobodyAsks()),
        through=through,
    )
    return link.open()


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path], check=True)
    return path
