"""Sessions of the hosts' firewall: before a run, in the middle of it, and when it has ended."""

from __future__ import annotations

from collections.abc import Callable

from deiswizard.cluster.snapshot import EtcdFacts
from deiswizard.plan.plan import Plan
from deiswizard.recommendations.security import declaration as security
from deiswizard.recommendations.security.facts import SecurityChoices
from deiswizard.run import events as e
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import NOW
from tests.screens.fakes import FakeSession
from tests.unit import firewall_world, security_world
from tests.unit.firewall_judging import world as judging_world


def filtered(plan: Plan) -> list[e.Event]:
    """A run of the hosts' firewall that ended: the table of what is open to whom."""
    chosen = SecurityChoices.model_validate(plan.choices)
    checks = security.verify(judging_world(), judging_world(closed_=True), chosen)
    steps = [e.StepFinished(at=NOW + 1, step=s.id, status=StepStatus.DONE) for s in plan.steps]
    end = e.RunFinished(at=NOW + 3, status=RunStatus.DONE)
    return [*steps, e.Verified(at=NOW + 2, checks=checks), end]


def half_filtered(plan: Plan) -> list[e.Event]:
    """The same run when one host is done."""
    host = next(step.host for step in plan.steps if step.id.startswith("on:"))
    done = [step for step in plan.steps if step.id.startswith(("guard", f"on:{host}"))]
    return [e.StepFinished(at=NOW + 1, step=s.id, status=StepStatus.DONE) for s in done]


def open_hosts(events: Callable[[Plan], list[e.Event]] | None = None) -> FakeSession:
    """Hosts without a firewall, whose routers are guarded."""
    members = firewall_world.members(security_world.hosts())
    return FakeSession(
        security_world.world(
            {"firewall/enabled": "true"},
            filters=firewall_world.bare_answers(),
            etcd=EtcdFacts(version="2.3.8", index=48213, healthy=True, members=members),
        ),
        events=events,
    )
