"""What may be chosen for the hosts' firewall: nobody is to lock out the operator, a host, or a load balancer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.recommendations import firewall_facts as facts
from deiswizard.recommendations.base import Choices, Problem
from deiswizard.recommendations.firewall_rules import (
    HEALTH,
    KEPT_FROM_CONTAINERS,
    PRIVATE,
    PUBLIC,
    OpenPort,
    Ruleset,
    networks_of,
)

PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp))?(?:@(.+))?")
PORT_FORM = "80, 53/udp, or 8443@198.51.100.0/24"
NEVER_PUBLIC = (2375, 2379, 4001, 2380, 7001)
"""Whoever reaches one of these owns the cluster."""

READS_ETCD = (
    "builder", "controller", "database", "logger", "logspout", "publisher", "registry", "router",
)  # fmt: skip
"""Components in containers that read etcd at port 4001 of their host, through docker0."""

DOCKER_BRIDGE = ipaddress.ip_network("172.17.0.0/16")
"""Docker's own choice for docker0, where flannel has made no other."""

MOST_NAMED = 4
REMOVE_CONTRIBUTED = (
    "sudo iptables -P INPUT ACCEPT; sudo iptables -P FORWARD ACCEPT; while sudo iptables -D INPUT -j "
    "Firewall-INPUT; do :; done; while sudo iptables -D FORWARD -j Firewall-INPUT; do :; done; sudo iptables "
    "-F Firewall-INPUT; sudo iptables -X Firewall-INPUT; sudo systemctl disable iptables-restore; sudo rm "
    "/var/lib/iptables/rules-save"
)


class FirewallChoices(Choices):
    """The part of Security that is about the hosts. ``host_firewall`` False: ours is taken out.

    ``open_ports`` are ``PORT[/udp][@NETWORK]``; ``ssh_from`` empty: everyone may try to log in.
    ``rollback_seconds``: after that a host takes rules back that were not proven.
    """

    host_firewall: bool = True
    open_ports: tuple[str, ...] = tuple(str(port) for port in PUBLIC if port != 22)
    ssh_from: tuple[str, ...] = ()
    health_from: tuple[str, ...] = ()
    trusted_networks: tuple[str, ...] = ()
    new_hosts: tuple[str, ...] = ()
    isolate: Literal["none", "docker", "etcd"] = "none"
    refuse: Literal["reject", "drop"] = "reject"
    rollback_seconds: int = Field(default=180, ge=60, le=1800)


KEPT_FIELDS = (
    "open_ports",
    "ssh_from",
    "health_from",
    "trusted_networks",
    "new_hosts",
    "isolate",
    "refuse",
)
"""The choices that the rules are made from; they are kept beside them on the hosts."""


def kept(choices: FirewallChoices) -> dict[str, object]:
    """Those choices as they are kept."""
    return choices.model_dump(mode="json", include=set(KEPT_FIELDS))


def network_of(text: str) -> str | None:
    """An address or network of either family, whole; None: it is neither."""
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError:
        return None


def open_port(text: str) -> OpenPort | None:
    """``PORT[/udp][@NETWORK]``; None: it is no such thing."""
    match = PORT.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 65535:
        return None
    source = ""
    if match[3]:
        found = network_of(match[3])
        if found is None:
            return None
        source = found
    return OpenPort(port=int(match[1]), protocol=match[2] or "tcp", source=source)


def host_addresses(snapshot: Snapshot) -> tuple[str, ...]:
    """Of every machine that fleet knows, sorted, so that the order of a list changes no rule."""
    return tuple(sorted({host.address for host in snapshot.hosts if facts.is_ip(host.address)}))


def ruleset(snapshot: Snapshot, choices: FirewallChoices) -> Ruleset:
    """The rules of every host. The choices are right: ``check_choices`` has seen them."""
    ssh = [OpenPort(port=22, source=network) for network in networks_of(choices.ssh_from)]
    health = [OpenPort(port=HEALTH, source=one) for one in networks_of(choices.health_from)]
    own = [found for text in choices.open_ports if (found := open_port(text)) is not None]
    return Ruleset(
        hosts=networks_of((*host_addresses(snapshot), *choices.new_hosts)),
        containers=facts.flannel_network(snapshot),
        trusted=networks_of(choices.trusted_networks),
        ports=(*(ssh or [OpenPort(port=22)]), *own, *health),
        isolate=choices.isolate,
        refuse=choices.refuse,
    )


def is_let_in(rules: Ruleset, address: str, port: int = 22) -> bool:
    """Whether the rules let an address in to a port."""
    ports = [one.source for one in rules.ports if one.port == port]
    return "" in ports or _is_in(address, (*rules.hosts, *rules.trusted, *ports))


def is_insider(rules: Ruleset, address: str) -> bool:
    """Whether every port is open to an address."""
    return _is_in(address, (*rules.hosts, *rules.trusted))


def _is_in(address: str, networks: Sequence[str]) -> bool:
    own = ipaddress.ip_address(address)
    return any(own in ipaddress.ip_network(network) for network in networks if network)


def defaults(snapshot: Snapshot) -> dict[str, object]:
    """As the rules that are kept on the hosts were made; else what the world must reach."""
    found = facts.kept_choices(snapshot)
    try:
        return FirewallChoices.model_validate(
            {name: value for name, value in found.items() if name in KEPT_FIELDS}
        ).model_dump()
    except ValueError:
        return FirewallChoices().model_dump()


def ssh_sources(snapshot: Snapshot) -> tuple[str, ...]:
    """From where the wizard's own connections come, as hosts say ($SSH_CONNECTION), their own left out.

    A host that is reached through another one sees that one.
    """
    inside = {host.address for host in snapshot.hosts}
    firsts = (
        next(iter(answer.out.split()), "")
        for answer in snapshot.answers
        if answer.id == facts.OPERATOR
    )
    return tuple(
        dict.fromkeys(
            address
            for address in firsts
            if facts.is_ip(address)
            and address not in inside
            and not ipaddress.ip_address(address).is_loopback
        )
    )


def named(names: Sequence[str]) -> str:
    """A few names, and how many more."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def check_choices(snapshot: Snapshot, choices: FirewallChoices) -> tuple[Problem, ...]:
    """Format, lock-outs, and what the rules would cut."""
    unsure = tuple(_hosts(snapshot))
    if not choices.host_firewall:
        return tuple(problem for problem in unsure if problem.field == "host_firewall")
    wrong = tuple(_formats(choices))
    if any(problem.blocks for problem in (*unsure, *wrong)):
        return (*unsure, *wrong)
    rules = ruleset(snapshot, choices)
    return (
        *unsure,
        *wrong,
        *_operator(snapshot, choices, rules),
        *_members(snapshot, rules),
        *_talks(snapshot, rules),
        *_isolation(snapshot, choices),
        *_load_balancer(rules),
        *_others(snapshot),
    )


def _hosts(snapshot: Snapshot) -> Iterator[Problem]:
    """The list of hosts is whole and right, and every one can be asked."""
    odd = [host.name for host in snapshot.hosts if not facts.is_ip(host.address)]
    if odd:
        yield Problem(
            field="host_firewall",
            what=f"fleet knows {named(odd)} without an address: rules made from such a list break",
            allowed="look at fleetctl list-machines, and at fleet.service on that host",
        )
    members = snapshot.etcd.members
    if not snapshot.keys_read or not members:
        yield Problem(
            field="host_firewall",
            what="etcd did not tell its members, so nobody knows whether the list of hosts is whole",
            allowed="mend etcd first, then look again",
        )
    sick = [member.name or member.id for member in members if member.healthy is False]
    if sick:
        yield Problem(
            field="host_firewall",
            what=f"etcd's member {named([name[:8] for name in sick])} is not healthy: what the firewall "
            "breaks could not be told from what was broken",
            allowed="mend it first, then look again",
        )
    silent = [host.name for host in facts.unread(snapshot) if host.reachable]
    if silent:
        yield Problem(
            field="host_firewall",
            what=f"how {named(silent)} filters packets could not be read (sudo iptables -S)",
            allowed="see that sudo needs no password there, and that iptables is there",
        )
    away = [host.name for host in snapshot.hosts if not host.reachable]
    if away:
        yield Problem(
            field="host_firewall",
            what=f"{named(away)} cannot be reached: it stays as it is, and must be done later",
            blocks=False,
        )
    armed = [one.host for one in facts.filters(snapshot) if one.is_armed]
    if armed:
        yield Problem(
            field="host_firewall",
            what=f"a trial of rules is going on on {named(armed)}, which takes them back by itself soon",
            allowed="wait for that, then look again",
        )


def _formats(choices: FirewallChoices) -> Iterator[Problem]:
    for text in choices.open_ports:
        found = open_port(text)
        if found is None:
            yield Problem(
                field="open_ports", what=f"'{text}' is no port", allowed=f"such as {PORT_FORM}"
            )
        elif found.port == 22:
            yield Problem(
                field="open_ports",
                what="22 is not chosen here: it is open to everyone, or to the networks named above",
                allowed=f"such as {PORT_FORM}",
            )
        elif found.port in PRIVATE and not found.source:
            blocks = found.port in NEVER_PUBLIC
            yield Problem(
                field="open_ports",
                what=f"{found.port} ({PRIVATE[found.port]}) would be open to everyone"
                + (": whoever reaches it owns the cluster" if blocks else ""),
                allowed=f"{found.port}@198.51.100.0/24, for one network",
                blocks=blocks,
            )
    for name in ("ssh_from", "health_from", "trusted_networks", "new_hosts"):
        for text in getattr(choices, name):
            network = network_of(text)
            if network is None:
                yield Problem(
                    field=name,
                    what=f"'{text}' is no address or network",
                    allowed="such as 198.51.100.7, 10.21.0.0/16 or 2001:db8::/32; a network without "
                    "an address within it",
                )
            elif network.endswith("/0") and name in ("trusted_networks", "new_hosts"):
                yield Problem(
                    field=name,
                    what=f"{text} is everyone: every port would be open",
                    allowed="a network that is yours",
                )


def _operator(snapshot: Snapshot, choices: FirewallChoices, rules: Ruleset) -> Iterator[Problem]:
    """The operator's own way in stays open."""
    if not choices.ssh_from:
        return
    sources = ssh_sources(snapshot)
    asked = [answer for answer in snapshot.answers if answer.id == facts.OPERATOR]
    if not sources and not any(answer.out.split() for answer in asked):
        yield Problem(
            field="ssh_from",
            what="from where you are connected is not known, so nobody can tell whether you are among "
            "those who may log in",
            allowed="empty: everyone may try; or look again",
        )
    for source in sources:
        if not is_let_in(rules, source):
            yield Problem(
                field="ssh_from",
                what=f"your own connection comes from {source}, which is not among these: you would be "
                "locked out of the hosts",
                allowed=f"{source}, or a network with it, among them",
            )


def _members(snapshot: Snapshot, rules: Ruleset) -> Iterator[Problem]:
    """Whoever is an etcd member must be a host of the list, by the address that it is called by."""
    for member in snapshot.etcd.members:
        for url in (*member.peer_urls, *member.client_urls):
            address = urlsplit(url).hostname or ""
            if address in ("localhost", "127.0.0.1", "::1", ""):
                continue
            if not facts.is_ip(address):
                yield Problem(
                    field="new_hosts",
                    what=f"etcd's member {member.name[:8]} is called by a name, {address}: whether the "
                    "rules let it in is not known",
                    blocks=False,
                )
            elif not is_insider(rules, address):
                yield Problem(
                    field="new_hosts",
                    what=f"etcd's member {member.name[:8]} is at {address}, which is no host that fleet "
                    "knows: it would be cut off",
                    allowed=f"{address} among them, if it belongs to the cluster",
                )


def _talks(snapshot: Snapshot, rules: Ruleset) -> Iterator[Problem]:
    """Who uses a private port now and could not any more."""
    cut: dict[str, None] = {}
    containers = [rules.containers] if rules.containers else []
    for one in facts.filters(snapshot):
        for address, port in one.talks:
            if not facts.is_ip(address) or port not in PRIVATE:
                continue
            ip = ipaddress.ip_address(address)
            bridge = ip.version == 4 and ip in DOCKER_BRIDGE
            if ip.is_loopback or bridge or _is_in(address, (*rules.hosts, *containers)):
                continue
            if not is_let_in(rules, address, port) and not is_insider(rules, address):
                cut[f"{address} (at {port} of {one.host})"] = None
    if cut:
        yield Problem(
            field="trusted_networks",
            what=f"connected now, and refused from then on: {named(tuple(cut))}. If it belongs to the "
            "cluster, name it among new hosts or here",
            blocks=False,
        )


def _isolation(snapshot: Snapshot, choices: FirewallChoices) -> Iterator[Problem]:
    """What containers may not reach, and what of Deis needs it."""
    if choices.isolate == "none":
        return
    ports = ", ".join(str(port) for port in KEPT_FROM_CONTAINERS[choices.isolate])
    if choices.isolate == "etcd":
        running = {
            name
            for name in READS_ETCD
            for unit in snapshot.units
            if re.fullmatch(rf"deis-{name}(@\d+)?\.service", unit.name)
            and snapshot.where(unit.name)
        }
        if running:
            yield Problem(
                field="isolate",
                what=f"{named(sorted(running))} read etcd from their containers, by the same way: apps "
                "would answer 404 within 20 s, and no setting would be followed",
                allowed="docker, which keeps containers from Docker and etcd's members; or none",
            )
            return
    yield Problem(
        field="isolate",
        what=f"no container reaches {ports} of a host any more, through the host's own address either: "
        "tools in containers that ask Docker over TCP break (those with its socket do not)",
        blocks=False,
    )


def _load_balancer(rules: Ruleset) -> Iterator[Problem]:
    if not any(one.port == HEALTH for one in rules.ports):
        yield Problem(
            field="health_from",
            what="9090 is closed: a load balancer that asks the routers' health there takes every host "
            "for dead. If yours does, name its addresses",
            blocks=False,
        )


def contributed(snapshot: Snapshot) -> tuple[str, ...]:
    """Hosts that have the chain of Deis's own script."""
    return tuple(one.host for one in facts.filters(snapshot) if facts.CONTRIBUTED in one.v4.chains)


def _others(snapshot: Snapshot) -> Iterator[Problem]:
    """Rules of others that count no more, or go on to count."""
    if hosts := contributed(snapshot):
        yield Problem(
            field="host_firewall",
            what=f"the chain of Deis's script ({facts.CONTRIBUTED}) is on {named(hosts)}: it stays, behind "
            f"these rules. To take it out afterwards, on each host: {REMOVE_CONTRIBUTED}",
            blocks=False,
        )
    refusing = [
        one.host
        for one in facts.filters(snapshot)
        if one.host not in hosts
        and any(
            rule.target in ("DROP", "REJECT")
            for name, rules in one.v4.chains.items()
            if not name.startswith("DEISWIZARD-") and name not in ("FORWARD", "OUTPUT")
            for rule in rules
        )
    ]
    if refusing:
        yield Problem(
            field="host_firewall",
            what=f"rules of others on {named(refusing)} refuse something: they stay, but count no more for "
            "what these accept first",
            blocks=False,
        )
    bare = [one.host for one in facts.filters(snapshot) if one.has_ipv6 and one.v6 is None]
    if bare:
        yield Problem(
            field="host_firewall",
            what=f"{named(bare)} has IPv6, but ip6tables does not answer: it stays open by IPv6",
            blocks=False,
        )


def entry_host(snapshot: Snapshot) -> HostFacts | None:
    """The host that the wizard logged in to first: it comes last."""
    via = snapshot.via.rpartition("@")[2]
    found = next(
        (host for host in snapshot.hosts if via in (host.address, f"{host.address}:22")), None
    )
    if found is None:
        outside = ssh_sources(snapshot)
        names = [
            answer.host
            for answer in snapshot.answers
            if answer.id == facts.OPERATOR and answer.out.split()[:1] in [[s] for s in outside]
        ]
        found = next((host for host in snapshot.hosts if host.name in names), None)
    return found or next(iter(snapshot.hosts), None)
