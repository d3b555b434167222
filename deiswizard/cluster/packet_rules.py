"""What ``iptables -S`` says, and what these rules do with a packet: pure functions.

Only what matters for reachability is understood. A rule with a match that is not understood may apply
or not: then both is followed, and the answer may be that it is not known.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Verdict = Literal["open", "closed", "unknown"]

CLOSING = ("DROP", "REJECT")
PASSED_ON = ("LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "AUDIT", "TCPMSS")
"""Targets after which the next rule is looked at."""

VIRTUAL = re.compile(r"(lo|docker\d|br-|veth|flannel)")
"""Interfaces by which nothing comes from another machine."""

DEEPEST = 32
"""Jumps within jumps; the kernel allows fewer."""

BARE_OPTIONS = {"--tcp-flags": 2}
"""Options with another number of words than one."""


@dataclass(frozen=True)
class Packet:
    """The first packet of a new connection.

    ``into`` is the interface by which it comes; empty: one that leads to other machines.
    ``published`` is the port that it was sent to before Docker's DNAT; None: there was none.
    """

    source: str
    port: int
    protocol: str = "tcp"
    into: str = ""
    out: str = ""
    target: str = ""
    published: int | None = None


@dataclass(frozen=True)
class Rule:
    """One ``-A`` line: its chain, its words after that, and its target (empty: it only counts)."""

    chain: str
    words: tuple[str, ...]
    target: str = ""

    @property
    def text(self) -> str:
        """As ``iptables -S`` prints it."""
        return " ".join(("-A", self.chain, *map(shlex.quote, self.words)))


@dataclass(frozen=True)
class Table:
    """One table: policies of the built-in chains, and every chain's rules in order."""

    policies: Mapping[str, str] = field(default_factory=dict)
    chains: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)

    def rules(self, chain: str) -> tuple[Rule, ...]:
        """A chain's rules, none when there is no such chain."""
        return self.chains.get(chain, ())


def rule_of(line: str) -> Rule | None:
    """``-A CHAIN ...``; None for anything else."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    if len(words) < 2 or words[0] != "-A":
        return None
    rest = tuple(words[2:])
    at = next((n for n, word in enumerate(rest) if word in ("-j", "-g")), None)
    target = rest[at + 1] if at is not None and at + 1 < len(rest) else ""
    return Rule(words[1], rest, target)


@functools.lru_cache(maxsize=256)
def table_of(text: str) -> Table:
    """What ``iptables -S`` (of one table) printed."""
    policies: dict[str, str] = {}
    chains: dict[str, list[Rule]] = {}
    for line in text.splitlines():
        match line.split():
            case ["-P", chain, policy, *_]:
                policies[chain] = policy
                chains.setdefault(chain, [])
            case ["-N", chain]:
                chains.setdefault(chain, [])
            case _:
                rule = rule_of(line)
                if rule is not None:
                    chains.setdefault(rule.chain, []).append(rule)
    return Table(policies, {name: tuple(rules) for name, rules in chains.items()})


def verdict(table: Table, chain: str, packet: Packet) -> Verdict:
    """What becomes of a packet that comes into a built-in chain."""
    ends = _walk(table, chain, packet, 0)
    if "" in ends:
        ends = (ends - {""}) | {table.policies.get(chain, "ACCEPT")}
    words = {_word(end) for end in ends}
    return words.pop() if len(words) == 1 else "unknown"


def _word(end: str) -> Verdict:
    if end in CLOSING:
        return "closed"
    return "open" if end == "ACCEPT" else "unknown"


def _walk(table: Table, chain: str, packet: Packet, depth: int) -> frozenset[str]:
    """The ends that are possible; empty text: it comes back from the chain."""
    found: set[str] = set()
    for rule in table.rules(chain):
        applies = matches(rule, packet)
        if applies is False or not rule.target or rule.target in PASSED_ON:
            continue
        if rule.target == "RETURN":
            ends = frozenset({""})
            stays = False
        elif rule.target in table.chains and depth < DEEPEST:
            ends = _walk(table, rule.target, packet, depth + 1)
            is_goto = "-g" in rule.words
            stays = "" in ends and not is_goto
            ends = ends if is_goto else ends - {""}
        else:
            ends, stays = frozenset({rule.target}), False
        found |= ends
        if applies and not stays:
            return frozenset(found)
    return frozenset(found | {""})


def matches(rule: Rule, packet: Packet) -> bool | None:
    """Whether a rule applies to a packet; None: that cannot be told."""
    sure = True
    for option, negated, value in _options(rule.words):
        said = _holds(option, value, packet)
        if said is None:
            sure = False
        elif said is negated:
            return False
    return True if sure else None


def _options(words: Sequence[str]) -> Iterable[tuple[str, bool, str]]:
    """Every match of a rule: the option, whether it is negated, its value."""
    index, negated = 0, False
    while index < len(words):
        word = words[index]
        if word == "!":
            negated, index = True, index + 1
            continue
        if word in ("-j", "-g"):
            return
        count = BARE_OPTIONS.get(word, 1)
        value = " ".join(words[index + 1 : index + 1 + count])
        if word.startswith("--") and (not value or value.startswith("-")):
            count, value = 0, ""
        if word not in ("-m", "--comment"):
            yield word, negated, value
        index, negated = index + 1 + count, False


def _holds(option: str, value: str, packet: Packet) -> bool | None:
    """Whether one match holds, negation aside."""
    match option:
        case "-s" | "-d":
            address = packet.source if option == "-s" else packet.target
            return _is_within(address, value)
        case "-p":
            return _is_protocol(value, packet.protocol)
        case "-i":
            return _is_interface(value, packet.into)
        case "-o":
            return _is_interface(value, packet.out)
        case "--dport" | "--dports":
            return _is_port(value, packet.port)
        case "--ctorigdstport":
            return _is_port(value, packet.port if packet.published is None else packet.published)
        case "--ctstate" | "--state":
            now = {"NEW"} if packet.published is None else {"NEW", "DNAT"}
            return not now.isdisjoint(value.split(","))
        case "--tcp-flags" | "--syn":
            return True if packet.protocol == "tcp" and "SYN" in (value or "SYN") else None
        case "--dst-type":
            return True if value == "LOCAL" and not packet.out else None
    return None


def _is_within(address: str, network: str) -> bool | None:
    try:
        inside = ipaddress.ip_network(network, strict=False)
        return ipaddress.ip_address(address) in inside
    except ValueError:
        return None


def _is_protocol(value: str, protocol: str) -> bool:
    names = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp", "icmpv6": "ipv6-icmp"}
    return value in ("all", "0") or names.get(value, value) == protocol


def _is_interface(value: str, name: str) -> bool | None:
    """``value`` may end with ``+``. An interface that leads outside has no known name."""
    if name:
        return name.startswith(value[:-1]) if value.endswith("+") else name == value
    return False if VIRTUAL.match(value) else None


def _is_port(value: str, port: int) -> bool:
    for part in value.split(","):
        first, _, last = part.partition(":")
        if not first and not last:
            continue
        if int(first or 0) <= port <= int((last or "65535") if ":" in part else first):
            return True
    return False


@dataclass(frozen=True)
class Published:
    """A port of the host that Docker passes on to a container."""

    port: int
    protocol: str
    address: str
    inner: int


def published_ports(nat: Table) -> tuple[Published, ...]:
    """The DNAT rules of every chain."""
    found = []
    for rules in nat.chains.values():
        for rule in rules:
            words = " ".join(rule.words)
            to = re.search(r"--to-destination ([\d.]+):(\d+)", words)
            port = re.search(r"--dport (\d+)\b", words)
            protocol = re.search(r"-p (\w+)", words)
            if rule.target == "DNAT" and to and port and protocol:
                found.append(Published(int(port[1]), protocol[1], to[1], int(to[2])))
    return tuple(found)


def reach(
    table: Table, nat: Table, source: str, port: int, protocol: str = "tcp", into: str = ""
) -> Verdict:
    """Whether a new connection to a port of the host itself gets through.

    Docker's DNAT comes first: what it passes on goes through FORWARD, all else through INPUT.
    """
    passed = next(
        (one for one in published_ports(nat) if (one.port, one.protocol) == (port, protocol)), None
    )
    if passed is None:
        return verdict(table, "INPUT", Packet(source, port, protocol, into))
    packet = Packet(
        source, passed.inner, protocol, into, out="docker0", target=passed.address, published=port
    )
    return verdict(table, "FORWARD", packet)
