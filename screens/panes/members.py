"""etcd's members while a run changes them: a table, the quorum in words, the trail of changes."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from deiswizard.cluster.etcd_host import EtcdHost
from deiswizard.cluster.quorum import in_words
from deiswizard.cluster.snapshot import Member
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.plan import Plan
from deiswizard.run.etcd_view import EtcdView
from deiswizard.run.state import RunState
from deiswizard.screens.panes.progress import Row
from deiswizard.screens.text import cut, fit, in_time
from deiswizard.screens.theme import STYLES, Symbols
from deiswizard.vocabulary import StepStatus
from deiswizard.wording import grouped

WIDTHS = {"host": 10, "member": 10, "role": 8, "health": 14, "leader": 8, "raft index": 12, "term": 6, "version": 9, "client URL": 26, "since": 12}  # fmt: skip
FIRST = ("host", "member", "role", "health", "leader")
"""What is shown in any width; the rest where there is room."""

UNTIL = " until it has started"


def member_rows(
    plan: Plan, state: RunState, width: int, height: int, symbols: Symbols
) -> list[Row]:
    """Every member and every host that was looked at, then the quorum, then what changed and when."""
    view = state.etcd
    if view is None or not view.members:
        return [(cut(" etcd's members have not been looked at yet", width), "dim")]
    rows = _rows(view, plan)
    widths = {**WIDTHS, "host": max(10, min(18, max(len(name) for name, _ in rows) + 2))}
    columns = _columns(widths, width)
    head: Row = (cut(" " + "".join(fit(name, widths[name]) for name in columns), width), "dim")
    table = [head]
    for name, member in rows:
        status, cells = _cells(name, member, view, plan, state, symbols)
        text = " " + "".join(fit(cells[column], widths[column]) for column in columns)
        table.append((cut(text.rstrip(), width), STYLES.get(status, "")))
    below = [(cut(f" {line}", width), "bold") for line in _quorum_lines(plan, state, view, width)]
    trail = [(cut(f" {line}", width), "") for line in _trail(plan, state, view)]
    room = max(0, height - len(below) - len(trail[-1:]))
    if len(table) > room:
        hidden = len(table) - max(1, room - 1)
        table = [*table[: max(1, room - 1)], (cut(f" and {hidden} more hosts", width), "dim")]
    left = height - len(table) - len(below)
    return [*table, *below, *(trail[-left:] if left > 0 else [])][:height]


def _columns(widths: Mapping[str, int], width: int) -> tuple[str, ...]:
    columns = list(FIRST)
    for name in ("client URL", "since", "raft index", "term", "version"):
        if sum(widths[c] for c in (*columns, name)) < width:
            columns.append(name)
    return tuple(name for name in WIDTHS if name in columns)


def _number(name: str) -> tuple[str, int]:
    match = re.search(r"(\d+)$", name)
    return (name[: match.start()], int(match[1])) if match else (name, 0)


def _rows(view: EtcdView, plan: Plan) -> list[tuple[str, Member | None]]:
    """Every host that was looked at or is listed, with its member; members without a host last."""
    hosts = {
        step.peer.peer_url: step.peer.host
        for step in plan.steps
        if isinstance(step, AddMemberStep | RemoveMemberStep)
    }
    for step in plan.steps:
        for peer in getattr(getattr(step, "condition", None), "others", ()):
            hosts.setdefault(peer.peer_url, peer.host)
    listed: dict[str, Member] = {}
    strangers: list[tuple[str, Member | None]] = []
    for member in view.members:
        url = next(iter(member.peer_urls), "")
        if name := hosts.get(url):
            listed[name] = member
        else:
            strangers.append((urlsplit(url).hostname or "?", member))
    names = sorted({*view.hosts, *listed}, key=_number)
    return [*((name, listed.get(name)) for name in names), *strangers]


def _cells(
    name: str,
    member: Member | None,
    view: EtcdView,
    plan: Plan,
    state: RunState,
    symbols: Symbols,
) -> tuple[StepStatus, Mapping[str, str]]:
    host = view.hosts.get(name)
    status, health = _health(name, host, member, state, plan)
    own = host if member and host and host.runs_as == "member" and host.own_id == member.id else None  # fmt: skip
    index = own.raft_index if own is not None else None
    return status, {
        "host": name,
        "member": member.id[:8] if member else symbols.dash,
        "role": _becoming(name, state, plan) or _role(host, member),
        "health": f"{symbols.of(status)} {health}",
        "leader": "leads" if member and member.is_leader else "",
        "raft index": grouped(index) if index else symbols.dash,
        "term": str(own.raft_term) if own is not None and own.raft_term else symbols.dash,
        "version": own.version if own is not None and own.version else symbols.dash,
        "client URL": next(iter(member.client_urls), "") if member else "",
        "since": in_time(state.last_at - view.since[name]) if name in view.since else "",
    }


def _role(host: EtcdHost | None, member: Member | None) -> str:
    """By the host itself; of one that was not asked what the list says."""
    if host is not None and host.is_asked:
        return host.role
    return "member" if member else "unknown"


def _health(
    name: str, host: EtcdHost | None, member: Member | None, state: RunState, plan: Plan
) -> tuple[StepStatus, str]:
    if _becoming(name, state, plan):
        return StepStatus.RUNNING, "starting"
    if member is not None and not member.is_started:
        return StepStatus.WARNING, "not started"
    if member is not None:
        if member.healthy is None:
            return StepStatus.UNKNOWN, "not asked"
        return (StepStatus.DONE, "healthy") if member.healthy else (StepStatus.FAILED, "not healthy")  # fmt: skip
    if host is not None and host.runs_as == "proxy":
        return StepStatus.DONE, "passes on"
    return StepStatus.WARNING, "away" if host is not None and host.is_asked else "not asked"


def _becoming(name: str, state: RunState, plan: Plan) -> str:
    """What a host's etcd is to be, which restarts now or is waited for; empty: it does not."""
    for stage in plan.stages:
        for step in stage.steps:
            is_now = state.steps[step.id].status is StepStatus.RUNNING
            if is_now and step.host == name and step.id.startswith(("switch:", "works:")):
                return "member" if stage.id.startswith("member") else "proxy"
    return ""


def _next_change(plan: Plan, state: RunState) -> AddMemberStep | RemoveMemberStep | None:
    for step in plan.steps:
        if not isinstance(step, AddMemberStep | RemoveMemberStep):
            continue
        if not state.steps[step.id].status.lets_others_go_on:
            return step
    return None


def _quorum_lines(plan: Plan, state: RunState, view: EtcdView, width: int) -> list[str]:
    """Now, and after the next change; in one line where there is room."""
    voters = len(view.members)
    now = in_words(voters, view.healthy)
    step = _next_change(plan, state)
    if step is None:
        return [now]
    then = f"after the next step: {in_words(*_projected(step, view))}"
    if isinstance(step, AddMemberStep) and len(then + UNTIL) < width:
        then += UNTIL
    line = f"{now}.   {then}"
    return [line] if len(line) < width else [now, then]


def _projected(step: AddMemberStep | RemoveMemberStep, view: EtcdView) -> tuple[int, int]:
    """Voters and healthy ones once the list has changed. A member that is added has not started by then."""
    listed = [m for m in view.members if step.peer.peer_url in m.peer_urls]
    if isinstance(step, AddMemberStep):
        return len(view.members) + (not listed), view.healthy
    left = [m for m in view.members if m not in listed]
    return len(left), sum(member.healthy is True for member in left)


def _trail(plan: Plan, state: RunState, view: EtcdView) -> list[str]:
    """Changes of the list, and restarts of etcd, by time."""
    found = [
        (trace.at, f"{trace.text} {'by this run' if trace.is_ours else 'BY SOMEBODY ELSE'}")
        for trace in view.trail
    ]
    for step in plan.steps:
        now = state.steps[step.id]
        is_over = now.finished_at is not None and now.status.lets_others_go_on
        if step.id.startswith("switch:") and is_over:
            found.append((now.finished_at or 0.0, f"{step.title}; its data was moved aside"))
    found.sort()
    return [f"{time.strftime('%H:%M:%S', time.localtime(at))}  {text}" for at, text in found]
