"""Snapshots of logging: what the probe would have found on a cluster of three."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import SecretStr

from deiswizard.cluster.snapshot import Answer, KeyFact, Snapshot, Unit, UnitState
from deiswizard.cluster.unit_files import options_of
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.logs.checks import check_choices
from deiswizard.recommendations.logs.choices import LoggingChoices
from deiswizard.recommendations.logs.drain import KEY, drain_digest
from deiswizard.recommendations.logs.facts import LOGGER_SAYS, MARKERS, MOUNTS, ON_HOST
from tests.builders import all_images, answered, host, snapshot

CEPH = "10.0.0.1:/ /var/lib/deis/store ceph rw 0 0\n"
DRAIN = "udp://logs.example.com:514"
WORD = "0a1b2c3d"
SUM = hashlib.sha256(WORD.encode()).hexdigest()
IMAGE = "registry.example.com/agent:1"
KEYED = "sesame-1234"


def unit(name: str, content: str = "", **more: Any) -> Unit:
    is_global = any((o.name, o.value) == ("Global", "true") for o in options_of(content))
    return Unit.model_validate(
        {
            "name": name,
            "content": content,
            "desired": "launched",
            "index": 5,
            "is_global": is_global,
            **more,
        }
    )


def row(name: str, number: int, how: str = "active/running") -> UnitState:
    active, _, sub = how.partition("/")
    return UnitState(unit=name, machine_id=f"{number:032x}", load="loaded", active=active, sub=sub)


def rows(name: str, *numbers: int) -> tuple[UnitState, ...]:
    return tuple(row(name, number) for number in numbers)


def on_host(number: int, *lines: str) -> Answer:
    return Answer(
        id=ON_HOST, host=f"deis-{number}", command="x", code=0, out="\n".join(lines) + "\n"
    )


def world(
    *,
    drain: str | None = None,
    said: str = "",
    mounts: str = CEPH,
    markers: tuple[str, str, str] = ("", "", ""),
    hosts: dict[int, tuple[str, ...]] | None = None,
    units: tuple[Unit, ...] = (),
    states: tuple[UnitState, ...] = (),
    keys: dict[str, str] | None = None,
    **changes: Any,
) -> Snapshot:
    """Logger on deis-1, logspout on all three."""
    base = snapshot(*(host(n, *all_images()) for n in (1, 2, 3)), keys=keys)
    facts = base.keys
    if drain is not None:
        facts += (KeyFact(key=KEY, secret=SecretStr(drain), is_secret=True, index=9),)
    found = hosts if hosts is not None else {1: (), 2: (), 3: ()}
    answers = (
        *answered(),
        Answer(id=LOGGER_SAYS, host="deis-1", command="docker logs", code=0, out=said),
        Answer(id=MOUNTS, host="deis-1", command="cat /proc/mounts", code=0, out=mounts),
        Answer(
            id=MARKERS,
            host="deis-1",
            command="x",
            code=0,
            out="--\n".join(f"{m}\n" for m in markers),
        ),
        *(on_host(number, *lines) for number, lines in found.items()),
    )
    logspout = rows("deis-logspout.service", 2, 3)
    fields: dict[str, Any] = {
        "keys": facts,
        "answers": answers,
        "units": (*base.units, *units),
        "unit_states": (*base.unit_states, *logspout, *states),
        **changes,
    }
    return base.model_copy(update=fields)


def sent(drain: str = DRAIN) -> str:
    return f"{drain_digest(drain)} {SUM}"


def choose(**changes: Any) -> LoggingChoices:
    return LoggingChoices.model_validate(changes)


def problems(now: Snapshot, **changes: Any) -> dict[str, list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for problem in check_choices(now, choose(**changes)):
        found.setdefault(problem.field, []).append(problem)
    return found


def words(found: dict[str, list[Problem]], field: str) -> str:
    return " / ".join(f"{'' if p.blocks else 'warns: '}{p.what}" for p in found.get(field, []))
