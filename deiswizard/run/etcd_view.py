"""What a run has seen of etcd's members: who is one, since when, and who changed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from deiswizard.cluster.etcd_host import EtcdHost
from deiswizard.cluster.snapshot import Member
from deiswizard.run import events as e


@dataclass(frozen=True, slots=True)
class Trace:
    """One change of the list: when, what, and whether this run made it."""

    at: float
    text: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class EtcdView:
    """``members`` as last listed; ``hosts`` by name as each last said itself; ``since`` is when a
    host's role was seen to change.
    """

    members: tuple[Member, ...] = ()
    hosts: Mapping[str, EtcdHost] = field(default_factory=lambda: MappingProxyType({}))
    since: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    trail: tuple[Trace, ...] = ()

    @property
    def healthy(self) -> int:
        """Members that were healthy by their own hosts when these were asked last."""
        return sum(member.healthy is True for member in self.members)


EtcdEvent = e.MembersSeen | e.MemberAdded | e.MemberRemoved


def seen(view: EtcdView, event: EtcdEvent, ours: frozenset[str]) -> EtcdView:
    """The view after an event. ``ours`` are peer URLs that a step of this run is changing now."""
    match event:
        case e.MemberRemoved():
            left = tuple(m for m in view.members if not _is(m, event))
            if len(left) == len(view.members):
                return view  # it was seen to go before its step had heard of it
            text = f"removed {_short(event.member or _id_of(view, event.url))} ({event.host or event.url})"
            return _traced(replace(view, members=left), event.at, text, True)
        case e.MemberAdded():
            if any(event.url in m.peer_urls for m in view.members):
                return view
            fresh = Member(id=event.member, name="", peer_urls=(event.url,))
            text = f"added {_short(event.member)} ({event.host or event.url})"
            return _traced(replace(view, members=(*view.members, fresh)), event.at, text, True)
        case e.MembersSeen():
            return _listed(view, event, ours)


def _is(member: Member, event: e.MemberRemoved) -> bool:
    return member.id == event.member if event.member else event.url in member.peer_urls


def _id_of(view: EtcdView, url: str) -> str:
    return next((m.id for m in view.members if url in m.peer_urls), url)


def _short(name: str) -> str:
    return name[:8]


def _listed(view: EtcdView, event: e.MembersSeen, ours: frozenset[str]) -> EtcdView:
    before = {member.id: member for member in view.members}
    now = {member.id: member for member in event.members}
    after = view
    if before:
        for member in (*view.members, *event.members):
            if member.id in before and member.id in now:
                continue
            verb = "removed" if member.id in before else "added"
            url = next(iter(member.peer_urls), "")
            text = f"{verb} {_short(member.id)} ({url})"
            after = _traced(after, event.at, text, url in ours)
    # a look at the list alone asks no host: what was known of their health stays
    members = tuple(
        m.model_copy(update={"healthy": before[m.id].healthy})
        if m.healthy is None and m.id in before
        else m
        for m in event.members
    )
    hosts = {**view.hosts, **{host.host: host for host in event.hosts}}
    since = dict(view.since)
    for host in event.hosts:
        known = view.hosts.get(host.host)
        if known is not None and (known.role, known.runs_as) != (host.role, host.runs_as):
            since[host.host] = event.at
    return replace(
        after, members=members, hosts=MappingProxyType(hosts), since=MappingProxyType(since)
    )


def _traced(view: EtcdView, at: float, text: str, is_ours: bool) -> EtcdView:
    return replace(view, trail=(*view.trail, Trace(at, text, is_ours)))
