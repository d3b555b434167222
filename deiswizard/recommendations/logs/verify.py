"""Whether logging and monitoring are as chosen, by a new look."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.logs.checks import effective_drain, told_word
from deiswizard.recommendations.logs.choices import STORAGE_KEY, LoggingChoices, storage_value
from deiswizard.recommendations.logs.drain import KEY, shown_drain
from deiswizard.recommendations.logs.facts import (
    drain_value,
    hosts_without,
    is_heard,
    is_proven,
    is_stuck,
    sent_marker,
    storage_now,
)
from deiswizard.recommendations.logs.marker import CONTAINER
from deiswizard.recommendations.logs.plan_settings import is_tried
from deiswizard.recommendations.logs.plan_units import LAUNCHED, places_of, shown_unit
from deiswizard.recommendations.logs.units import AGENTS, how, our_units, row_of, runs, wanted_units
from deiswizard.run.events import Check


def verify(before: Snapshot, after: Snapshot, choices: LoggingChoices) -> tuple[Check, ...]:
    """Keys, proof, units on every host, key files."""
    return (
        *_keys(before, after, choices),
        *_proof(before, after, choices),
        *_units(before, after, choices),
    )


def _keys(before: Snapshot, after: Snapshot, choices: LoggingChoices) -> list[Check]:
    wanted = effective_drain(before, choices)
    checks = [
        Check(
            title=f"the drain is {shown_drain(wanted)}",
            ok=drain_value(after) == wanted,
            evidence=f"{KEY}: {shown_drain(drain_value(after))}",
        )
    ]
    if choices.storage != "keep":
        now = storage_now(after)
        checks.append(
            Check(
                title=f"logs are kept by {storage_value(choices)}",
                ok=now == storage_value(choices),
                evidence=f"{STORAGE_KEY} = {now}",
            )
        )
    if is_stuck(after):
        checks.append(
            Check(
                title="logger takes lines in",
                ok=False,
                evidence="a line without an app's tag has stopped it: deisctl restart logger",
            )
        )
    return checks


def _proof(before: Snapshot, after: Snapshot, choices: LoggingChoices) -> list[Check]:
    """What is not proven is not called so: the title says what was done, the evidence what is left."""
    drain = effective_drain(before, choices)
    if not drain or choices.proof == "none":
        return []
    checks = []
    if is_tried(before, choices):
        heard = is_heard(after, drain)
        checks.append(
            Check(
                title="a marker left the cluster and reached a listener on a host",
                ok=heard,
                evidence="heard" if heard else "not heard",
            )
        )
    if is_proven(after, drain):
        checks.append(
            Check(
                title="the drain is proven", ok=True, evidence="its word was read at the receiver"
            )
        )
        return checks
    if told_word(before, choices):
        checks.append(Check(title="the drain is proven", ok=False, evidence="no such note in etcd"))
        return checks
    sent = sent_marker(after, drain) is not None
    checks.append(
        Check(
            title="a marker was sent; that it arrived is NOT PROVEN yet",
            ok=sent,
            evidence=f"look for '{CONTAINER} WORD' at the receiver, open this again and type the word"
            if sent
            else "no marker was sent",
        )
    )
    return checks


def _units(before: Snapshot, after: Snapshot, choices: LoggingChoices) -> list[Check]:
    wanted = wanted_units(before, choices)
    checks = [
        Check(title=f"{unit.name} is gone", ok=False, evidence="fleet still has it")
        for unit in our_units(after)
        if unit.name not in wanted
    ]
    reachable = {host.name for host in before.reachable_hosts}
    for name, content in wanted.items():
        unit = after.unit(name)
        is_launched = unit is not None and unit.desired == LAUNCHED
        evidence = f"{unit.desired}, {shown_unit(name, unit.content)}" if unit else "fleet has none"
        checks.append(Check(title=f"fleet has {name}", ok=is_launched, evidence=evidence))
        for host in places_of(after, name, content):
            if host.name not in reachable:
                continue
            row = row_of(after, name, host)
            checks.append(
                Check(title=f"{name} runs on {host.name}", ok=runs(row), evidence=how(row))
            )
    for agent in (AGENTS[name] for name in choices.agents if name in AGENTS):
        if agent.file:
            lacking = [host.name for host in hosts_without(after, agent.file)]
            checks.append(
                Check(
                    title=f"{agent.file} is on every host",
                    ok=not lacking,
                    evidence=f"not on {', '.join(lacking)}" if lacking else "stat on each host",
                )
            )
    return checks
