"""What etcd2 and Deis need of ``coreos.etcd2``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from yaml.nodes import MappingNode, Node

from deiswizard.userdata.discovery import (
    ALLOWED,
    PLACEHOLDER,
    Discovered,
    service_problems,
    url_problems,
)
from deiswizard.userdata.members import members_in
from deiswizard.userdata.nodes import Document, entry, find, line_of, text_at
from deiswizard.userdata.problems import LineProblem

ETCD2 = ("coreos", "etcd2")
STILL_THERE = re.compile(rf"^\s*[\w-]*discovery\s*:.*{PLACEHOLDER}")
CLIENT_PORTS = (2379, 4001)
"""The port of etcd 2, and the older one that Deis's units ask on every host."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def etcd_problems(
    document: Document, members: int | None = None, discovered: Discovered | None = None
) -> tuple[LineProblem, ...]:
    """``members``: how many the cluster is to have; ``discovered``: what the service told of the URL."""
    root = document.root
    return (
        *_proxy(root),
        *_bootstrap(document, members, discovered),
        *_initial_cluster(root, members),
        *_client_urls(root),
    )


def _line(root: MappingNode, key: str) -> int:
    """The line of a key of etcd2, else of its section, else 0."""
    found: Node | None = root
    line = 0
    for part in (*ETCD2, key):
        one = entry(found, part) if found is not None else None
        if one is None:
            break
        line, found = line_of(one[1]), one[2]
    return line


def _proxy(root: MappingNode) -> Iterator[LineProblem]:
    if text_at(root, (*ETCD2, "proxy")) == "readonly":
        what = "a readonly proxy refuses every write (HTTP 501), and Deis writes on every host"
        yield LineProblem(_line(root, "proxy"), what, '"on"')


def _bootstrap(
    document: Document, members: int | None, discovered: Discovered | None
) -> Iterator[LineProblem]:
    root = document.root
    url = text_at(root, (*ETCD2, "discovery"))
    waiting = next(
        (n for n, row in enumerate(document.text.split("\n"), 1) if STILL_THERE.search(row)), 0
    )
    if waiting:
        what = f"{PLACEHOLDER} is still there: no discovery URL was put in its place"
        yield LineProblem(waiting, what, ALLOWED)
    ways = [
        key
        for key in ("discovery", "initial-cluster", "discovery-srv")
        if text_at(root, (*ETCD2, key))
    ]
    if len(ways) > 1:
        what = f"{' and '.join(ways)} are both set: etcd2 refuses to start"
        yield LineProblem(_line(root, ways[1]), what, "one of them; the other empty")
    if not ways and not waiting:
        what = "there is no discovery URL, so every host would be a cluster of its own"
        allowed = f"discovery: {ALLOWED}; or initial-cluster: the members"
        yield LineProblem(_line(root, "discovery"), what, allowed)
    if url:
        found = list(url_problems(url, members))
        if discovered is not None:
            found += service_problems(discovered, members)
        for problem in found:
            line = _line(root, "discovery")
            yield LineProblem(line, problem.what, problem.allowed, problem.blocks)


def _initial_cluster(root: MappingNode, members: int | None) -> Iterator[LineProblem]:
    value = text_at(root, (*ETCD2, "initial_cluster"))
    listed, wrong = members_in(value)
    line = _line(root, "initial_cluster")
    for word in wrong:
        what = f"initial-cluster has '{word:.60}', which is no member"
        yield LineProblem(line, what, "NAME=http://ADDRESS:2380")
    if value and members is not None and len(listed) != members:
        what = f"initial-cluster has {len(listed)} members, the cluster is to have {members}"
        yield LineProblem(line, what, f"{members} entries")
    if len({member.peer_url for member in listed}) < len(listed):
        yield LineProblem(line, "initial-cluster has an address twice", "each member once")


def _client_urls(root: MappingNode) -> Iterator[LineProblem]:
    if find(root, ETCD2) is None:
        return
    line = _line(root, "listen_client_urls")
    urls = [url.strip() for url in text_at(root, (*ETCD2, "listen_client_urls")).split(",")]
    ports, hosts = set(), set()
    for url in filter(None, urls):
        try:
            parts = urlsplit(url)
            ports.add(parts.port)
            hosts.add(parts.hostname)
        except ValueError:
            what = f"listen-client-urls has '{url:.60}', which is no address"
            yield LineProblem(line, what, "http://0.0.0.0:2379,http://0.0.0.0:4001")
            continue
        if parts.scheme != "http":
            what = "listen-client-urls has an address without http:, which no Deis component speaks"
            yield LineProblem(line, what, "http://0.0.0.0:2379,http://0.0.0.0:4001")
    missing = [str(port) for port in CLIENT_PORTS if port not in ports]
    if missing or not hosts.difference(LOOPBACK):
        where = f"port {' and '.join(missing)}" if missing else "the host's address"
        what = f"etcd2 does not listen on {where} of every host, where Deis's units ask"
        yield LineProblem(line, what, "http://0.0.0.0:2379,http://0.0.0.0:4001", blocks=False)
