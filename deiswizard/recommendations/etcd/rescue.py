"""The way out of a quorum that was lost to members that never started (deis-facts 14).

Two members that were added and never ran end the quorum of a small cluster, and then none of them can
be removed. But one of them whose host is there can be started: it needs no quorum to run, and with
it there is one again. It must be told of all members that are listed, the bogus ones included.
"""

from __future__ import annotations

import hashlib

from deiswizard.cluster.etcd_host import DROP_IN
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays, MemberListed
from deiswizard.plan.etcd_stands import EtcdPeer
from deiswizard.plan.plan import Basis, Change, Impact, MemberBasis, Plan, Stage, chained
from deiswizard.plan.step import CommandStep, GuardStep, Step, UploadStep, WaitStep
from deiswizard.recommendations.etcd import commands as etcd_commands
from deiswizard.recommendations.etcd import stages as etcd_stages
from deiswizard.recommendations.etcd.facts import Node, View, missing
from deiswizard.recommendations.etcd.steps import FOLDER, WAIT_SECONDS, Peers
from deiswizard.vocabulary import Danger

NO_LOCK = "etcd without a quorum can hold no lock: see that nobody else works on this cluster"


def plan(snapshot: Snapshot, now: View, stamp: str, choices: dict[str, object]) -> Plan:
    """Start what is missing, then take from the list what never can start."""
    starting = missing(now)
    if not starting:
        raise PreconditionError("no member that never started can be started", do="look again")
    cluster = tuple((_name(now, peer.peer_url, peer.id), peer.peer_url) for peer in _listed(now))
    stages = [_start(node, cluster, stamp) for node in starting]
    stages += _bogus(now, starting, stamp)
    names = ", ".join(node.name for node in starting)
    return Plan(
        recommendation="etcd",
        title="Isolating etcd: the quorum back",
        cluster=snapshot.cluster,
        choices=choices,
        changes=tuple(
            Change(
                where=f"{node.name} etcd2",
                current="never started",
                desired="member",
                note="told of every listed member, also of what cannot start",
                steps=(f"switch:{node.name}",),
            )
            for node in starting
        ),
        stages=tuple(stages),
        no_lock=NO_LOCK,
        impact=Impact(
            danger=Danger.DESTROY if len(stages) > len(starting) else Danger.RESTART,
            restarts=tuple(f"etcd2 on {node.name}" for node in starting),
            duration="about 1 min",
            undo="it cannot, and needs not: without these members there was no quorum",
            notes=(
                f"etcd has no quorum because members were added that never started: {names} can be "
                "started, and with it there is a quorum again",
                "writes that were refused meanwhile may be applied then: look at what was tried",
                NO_LOCK,
            ),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            members=tuple(MemberBasis(id=peer.id, peer_url=peer.peer_url) for peer in _listed(now)),
        ),
    )


def _listed(now: View) -> tuple[EtcdPeer, ...]:
    hosts = {node.member.id: node.name for node in now.nodes if node.member is not None}
    return tuple(
        EtcdPeer(host=hosts.get(m.id, ""), peer_url=next(iter(m.peer_urls), ""), id=m.id)
        for m in now.members
    )


def _name(now: View, url: str, member_id: str) -> str:
    """Any name will do for the others (deis-facts 14); its own must be its own."""
    return next((node.etcd_name for node in now.nodes if node.peer_url == url), member_id)


def _start(node: Node, cluster: tuple[tuple[str, str], ...], stamp: str) -> Stage:
    assert node.member is not None
    now = node.etcd.drop_in
    works = etcd_commands.serves_as_member(node.etcd.data_dir, node.facts.machine_id)
    steps: list[Step] = [
        GuardStep(
            id=f"guard:{node.name}",
            title="its member is still listed",
            host=node.name,
            condition=MemberListed(id=node.member.id),
            otherwise="the list has changed: look again and make a new plan",
            until=(f"switch:{node.name}",),
        ),
        CommandStep(
            id=f"folder:{node.name}",
            title="a folder for drop-ins",
            host=node.name,
            command=f"mkdir -p {FOLDER}",
            sudo=True,
            is_repeatable=True,
            danger=Danger.WRITE,
        ),
        UploadStep(
            id=f"drop-in:{node.name}",
            title="etcd's variables: every listed member",
            host=node.name,
            path=DROP_IN,
            content=etcd_commands.member_drop_in(node.etcd_name, cluster),
            sudo=True,
            expect=hashlib.sha256(now.encode()).hexdigest() if now else "",
            danger=Danger.WRITE,
        ),
        CommandStep(
            id=f"switch:{node.name}",
            title=f"{node.name} starts as a member",
            host=node.name,
            command=etcd_commands.to_member(
                node.etcd.data_dir, etcd_commands.aside(node.etcd, stamp)
            ),
            sudo=True,
            is_repeatable=True,
            danger=Danger.RESTART,
            timeout=120,
        ),
        WaitStep(
            id=f"works:{node.name}",
            title="it is a healthy member, and reads and writes",
            host=node.name,
            danger=Danger.WRITE,
            condition=CommandSays(host=node.name, command=works, pattern="serves", sudo=True),
            waiting_for="a quorum",
            timeout=WAIT_SECONDS,
            on_timeout=f"look at etcd2 on {node.name}: journalctl -u etcd2",
        ),
    ]
    return Stage(
        id=f"member:{node.name}",
        title=f"{node.name} starts as a member",
        steps=chained(steps),
        hosts_at_a_time=1,
    )


def _bogus(now: View, starting: tuple[Node, ...], stamp: str) -> list[Stage]:
    """The one that no host can start is taken from the list; of more than one the guard says so."""
    started = {node.name for node in starting}
    left = list(_listed(now))
    gone = [
        peer
        for peer in left
        if peer.host not in started
        and any(m.id == peer.id and not m.is_started for m in now.members)
    ]
    if len(gone) != 1:
        return []
    others = tuple(peer for peer in left if peer not in gone)
    peers = Peers(others=others, names={}, stamp=stamp)
    title = f"{gone[0].peer_url} leaves: it never started"
    return [etcd_stages.only_remove(gone[0], peers, title=title, key=gone[0].id)]
