"""What is known of etcd on a cluster: its members, and what it really is on every host."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from deiswizard.backup.data import EtcdSource
from deiswizard.cluster import etcd_host
from deiswizard.cluster.etcd_host import EtcdHost
from deiswizard.cluster.quorum import quorum
from deiswizard.cluster.snapshot import BackupFact, Evidence, HostFacts, Member, Question, Snapshot
from deiswizard.plan.etcd_stands import EtcdPeer, why_unhealthy
from deiswizard.recommendations.backup.facts import known_backups, mount_questions
from deiswizard.userdata.metadata import PLANES

QUESTION = "etcd.host"
FRESH_SECONDS = 24 * 3600.0
"""A backup of etcd that is older is no backup of what is there now."""


@dataclass(frozen=True)
class Node:
    """One host of fleet: what was read there, and the member that it is on etcd's list, if any.

    ``voters`` is where clients speak to the members that may be alive.
    """

    facts: HostFacts
    etcd: EtcdHost
    member: Member | None = None
    voters: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Of the host."""
        return self.facts.name

    @property
    def is_asked(self) -> bool:
        """What etcd is there is known."""
        return self.etcd.is_asked and bool(self.etcd.data_dir)

    @property
    def why_unhealthy(self) -> str:
        """What is wrong with its member; empty: it is healthy, or it is none."""
        return why_unhealthy(self.member, self.etcd) if self.member else ""

    @property
    def is_healthy_member(self) -> bool:
        """A voter that says itself, on its own host, that it is well."""
        return self.member is not None and self.member.is_started and not self.why_unhealthy

    @property
    def is_good_proxy(self) -> bool:
        """A read-write proxy that stays one, and reaches a member."""
        return self.is_proxy and self.etcd.is_persisted_proxy and not self.is_cut_off

    @property
    def is_cut_off(self) -> bool:
        """A proxy that passes on to none of the members: those that it knew are gone."""
        known = {url.rstrip("/") for url in self.etcd.endpoints}
        return self.is_proxy and bool(self.voters) and not known & self.voters

    @property
    def is_proxy(self) -> bool:
        """No voter, and its own data directory and port say that it passes on what it is asked."""
        return self.member is None and self.etcd.role == self.etcd.runs_as == "proxy"

    @property
    def is_central(self) -> bool:
        """It carries the metadata of the control plane."""
        return (PLANES["control"], "true") in self.facts.metadata

    @property
    def evidence(self) -> Evidence:
        """The host's own words about etcd."""
        said = f"{self.etcd.role} in {self.etcd.data_dir or 'no known folder'}, runs as {self.etcd.runs_as or 'nothing'}"  # fmt: skip
        return Evidence(source="etcd2 and its data directory", host=self.name, said=said)

    def peer(self) -> EtcdPeer:
        """It as a member, as a plan knows it."""
        return EtcdPeer(
            host=self.name, peer_url=self.peer_url, id=self.member.id if self.member else ""
        )

    @property
    def peer_url(self) -> str:
        """Where its member is, or would be, spoken to by the others."""
        if self.member is not None and self.member.peer_urls:
            return self.member.peer_urls[0]
        own = self.etcd.setting("ETCD_INITIAL_ADVERTISE_PEER_URLS").split(",")[0]
        return own if own.startswith("http") else f"http://{self.facts.address}:2380"

    @property
    def etcd_name(self) -> str:
        """What its member is called: its machine id, unless its unit says otherwise."""
        return self.etcd.setting("ETCD_NAME") or self.facts.machine_id


def may_live(member: Member) -> bool:
    """Of one whose host fleet does not list: it has started, and nothing says that it is dead."""
    return member.is_started and member.healthy is not False


@dataclass(frozen=True)
class View:
    """etcd as a whole. ``strangers`` are members that belong to no host of fleet."""

    nodes: tuple[Node, ...]
    members: tuple[Member, ...]
    strangers: tuple[Member, ...]

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Nodes by their host's name."""
        return {node.name: node for node in self.nodes}

    @property
    def healthy(self) -> tuple[Node, ...]:
        """Voters that say themselves that they are well."""
        return tuple(node for node in self.nodes if node.is_healthy_member)

    @property
    def has_quorum(self) -> bool:
        """By what each member's own host says."""
        return bool(self.members) and len(self.healthy) >= quorum(len(self.members))

    @property
    def running(self) -> int:
        """Voters whose etcd runs, healthy or not: without a quorum none of them is."""
        return sum(n.etcd.runs_as == "member" and n.etcd.own_id == n.member.id for n in self.nodes if n.member)  # fmt: skip

    @property
    def unstarted(self) -> tuple[Member, ...]:
        """Voters that never ran."""
        return tuple(member for member in self.members if not member.is_started)

    @property
    def leader(self) -> Node | None:
        """Where the leader is, as the members remember it."""
        return next((n for n in self.nodes if n.member is not None and n.member.is_leader), None)


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """What etcd is, asked on every host that answers; what a backup of it says of the volume."""
    found = [
        Question(id=QUESTION, host=host.name, command=etcd_host.command(), sudo=True, timeout=30)
        for host in snapshot.reachable_hosts
    ]
    return (*found, *mount_questions(snapshot))


def _hosts_of(member: Member) -> frozenset[str]:
    """The host parts of its URLs, whole."""
    found = (urlsplit(url).hostname for url in (*member.client_urls, *member.peer_urls))
    return frozenset(host for host in found if host)


def view(snapshot: Snapshot) -> View:
    """Members matched to fleet's machines: by name, which is the machine id, else by URL's host."""
    left = list(snapshot.etcd.members)
    voters = frozenset(
        url.rstrip("/") for m in left if m.healthy is not False for url in m.client_urls
    )
    nodes = []
    for host in snapshot.hosts:
        by_name = [m for m in left if m.name and m.name == host.machine_id]
        by_url = [m for m in left if host.address in _hosts_of(m)]
        member = next(iter([*by_name, *by_url]), None)
        if member is not None:
            left.remove(member)
        nodes.append(Node(host, _answer(snapshot, host), member, voters))
    return View(tuple(nodes), snapshot.etcd.members, tuple(left))


def _answer(snapshot: Snapshot, host: HostFacts) -> EtcdHost:
    answer = snapshot.answer(QUESTION, host.name)
    if answer is None or answer.code is None:
        return EtcdHost(host=host.name, is_asked=False)
    return etcd_host.parse(host.name, answer.command, answer.out)


def missing(now: View) -> tuple[Node, ...]:
    """Hosts that answer and whose member never started, as many as bring the quorum back; or none."""
    if not now.members or now.has_quorum or not now.running:
        return ()
    fit = [n for n in now.nodes if n.member is not None and not n.member.is_started and n.is_asked]
    needed = quorum(len(now.members)) - now.running
    return tuple(fit[:needed]) if 0 < needed <= len(fit) else ()


def recent_backup(snapshot: Snapshot) -> BackupFact | None:
    """A verified copy of etcd that is new enough to go back to."""
    name = EtcdSource().name
    for fact in known_backups(snapshot):
        if name in fact.parts and snapshot.taken_at - fact.verified_at < FRESH_SECONDS:
            return fact
    return None
