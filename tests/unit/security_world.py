"""Snapshots of the routers' guards: what the probe would have found on a cluster of three."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deiswizard.cluster.snapshot import Answer, HostFacts, Snapshot, Unit, UnitState
from deiswizard.cluster.web import WebAnswer
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.security.choices import check_choices
from deiswizard.recommendations.security.facts import (
    APPS,
    NGINX,
    OPERATOR,
    SecurityChoices,
    settings_now,
)
from deiswizard.recommendations.security.requests import expected
from tests.builders import all_images, answered, host, snapshot
from tests.unit import firewall_world

ME = "203.0.113.50"
DOMAIN = "demo.example.com"
SSD = (("dataPlane", "true"), ("disk", "ssd"))


def hosts() -> tuple[HostFacts, ...]:
    """Two with quick disks, one of them far away, and one like any other."""
    return (
        host(1, *all_images(), metadata=(*SSD, ("zone", "a"))),
        host(2, metadata=(*SSD, ("zone", "b"))),
        host(3, metadata=(("dataPlane", "true"), ("zone", "a"))),
    )


def world(
    keys: Mapping[str, str] | None = None,
    *,
    lists: Mapping[str, str] | None = None,
    says: Mapping[str, int | None] | None = None,
    operator: str = ME,
    apps: tuple[str, ...] = ("blog", "shop"),
    nginx: int = 0,
    units: tuple[Unit, ...] = (),
    filters: tuple[Answer, ...] | None = None,
    **changes: Any,
) -> Snapshot:
    """``filters`` are the hosts' packet filters, by default those of hosts with our firewall. ``keys`` below /deis/router, or whole; ``lists`` by app; ``says`` the status by question, where it is not
    what the settings ask for.
    """
    values = {"/deis/platform/domain": DOMAIN}
    values |= {
        name if name.startswith("/") else f"/deis/router/{name}": value
        for name, value in (keys or {}).items()
    }
    values |= {f"/deis/config/{app}/deis_whitelist": text for app, text in (lists or {}).items()}
    values |= {f"/deis/services/{app}/{app}_v2.web.1": "10.21.2.11:49153" for app in apps}
    routers = [f"deis-router@{number}.service" for number in (1, 2, 3)]
    bare = snapshot(*hosts(), keys=values, **changes)
    states = tuple(
        UnitState(unit=name, machine_id=f"{number:032x}", load="loaded", active="active", sub="running")
        for number, name in enumerate(routers, 1)
    )  # fmt: skip
    now = bare.model_copy(
        update={
            "units": (*bare.units, *(Unit(name=name) for name in routers), *units),
            "unit_states": (*bare.unit_states, *states),
        }
    )
    listed = "".join(f"/deis/services/{app}\n" for app in apps)
    answers = [Answer(id=APPS, host="deis-1", command="etcdctl ls", code=0, out=listed)]
    if operator:
        out = f"{operator} 50122 10.21.2.11 22\n"
        answers.append(Answer(id=OPERATOR, host="deis-1", command="echo", code=0, out=out))
    words = "syntax is ok\ntest is successful\n" if not nginx else "[emerg] invalid parameter\n"
    for name in ("deis-1", "deis-2", "deis-3"):
        answers.append(Answer(id=NGINX, host=name, command="nginx -t", code=nginx, out=words))
    for one in expected(now, settings_now(now)):
        status = (says or {}).get(one.id, int(one.condition.status[:3].replace("[12", "200")))
        web = WebAnswer(status=status)
        code = None if status is None else 0
        answers.append(Answer(id=one.id, host=one.host, command="curl", code=code, web=web))
    on_hosts = firewall_world.closed_answers() if filters is None else filters
    return now.model_copy(update={"answers": (*answered(), *answers, *on_hosts)})


def choose(**more: Any) -> SecurityChoices:
    return SecurityChoices.model_validate(more)


def problems(now: Snapshot, **more: Any) -> tuple[Problem, ...]:
    return check_choices(now, choose(**more))


def sentences(now: Snapshot, *, blocks: bool = True, **more: Any) -> dict[str, str]:
    """By field, the sentences that the operator sees."""
    found: dict[str, str] = {}
    for problem in problems(now, **more):
        if problem.blocks == blocks:
            words = f"{problem.what}; allowed: {problem.allowed}"
            found[problem.field] = f"{found.get(problem.field, '')}{words}\n"
    return found
