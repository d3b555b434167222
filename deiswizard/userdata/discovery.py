"""etcd's discovery URL: what is wrong with it, and what the service behind it tells.

The URL is a secret of a kind: whoever knows it can join. No sentence here holds more than its host.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, urlsplit

PLACEHOLDER = "#DISCOVERY_URL"
"""The comment that Deis's sample user-data has in the URL's place."""

ALLOWED = "one URL, http://... or https://..., made for this cluster"


@dataclass(frozen=True)
class Discovered:
    """What the discovery service tells of a URL. ``size``: how many hosts become members, the next
    ones proxies; None: not told. ``registered``: how many have come already.
    """

    size: int | None = None
    registered: int = 0
    is_known: bool = True


@dataclass(frozen=True)
class UrlProblem:
    """What is wrong with a URL, one sentence without an end."""

    what: str
    allowed: str = field(default=ALLOWED)
    blocks: bool = True


def token_of(url: str) -> str:
    """The part that lets anyone join; empty where there is none."""
    try:
        return urlsplit(url).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        return ""


def url_problems(url: str, members: int | None = None) -> tuple[UrlProblem, ...]:
    """What a discovery URL itself tells. ``members``: how many the cluster is to have."""
    if len(url.replace(",", " ").split()) > 1:
        return (UrlProblem("there is more than one discovery URL"),)
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname)
    except ValueError:
        return (UrlProblem("the discovery URL is no web address"),)
    if parts.scheme not in ("http", "https") or not has_host:
        return (UrlProblem("the discovery URL is no web address"),)
    found = []
    size = _size_in_query(parts)
    if members is not None and size is not None and size != members:
        found.append(_wrong_size(size, members))
    if token_of(url) == "new":
        found.append(
            UrlProblem(
                f"this address of {parts.hostname} makes discovery URLs, it is none itself",
                "the URL that it answers",
            )
        )
    elif not token_of(url):
        found.append(UrlProblem(f"the discovery URL names {parts.hostname} but no cluster there"))
    return tuple(found)


def _size_in_query(parts: SplitResult) -> int | None:
    said = parse_qs(parts.query).get("size", [""])[-1]
    return int(said) if said.isascii() and said.isdigit() else None


def _wrong_size(size: int, members: int) -> UrlProblem:
    more = f"the hosts after the first {size} become proxies" if size < members else ""
    less = f"etcd waits for {size} hosts before it starts" if size > members else ""
    return UrlProblem(
        f"the discovery URL is for {size} members, the cluster is to have {members}: {more}{less}",
        f"a URL made with size={members}",
    )


def questions(url: str) -> tuple[str, str]:
    """The addresses to ask for the size and for who has come (etcd 2, discovery protocol)."""
    plain = url.rstrip("/")
    return f"{plain}/_config/size", plain


def answered(size: str, registered: str) -> Discovered:
    """What the service's two answers (bodies, JSON of etcd's v2 API) say; nonsense says nothing."""
    node = _node(size)
    said = str(node.get("value", ""))
    nodes = _node(registered).get("nodes", ())
    return Discovered(
        size=int(said) if said.isascii() and said.isdigit() else None,
        registered=len(nodes) if isinstance(nodes, list) else 0,
    )


def _node(body: str) -> dict[str, object]:
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    node = data.get("node") if isinstance(data, dict) else None
    return node if isinstance(node, dict) else {}


def service_problems(discovered: Discovered, members: int | None = None) -> tuple[UrlProblem, ...]:
    """What the discovery service tells, against how many members the cluster is to have."""
    if not discovered.is_known:
        return (
            UrlProblem("the service does not know the discovery URL: it has expired, or is wrong"),
        )
    found = []
    if discovered.size is not None and members is not None and discovered.size != members:
        found.append(_wrong_size(discovered.size, members))
    if discovered.registered:
        found.append(
            UrlProblem(
                f"the discovery URL has been used: {discovered.registered} hosts have joined by it",
                "for a new cluster a URL that was never used; for a host that joins this one, "
                "the list of its members (initial-cluster)",
                blocks=False,
            )
        )
    return tuple(found)
