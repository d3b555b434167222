"""How the members of etcd are asked: the picker, the rules beside it, the backup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deiswizard.cluster.quorum import FEWEST, MOST, tolerance
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option
from deiswizard.recommendations.etcd.choices import advised, why_unfit
from deiswizard.recommendations.etcd.facts import Node, View, missing, recent_backup, view
from deiswizard.recommendations.provisioning import fields, makes_files, on_cluster
from deiswizard.wording import at_time, named

SIZES = "; ".join(tolerance(size) for size in range(FEWEST, MOST + 1, 2))


def _members(snapshot: Snapshot) -> Sequence[Option]:
    now = view(snapshot)
    good = advised(now)
    tells_apart = not all(node.is_central for node in now.nodes)
    return tuple(
        Option(
            node.name,
            node.name,
            note=f"{node.facts.address}  {_role(now, node)}{'  control plane' if tells_apart and node.is_central else ''}",
            explain=_explain(now, node),
            recommended=node.name in good,
            warning=why_unfit(node),
        )
        for node in now.nodes
    )


def _role(now: View, node: Node) -> str:
    if node.member is None:
        if node.is_cut_off:
            return "proxy, reaches no member"
        return "proxy" if node.is_proxy else node.etcd.role
    if node.why_unhealthy or not node.member.is_started:
        return "member, not healthy"
    return "member, leads" if node is now.leader else "member"


def _explain(now: View, node: Node) -> str:
    """What ticking it or not will do."""
    if node.member is None:
        return (
            f"Ticked: {node.name} is put on etcd's list, and its etcd is started at once with a clean folder. "
            "Not ticked: it is, or stays, a read-write proxy."
        )
    return (
        f"Ticked: {node.name} stays a member. Not ticked: it is taken from etcd's list, its data is moved "
        "aside, and its etcd starts as a proxy; etcd there is away for about 2 s."
        + (" It leads etcd now, so it would leave last." if node is now.leader else "")
    )


def _meaning(snapshot: Snapshot, raw: dict[str, Any]) -> Sequence[str]:
    """What the ticked hosts are worth, and who changes; in files nobody does."""
    now = view(snapshot)
    chosen = [str(name) for name in raw.get("members") or ()]
    listed = [node.name for node in now.nodes if node.member is not None]
    parts = [tolerance(len(chosen))] if chosen else ["no member"]
    if makes_files(snapshot, raw):
        return (parts[0],)
    if leaves := [name for name in listed if name not in chosen]:
        parts.append(f"leaving: {named(leaves)}")
    if joins := [name for name in chosen if name not in listed]:
        parts.append(f"joining: {named(joins)}")
    return (".  ".join(parts),)


def _backups(snapshot: Snapshot) -> Sequence[Option]:
    fact = recent_backup(snapshot)
    return (
        Option(
            "take",
            "take one now",
            recommended=fact is None,
            explain="etcdctl backup on a member's host, and a copy of /deis and flannel's settings on this "
            "machine, read again and verified, before anything is changed.",
        ),
        Option(
            "have",
            "there is one",
            note=at_time(fact.verified_at) if fact else "",
            enabled=fact is not None,
            warning="" if fact else "none of the last 24 hours is known here",
            explain="Goes on without another: the verified backup that this machine remembers.",
        ),
    )


def _is_lost(snapshot: Snapshot, _raw: dict[str, Any]) -> bool:
    return bool(missing(view(snapshot)))


def _keeps_quorum(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return makes_files(snapshot, raw) or not (raw.get("start_missing") and missing(view(snapshot)))


MISSING = (
    FormField(
        "start_missing",
        "Bring the quorum back first",
        "flag",
        "Members were added that never started, and now there is no majority: nothing can be written, and none "
        "of them can be removed. The one whose host is there is started, told of all that are listed; "
        "then what can never start is taken from the list. Choose the members in a second run.",
        shown=_is_lost,
    ),
)
MEMBERS = (
    FormField(
        "members",
        "Members (all other hosts become proxies)",
        "many",
        f"An odd number. {SIZES}. Members should be hosts that stay: the control plane, no autoscaling. "
        "A new member costs every write a little; a lost one is missed at once.",
        options=_members,
        foot=_meaning,
        shown=_keeps_quorum,
    ),
)
BACKUP = (
    FormField("backup", "Backup of etcd first", "one", options=_backups, shown=_keeps_quorum),
    FormField(
        "folder",
        "Where to",
        "text",
        "A folder of this machine, for you alone. It will hold the cluster's secrets.",
        shown=lambda snapshot, raw: raw.get("backup") == "take" and _keeps_quorum(snapshot, raw),
    ),
)
FIELDS = (
    *fields("members of etcd and for proxies"),
    *on_cluster(MISSING),
    *MEMBERS,
    *on_cluster(BACKUP),
)
