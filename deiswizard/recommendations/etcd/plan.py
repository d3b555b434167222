"""The plan of etcd's members: a backup, then one change after the other, each guarded and awaited."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from deiswizard.cluster.etcd_host import DROP_IN
from deiswizard.cluster.quorum import in_words
from deiswizard.cluster.snapshot import BackupFact, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.etcd_stands import EtcdPeer
from deiswizard.plan.plan import Basis, Change, Impact, MemberBasis, Plan, Stage, worst
from deiswizard.plan.step import CommandStep, GuardStep, UploadStep
from deiswizard.recommendations import provisioning
from deiswizard.recommendations.backup import plan as backup_plan
from deiswizard.recommendations.backup.facts import BackupChoices
from deiswizard.recommendations.etcd import commands as etcd_commands
from deiswizard.recommendations.etcd import rescue as etcd_rescue
from deiswizard.recommendations.etcd import stages as etcd_stages
from deiswizard.recommendations.etcd.choices import EtcdChoices, check_choices, roles
from deiswizard.recommendations.etcd.facts import FRESH_SECONDS, Node, View, recent_backup, view
from deiswizard.recommendations.etcd.steps import Peers
from deiswizard.vocabulary import Danger
from deiswizard.wording import at_time, counted, named

LEASE = (
    "while etcd restarts on a host, fleet and Deis there are without it for about 2 s; after 30 s fleet "
    "would move that host's units away"
)


@dataclass
class _Draft:
    """A plan in the making: stages and their ways back, and who is a member at this point."""

    now: View
    stamp: str
    members: list[EtcdPeer]
    names: dict[str, str]
    target: tuple[str, ...]
    stages: list[Stage] = field(default_factory=list)
    undo: list[Stage] = field(default_factory=list)
    voters: list[int] = field(default_factory=list)
    lasting: list[str] = field(default_factory=list)

    def peers(self, beside: EtcdPeer) -> Peers:
        """Everyone but one."""
        others = tuple(peer for peer in self.members if peer.peer_url != beside.peer_url)
        staying = tuple(n.member for n in self.now.nodes if n.member and n.name in self.target and n.is_healthy_member)  # fmt: skip
        return Peers(others=others, names=self.names, stamp=self.stamp, staying=staying)

    def back(self, beside: EtcdPeer) -> Peers:
        """The same on the way back: a host that left after this one has come back with another id."""
        peers = self.peers(beside)
        returned = {n.peer_url for n in self.now.nodes if n.name not in self.target}
        others = tuple(p.model_copy(update={"id": ""}) if p.peer_url in returned else p for p in peers.others)  # fmt: skip
        return replace(peers, others=others)

    def cluster(self) -> tuple[tuple[str, str], ...]:
        """The members that stay to the end, by name and peer URL."""
        nodes = (self.now.by_name[name] for name in self.target)
        return tuple((self.names[node.peer_url], node.peer_url) for node in nodes)

    def without(self, peer: EtcdPeer) -> None:
        self.members = [one for one in self.members if one.peer_url != peer.peer_url]
        self.voters.append(len(self.members))


def plan(snapshot: Snapshot, choices: EtcdChoices) -> Plan:
    """Backup, additions, removals with the leader last, then proxies that are to stay proxies."""
    now = view(snapshot)
    if blocking := [p for p in check_choices(snapshot, choices) if p.blocks]:
        raise PreconditionError(blocking[0].what, do=blocking[0].allowed or "look again")
    if choices.makes_files:
        return provisioning.plan(
            snapshot,
            choices,
            roles(snapshot, choices),
            recommendation="etcd",
            title="Isolating etcd: files",
            notes=tuple(_file_notes(now, choices)),
        )
    if choices.start_missing:
        return etcd_rescue.plan(snapshot, now, _stamp(snapshot), choices.model_dump(mode="json"))
    draft = _draft(snapshot, now, choices)
    _membership(draft)
    _proxies(draft)
    touched = [stage for stage in draft.stages if stage.steps]
    if touched:
        first = _first_change(touched)
        touched = [*_backup(snapshot, now, choices, draft.stamp, first), *touched]
        reachable = [node for node in now.nodes if node.facts.reachable]
        touched.append(etcd_stages.everywhere(reachable))
    return Plan(
        recommendation="etcd",
        title="Isolating etcd",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(_changes(now, choices, draft)),
        stages=tuple(touched),
        undo=tuple(draft.undo),
        impact=Impact(
            danger=worst(step for stage in touched for step in stage.steps),
            restarts=tuple(_restarts(draft)),
            duration=f"about {max(1, round(len(draft.voters) * 0.5))} min" if draft.voters else "",
            undo=_undo_words(draft),
            notes=tuple(_notes(snapshot, now, choices, draft)),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
            members=tuple(
                MemberBasis(id=m.id, peer_url=next(iter(m.peer_urls), "")) for m in now.members
            ),
        ),
    )


def _file_notes(now: View, choices: EtcdChoices) -> Iterator[str]:
    listed = [node.name for node in now.nodes if node.member is not None]
    if later := [name for name in choices.members if name not in listed]:
        yield f"{named(later)} is no member of etcd now: run this on the cluster, too"
    yield "a host that takes a lost member's place is first put on etcd's list, on the running cluster"


def _stamp(snapshot: Snapshot) -> str:
    """In the names of what is moved aside."""
    return time.strftime("%Y-%m-%d-%H%M%S", time.gmtime(snapshot.taken_at))


def _draft(snapshot: Snapshot, now: View, choices: EtcdChoices) -> _Draft:
    members = [node.peer() for node in now.nodes if node.member is not None]
    members += [
        EtcdPeer(host="", peer_url=next(iter(m.peer_urls), ""), id=m.id) for m in now.strangers
    ]
    names = {node.peer_url: node.etcd_name for node in now.nodes}
    names |= {next(iter(m.peer_urls), ""): m.name or m.id for m in now.strangers}
    return _Draft(
        now=now,
        stamp=_stamp(snapshot),
        members=members,
        names=names,
        target=choices.members,
        voters=[len(members)],
    )


def _membership(draft: _Draft) -> None:
    """The dead leave first, so that they cost no vote; then hosts join, then hosts leave."""
    now = draft.now
    leaving = [n for n in now.nodes if n.member is not None and n.name not in draft.target]
    for member in now.strangers:
        url = next(iter(member.peer_urls), "")
        why = "it is dead" if member.is_started else "it never started"
        _remove_only(draft, EtcdPeer(host="", peer_url=url, id=member.id), why, key=member.id)
    for node in [node for node in leaving if not node.is_healthy_member]:
        if node.is_asked:
            _leave(draft, node)
        else:
            _remove_only(draft, node.peer(), "it is dead", key=node.name)
    for node in now.nodes:
        if node.name in draft.target and node.member is None:
            peers = draft.peers(node.peer())
            stage = etcd_stages.join(node, peers, title=f"{node.name} becomes a member")
            draft.stages.append(stage)
            back = tuple((draft.names[p.peer_url], p.peer_url) for p in peers.others)
            draft.undo.insert(
                0, etcd_stages.unjoin(node, draft.back(node.peer()), stage, target=back)
            )
            draft.members.append(node.peer())
            draft.voters.append(len(draft.members))
    healthy = [node for node in leaving if node.is_healthy_member]
    for node in sorted(healthy, key=lambda node: node is now.leader):
        _leave(draft, node)


def _leave(draft: _Draft, node: Node) -> None:
    peers = draft.peers(node.peer())
    title = f"{node.name} becomes a proxy"
    stage = etcd_stages.leave(node, peers, title=title, target=draft.cluster())
    draft.stages.append(stage)
    if node.is_healthy_member:
        draft.undo.insert(0, etcd_stages.unleave(node, draft.back(node.peer()), stage))
    else:
        draft.lasting.append(node.name)
    draft.without(node.peer())


def _remove_only(draft: _Draft, peer: EtcdPeer, why: str, *, key: str) -> None:
    where = peer.host or peer.peer_url
    title = f"{where} leaves: {why}"
    draft.stages.append(etcd_stages.only_remove(peer, draft.peers(peer), title=title, key=key))
    draft.lasting.append(where)
    draft.without(peer)


def _proxies(draft: _Draft) -> None:
    """Hosts that are no voters: those that do not serve are mended, the others made to stay so."""
    to_keep = []
    cluster = draft.cluster()
    for node in draft.now.nodes:
        if node.member is not None or node.name in draft.target or not node.is_asked:
            continue
        if node.is_good_proxy:
            continue
        is_writing = node.etcd.setting("ETCD_PROXY") != "readonly"
        if node.is_proxy and is_writing and not node.is_cut_off:
            to_keep.append(node)
            continue
        peers = draft.peers(node.peer())
        stage = etcd_stages.repair(node, peers, cluster)
        draft.stages.append(stage)
        draft.undo.insert(0, etcd_stages.restored([node], stage))
    if to_keep:
        stage = etcd_stages.keep(to_keep, cluster)
        draft.stages.append(stage)
        draft.undo.insert(0, etcd_stages.restored(to_keep, stage))


def _first_change(stages: Sequence[Stage]) -> str:
    """The step that first changes more than a file that is read later, or, where none does, the first one."""
    steps = [step for stage in stages for step in stage.steps]
    changing = (s.id for s in steps if s.id.partition(":")[0] in ("remove", "add", "switch"))
    return next(changing, steps[0].id)


def _backup(
    snapshot: Snapshot, now: View, choices: EtcdChoices, stamp: str, first: str
) -> Iterator[Stage]:
    """A copy on a host that stays a member, and an export to this machine; nothing of it can be left out.

    Where a copy that was there is enough, it must still be new enough when the ``first`` change is made.
    """
    at = next((n for n in now.healthy if n.name in choices.members), None) or now.healthy[0]
    if choices.backup == "have":
        if fact := recent_backup(snapshot):
            yield _still_fresh(at, fact, first)
        return
    data = at.etcd.data_dir
    target = f"{data}/backup-{stamp}" if at.etcd.is_mount else f"{data}-backup-{stamp}"
    copy = CommandStep(
        id="backup:member",
        title="etcd's own copy of this member's data",
        host=at.name,
        command=etcd_commands.backup_command(data, target),
        sudo=True,
        is_repeatable=True,
        danger=Danger.WRITE,
        undo="it stays on the host; remove it when all is well",
    )
    yield Stage(id="backup", title="Backup on a host", steps=(copy,)).vital
    settings = BackupChoices(what=("etcd",), folder=choices.folder, keep=0)
    for stage in backup_plan.plan(snapshot, settings).stages:
        yield stage.model_copy(update={"id": f"backup-{stage.id}", "title": f"Backup here: {stage.title}"}).vital  # fmt: skip


def _still_fresh(at: Node, fact: BackupFact, first: str) -> Stage:
    """A plan may be applied, or a run taken up again, long after the copy was looked for."""
    guard = GuardStep(
        id="backup:fresh",
        title=f"{fact.backup} is less than a day old",
        host=at.name,
        condition=CommandSays(
            host=at.name,
            command=etcd_commands.is_before(fact.verified_at + FRESH_SECONDS),
            pattern="^fresh$",
        ),
        otherwise="nothing was changed: the backup is too old by now. Make a new plan, with a new backup",
        until=(first,),
    )
    return Stage(id="backup", title="A backup from before", steps=(guard,))


def _changes(now: View, choices: EtcdChoices, draft: _Draft) -> Iterator[Change]:
    steps = [(stage, {step.id for step in stage.steps}) for stage in draft.stages]
    moving = [i for _, ids in steps for i in ids if i.partition(":")[0] in ("remove", "add")]

    def listed(names: Sequence[str]) -> str:
        return f"{len(names)}: {' '.join(names)}"

    before = [n.name for n in now.nodes if n.member is not None]
    before += [next(iter(m.peer_urls), m.id) for m in now.strangers]
    wanted = [node.name for node in now.nodes if node.name in choices.members]
    yield Change(
        where="etcd members",
        current=listed(before),
        desired=listed(wanted) if moving else listed(before),
        steps=tuple(sorted(moving)),
    )
    for stage in draft.stages:
        yield from _restart_changes(now, stage)
    yield from _file_changes(now, draft.stages)


def _restart_changes(now: View, stage: Stage) -> Iterator[Change]:
    """What becomes of the hosts whose etcd restarts."""
    for step in stage.steps:
        node = now.by_name.get(step.id.removeprefix("switch:"))
        if node is None:
            continue
        was: str = "member" if node.member else "proxy" if node.is_proxy else node.etcd.role
        if node.is_proxy and node.etcd.setting("ETCD_PROXY") == "readonly":
            was = "read-only proxy"
        yield Change(
            where=f"{node.name} etcd2",
            current=was,
            desired=_wanted(stage),
            note="restarts, about 2 s; its data is moved aside",
            steps=(step.id,),
        )


def _wanted(stage: Stage) -> str:
    return "member" if stage.id.startswith("member:") else "proxy"


def _file_changes(now: View, stages: Sequence[Stage]) -> Iterator[Change]:
    """The same file on many hosts is told once."""
    for wanted in ("member", "proxy"):
        files = [
            step
            for stage in stages
            for step in stage.steps
            if isinstance(step, UploadStep) and _wanted(stage) == wanted
        ]
        if not files:
            continue
        hosts = [step.host for step in files]
        is_there = any(now.by_name[name].etcd.drop_in is not None for name in hosts)
        folder, _, name = DROP_IN.rpartition("/")
        yield Change(
            where=name,
            current="as it is" if is_there else None,
            desired=f"a {wanted}'s variables",
            note=f"on {named(hosts)}, in {folder}",
            steps=tuple(step.id for step in files),
        )


def _restarts(draft: _Draft) -> Iterator[str]:
    for stage in draft.stages:
        for step in stage.steps:
            if step.id.startswith("switch:"):
                yield f"etcd2 on {step.host}"


def _undo_words(draft: _Draft) -> str:
    if not draft.stages:
        return "not needed: nothing changes"
    if not draft.undo:
        return "it cannot: a member that was removed while it was dead does not come back"
    words = (
        "one command, host by host, the last change first; members that come back have fresh data"
    )
    if draft.lasting:
        words += f"; not of {', '.join(draft.lasting)}: what was dead stays away"
    return words


def _notes(snapshot: Snapshot, now: View, choices: EtcdChoices, draft: _Draft) -> Iterator[str]:
    if len(draft.voters) > 1:
        yield "quorum on the way: " + "; then ".join(in_words(n, n) for n in draft.voters)
    if any(True for _ in _restarts(draft)):
        yield LEASE
        yield f"data directories are moved aside, never deleted: their names end with {draft.stamp}"
    if now.leader is not None and now.leader.name not in choices.members:
        yield f"{now.leader.name} leads etcd now and leaves last: the others choose a leader within a second or two"  # fmt: skip
    if draft.stages and choices.backup == "have" and (fact := recent_backup(snapshot)):
        yield f"no backup is taken: {fact.backup} was verified {at_time(fact.verified_at)}"
    if draft.stages and choices.backup == "take":
        yield f"the backup in {choices.folder} is not encrypted: it holds the cluster's secrets"
    unasked = [n for n in now.nodes if not n.is_asked and n.name not in choices.members]
    if left := [node.name for node in unasked if node.member is None]:
        yield (
            f"{counted(len(left), 'host')} cannot be asked and stay as they are: {named(left)}. "
            "Run this again when they are back"
        )
    for node in unasked:
        if node.member is not None:
            yield (
                f"{node.name} does not answer and is only taken from the list. Its etcd cannot start when it "
                "is back: run this again then, and it becomes a proxy"
            )
    if draft.voters and draft.voters[-1] > 0:
        yield "replacement hosts take their role from user-data: run this again as user-data files"
