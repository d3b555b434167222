"""Ceph and the database taken off the cluster, their data left where it is; and brought back.

Whatever hangs on Ceph has stopped before. A unit that is destroyed keeps its data container; fleet's
own file of each is submitted again on the way back.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from deiswizard.cluster.snapshot import HostFacts, Snapshot, Unit
from deiswizard.cluster.unit_files import digest
from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.fleet_steps import SubmitUnitStep
from deiswizard.plan.plan import Stage, chained
from deiswizard.plan.step import GuardStep, Step, WaitStep
from deiswizard.recommendations import ceph_shutdown
from deiswizard.recommendations.backup.facts import GATEWAY_HOST, GATEWAY_PORT
from deiswizard.recommendations.deis_units import runs_on, short, stay, stopped, taken_down
from deiswizard.recommendations.planes.facts import component_of, hosts_of, is_ceph_well, is_wanted
from deiswizard.recommendations.planes.hosts import ceph_well
from deiswizard.recommendations.stateless.components import key_there
from deiswizard.recommendations.stateless.facts import (
    DB_HOST,
    DB_PORT,
    data_containers,
    graceful_hosts,
    store_units,
)
from deiswizard.recommendations.stateless.trials import way_of
from deiswizard.userdata.roles import CEPH_SHUTDOWN
from deiswizard.vocabulary import Danger

EXPIRED_SECONDS = 90.0
"""The keys live for 20 s after the last word of their component (deis-facts 0.4)."""

DISARM = f"{ceph_shutdown.DISARM} && systemctl disable {CEPH_SHUTDOWN}"
ARM = f"{ceph_shutdown.ARM} && systemctl enable {CEPH_SHUTDOWN}"


def disarm_stage(snapshot: Snapshot) -> Stage:
    """It stops with Ceph's units, and is not started again."""
    return ceph_shutdown.disarm_stage(graceful_hosts(snapshot), DISARM)


def arm_stage(snapshot: Snapshot) -> Stage:
    """The way back of ``disarm_stage``."""
    steps = tuple(
        ceph_shutdown.arm_step(host, ARM, "back:graceful", (f"graceful:{host.name}",))
        for host in reversed(graceful_hosts(snapshot))
    )
    return Stage(id="back:graceful", title="Ceph's shutdown as before", steps=steps)


def down_stage(snapshot: Snapshot) -> Stage:
    """The database first, which pushes a last backup to the gateway; then Ceph, from its users down."""
    steps: list[Step] = []
    for unit in reversed(store_units(snapshot)):
        steps += taken_down(unit.name, "", (digest(unit.content),))
    return Stage(id="down", title="Ceph and the database end", steps=chained(steps))


def data_stage(snapshot: Snapshot) -> Stage:
    """The first of the way back: on each host the data is still there that the units are to find again."""
    steps = tuple(
        GuardStep(
            id=f"back:guard:data:{host}",
            title=f"the data of before is on {host}",
            host=host,
            condition=CommandSays(
                host=host,
                command="docker ps -a --format '{{.Names}}' | grep -c -x "
                + " ".join(f"-e {shlex.quote(name)}" for name in names),
                pattern=rf"^{len(names)}\s*$",
            ),
            otherwise="what Ceph and the database had kept there is gone (removed later, as a step of its own): "
            "Ceph would begin empty. Nothing was changed; the new stores go on",
        )
        for host, names in data_containers(snapshot).items()
    )
    return Stage(id="back:data", title="The data of before is there", steps=steps)


def up_stage(snapshot: Snapshot) -> Stage:
    """The way back: monitors, daemons, metadata, Ceph well, then what needs it, the database last."""
    through, steps = way_of(snapshot), list[Step]()
    for unit in store_units(snapshot):
        undoes = tuple(f"{what}:{unit.name}" for what in ("stop", "destroy"))
        steps += [s.model_copy(update={"undoes": undoes}) for s in _back(snapshot, unit, through)]
    steps += stay("back:stay:ceph", steps)
    return Stage(id="back:ceph", title="Ceph and the database come back", steps=chained(steps))


def _back(snapshot: Snapshot, unit: Unit, through: HostFacts) -> Iterator[Step]:
    yield SubmitUnitStep(
        id=f"back:submit:{unit.name}",
        title=f"submit {short(unit.name)} as it was",
        unit=unit.name,
        content=unit.content,
        danger=Danger.RESTART,
    )
    if not is_wanted(unit):
        yield from stopped(unit.name, "back:")
        return
    hosts = hosts_of(unit.name, snapshot) if unit.is_global else snapshot.reachable_hosts
    yield runs_on(unit.name, hosts, f"back:runs:{unit.name}", every=unit.is_global)
    match component_of(unit.name):
        case "store-metadata" if is_ceph_well(snapshot):
            asker = next(iter(hosts_of("deis-store-monitor.service", snapshot)), through)
            yield ceph_well(asker.name, "back:ceph-well", ()).model_copy(update={"host": ""})
        case "store-gateway":
            yield key_there(through, GATEWAY_HOST, f"back:told:{unit.name}", short(unit.name))
        case "database":
            yield key_there(through, DB_HOST, f"back:told:{unit.name}", "database")


def expired_stage(snapshot: Snapshot) -> Stage:
    """Nobody tells any more where gateway and database are, so nobody writes over what is set next."""
    keys = [
        key for key in (DB_HOST, DB_PORT, GATEWAY_HOST, GATEWAY_PORT) if _expires(snapshot, key)
    ]
    steps = tuple(
        WaitStep(
            id=f"expired:{key}",
            title=f"{key} has expired",
            condition=KeyIs(key=key, value=None),
            waiting_for=f"{key} to expire, 20 s after its component's last word",
            timeout=EXPIRED_SECONDS,
            on_timeout="somebody still writes it: is another gateway or database running?",
        )
        for key in keys
    )
    return Stage(id="expired", title="Their keys expire", steps=steps)


def _expires(snapshot: Snapshot, key: str) -> bool:
    fact = snapshot.key(key)
    return fact is not None and fact.ttl is not None
