"""Security on three hosts, judged, chosen and planned, for the tests of the hosts' firewall."""

from __future__ import annotations

from typing import Any

from deiswizard.cluster.snapshot import EtcdFacts, Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.recommendations.security import declaration as security
from deiswizard.vocabulary import Status
from tests.unit import security_world
from tests.unit.firewall_world import (
    bare_answers,
    choose,
    closed_answers,
    members,
)
from tests.unit.security_world import hosts

ON = {"firewall/enabled": "true"}


def world(*, closed_: bool = False, **more: Any) -> Snapshot:
    """Three hosts and their members; the routers' part is as it should be."""
    etcd = EtcdFacts(version="2.3.8", index=48213, healthy=True, members=members(hosts()))
    filters = more.pop("filters", closed_answers() if closed_ else bare_answers())
    return security_world.world(ON, filters=filters, **{"etcd": etcd, **more})


def judged(now: Snapshot, status: Status, *words: str) -> str:
    found = security.assess(now)
    said = "\n".join(f"{finding.status}: {finding.what}" for finding in found.findings)
    assert found.status is status, said
    assert all(word in said for word in words), said
    assert all(finding.evidence for finding in found.findings)
    return said


def sentences(now: Snapshot, *, blocks: bool = True, **more: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for problem in security.check_choices(now, choose(**more)):
        if problem.blocks == blocks:
            words = f"{problem.what}; allowed: {problem.allowed}\n"
            found[problem.field] = found.get(problem.field, "") + words
    return found


def plan_of(now: Snapshot, **more: Any) -> Plan:
    return security.plan(now, choose(**more))
