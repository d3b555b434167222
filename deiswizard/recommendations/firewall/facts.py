"""What is known of the packet filters on the hosts: one question for each, and what its answer means."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from deiswizard.cluster.packet_rules import Table, Verdict, reach, table_of
from deiswizard.cluster.port_tries import shown_tries
from deiswizard.cluster.probe_script import answered, new_marker, script
from deiswizard.cluster.snapshot import Answer, HostFacts, Question, Snapshot
from deiswizard.recommendations.firewall import files
from deiswizard.recommendations.firewall.rules import (
    FORWARD,
    INPUT,
    JUMPS,
    PRIVATE,
    choices_in,
    lines_in,
)
from deiswizard.recommendations.planes.facts import ceph_question

FACTS, FROM_HOST, FROM_HERE, FLANNEL = (
    "security.filter",
    "security.from-host",
    "security.from-here",
    "security.flannel",
)
OPERATOR = "security.operator"
"""From where the connections come to the host that was logged in to first."""

CONTRIBUTED = "Firewall-INPUT"
"""The chain of Deis's contrib/util/custom-firewall.sh (deis-facts 5a)."""

RULES_SAVE = "/var/lib/iptables/rules-save"
FLANNEL_KEY = "/coreos.com/network/config"
DEFAULT_FLANNEL = "10.244.0.0/16"
NEIGHBOURS = 2
"""Each host tries so many others at a look; all of them when the firewall is put in."""

OWN_PATHS = (*files.OURS, RULES_SAVE)
_PORTS = " or ".join(f"sport = :{port}" for port in PRIVATE)
SECTIONS: Mapping[str, str] = {
    "v4": "iptables -w -S",
    "nat": "iptables -w -t nat -S",
    "v6": "ip6tables -w -S",
    "inet6": "cat /proc/net/if_inet6",
    "listens": "ss -ltn",
    "talks": f"ss -tn state established '( {_PORTS} )'",
    "now4": f"cat {files.rules_path('now', 4)}",
    "now6": f"cat {files.rules_path('now', 6)}",
    "sums": f"sha256sum {' '.join(OWN_PATHS)}",
    "enabled": f"systemctl is-enabled {files.UNIT}",
    "enabled-docker": f"systemctl is-enabled {files.DOCKER_UNIT}",
    "enabled-restore": "systemctl is-enabled iptables-restore.service",
    "armed": files.ARMED,
    "taken-back": f"cat {files.MARK}",
}
"""Read-only, and everything in one question."""


@dataclass(frozen=True)
class HostFilter:
    """One host's packet filter.

    ``v6`` None: the host has no IPv6. ``kept`` and ``kept6`` are our rules files,
    without the last end of line, empty when there are none.
    ``sums`` are checksums of files that are there. ``listens`` are TCP ports that others reach;
    ``talks`` who is connected to a private port now: address and port.
    """

    host: str
    v4: Table
    nat: Table
    v6: Table | None = None
    has_ipv6: bool = False
    listens: frozenset[int] = frozenset()
    talks: tuple[tuple[str, int], ...] = ()
    kept: str = ""
    kept6: str = ""
    sums: Mapping[str, str] = field(default_factory=dict)
    is_enabled: bool = False
    restore_enabled: bool = False
    is_armed: bool = False
    taken_back: str = ""

    @property
    def families(self) -> tuple[int, ...]:
        """What rules it can have."""
        return (4,) if self.v6 is None else (4, 6)

    def table(self, family: int) -> Table:
        """The filter table of a family that it has."""
        found = self.v4 if family == 4 else self.v6
        assert found is not None
        return found

    @property
    def has_ours(self) -> bool:
        """Whether any chain or file of ours is there."""
        chains = {*self.v4.chains, *(self.v6.chains if self.v6 else {})}
        return bool(chains & {INPUT, FORWARD}) or any(path in self.sums for path in files.OURS)

    def lines(self, family: int) -> tuple[str, ...]:
        """Our chains' rules as they are loaded."""
        table = self.table(family)
        return tuple(rule.text for chain in (INPUT, FORWARD) for rule in table.rules(chain))

    def is_first(self, family: int) -> bool:
        """Whether both chains are jumped to, once, before anything else."""
        table = self.table(family)
        return all(
            [n for n, rule in enumerate(table.rules(chain)) if rule.target == ours] == [0]
            for chain, ours in JUMPS
        )

    @property
    def is_in_place(self) -> bool:
        """Ours comes first, is loaded at boot, and is no trial."""
        is_first = all(self.is_first(family) for family in self.families)
        return is_first and self.is_enabled and not self.is_armed

    def kept_text(self, family: int) -> str:
        """The file of rules that is loaded at boot."""
        return (self.kept if family == 4 else self.kept6) + "\n"

    def lets_in(self, source: str, port: int, into: str = "") -> Verdict:
        """Whether a new TCP connection from an address gets through, by the rules in place."""
        return reach(self.v4, self.nat, source, port, into=into)


def parse_listens(text: str) -> frozenset[int]:
    """``ss -ltn``: ports on addresses that others reach."""
    found = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4 or words[0] != "LISTEN":
            continue
        address, _, port = words[3].rpartition(":")
        if port.isdecimal() and not address.startswith(("127.", "[::1]", "::1")):
            found.add(int(port))
    return frozenset(found)


def parse_talks(text: str) -> tuple[tuple[str, int], ...]:
    """``ss -tn state established``: who is connected to which port of this host."""
    found: dict[tuple[str, int], None] = {}
    for line in text.splitlines():
        ends = re.findall(r"(\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:.]+):(\d+)\b", line)
        if len(ends) == 2:
            (_, port), (peer, _) = ends
            peer = peer.strip("[]").removeprefix("::ffff:")
            found[peer, int(port)] = None
    return tuple(found)


def parse_sums(text: str) -> dict[str, str]:
    """``sha256sum``: path and checksum."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines())
    return {pair[1].strip(): pair[0] for pair in pairs if len(pair) == 2}


def parse(answer: Answer | None) -> HostFilter | None:
    """One host's filter; None: it was not asked, did not answer, or refused sudo."""
    if answer is None or answer.code is None:
        return None
    found = answered(answer.command, answer.out)
    v4, v6 = found.get("v4", ""), found.get("v6", "")
    if "-P INPUT" not in v4:
        return None
    return HostFilter(
        host=answer.host,
        v4=table_of(v4),
        nat=table_of(found.get("nat", "")),
        v6=table_of(v6) if "-P INPUT" in v6 else None,
        has_ipv6=bool(found.get("inet6", "")),
        listens=parse_listens(found.get("listens", "")),
        talks=parse_talks(found.get("talks", "")),
        kept=found.get("now4", ""),
        kept6=found.get("now6", ""),
        sums=parse_sums(found.get("sums", "")),
        is_enabled=found.get("enabled", "") == "enabled"
        and found.get("enabled-docker", "") == "enabled",
        restore_enabled=found.get("enabled-restore", "") == "enabled",
        is_armed=found.get("armed", "") == "active",
        taken_back=found.get("taken-back", ""),
    )


def filters(snapshot: Snapshot) -> tuple[HostFilter, ...]:
    """Every host whose filter is known, in the snapshot's order."""
    found = (parse(snapshot.answer(FACTS, host.name)) for host in snapshot.hosts)
    return tuple(one for one in found if one is not None)


def unread(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Hosts whose filter is not known."""
    known = {one.host for one in filters(snapshot)}
    return tuple(host for host in snapshot.hosts if host.name not in known)


def is_ip(text: str) -> bool:
    """Whether it is one address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def flannel_network(snapshot: Snapshot) -> str:
    """The network of the containers; empty: there is none, or it was not told."""
    answer = snapshot.answer(FLANNEL)
    if answer is None or answer.code != 0:
        return ""
    match = re.search(r'"Network"\s*:\s*"([0-9./]+)"', answer.out)
    return match[1] if match else ""


def kept_choices(snapshot: Snapshot) -> dict[str, object]:
    """The choices of the rules that are kept on the first host that has any."""
    found = (choices_in(one.kept) for one in filters(snapshot))
    return next((one for one in found if one), {})


def kept_lines(one: HostFilter, family: int) -> tuple[str, ...]:
    """The rules that the host loads at boot."""
    return lines_in(one.kept_text(family))


def tried(answer: Answer | None) -> dict[tuple[str, int], bool]:
    """What tries of ports found: address and port, and whether it took a connection."""
    found: dict[tuple[str, int], bool] = {}
    if answer is not None and answer.code == 0:
        for line in answer.out.splitlines():
            place, _, state = line.partition(" ")
            address, _, port = place.rpartition("/")
            if port.isdecimal():
                found[address, int(port)] = state == "open"
    return found


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Every host's filter; what its neighbours answer to it; what all answer to this machine; Ceph's health."""
    hosts = snapshot.reachable_hosts
    found = [
        Question(
            id=FACTS,
            host=host.name,
            command=script(new_marker(), SECTIONS),
            sudo=True,
            timeout=30.0,
        )
        for host in hosts
    ]
    if hosts:
        command = f"etcdctl get {FLANNEL_KEY}"
        found.append(Question(id=FLANNEL, host=hosts[0].name, command=command))
    for number, host in enumerate(hosts):
        others = [*hosts[number + 1 :], *hosts[:number]][:NEIGHBOURS]
        places = tuple((other.address, port) for other in others for port in (22, 4001))
        if places:
            found.append(tries_question(FROM_HOST, host.name, places))
    outside = tuple((host.address, port) for host in hosts for port in (22, *PRIVATE))
    if outside:
        found.append(tries_question(FROM_HERE, "", outside))
    return (*found, *ceph_question(snapshot))


def tries_question(id: str, host: str, places: tuple[tuple[str, int], ...]) -> Question:
    """Which of these ports take a connection, from a host or (empty) from this machine."""
    return Question(id=id, host=host, command=shown_tries(places), tries=places)
