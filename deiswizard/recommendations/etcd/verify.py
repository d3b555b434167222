"""Whether etcd is as planned: members, proxies, reboots, fleet, Deis's units."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from deiswizard.cluster.quorum import in_words
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations import provisioned
from deiswizard.recommendations.etcd.choices import EtcdChoices, roles
from deiswizard.recommendations.etcd.facts import Node, View, view
from deiswizard.run.events import Check
from deiswizard.wording import counted, few, named


def verify(before: Snapshot, after: Snapshot, choices: EtcdChoices) -> tuple[Check, ...]:
    """By a new look. That every host reads and writes was seen by the run's own waits."""
    if choices.makes_files:
        return provisioned.verify(choices, roles(before, choices))
    if choices.start_missing:
        return tuple(_quorum_checks(view(after)))
    return tuple(_checks(before, after, view(after), choices))


def _quorum_checks(now: View) -> Iterator[Check]:
    words = in_words(len(now.members), len(now.healthy))
    yield Check(title="etcd has a quorum again", ok=now.has_quorum, evidence=words)
    left = [next(iter(m.peer_urls), m.id) for m in now.unstarted]
    yield Check(
        title="every member has started",
        ok=not left,
        evidence=f"never started: {', '.join(left)}"
        if left
        else f"all {counted(len(now.members), 'member')} have",
    )


def _checks(before: Snapshot, after: Snapshot, now: View, choices: EtcdChoices) -> Iterator[Check]:
    listed = [node.name for node in now.nodes if node.member is not None]
    strangers = [member.id for member in now.strangers]
    yield Check(
        title=f"etcd's members are {', '.join(choices.members)}",
        ok=set(listed) == set(choices.members) and not strangers,
        evidence=f"listed: {', '.join([*listed, *strangers])}",
    )
    ill = [f"{n.name}: {n.why_unhealthy or 'never started'}" for n in now.nodes if n.member is not None and not n.is_healthy_member]  # fmt: skip
    yield Check(
        title="every member is healthy by its own host",
        ok=not ill and bool(now.healthy),
        evidence="; ".join(ill) or counted(len(now.healthy), "healthy member"),
    )
    others = [n for n in now.nodes if n.name not in choices.members]
    asked = [node for node in others if node.is_asked]
    if others:
        proxies = [node.name for node in asked if node.is_proxy]
        wrong = [node.name for node in asked if not node.is_proxy]
        yield Check(
            title="every other host is a proxy by its own data",
            ok=not wrong,
            evidence=_in_words(proxies, wrong) + _left_out(others, asked),
        )
        cut_off = [node.name for node in asked if node.is_cut_off]
        yield Check(
            title="every proxy passes on to the members",
            ok=not cut_off,
            evidence=_in_words([name for name in proxies if name not in cut_off], cut_off),
        )
        lasting = [node.name for node in asked if node.is_good_proxy]
        lost = [node.name for node in asked if not node.is_good_proxy]
        yield Check(
            title="they are read-write proxies after a reboot, too",
            ok=not lost,
            evidence=_in_words(lasting, lost),
        )
    gone = {h.machine_id for h in before.hosts} - {h.machine_id for h in after.hosts}
    yield Check(
        title="fleet still sees every machine",
        ok=not gone,
        evidence=f"{len(after.hosts)} of {len(before.hosts)}",
    )
    everywhere = {unit.name for unit in before.units if unit.is_global}
    ran, run = _running(before, everywhere), _running(after, everywhere)
    hosts = {host.machine_id: host.name for host in (*before.hosts, *after.hosts)}
    stopped = [
        f"{unit} on {hosts.get(machine, machine[:8])}" if machine else unit
        for unit, machine in sorted(ran - run)
    ]
    yield Check(
        title="Deis's units run as before",
        ok=not stopped,
        evidence=f"stopped since: {few(stopped)}"
        if stopped
        else f"{counted(len({unit for unit, _ in ran}), 'unit')} as before",
    )


def _in_words(are: list[str], are_not: list[str]) -> str:
    """``2 of 3: deis-4, deis-5; not deis-6``."""
    if not are and not are_not:
        return "none of them could be asked"
    parts = [f"{len(are)} of {len(are) + len(are_not)}"]
    parts[0] += f": {named(are)}" if are else ""
    return "; ".join([*parts, *([f"not {named(are_not)}"] if are_not else [])])


def _left_out(others: list[Node], asked: list[Node]) -> str:
    left = [node.name for node in others if node not in asked]
    return f"; could not be asked, and not changed: {named(left)}" if left else ""


def _running(snapshot: Snapshot, everywhere: Collection[str]) -> set[tuple[str, str]]:
    """What runs, and where: a unit that runs everywhere must do so on each host, another on any."""
    return {
        (state.unit, state.machine_id if state.unit in everywhere else "")
        for state in snapshot.unit_states
        if state.is_running
    }
