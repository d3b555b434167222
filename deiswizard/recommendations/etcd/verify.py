"""Whether etcd is as planned: members, proxies, reboots, fleet, Deis's units."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.quorum import in_words
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.etcd.choices import EtcdChoices
from deiswizard.recommendations.etcd.facts import Node, View, view
from deiswizard.run.events import Check
from deiswizard.wording import counted


def verify(before: Snapshot, after: Snapshot, choices: EtcdChoices) -> tuple[Check, ...]:
    """By a new look. That every host reads and writes was seen by the run's own waits."""
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
        evidence=f"never started: {', '.join(left) or 'none'}",
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
        wrong = [node.name for node in asked if not node.is_proxy]
        yield Check(
            title="every other host is a proxy by its own data",
            ok=not wrong,
            evidence=_left_out(others, asked) or f"no proxy: {', '.join(wrong) or 'none'}",
        )
        lost = [node.name for node in asked if not node.is_good_proxy]
        yield Check(
            title="they are read-write proxies after a reboot, too",
            ok=not lost,
            evidence=f"not persisted: {', '.join(lost) or 'none'}",
        )
    gone = {h.machine_id for h in before.hosts} - {h.machine_id for h in after.hosts}
    yield Check(
        title="fleet still sees every machine",
        ok=not gone,
        evidence=f"{len(after.hosts)} of {len(before.hosts)}",
    )
    ran, run = _running(before), _running(after)
    yield Check(
        title="Deis's units run as before",
        ok=not ran - run,
        evidence=f"not running any more: {', '.join(sorted(ran - run)[:5]) or 'none'}",
    )


def _left_out(others: list[Node], asked: list[Node]) -> str:
    left = [node.name for node in others if node not in asked]
    return f"could not be asked and were not changed: {', '.join(left)}" if left else ""


def _running(snapshot: Snapshot) -> set[str]:
    return {state.unit for state in snapshot.unit_states if state.is_running}
