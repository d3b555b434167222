"""The hosts' firewall as text: chains of our own, for iptables-restore; pure functions.

The chains stand first in INPUT and FORWARD. In INPUT they accept or refuse; in FORWARD they refuse what
comes from outside to a container, and leave the rest to the rules that follow, which are Docker's.
Nothing of others is changed. Lines are written as ``iptables -S`` prints them, to be compared.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Sequence

from deiswizard.frozen import Frozen

INPUT, FORWARD = "DEISWIZARD-INPUT", "DEISWIZARD-FORWARD"
JUMPS = (("INPUT", INPUT), ("FORWARD", FORWARD))
VERSION = 1
HEAD = f"# deiswizard firewall {VERSION}"

PUBLIC = (22, 80, 443, 2222)
"""What the world may reach (deis-facts 0.2); 22 always."""

HEALTH = 9090
PRIVATE = {
    2375: "Docker, without a password",
    2379: "etcd",
    4001: "etcd",
    2380: "etcd's members",
    7001: "etcd's members",
    2223: "builder",
    5000: "registry",
    5432: "database",
    8000: "controller",
    8080: "cAdvisor",
    8088: "logger",
    8888: "store gateway",
    6789: "Ceph monitor",
}
"""What only the cluster's hosts and containers may reach, and what it is (deis-facts 0.2)."""

KEPT_FROM_CONTAINERS = {
    "none": (),
    "docker": (2375, 2380, 7001),
    "etcd": (2375, 2379, 2380, 4001, 7001),
}
"""By the choice ``isolate``: the ports of a host that containers may not reach."""


class OpenPort(Frozen):
    """A port that is open to all (``source`` empty) or to a network."""

    port: int
    protocol: str = "tcp"
    source: str = ""


class Ruleset(Frozen):
    """What the rules of one host say; the same for all hosts.

    ``hosts`` are the cluster's hosts, and networks of hosts that may join; ``containers`` the network of
    the containers (flannel's). ``refuse`` is ``reject`` or ``drop``.
    """

    hosts: tuple[str, ...]
    containers: str = ""
    trusted: tuple[str, ...] = ()
    ports: tuple[OpenPort, ...] = ()
    isolate: str = "none"
    refuse: str = "reject"


def version_of(network: str) -> int:
    """4 or 6; an empty text is of both."""
    return ipaddress.ip_network(network, strict=False).version if network else 0


def whole(network: str) -> str:
    """As ``iptables -S`` prints it: with its size."""
    return str(ipaddress.ip_network(network, strict=False))


def _no(rules: Ruleset, family: int, match: str = "", more: str = "") -> Iterator[str]:
    """Refused: a TCP connection by a reset, so that nobody waits, all else by an ICMP word.

    ``match`` is where it comes from or goes to, ``more`` what stands behind the protocol.
    """
    if rules.refuse == "drop":
        yield _joined(match, more, "-j DROP")
        return
    yield _joined(match, "-p tcp", more, "-j REJECT --reject-with tcp-reset")
    word = "icmp-port-unreachable" if family == 4 else "icmp6-port-unreachable"
    yield _joined(match, more, f"-j REJECT --reject-with {word}")


def _no_tcp(rules: Ruleset, match: str, ports: Sequence[int]) -> str:
    """TCP ports refused."""
    many = f"-m multiport --dports {','.join(map(str, ports))}"
    end = "-j DROP" if rules.refuse == "drop" else "-j REJECT --reject-with tcp-reset"
    return _joined(match, "-p tcp", many, end)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _is_of(network: str, family: int) -> bool:
    return version_of(network) in (0, family)


def input_lines(rules: Ruleset, family: int) -> tuple[str, ...]:
    """The chain in INPUT, in order."""
    lines = [
        "-i lo -j ACCEPT",
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]
    containers = rules.containers if rules.containers and _is_of(rules.containers, family) else ""
    if kept := KEPT_FROM_CONTAINERS[rules.isolate]:
        lines.append(_no_tcp(rules, "-i docker0", kept))
        if containers:
            lines.append(_no_tcp(rules, f"-s {whole(containers)}", kept))
    lines.append("-i docker0 -j ACCEPT")
    lines.append(f"-p {'icmp' if family == 4 else 'ipv6-icmp'} -j ACCEPT")
    lines.append(
        "-p udp -m udp --sport 67 --dport 68 -j ACCEPT"
        if family == 4
        else "-s fe80::/10 -p udp -m udp --sport 547 --dport 546 -j ACCEPT"
    )
    for network in (*rules.hosts, *([containers] if containers else []), *rules.trusted):
        if _is_of(network, family):
            lines.append(f"-s {whole(network)} -j ACCEPT")
    for one in rules.ports:
        if _is_of(one.source, family):
            source = f"-s {whole(one.source)} " if one.source else ""
            lines.append(
                f"{source}-p {one.protocol} -m {one.protocol} --dport {one.port} -j ACCEPT"
            )
    lines += _no(rules, family)
    return tuple(f"-A {INPUT} {line}" for line in lines)


def forward_lines(rules: Ruleset, family: int) -> tuple[str, ...]:
    """The chain in FORWARD: RETURN leaves a packet to Docker's own rules.

    A container's way to another host's ports goes through here, and from there on in its host's name.
    """
    lines = ["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]
    if kept := KEPT_FROM_CONTAINERS[rules.isolate]:
        lines += [
            _no_tcp(rules, f"-d {whole(host)} -i docker0", kept)
            for host in rules.hosts
            if _is_of(host, family)
        ]
    lines.append("-i docker0 -j RETURN")
    containers = rules.containers if rules.containers and _is_of(rules.containers, family) else ""
    for network in (*rules.hosts, *([containers] if containers else []), *rules.trusted):
        if _is_of(network, family):
            lines.append(f"-s {whole(network)} -j RETURN")
    for one in rules.ports:
        if _is_of(one.source, family) and one.port != 22:
            source = f"-s {whole(one.source)} " if one.source else ""
            lines.append(
                f"{source}-p {one.protocol} -m conntrack --ctorigdstport {one.port} -j RETURN"
            )
    lines += _no(rules, family, more="-m conntrack --ctstate DNAT")
    lines += _no(rules, family, match="-o docker0")
    return tuple(f"-A {FORWARD} {line}" for line in lines)


def chain_lines(rules: Ruleset, family: int) -> tuple[str, ...]:
    """Both chains, as ``iptables -S`` prints them."""
    return (*input_lines(rules, family), *forward_lines(rules, family))


def restore_text(rules: Ruleset, family: int, choices: dict[str, object]) -> str:
    """The file for ``iptables-restore --noflush``, but for the end: that depends on the jumps there.

    It carries the choices that it was made from, so that they can be offered again.
    """
    return "\n".join(
        [
            HEAD,
            f"# choices: {json.dumps(choices, sort_keys=True)}",
            "*filter",
            f":{INPUT} - [0:0]",
            f":{FORWARD} - [0:0]",
            *chain_lines(rules, family),
            "",
        ]
    )


def choices_in(text: str) -> dict[str, object]:
    """The choices that a file of ours carries; empty when it carries none that can be read."""
    for line in text.splitlines():
        if line.startswith("# choices: "):
            try:
                found = json.loads(line.removeprefix("# choices: "))
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
    return {}


def lines_in(text: str) -> tuple[str, ...]:
    """The rules in a file of ours, as ``iptables -S`` would print them."""
    return tuple(line for line in text.splitlines() if line.startswith("-A DEISWIZARD-"))


def networks_of(names: Sequence[str]) -> tuple[str, ...]:
    """Whole networks, each once, in order."""
    return tuple(dict.fromkeys(whole(name) for name in names))
