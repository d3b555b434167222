"""A pretend host's packet filter: tables as text, changed by the words of iptables, judged by the same rules
as real ones (``cluster/packet_rules.py``).
"""

from __future__ import annotations

import copy
import re
import shlex
import threading
from collections.abc import Callable, Iterable, Sequence

from deiswizard.cluster.packet_rules import Verdict, reach, table_of

Chains = dict[str, list[str]]

BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}
DOCKERS = (
    "-o docker0 -j DOCKER",
    "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-i docker0 ! -o docker0 -j ACCEPT",
    "-i docker0 -o docker0 -j ACCEPT",
)
"""What Docker 1.12 has in FORWARD, in order."""


class FilterError(Exception):
    """iptables refuses; its words."""


class Tables:
    """The tables of one family: policies, and rules (without ``-A CHAIN``) by chain."""

    def __init__(self) -> None:
        self.policies = {
            (table, chain): "ACCEPT" for table, chains in BUILT_IN.items() for chain in chains
        }
        self.chains: dict[str, Chains] = {
            table: {chain: [] for chain in chains} for table, chains in BUILT_IN.items()
        }

    def apply(self, table: str, words: Sequence[str]) -> None:
        """One command: ``-A -I -D -N -F -X -P``. Raises FilterError."""
        chains = self.chains[table]
        command, chain, rest = words[0], words[1] if len(words) > 1 else "", list(words[2:])
        if command == "-P":
            self.policies[table, chain] = rest[0]
            return
        if command == "-N":
            if chain in chains:
                raise FilterError("Chain already exists.")
            chains[chain] = []
            return
        if chain not in chains:
            raise FilterError("No chain/target/match by that name.")
        if command == "-F":
            chains[chain].clear()
        elif command == "-X":
            is_used = any(
                shlex.split(rule)[-1] == chain for rules in chains.values() for rule in rules
            )
            if is_used or chains[chain]:
                raise FilterError("Too many links." if is_used else "Directory not empty.")
            del chains[chain]
        elif command == "-A":
            self._check_target(table, rest)
            chains[chain].append(" ".join(rest))
        elif command == "-I":
            at = int(rest.pop(0)) if rest and rest[0].isdecimal() else 1
            self._check_target(table, rest)
            chains[chain].insert(at - 1, " ".join(rest))
        elif command == "-D":
            if " ".join(rest) not in chains[chain]:
                raise FilterError("Bad rule (does a matching rule exist in that chain?).")
            chains[chain].remove(" ".join(rest))
        else:
            raise FilterError(f"unknown option '{command}'")

    def _check_target(self, table: str, words: Sequence[str]) -> None:
        target = words[words.index("-j") + 1] if "-j" in words else ""
        known = ("ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "DNAT", "MASQUERADE")
        if target not in known and target not in self.chains[table]:
            raise FilterError(f"Couldn't load target '{target}': No such file or directory")

    def restore(self, text: str) -> None:
        """As ``iptables-restore --noflush``: a chain that is named is made, or emptied."""
        table = ""
        for line in text.splitlines():
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("*"):
                table = line[1:]
            elif line == "COMMIT":
                table = ""
            elif not table:
                raise FilterError(f"line without a table: {line}")
            elif line.startswith(":"):
                self.chains[table].setdefault(line[1:].split()[0], []).clear()
            else:
                self.apply(table, shlex.split(line))
        if table:
            raise FilterError("COMMIT expected at the end")

    def listing(self, table: str, chain: str = "") -> str:
        """As ``-S`` prints it. Raises FilterError for a chain that is not there."""
        chains = self.chains[table]
        if chain and chain not in chains:
            raise FilterError("No chain/target/match by that name.")
        names = [chain] if chain else [*BUILT_IN[table], *sorted(set(chains) - {*BUILT_IN[table]})]
        heads = [
            f"-P {name} {self.policies[table, name]}"
            if (table, name) in self.policies
            else f"-N {name}"
            for name in names
        ]
        rules = [f"-A {name} {rule}" for name in names for rule in chains[name]]
        return "".join(f"{line}\n" for line in (*heads, *rules))


class PacketFilter:
    """Both families. ``published`` tells which ports Docker passes on now: number and protocol."""

    def __init__(self, published: Callable[[], Iterable[tuple[int, str]]]) -> None:
        self._published = published
        self._lock = threading.Lock()
        self._tables = {4: Tables(), 6: Tables()}
        self.docker_starts()

    def flush(self) -> None:
        """As after a boot: nothing, then what Docker puts in."""
        with self._lock:
            self._tables = {4: Tables(), 6: Tables()}
        self.docker_starts()

    def docker_starts(self) -> None:
        """Docker takes its rules out, and puts them in first."""
        with self._lock:
            for table in ("filter", "nat"):
                self._tables[4].chains[table].setdefault("DOCKER", [])
            forward = self._tables[4].chains["filter"]["FORWARD"]
            forward[:] = [*DOCKERS, *(rule for rule in forward if rule not in DOCKERS)]
            nat = self._tables[4].chains["nat"]["PREROUTING"]
            nat[:] = ["-m addrtype --dst-type LOCAL -j DOCKER"]

    def _follow_docker(self) -> None:
        """Docker's own chains hold what is published now."""
        chains = self._tables[4].chains
        if "DOCKER" not in chains["filter"] or "DOCKER" not in chains["nat"]:
            return
        ports = sorted(self._published())
        chains["filter"]["DOCKER"] = [
            f"-d 172.17.0.{n}/32 ! -i docker0 -o docker0 -p {kind} -m {kind} --dport {port} -j ACCEPT"
            for n, (port, kind) in enumerate(ports, 2)
        ]
        chains["nat"]["DOCKER"] = [
            f"! -i docker0 -p {kind} -m {kind} --dport {port} -j DNAT --to-destination 172.17.0.{n}:{port}"
            for n, (port, kind) in enumerate(ports, 2)
        ]

    def listing(self, family: int, table: str = "filter", chain: str = "") -> str:
        """As ``iptables -S``. Raises FilterError."""
        with self._lock:
            self._follow_docker()
            return self._tables[family].listing(table, chain)

    def apply(self, family: int, table: str, words: Sequence[str]) -> None:
        """One command of iptables. Raises FilterError."""
        with self._lock:
            self._follow_docker()
            self._tables[family].apply(table, words)

    def restore(self, family: int, text: str, *, is_test: bool = False) -> None:
        """All of it or nothing. Raises FilterError."""
        with self._lock:
            self._follow_docker()
            tried = copy.deepcopy(self._tables[family])
            tried.restore(text)
            if not is_test:
                self._tables[family] = tried

    def lets_in(self, source: str, port: int) -> Verdict:
        """Whether a new TCP connection from another machine gets through."""
        return reach(table_of(self.listing(4)), table_of(self.listing(4, "nat")), source, port)


PROGRAM = re.compile(r"ip(6?)tables(-restore)?$")


def family_of(program: str) -> int:
    """Of ``iptables``, ``ip6tables-restore`` and the like."""
    match = PROGRAM.search(program)
    return 6 if match and match[1] else 4
