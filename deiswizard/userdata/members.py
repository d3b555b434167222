"""The list of etcd's members, as ``initial-cluster`` has it: ``name=http://address:2380,...``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from deiswizard.errors import AnswersError

PEER_PORT = 2380
ALLOWED = "NAME=http://ADDRESS:2380, or an address"
NAME = re.compile(r"[^\s,=]+")


@dataclass(frozen=True)
class Member:
    """One member. A proxy needs only ``peer_url``; to a member ``name`` must be its ETCD_NAME, on
    CoreOS its machine-id.
    """

    name: str
    peer_url: str


def member_named(words: str) -> Member:
    """A member from ``name=url``, or from an address alone. Raises AnswersError."""
    name, equals, url = words.strip().partition("=")
    if not equals:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            raise _wrong(words) from None
        host = f"[{address}]" if address.version == 6 else str(address)
        return Member(str(address).replace(":", "-"), f"http://{host}:{PEER_PORT}")
    if not NAME.fullmatch(name) or not is_peer_url(url):
        raise _wrong(words)
    return Member(name, url)


def _wrong(words: str) -> AnswersError:
    return AnswersError(f"'{words:.60}' is no member of etcd", do=f"write {ALLOWED}")


def is_peer_url(url: str) -> bool:
    """An address that etcd takes for a member: http or https, a host, a port, nothing after it."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port is not None
            and parts.path in ("", "/")
            and not re.search(r"[\s,]", url)
        )
    except ValueError:
        return False


def initial_cluster(members: Iterable[Member]) -> str:
    """The value of ``initial-cluster``."""
    return ",".join(f"{member.name}={member.peer_url}" for member in members)


def members_in(value: str) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """The members of an ``initial-cluster``, and the entries that are none."""
    members, wrong = [], []
    for entry in value.split(","):
        name, _, url = entry.strip().partition("=")
        if name and is_peer_url(url):
            members.append(Member(name, url))
        elif entry.strip():
            wrong.append(entry.strip())
    return tuple(members), tuple(wrong)
