"""What the operator chooses about etcd, what is advised, and what is refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import field_validator

from deiswizard.cluster.quorum import FEWEST, MOST, can_lose
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.etcd.facts import Node, View, may_live, missing, recent_backup, view
from deiswizard.recommendations.provisioning import ProvisioningChoices, problems
from deiswizard.userdata.edits import RoleEdits

FOLDER = "~/deiswizard-backups"
ALLOWED = "3, 5, 7 or 9 hosts"
MANY_HOSTS = 10
"""From that many hosts on, five members are advised instead of three."""


class EtcdChoices(ProvisioningChoices):
    """Which hosts are members; all others become proxies. ``backup``: of etcd, before the first change.

    ``start_missing``: where the quorum was lost to members that never started, start those instead.
    """

    members: tuple[str, ...]
    start_missing: bool = False
    backup: Literal["take", "have"] = "take"
    folder: str = FOLDER

    @field_validator("members")
    @classmethod
    def _once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(members))


NOTHING_MISSING = Problem(
    field="start_missing",
    what="there is no member that never started and whose start would bring the quorum back",
    allowed="no",
)


def advised(now: View) -> tuple[str, ...]:
    """The hosts that should be members.

    What is well stays. Otherwise: control plane first, then healthy members, the leader before the
    others, then the order of the hosts.
    """
    healthy = now.healthy
    is_isolated = len(healthy) < len(now.nodes)
    is_well = len(healthy) == len(now.members) and is_good_size(len(healthy))
    if is_well and (is_isolated or len(healthy) == FEWEST):
        return tuple(node.name for node in healthy)
    fit = [node for node in now.nodes if node.is_asked and not why_unfit(node)]
    size = 5 if len(now.nodes) >= MANY_HOSTS else FEWEST
    ranked = sorted(fit, key=lambda node: _rank(now, node))
    chosen = {node.name for node in ranked[:size]}
    return tuple(node.name for node in now.nodes if node.name in chosen)


def _rank(now: View, node: Node) -> tuple[bool, bool, bool]:
    return (not node.is_central, not node.is_healthy_member, node is not now.leader)


def is_good_size(count: int) -> bool:
    """Odd, and neither too few nor too many."""
    return count % 2 == 1 and FEWEST <= count <= MOST


def why_unfit(node: Node) -> str:
    """Why a host cannot be a member in the end; empty: it can."""
    if not node.facts.reachable:
        return "it cannot be reached"
    if not node.is_asked:
        return "where its etcd keeps its data could not be found"
    if node.member is not None and node.why_unhealthy:
        return f"its member is not healthy ({node.why_unhealthy}): it must leave first, and can join again in a second run"  # fmt: skip
    if node.member is not None and not node.member.is_started:
        return "its member never started: it must leave first, and can join again in a second run"
    return ""


def defaults(snapshot: Snapshot) -> EtcdChoices:
    """What is advised, and a backup first; where the quorum can be brought back, that."""
    now = view(snapshot)
    return EtcdChoices(members=advised(now), start_missing=bool(missing(now)))


def check_choices(snapshot: Snapshot, choices: EtcdChoices) -> tuple[Problem, ...]:
    """Everything that is wrong with them."""
    now = view(snapshot)
    if choices.makes_files:
        sizes = tuple(_sizes(now, choices))
        found = problems(choices, roles(snapshot, choices), members=len(choices.members))
        return sizes or tuple(found)
    if choices.start_missing:
        return () if missing(now) else (NOTHING_MISSING,)
    return (*_member_problems(now, choices), *_backup_problems(snapshot, choices))


def roles(snapshot: Snapshot, choices: EtcdChoices) -> tuple[RoleEdits, ...]:
    """A member's file, and a proxy's that names the members: hosts to come are proxies, whoever is one now."""
    known = view(snapshot).by_name
    members = tuple((known[name].etcd_name, known[name].peer_url) for name in choices.members if name in known)  # fmt: skip
    return RoleEdits(etcd="member"), RoleEdits(etcd="proxy", members=members)


def _wrong(what: str, allowed: str = "", *, blocks: bool = True) -> Problem:
    return Problem(field="members", what=what, allowed=allowed, blocks=blocks)


def _sizes(now: View, choices: EtcdChoices) -> Iterator[Problem]:
    """What is wrong with the hosts and how many they are, whatever they are now."""
    chosen, known = choices.members, now.by_name
    if unknown := [name for name in chosen if name not in known]:
        yield _wrong(f"{unknown[0]} is no host of this cluster", ", ".join(known))
        return
    count = len(chosen)
    if count < FEWEST:
        yield _wrong(f"{count} are too few: losing one would be the end of etcd", ALLOWED)
    elif count > MOST:
        yield _wrong(f"{count} are too many: every write waits for a majority of them", ALLOWED)
    elif count % 2 == 0:
        spare = can_lose(count, count)
        yield _wrong(f"{count} can lose {spare}, and {count - 1} can, too: take one out or add one", ALLOWED)  # fmt: skip


def _member_problems(now: View, choices: EtcdChoices) -> Iterator[Problem]:
    yield from _sizes(now, choices)
    chosen, known = choices.members, now.by_name
    if any(name not in known for name in chosen):
        return
    for name in chosen:
        if said := why_unfit(known[name]):
            yield _wrong(f"{name}: {said}", "another host")
    for problem in why_no_change(now, chosen):
        yield _wrong(problem)
    has_planes = any(node.is_central for node in now.nodes)
    outside = [name for name in chosen if not known[name].is_central]
    if has_planes and outside:
        yield _wrong(
            f"{', '.join(outside)}: not of the control plane; members should be hosts that stay",
            blocks=False,
        )


def why_no_change(now: View, chosen: tuple[str, ...]) -> Iterator[str]:
    """What in the cluster itself forbids any change of its members."""
    if not now.members:
        yield "etcd's members could not be read"
        return
    listed = {node.name for node in now.nodes if node.member is not None}
    if set(chosen) == listed and not now.strangers:
        return
    if not now.has_quorum:
        yield "etcd has lost its quorum: its members cannot be changed before it is back"
        return
    joins = set(chosen) - listed
    gone = [n for n in now.nodes if n.member is not None and n.name not in chosen]
    staying = [n for n in now.nodes if n.member is not None and n.name in chosen]
    ill = [n.name for n in staying if not n.is_healthy_member]
    if ill:
        yield f"{ill[0]} is to stay a member, and is not healthy"
    for node in gone:
        if not node.is_asked and node.member is not None and node.member.healthy is not False:
            yield f"{node.name} cannot be asked, but its etcd may be alive: it would be left without one"
    for member in now.strangers:
        if may_live(member):
            url = next(iter(member.client_urls or member.peer_urls), "")
            yield (
                f"{member.id} ({url}) may be alive, and fleet does not list its host: start fleetd there, then "
                "look again; if that host is to go, stop its etcd first"
            )
    dead = [n for n in gone if not n.is_healthy_member]
    if len(dead) + len(now.strangers) > 1:
        yield "more than one member is dead: they must be brought back, or removed by hand one by one"
    if joins and len(now.members) - len(dead) - len(now.strangers) < 2:
        yield "etcd has a single member: joining it would stop every write until the second has started"  # fmt: skip


def _backup_problems(snapshot: Snapshot, choices: EtcdChoices) -> Iterator[Problem]:
    if choices.backup == "have" and recent_backup(snapshot) is None:
        yield Problem(
            field="backup",
            what="no verified backup of etcd from the last 24 hours is known on this machine",
            allowed="take one now",
        )
    if choices.backup == "take" and not choices.folder.strip():
        yield Problem(
            field="folder", what="where to is missing", allowed="a folder of this machine"
        )
