"""Deis's own units in plans: stopped, started, taken down and awaited, through fleet's own API.

Not by deisctl: its exit status proves nothing, and it waits without an end for a unit that has no
place (deis-facts 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.plan.fleet_conditions import UnitRunsOn, UnitsStay, UnitStopped
from deiswizard.plan.fleet_steps import StartUnitStep, StopUnitStep
from deiswizard.plan.step import Step, WaitStep
from deiswizard.recommendations.unit_removal import removal
from deiswizard.vocabulary import Danger
from deiswizard.wording import counted

ROUTERS = "deis-router"
"""Any of its instances."""

STOP_TIMEOUT = 15 * 60.0
"""A database pushes a backup before it ends."""

RUN_TIMEOUT = 25 * 60.0
"""A unit may pull its image first (deis-facts 0.3)."""

STEADY = 2.0
"""A unit that ends at once is started again after 5 s and more: it is not running twice within 2 s."""


def short(unit: str) -> str:
    """``deis-router@1.service`` -> ``router@1``."""
    return unit.removeprefix("deis-").removesuffix(".service")


def told_address(folder: str) -> str:
    """``host:port`` that a component keeps below a folder of etcd, as a word of a shell's command.

    The host reads it when the command runs: a unit may have moved since the plan was made.
    """
    return f"$(etcdctl get {folder}/host):$(etcdctl get {folder}/port)"


def is_installed(snapshot: Snapshot) -> bool:
    """Deis's units are there, running or not."""
    return any(unit.name.startswith("deis-controller") for unit in snapshot.units)


def stopped(name: str, prefix: str = "") -> tuple[Step, ...]:
    """Stopped, and seen to be, so that it never runs twice."""
    return (
        StopUnitStep(
            id=f"{prefix}stop:{name}",
            title=f"stop {short(name)}",
            unit=name,
            danger=Danger.RESTART,
            undo="it is started again as it was",
        ),
        WaitStep(
            id=f"{prefix}stopped:{name}",
            title=f"{short(name)} has stopped",
            condition=UnitStopped(unit=name),
            waiting_for=f"{name} to stop",
            timeout=STOP_TIMEOUT,
            interval=1.0,
            on_timeout=f"see what keeps it: fleetctl journal {name}",
        ),
    )


def taken_down(name: str, prefix: str, expect: tuple[str, ...]) -> tuple[Step, ...]:
    """Stopped, then destroyed and seen to be gone. ``expect`` as in ``DestroyUnitStep``."""
    return (
        *stopped(name, prefix),
        *removal(
            name,
            f"{prefix}destroy:{name}",
            f"{prefix}gone:{name}",
            expect,
            called=short(name),
            waiting_for=f"{name} to be gone",
            danger=Danger.RESTART,
            undo="it is submitted again as it was",
        ),
    )


def started(
    name: str, hosts: Sequence[HostFacts], prefix: str = "", *, every: bool = False
) -> tuple[Step, ...]:
    """Started again, and running on one of these hosts, with ``every`` on each."""
    return (
        StartUnitStep(
            id=f"{prefix}start:{name}",
            title=f"start {short(name)}",
            unit=name,
            danger=Danger.RESTART,
            undo="it is stopped again",
        ),
        runs_on(name, hosts, f"{prefix}runs:{name}", every=every),
    )


def runs_on(
    unit: str,
    hosts: Sequence[HostFacts],
    step: str,
    needs: tuple[str, ...] = (),
    *,
    every: bool = False,
) -> WaitStep:
    """A unit runs on one of these hosts, or on every one."""
    where = f"all {len(hosts)} of its hosts" if every else "one of its hosts"
    return WaitStep(
        id=step,
        title=f"{unit} runs",
        needs=needs,
        condition=UnitRunsOn(
            unit=unit,
            machines=tuple(host.machine_id for host in hosts),
            every=every,
        ),
        waiting_for=f"{unit} to run on {where}",
        timeout=RUN_TIMEOUT,
        on_timeout=f"read why where it is: fleetctl journal {unit}",
        interval=2.0,
    )


def stay(step: str, after: Sequence[Step]) -> tuple[WaitStep, ...]:
    """What these steps have seen to run (``runs_on``, one after the other) is seen to go on, all at once: no
    outage is longer for it than it must be. On a way back it belongs to what they undo. None: nothing was.
    """
    seen = [wait for wait in after if isinstance(wait, WaitStep)]
    runs = {wait.id: wait.condition for wait in seen if isinstance(wait.condition, UnitRunsOn)}
    if not runs:
        return ()
    units = tuple(runs.values())
    what = counted(len(units), "unit") if len(units) > 1 else units[0].unit
    wait = WaitStep(
        id=step,
        title=f"{what} {'go' if len(units) > 1 else 'goes'} on running",
        needs=tuple(runs),
        condition=UnitsStay(units=units, steady=STEADY),
        waiting_for=f"{what} to go on running",
        timeout=RUN_TIMEOUT,
        on_timeout="read why where it is: fleetctl list-units, then fleetctl journal with the unit",
        interval=2.0,
        undoes=tuple(dict.fromkeys(name for one in after for name in one.undoes)),
    )
    return (wait,)
