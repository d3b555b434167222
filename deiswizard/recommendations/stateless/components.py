"""The components that use the stores: how they go down, come up, and are seen to be well."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.plan import Stage, chained
from deiswizard.plan.step import Step, WaitStep
from deiswizard.recommendations.deis_units import started, stay, stopped, told_address
from deiswizard.recommendations.planes.facts import is_wanted
from deiswizard.recommendations.stateless.facts import units_of
from deiswizard.recommendations.stateless.trials import way_of

KEY_SECONDS = 180.0
"""A component waits until what stands in etcd has expired, and tells of itself when it serves."""

WELL_SECONDS = 10 * 60.0
WRITERS = ("builder", "controller")
"""What writes to the registry and to the database, in the order in which it stops."""

READERS = ("registry", "logger")


def running(snapshot: Snapshot, component: str) -> tuple[str, ...]:
    """The units of a component that shall run: what somebody has stopped stays so."""
    return tuple(unit.name for unit in units_of(snapshot, component) if is_wanted(unit))


def down(snapshot: Snapshot, components: Sequence[str]) -> tuple[Step, ...]:
    """One after the other, each seen to have stopped."""
    return tuple(
        step for c in components for name in running(snapshot, c) for step in stopped(name)
    )


def up_stage(snapshot: Snapshot, components: Sequence[str], title: str) -> Stage:
    """Started, and seen to serve and to go on running."""
    steps = list(_up(snapshot, components))
    steps += stay(f"stay:{'-'.join(components)}", steps)
    return Stage(id="up", title=title, steps=chained(steps))


def _up(snapshot: Snapshot, components: Sequence[str], prefix: str = "") -> Iterator[Step]:
    """Logger first, the builder last; each is seen to serve before the next."""
    for component in ("logger", "registry", "controller", "builder"):
        if component not in components:
            continue
        units = running(snapshot, component)
        for name in units:
            yield from started(name, snapshot.reachable_hosts, prefix)
        if units and component in KEYS:
            yield from serves(way_of(snapshot), component, prefix)


KEYS = {"registry": ("/deis/registry", "/v1/_ping"), "controller": ("/deis/controller", "/healthz")}
"""Where a component says where it is, and the path at which it says that it is well."""


def serves(through: HostFacts, component: str, prefix: str = "") -> tuple[Step, ...]:
    """It says where it is, and answers there: with its store, or its database, it does not otherwise."""
    key, path = KEYS[component]
    url = f"http://{told_address(key)}{path}"
    command = f"curl -sS -m 10 -o /dev/null -w '%{{http_code}}' {url}"
    return (
        WaitStep(
            id=f"{prefix}serves:{component}",
            title=f"{component} answers",
            condition=CommandSays(host=through.name, command=command, pattern=r"^200$"),
            waiting_for=f"{component} to say where it is, and to answer HTTP 200 there",
            timeout=WELL_SECONDS,
            on_timeout=f"read why: fleetctl journal deis-{component}"
            + ("@1" if component == "registry" else ""),
        ),
    )


def key_there(through: HostFacts, key: str, step: str, what: str) -> WaitStep:
    """A component says of itself where it is."""
    return WaitStep(
        id=step,
        title=f"{what} says where it is",
        condition=CommandSays(
            host=through.name, command=f"etcdctl get {shlex.quote(key)}", pattern=r"\S"
        ),
        waiting_for=f"{key} to be there",
        timeout=KEY_SECONDS,
        on_timeout=f"read why: fleetctl journal deis-{what}",
    )


def back_up_stage(snapshot: Snapshot, components: Sequence[str], title: str) -> Stage:
    """The way back of ``down``: only what was stopped is started, and it serves."""
    steps: list[Step] = []
    for step in _up(snapshot, components, "back:"):
        name = step.id.rpartition(":")[2]
        units = running(snapshot, name) if step.id.startswith("back:serves:") else (name,)
        tied = tuple(f"stop:{unit}" for unit in units)
        steps.append(step.model_copy(update={"undoes": tied}))
    steps += stay(f"back:stay:{'-'.join(components)}", steps)
    return Stage(id=f"back:up:{'-'.join(components)}", title=title, steps=chained(steps))


def back_down_stage(snapshot: Snapshot, components: Sequence[str], title: str) -> Stage:
    """The way back of ``up``: what was started stops before its settings change again."""
    steps = []
    for component in components:
        for name in running(snapshot, component):
            for step in stopped(name, "back:"):
                steps.append(step.model_copy(update={"undoes": (f"start:{name}",)}))
    return Stage(id=f"back:down:{'-'.join(components)}", title=title, steps=chained(steps))
