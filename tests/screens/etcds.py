"""Isolating etcd for the pictures: five members, and a run that has one of two changes behind it."""

from __future__ import annotations

from collections.abc import Callable

from deiswizard.cluster import etcd_host
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices
from deiswizard.run import events as e
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import NOW, host, snapshot
from tests.etcd_builders import ASKED, etcd_answer, members_of
from tests.screens.fakes import FakeSession

HOSTS = tuple(host(number) for number in range(1, 6))
MEMBERS = members_of(HOSTS)


def five() -> Snapshot:
    return snapshot(*HOSTS)


def three() -> Snapshot:
    """After the run: two proxies."""
    answers = [etcd_answer(h, m.id) for h, m in zip(HOSTS[:3], MEMBERS, strict=False)]
    answers += [etcd_answer(h, MEMBERS[0].id, role="proxy") for h in HOSTS[3:]]
    before = five()
    facts = before.etcd.model_copy(update={"members": MEMBERS[:3]})
    return before.model_copy(update={"etcd": facts, "answers": tuple(answers)})


def session(events: Callable[[Plan], list[e.Event]] | None = None) -> FakeSession:
    return FakeSession(five(), events=events)


def seen(at: float, count: int, proxies: int) -> e.MembersSeen:
    """``count`` members by their own hosts, and the last hosts proxies."""
    answers = [etcd_answer(h, m.id) for h, m in zip(HOSTS[:count], MEMBERS, strict=False)]
    if proxies:
        answers += [etcd_answer(h, MEMBERS[0].id, role="proxy") for h in HOSTS[-proxies:]]
    hosts = tuple(etcd_host.parse(a.host, ASKED, a.out) for a in answers)
    return e.MembersSeen(at=at, members=MEMBERS[:count], hosts=hosts)


def midway(plan: Plan) -> list[e.Event]:
    """The backup is there; deis-4 was taken from the list, and its etcd starts."""
    going = "proxy:deis-4"
    out: list[e.Event] = []
    for stage in plan.stages:
        out.append(e.StageStarted(at=NOW, stage=stage.id))
        if stage.id == going:
            break
        out += [e.StepFinished(at=NOW, step=s.id, status=StepStatus.DONE) for s in stage.steps]
    out.append(seen(NOW + 2, 5, 0))
    out += [
        e.StepFinished(at=NOW + 3, step=f"{kind}:deis-4", status=StepStatus.DONE)
        for kind in ("guard", "folder", "drop-in")
    ]
    out += [e.StepStarted(at=NOW + 4, step="remove:deis-4"), _removed(NOW + 5, 4)]
    out.append(e.StepFinished(at=NOW + 5, step="remove:deis-4", status=StepStatus.DONE))
    out.append(e.StepFinished(at=NOW + 5, step="out:deis-4", status=StepStatus.DONE))
    out.append(e.StepStarted(at=NOW + 5, step="switch:deis-4"))
    out.append(e.StepFinished(at=NOW + 7, step="switch:deis-4", status=StepStatus.DONE))
    out.append(e.StepStarted(at=NOW + 7, step="works:deis-4"))
    return out


def _removed(at: float, number: int) -> e.MemberRemoved:
    member = MEMBERS[number - 1]
    return e.MemberRemoved(
        at=at,
        step=f"remove:deis-{number}",
        member=member.id,
        host=f"deis-{number}",
        url=member.peer_urls[0],
    )


def verified(plan: Plan) -> list[e.Event]:
    """Done, and every check held."""
    steps = [e.StepFinished(at=NOW + 1, step=s.id, status=StepStatus.DONE) for s in plan.steps]
    chosen = EtcdChoices.model_validate(plan.choices)
    checks = etcd.RECOMMENDATION.verify(five(), three(), chosen)
    assert all(check.ok for check in checks), checks
    return [
        *steps,
        e.Verified(at=NOW + 30, checks=checks),
        e.RunFinished(at=NOW + 31, status=RunStatus.DONE),
    ]
