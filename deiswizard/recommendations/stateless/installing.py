"""A new cluster: ``deisctl install`` and ``start stateless-platform``, believed only by fleet's states.

Both wait without an end where a unit has no place, and end with 0 whatever happened (deis-facts 0.5): they
have a deadline of their own, and fleet is asked for each unit.
"""

from __future__ import annotations

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import UnitGone
from deiswizard.plan.fleet_conditions import MachinesCarry
from deiswizard.plan.plan import Stage, chained
from deiswizard.plan.step import GuardStep, Step, WaitStep
from deiswizard.recommendations.deis_units import runs_on, stay
from deiswizard.recommendations.deisctl import deisctl_job
from deiswizard.recommendations.planes.facts import FLAG, pair_of
from deiswizard.recommendations.stateless.components import serves
from deiswizard.recommendations.stateless.facts import StatelessChoices
from deiswizard.recommendations.unit_removal import GONE_TIMEOUT

INSTALL_SECONDS = 10 * 60
START_SECONDS = 45 * 60
TAKEN_OFF = "it is taken off again"
STEPS = ("install", "start")
SINGLES = ("logger", "logspout", "registry@1", "controller", "builder", "publisher")


def deisctl_host(snapshot: Snapshot) -> HostFacts:
    """A host that has deisctl. Raises PreconditionError when none that answers has."""
    found = next((h for h in snapshot.reachable_hosts if h.versions.deisctl), None)
    if found is None:
        raise PreconditionError(
            "no host that answers has deisctl",
            do="put it to /opt/bin/deisctl on one, then look again",
        )
    return found


def units(choices: StatelessChoices) -> tuple[str, ...]:
    """The units of a platform without Ceph, in the order in which they start (deis-facts 0.6)."""
    routers = (f"router@{number}" for number in range(1, choices.routers + 1))
    return tuple(f"deis-{name}.service" for name in (*SINGLES, *routers))


def stages(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Stage, ...]:
    """Installed, started, and every unit seen to run."""
    host = deisctl_host(snapshot)
    hosts = snapshot.reachable_hosts
    install: list[Step] = list(_guards(snapshot, choices))
    install.append(
        deisctl_job(
            "install",
            "install the platform without Ceph",
            host,
            f"timeout {INSTALL_SECONDS} deisctl install stateless-platform --router-mesh-size={choices.routers}",
            INSTALL_SECONDS,
            undo=TAKEN_OFF,
        )
    )
    start = deisctl_job(
        "start",
        "start it",
        host,
        f"timeout {START_SECONDS} deisctl start stateless-platform",
        START_SECONDS,
        undo=TAKEN_OFF,
    )
    waits: list[Step] = []
    for name in units(choices):
        is_everywhere = name.startswith("deis-logspout")
        waits.append(runs_on(name, hosts, f"runs:{name}", every=is_everywhere))
    waits += [*stay("stay", waits), *serves(host, "registry"), *serves(host, "controller")]
    return (
        Stage(id="install", title="Install", steps=chained(install)),
        Stage(id="start", title="Start", steps=(start,)),
        Stage(id="running", title="Every component runs", steps=tuple(waits)),
    )


def _guards(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Step, ...]:
    """Where units are kept to planes, each plane must have its hosts: else the install never ends."""
    if snapshot.value(FLAG) not in ("true", "True", "TRUE", "1"):
        return ()
    counts = {"control": 1, "data": 1, "router": choices.routers}
    return tuple(
        GuardStep(
            id=f"guard:{plane}",
            title=f"{count} hosts of the {plane} plane are there",
            condition=MachinesCarry(pair=pair_of(plane), least=count),
            otherwise=f"too few hosts carry {pair_of(plane)}: deisctl would wait for a place for ever",
        )
        for plane, count in counts.items()
    )


def undo(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Stage, ...]:
    """Taken off again, and every unit seen to be gone. ``stateless-platform`` leaves logger (deis-facts 0.6)."""
    host = deisctl_host(snapshot)
    words = f"timeout {INSTALL_SECONDS} deisctl uninstall"
    steps: list[Step] = [
        deisctl_job(
            f"back:{what}",
            f"uninstall {what}",
            host,
            f"{words} {what}",
            INSTALL_SECONDS,
            undo=TAKEN_OFF,
        )
        for what in ("stateless-platform", "logger")
    ]
    steps += [
        WaitStep(
            id=f"back:gone:{name}",
            title=f"{name} is gone",
            condition=UnitGone(unit=name),
            waiting_for=f"{name} to be gone from every host",
            timeout=GONE_TIMEOUT,
            on_timeout=f"fleetctl destroy {name}",
        )
        for name in units(choices)
    ]
    stage = Stage(id="back:install", title="Take the platform off", steps=chained(steps))
    return (stage.undoing("install"),)
