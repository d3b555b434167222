"""A host leaves Ceph by Ceph's own removal steps, one host after the other (Deis, add_remove_host.rst).

The order is what keeps data: everything is copied elsewhere (``osd out``) while the OSD still runs; then
the host leaves the control plane, so that fleet takes Ceph's units from it and cannot start them again;
only then is it taken out of Ceph's maps. Removed while they may still run there, a fleetd that starts again
would start the daemon, and that makes a new OSD where it finds no key (store/daemon/bin/boot).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.plan.plan import Change, Stage
from deiswizard.recommendations.planes import ceph_steps as steps_of
from deiswizard.recommendations.planes import hosts as hosts_part
from deiswizard.recommendations.planes.ceph_facts import (
    ceph_of,
    host_key,
    leaving,
    osd_id,
    osd_key,
)
from deiswizard.recommendations.planes.facts import (
    PlanesChoices,
    ceph_asker,
    ceph_hosts,
    component_of,
    pair_of,
    plane_of,
    planes_now,
    to_decorate,
)
from deiswizard.recommendations.planes.fleetd import drop_in, wanted
from deiswizard.recommendations.planes.passes import Pass, fleetd_for
from deiswizard.userdata.metadata import PLANES


@dataclass(frozen=True)
class Leaver:
    """A host that leaves Ceph: ``pass_`` takes it out of the control plane; ``after`` is what Ceph
    has once it is gone.
    """

    pass_: Pass
    removal: steps_of.Removal

    @property
    def host(self) -> HostFacts:
        """The machine."""
        return self.pass_.host


def interim(snapshot: Snapshot, choices: PlanesChoices) -> PlanesChoices:
    """The choices without what Ceph's hosts lose at last: they stay in the control plane till then."""
    stays = {host.name for host in leaving(snapshot, choices)}
    hosts = {
        name: tuple(plane for plane in PLANES if plane in planes or plane == "control")
        if name in stays
        else planes
        for name, planes in choices.hosts.items()
    }
    return choices.model_copy(update={"hosts": hosts})


def leavers(snapshot: Snapshot, choices: PlanesChoices) -> tuple[Leaver, ...]:
    """In order. Nothing when no host with Ceph leaves; ``check_choices`` has judged them."""
    gone, ceph = leaving(snapshot, choices), ceph_of(snapshot)
    asker = ceph_asker(_without(snapshot, gone))
    if not gone or ceph is None or asker is None:
        return ()
    before = interim(snapshot, choices)
    found = []
    for number, host in enumerate(gone):
        number_of_osd = osd_id(snapshot, host)
        assert number_of_osd is not None
        fleetd, planes = fleetd_for(snapshot, host), before.hosts[host.name]
        is_second = planes != planes_now(host)
        old = wanted(fleetd, planes) if is_second else fleetd.metadata
        expect = hashlib.sha256(drop_in(old).encode()).hexdigest() if is_second else fleetd.checksum
        then = choices.hosts[host.name]
        key = f"{host.name}:leaves"
        one = Pass(host, fleetd, key, then, old, wanted(fleetd, then), expect, is_second)
        removal = steps_of.Removal(
            host=host.name,
            asker=asker.name,
            osd=number_of_osd,
            monitor=ceph.monitors[host.address],
            host_key=host_key(host),
            osd_key=osd_key(host),
            osds=len(ceph.osds) - number,
            monitors=len(ceph.monitors) - number,
            units=tuple(
                unit.name
                for unit in snapshot.units
                if unit.is_global and component_of(unit.name).startswith("store-")
            ),
            mark=str(int(snapshot.taken_at)),
        )
        found.append(Leaver(one, removal))
    return tuple(found)


def _without(snapshot: Snapshot, gone: Sequence[HostFacts]) -> Snapshot:
    """As if the monitors of these hosts were gone: another one is asked."""
    machines = {host.machine_id for host in gone}
    states = tuple(
        state
        for state in snapshot.unit_states
        if component_of(state.unit) != "store-monitor" or state.machine_id not in machines
    )
    return snapshot.model_copy(update={"unit_states": states})


def later(snapshot: Snapshot, choices: PlanesChoices) -> Snapshot:
    """As it is when the units are kept to their planes, and only what leaves Ceph is to come."""
    made_again = {unit.name for unit in to_decorate(snapshot, choices)}
    units = tuple(
        unit.model_copy(
            update={
                "machine_metadata": (
                    *unit.machine_metadata,
                    pair_of(plane_of(unit.name) or "control"),
                )
            }
        )
        if unit.name in made_again
        else unit
        for unit in snapshot.units
    )
    seen = _without(snapshot, leaving(snapshot, choices))
    return seen.model_copy(update={"units": units})


def stages(snapshot: Snapshot, choices: PlanesChoices, found: Sequence[Leaver]) -> list[Stage]:
    """For each host: emptied, out of the control plane, out of Ceph, and Ceph well before the next."""
    then, made = later(snapshot, choices), []
    for leaver in found:
        made.append(steps_of.out(leaver.removal))
        passed = hosts_part.stage(then, choices, leaver.pass_)
        # its monitor is down by now and still counted: Ceph is well again only when it is removed
        steps = tuple(step for step in passed.steps if step.id != f"ceph:{leaver.pass_.key}")
        made.append(passed.model_copy(update={"steps": steps}))
        made.append(steps_of.removed(leaver.removal))
    return made


def undo(snapshot: Snapshot, choices: PlanesChoices, found: Sequence[Leaver]) -> list[Stage]:
    """Backwards. A removal that was begun is first brought to its end: half removed, nothing of it
    starts again.
    """
    then, made = later(snapshot, choices), []
    for leaver in reversed(found):
        made.append(steps_of.finished(leaver.removal))
        back = hosts_part.undo(then, leaver.pass_)
        steps = tuple(
            steps_of.well_again(leaver.removal, step)
            if step.id == f"back:ceph:{leaver.pass_.key}"
            else step
            for step in back.steps
        )
        made.append(back.model_copy(update={"steps": steps}))
        made.append(steps_of.back_in(leaver.removal))
    return made


def change(choices: PlanesChoices, leaver: Leaver, passes: Sequence[Pass]) -> tuple[Change, ...]:
    """The host's metadata, its OSD and its monitor."""
    fleetd, removal = leaver.pass_.fleetd, leaver.removal
    keys = [one.key for one in passes if one.host is leaver.host] + [leaver.pass_.key]
    return (
        Change(
            where=f"{leaver.host.name}: fleet metadata",
            current=fleetd.metadata or None,
            desired=wanted(fleetd, choices.hosts[leaver.host.name]),
            steps=tuple(f"{what}:{key}" for key in keys for what in ("drop-in", "apply")),
        ),
        Change(
            where=f"Ceph: osd.{removal.osd} on {removal.host}",
            current="holds data",
            desired=None,
            note="its data is copied to the other hosts first",
            steps=(f"ceph-out:{removal.host}", *removal.changes("crush", "auth", "rm", "osd-key")),
        ),
        Change(
            where=f"Ceph: monitor {removal.monitor}",
            current="one of its majority",
            desired=None,
            steps=removal.changes("host-key", "monitor"),
        ),
    )


def notes(snapshot: Snapshot, found: Sequence[Leaver]) -> tuple[str, ...]:
    """What is to be known before; nothing when no host leaves Ceph."""
    if not found:
        return ()
    stay = len(ceph_hosts(snapshot)) - len(found)
    names = ", ".join(leaver.host.name for leaver in found)
    removal = found[0].removal
    kept = " and ".join(removal.kept(name) for name in (steps_of.DATA, steps_of.MONITOR_DATA))
    return (
        f"{names}: Ceph copies their data to the {stay} hosts that stay, one host after the other; the cluster "
        "goes on working, somewhat slower, and it may take hours",
        f"what Ceph had on {names} is kept there, in the containers {kept}, "
        "and takes up its room: docker rm -v them once you are sure",
        "after a host has left Ceph, undo brings it back with a new, empty OSD: Ceph copies data to it "
        "again, which may take hours too; the former OSD itself does not come back",
    )
