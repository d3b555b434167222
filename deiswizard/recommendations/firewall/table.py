"""Which port answers whom: by the rules in place, and as tried. One table for findings and for checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deiswizard.cluster.packet_rules import Verdict
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.firewall import facts
from deiswizard.recommendations.firewall.choices import (
    is_insider,
    is_let_in,
    ssh_sources,
)
from deiswizard.recommendations.firewall.facts import HostFilter, filters
from deiswizard.recommendations.firewall.rules import (
    HEALTH,
    KEPT_FROM_CONTAINERS,
    PRIVATE,
    PUBLIC,
    Ruleset,
)
from deiswizard.wording import few

STRANGER = "192.0.2.77"
"""An address that is kept for documentation: nobody's."""

A_CONTAINER = "172.17.0.99"
NAMES = {
    22: "ssh",
    80: "router",
    443: "router",
    2222: "git",
    HEALTH: "routers' health",
    **PRIVATE,
}


@dataclass(frozen=True)
class Row:
    """One port as seen from somewhere. ``found`` by host; ``expected`` None: nothing is expected."""

    port: int
    where: str
    expected: bool | None
    found: tuple[tuple[str, Verdict], ...]
    by: str

    @property
    def name(self) -> str:
        """The port and what it is."""
        return f"{self.port} ({NAMES[self.port]})" if self.port in NAMES else str(self.port)

    @property
    def is_right(self) -> bool | None:
        """Whether it is as expected on every host; None: on one that is not known."""
        if self.expected is None:
            return True
        wanted = "open" if self.expected else "closed"
        states = {state for _, state in self.found}
        if states - {wanted, "unknown"}:
            return False
        return None if "unknown" in states else True

    @property
    def said(self) -> str:
        """What was found, and how."""
        parts = []
        for state in ("open", "closed", "unknown"):
            hosts = [host for host, found in self.found if found == state]
            if hosts and len(hosts) == len(self.found):
                parts.append(f"{state} on {'all ' if len(hosts) > 1 else ''}{len(hosts)}")
            elif hosts:
                parts.append(f"{state} on {few(hosts)}")
        return f"{', '.join(parts)} ({self.by})"


def rows(snapshot: Snapshot, rules: Ruleset | None) -> Iterator[Row]:
    """Every port that matters from everywhere; with ``rules`` what is expected of it."""
    known = filters(snapshot)
    if not known:
        return
    chosen = {one.port for one in rules.ports} if rules else set()
    for port in dict.fromkeys([*PUBLIC, HEALTH, *sorted(chosen), *PRIVATE]):
        expected = is_let_in(rules, STRANGER, port) if rules else None
        found = tuple((one.host, one.lets_in(STRANGER, port)) for one in known)
        yield Row(port, "a stranger", expected, found, "by rules")
    yield from _from_here(snapshot, known, rules)
    yield from _between(snapshot, known, rules)
    kept = KEPT_FROM_CONTAINERS[rules.isolate] if rules else ()
    for port in (2375, 2379, 2380, 4001):
        found = tuple((one.host, one.lets_in(A_CONTAINER, port, "docker0")) for one in known)
        yield Row(port, "a container", port not in kept if rules else None, found, "by rules")


def _from_here(
    snapshot: Snapshot, known: Sequence[HostFilter], rules: Ruleset | None
) -> Iterator[Row]:
    """As tried from the operator's machine, of what is listened on."""
    tried = facts.tried(snapshot.answer(facts.FROM_HERE))
    sources = ssh_sources(snapshot)
    addresses = {host.name: host.address for host in snapshot.hosts}
    for port in (22, *PRIVATE):
        found = tuple(
            (one.host, _state(tried[addresses[one.host], port]))
            for one in known
            if port in one.listens and (addresses[one.host], port) in tried
        )
        if not found:
            continue
        expected = None
        if rules and sources:
            expected = any(is_insider(rules, s) or is_let_in(rules, s, port) for s in sources)
        yield Row(port, "this machine", expected, found, "tried")


def _between(
    snapshot: Snapshot, known: Sequence[HostFilter], rules: Ruleset | None
) -> Iterator[Row]:
    """As neighbours have tried: open when it is for each of them. And by the rules, for every host's address."""
    names = {host.address: host.name for host in snapshot.hosts}
    listens = {one.host: one.listens for one in known}
    by_port: dict[int, dict[str, bool]] = {}
    for host in snapshot.reachable_hosts:
        for (address, port), is_open in facts.tried(
            snapshot.answer(facts.FROM_HOST, host.name)
        ).items():
            name = names.get(address, address)
            if port in listens.get(name, ()):
                found = by_port.setdefault(port, {})
                found[name] = found.get(name, True) and is_open
    for port, found in by_port.items():
        states = tuple((name, _state(is_open)) for name, is_open in found.items())
        yield Row(port, "another host", True if rules else None, states, "tried")
    for port in (2375, 4001):
        judged: list[tuple[str, Verdict]] = []
        for one in known:
            verdicts = {one.lets_in(host.address, port) for host in snapshot.hosts}
            judged.append((one.host, verdicts.pop() if len(verdicts) == 1 else "closed"))
        yield Row(port, "any other host", True if rules else None, tuple(judged), "by rules")


def _state(is_open: bool) -> Verdict:
    return "open" if is_open else "closed"
