"""What is wrong with choices for the hosts' firewall, or has to be known before: in sentences."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.firewall import facts, first
from deiswizard.recommendations.firewall.choices import (
    PORT_FORM,
    READS_ETCD,
    FirewallChoices,
    is_in,
    is_insider,
    is_let_in,
    network_of,
    open_port,
    ruleset,
    ssh_sources,
)
from deiswizard.recommendations.firewall.rules import (
    HEALTH,
    KEPT_FROM_CONTAINERS,
    PRIVATE,
    Ruleset,
    choices_in,
)
from deiswizard.wording import few

NEVER_PUBLIC = (2375, 2379, 4001, 2380, 7001)
"""Whoever reaches one of these owns the cluster."""

DOCKER_BRIDGE = ipaddress.ip_network("172.17.0.0/16")
"""Docker's own choice for docker0, where flannel has made no other."""

HOST_LINE = re.compile(r"-A DEISWIZARD-INPUT -s ([0-9.]+)/32 -j ACCEPT")
"""How a rule lets one host in."""

REMOVE_CONTRIBUTED = (
    "sudo iptables -P INPUT ACCEPT; sudo iptables -P FORWARD ACCEPT; while sudo iptables -D INPUT -j "
    "Firewall-INPUT; do :; done; while sudo iptables -D FORWARD -j Firewall-INPUT; do :; done; sudo iptables "
    "-F Firewall-INPUT; sudo iptables -X Firewall-INPUT; sudo systemctl disable iptables-restore; sudo rm "
    "/var/lib/iptables/rules-save"
)


def contributed(snapshot: Snapshot) -> tuple[str, ...]:
    """Hosts that have the chain of Deis's own script."""
    return tuple(one.host for one in facts.filters(snapshot) if facts.CONTRIBUTED in one.v4.chains)


def check_choices(snapshot: Snapshot, choices: FirewallChoices) -> tuple[Problem, ...]:
    """Format, lock-outs, and what the rules would cut."""
    unsure = tuple(_hosts(snapshot))
    if not choices.host_firewall and choices.makes_files:
        return tuple(first.check_choices(snapshot, choices))
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
        *_former(snapshot, rules),
        *_talks(snapshot, rules),
        *_isolation(snapshot, choices),
        *_load_balancer(rules),
        *_others(snapshot),
        *(first.check_choices(snapshot, choices) if choices.makes_files else ()),
    )


def _former(snapshot: Snapshot, rules: Ruleset) -> Iterator[Problem]:
    """Hosts that the rules of now let in and fleet does not list: away for a moment, or for good."""
    gone = {
        match[1]: None
        for one in facts.filters(snapshot)
        for line in facts.kept_lines(one, 4)
        if (match := HOST_LINE.fullmatch(line))
        and not is_insider(rules, match[1])
        and match[1] not in str(choices_in(one.kept))
    }
    if gone:
        yield Problem(
            field="new_hosts",
            what=f"{few(list(gone))} is let in by the rules of now, and fleet does not list such a host: if it comes "
            "back, it is cut off. Start it first, or name it here",
            blocks=False,
        )


def _hosts(snapshot: Snapshot) -> Iterator[Problem]:
    """The list of hosts is whole and right, and every one can be asked."""
    odd = [host.name for host in snapshot.hosts if not facts.is_ip(host.address)]
    if odd:
        yield Problem(
            field="host_firewall",
            what=f"fleet knows {few(odd)} without an address: rules made from such a list break",
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
            what=f"etcd's member {few([name[:8] for name in sick])} is not healthy: what the firewall "
            "breaks could not be told from what was broken",
            allowed="mend it first, then look again",
        )
    silent = [host.name for host in facts.unread(snapshot) if host.reachable]
    if silent:
        yield Problem(
            field="host_firewall",
            what=f"how {few(silent)} filters packets could not be read (sudo iptables -S)",
            allowed="see that sudo needs no password there, and that iptables is there",
        )
    away = [host.name for host in snapshot.hosts if not host.reachable]
    if away:
        yield Problem(
            field="host_firewall",
            what=f"{few(away)} cannot be reached: it stays as it is, and must be done later",
            blocks=False,
        )
    armed = [one.host for one in facts.filters(snapshot) if one.is_armed]
    if armed:
        yield Problem(
            field="host_firewall",
            what=f"a trial of rules is going on on {few(armed)}, which takes them back by itself soon",
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
            if ip.is_loopback or bridge or is_in(address, (*rules.hosts, *containers)):
                continue
            if not is_let_in(rules, address, port) and not is_insider(rules, address):
                cut[f"{address} (at {port} of {one.host})"] = None
    if cut:
        yield Problem(
            field="trusted_networks",
            what=f"connected now, and refused from then on: {few(tuple(cut))}. If it belongs to the "
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
                what=f"{few(sorted(running))} read etcd from their containers, by the same way: apps "
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


def _others(snapshot: Snapshot) -> Iterator[Problem]:
    """Rules of others that count no more, or go on to count."""
    if hosts := contributed(snapshot):
        yield Problem(
            field="host_firewall",
            what=f"the chain of Deis's script ({facts.CONTRIBUTED}) is on {few(hosts)}: it stays, behind "
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
            what=f"rules of others on {few(refusing)} refuse something: they stay, but count no more for "
            "what these accept first",
            blocks=False,
        )
    bare = [one.host for one in facts.filters(snapshot) if one.has_ipv6 and one.v6 is None]
    if bare:
        yield Problem(
            field="host_firewall",
            what=f"{few(bare)} has IPv6, but ip6tables does not answer: it stays open by IPv6",
            blocks=False,
        )
