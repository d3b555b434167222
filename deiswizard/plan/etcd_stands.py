"""The guard of every change of etcd's members: who is one, and what its own host says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from deiswizard.cluster.etcd_host import EtcdHost
from deiswizard.cluster.quorum import quorum
from deiswizard.cluster.snapshot import Member
from deiswizard.frozen import Frozen


class EtcdPeer(Frozen):
    """A member as a plan knows it: the host it runs on (empty: none that fleet knows), its peer URL.

    ``id`` is empty for one that etcd gives its id only when it joins.
    """

    host: str
    peer_url: str
    id: str = ""

    def is_one(self, member: Member) -> bool:
        """Whether it is that member. Whole fields: ids and URLs share substrings."""
        return self.peer_url in member.peer_urls and self.id in ("", member.id)


class EtcdStands(Frozen):
    """etcd's members are exactly ``others``, and every one is healthy by its own host.

    ``target`` is the one that is about to change: it may be listed or not, healthy or not, because an
    earlier try may have got that far. ``change`` is what happens to it next. ``others`` must be a
    quorum before and after it. ``ready`` is a host that must answer, because it is to join at once.
    ``also`` are hosts that are only looked at, to be shown. ``is_gone``: ``target`` leaves because it is
    dead, so it must not be found alive.
    """

    kind: Literal["etcd-stands"] = "etcd-stands"
    others: tuple[EtcdPeer, ...]
    target: EtcdPeer | None = None
    change: Literal["none", "add", "remove"] = "none"
    ready: str = ""
    also: tuple[str, ...] = ()
    is_gone: bool = False


def why_not_as_planned(
    members: Sequence[Member], others: Sequence[EtcdPeer], target: EtcdPeer | None
) -> str:
    """What of the list is not as planned; empty when it is."""
    for peer in others:
        if not any(peer.is_one(member) for member in members):
            return f"{peer.host or peer.peer_url} is no member any more"
    for member in members:
        is_target = target is not None and target.peer_url in member.peer_urls
        if not is_target and not any(peer.is_one(member) for peer in others):
            name = next(iter(member.peer_urls), member.id)
            return f"{member.id} ({name}) has become a member since this plan was made"
    return ""


def why_not(condition: EtcdStands, members: Sequence[Member], hosts: Mapping[str, EtcdHost]) -> str:
    """What keeps the condition from holding; empty when it holds."""
    if said := why_not_as_planned(members, condition.others, condition.target):
        return f"etcd's members are not as planned: {said}"
    for peer in condition.others:
        member = next(member for member in members if peer.is_one(member))
        if not member.is_started:
            return f"{peer.host or peer.peer_url} was added and never started: it counts as a voter"
        if said := why_unhealthy(member, hosts.get(peer.host)):
            return f"{peer.host or peer.peer_url}: {said}"
    target = condition.target
    listed = target is not None and any(target.peer_url in m.peer_urls for m in members)
    healthy, now = len(condition.others), len(members)
    after = now + (condition.change == "add" and not listed)
    after -= condition.change == "remove" and listed
    for voters, when in ((now, "now"), (after, "after this change")):
        if healthy < quorum(voters):
            return f"{healthy} healthy members beside the one that changes are no quorum of {voters} {when}"
    if condition.change == "remove" and listed and now <= 2:
        return "one of the last two members is never removed"
    if condition.is_gone and target is not None and (said := why_alive(target, members, hosts)):
        return said
    ready = hosts.get(condition.ready)
    if condition.ready and (ready is None or not ready.is_asked):
        return f"{condition.ready} does not answer, so it could not start as a member at once"
    return ""


def why_alive(target: EtcdPeer, members: Sequence[Member], hosts: Mapping[str, EtcdHost]) -> str:
    """What tells that a member lives which was dead; empty: nothing does.

    Its own host is believed. Where that cannot be asked, whatever answers on its port may be it.
    """
    member = next((member for member in members if target.is_one(member)), None)
    if member is None or not member.is_started:
        return ""
    where = target.host or target.peer_url
    host = hosts.get(target.host)
    if host is not None and host.is_asked:
        if why_unhealthy(member, host):
            return ""
        return f"{where} was dead when this plan was made, and is a healthy member now: make a new plan"
    if member.healthy is False:
        return ""
    return f"{where} may be alive: its host cannot be asked, and something answers on its port"


def why_unhealthy(member: Member, host: EtcdHost | None) -> str:
    """What its own host has against a member; empty when it is healthy."""
    if host is None or not host.is_asked:
        return "its host could not be asked"
    if host.is_member(member.id):
        return ""
    match host.role:
        case "member" if host.runs_as == "proxy":
            return "a proxy answers in this member's place: restart etcd2 there"
        case "member" if not host.runs_as:
            return f"its etcd does not answer ({host.active or 'unknown'})"
        case "member" if host.own_id and host.own_id != member.id:
            return f"its etcd is {host.own_id}, not {member.id}"
        case "member":
            return "its etcd says that it is not healthy"
        case "proxy":
            return "a voter is dead: its host runs a proxy, which answers in its place"
        case "both":
            return f"{host.data_dir} holds both member and proxy: its etcd refuses to start"
        case "none":
            return f"there is no member in {host.data_dir}"
        case _:
            return "where its data is could not be found"
