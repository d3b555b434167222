"""The stage of one host: its metadata changed, without an outage where its fleetd allows that.

fleetd that is told to end stops every unit of its host; one that is killed leaves them running, and
systemd starts it again within fleet's lease, with the new metadata (deis-facts 14).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.fleet_conditions import MachinesCarry, MetadataIs, UnitRunsOn
from deiswizard.plan.plan import Change, FileBasis, Stage
from deiswizard.plan.step import CommandStep, GuardStep, JobStep, Step, UploadStep, WaitStep, as_run
from deiswizard.recommendations.planes_facts import (
    CEPH_ASK,
    PlanesChoices,
    ceph_asker,
    has_ceph,
    hosts_of,
    is_decorated,
    needed,
    of_planes,
    pair_of,
    plane_of,
    planes_now,
)
from deiswizard.recommendations.planes_fleetd import (
    BEFORE,
    FOLDER,
    LEASE_SECONDS,
    PATH,
    UNIT,
    Fleetd,
    drop_in,
    fleetd_of,
    known,
    shown,
    wanted,
)
from deiswizard.vocabulary import Danger

ETCD_ASK = "etcdctl cluster-health | grep -v 'got healthy result'"
ETCD_WELL = r"^cluster is healthy\s*$"
"""Its exit status proves nothing: it is 0 as long as one member is healthy (deis-facts 10)."""

KNOWN_TIMEOUT = 60.0
BACK_TIMEOUT = 15 * 60.0
WELL_TIMEOUT = 10 * 60.0
RUN_TIMEOUT = 25 * 60.0
"""A unit may pull its image first (deis-facts 0.3)."""

STEADY = 2.0
"""A unit that ends at once is started again after 5 s and more: it is not running twice within 2 s."""
SECONDS = " ".join(str(number) for number in range(1, int(LEASE_SECONDS)))


def fleetd_for(snapshot: Snapshot, host: HostFacts) -> Fleetd:
    """Raises PreconditionError when it is not known."""
    found = fleetd_of(snapshot, host)
    if found is None:
        raise PreconditionError(
            f"{host.name} did not say how its fleetd is started", do="look again"
        )
    return found


def applied(fleetd: Fleetd) -> str:
    """The command that makes fleetd read its drop-ins."""
    if not fleetd.comes_back:
        return f"systemctl daemon-reload && systemctl restart {UNIT}"
    return (
        f"systemctl daemon-reload && systemctl kill -s KILL {UNIT} && sleep 1; "
        f"for second in {SECONDS}; do systemctl is-active -q {UNIT} || sleep 1; done; "
        f"systemctl is-active -q {UNIT} || systemctl start {UNIT}"
    )


def _apply_step(host: HostFacts, fleetd: Fleetd, step: str, needs: tuple[str, ...]) -> JobStep:
    how = (
        "kill fleetd; systemd starts it again, and its units go on running"
        if fleetd.comes_back
        else "restart fleetd, which stops every fleet unit of this host"
    )
    return JobStep(
        id=step,
        title=how,
        host=host.name,
        command=as_run(applied(fleetd), sudo=True),
        way=host.job_way,
        needs=needs,
        timeout=120.0,
        danger=Danger.WRITE if fleetd.comes_back else Danger.RESTART,
        undo="the drop-in of before, and the same again",
    )


def _known_step(
    host: HostFacts, metadata: tuple[tuple[str, str], ...], step: str, needs: tuple[str, ...]
) -> WaitStep:
    return WaitStep(
        id=step,
        title=f"fleet knows {host.name} as {shown(metadata) or 'without metadata'}",
        host=host.name,
        needs=needs,
        condition=MetadataIs(host=host.name, machine=host.machine_id, either=(shown(metadata),)),
        waiting_for="fleetd to be back with the new metadata",
        timeout=KNOWN_TIMEOUT,
        interval=1.0,
        on_timeout=f"read why on {host.name}: systemctl status fleet; systemctl cat fleet",
    )


def stage(snapshot: Snapshot, choices: PlanesChoices, host: HostFacts) -> Stage:
    """Guards, the drop-in, fleetd again, and everything well before the next host."""
    fleetd = fleetd_for(snapshot, host)
    new = wanted(fleetd, choices.hosts[host.name])
    name = host.name
    guards = tuple(_guards(snapshot, choices, host, new))
    needs = tuple(guard.id for guard in guards)
    keep = f" && cp -p {PATH} {BEFORE}" if fleetd.checksum else ""
    steps: list[Step] = [
        *guards,
        CommandStep(
            id=f"folder:{name}",
            title=f"make {FOLDER}" + (", and keep the drop-in of before" if keep else ""),
            host=name,
            sudo=True,
            command=f"mkdir -p {FOLDER}{keep}",
            needs=needs,
            danger=Danger.WRITE,
        ),
        UploadStep(
            id=f"drop-in:{name}",
            title=f"write {PATH}",
            host=name,
            path=PATH,
            content=drop_in(new),
            sudo=True,
            expect=fleetd.checksum,
            needs=(f"folder:{name}",),
            danger=Danger.WRITE,
            undo="the drop-in of before is put back, or the file removed",
        ),
        _apply_step(host, fleetd, f"apply:{name}", (f"drop-in:{name}",)),
        _known_step(host, known(new), f"known:{name}", (f"apply:{name}",)),
        *_afterwards(snapshot, choices, host, fleetd, (f"known:{name}",)),
    ]
    return Stage(
        id=f"host:{name}",
        title=f"{name}: {', '.join(choices.hosts[name])}",
        steps=tuple(steps),
        hosts_at_a_time=1,
    )


def _guards(
    snapshot: Snapshot, choices: PlanesChoices, host: HostFacts, new: str
) -> Iterator[GuardStep]:
    name = host.name
    yield GuardStep(
        id=f"guard:same:{name}",
        title="its metadata is still what this plan was made from",
        host=name,
        condition=MetadataIs(
            host=name,
            machine=host.machine_id,
            either=tuple(dict.fromkeys((shown(host.metadata), shown(known(new))))),
        ),
        otherwise=f"{name} has other metadata than when this plan was made. Make a new plan",
    )
    yield _etcd_guard(name)
    lost = [p for p in planes_now(host) if p not in choices.hosts[name]]
    kept = {plane_of(unit.name) for unit in of_planes(snapshot) if is_decorated(unit)}
    for plane in lost:
        if plane not in kept:
            continue  # nothing is kept to it yet, so nothing has to leave
        least = needed(snapshot)[plane]
        yield GuardStep(
            id=f"guard:{plane}:{name}",
            title=f"what leaves {name} has a place: {least.count} other {plane} hosts",
            host=name,
            condition=MachinesCarry(pair=pair_of(plane), least=least.count, but=host.machine_id),
            otherwise=f"{least.why}; without {name} there would be too few, and a unit would run nowhere. "
            "Give another host that plane first",
        )


def _etcd_guard(host: str) -> GuardStep:
    return GuardStep(
        id=f"guard:etcd:{host}",
        title="every member of etcd is healthy",
        host=host,
        condition=CommandSays(host=host, command=ETCD_ASK, pattern=ETCD_WELL),
        otherwise="a member of etcd is not healthy; fleetd needs etcd to come back in time. "
        "See etcdctl cluster-health",
    )


def _afterwards(
    snapshot: Snapshot,
    choices: PlanesChoices,
    host: HostFacts,
    fleetd: Fleetd,
    needs: tuple[str, ...],
) -> Iterator[WaitStep]:
    """What stays still runs, what had to leave runs elsewhere; etcd and Ceph are well."""
    stays, leaves = [], []
    for unit in of_planes(snapshot):
        if host not in snapshot.where(unit.name):
            continue
        if is_decorated(unit) and plane_of(unit.name) not in choices.hosts[host.name]:
            leaves.append(unit)
        else:
            stays.append(unit)
    names = [unit.name for unit in stays if fleetd.comes_back or unit.is_global]
    if names:
        yield WaitStep(
            id=f"stays:{host.name}",
            title=f"{len(names)} units that stay on {host.name} run",
            host=host.name,
            needs=needs,
            condition=CommandSays(
                host=host.name,
                command=f"systemctl is-active {' '.join(shlex.quote(name) for name in names)}",
                pattern=r"^(active\s*)+$",
            ),
            waiting_for=f"the units of {host.name} to run",
            timeout=BACK_TIMEOUT,
            on_timeout=f"see which does not on {host.name}: fleetctl list-units",
        )
    if not fleetd.comes_back:
        leaves += [unit for unit in stays if not unit.is_global]
    for unit in leaves:
        if unit.is_global:
            continue
        yield runs_on(
            unit.name,
            places(snapshot, choices, unit.name, moved=is_decorated(unit)),
            f"moved:{host.name}:{unit.name}",
            needs,
        )
    yield from well(snapshot, host.name, needs)


def places(
    snapshot: Snapshot, choices: PlanesChoices, unit: str, *, moved: bool
) -> tuple[HostFacts, ...]:
    """The hosts of a unit's plane, as it is now or will be; all when nothing keeps it there."""
    plane = plane_of(unit)
    return tuple(
        host
        for host in snapshot.hosts
        if not moved or plane in planes_now(host) or plane in choices.hosts.get(host.name, ())
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
            steady=STEADY,
        ),
        waiting_for=f"{unit} to run on {where}, and to go on running",
        timeout=RUN_TIMEOUT,
        on_timeout=f"read why where it is: fleetctl journal {unit}",
        interval=2.0,
    )


def well(snapshot: Snapshot, host: str, needs: tuple[str, ...]) -> Iterator[WaitStep]:
    """etcd, and Ceph where there is one."""
    yield WaitStep(
        id=f"etcd:{host}",
        title="every member of etcd is healthy",
        host=host,
        needs=needs,
        condition=CommandSays(host=host, command=ETCD_ASK, pattern=ETCD_WELL),
        waiting_for="etcd to be healthy",
        timeout=WELL_TIMEOUT,
        on_timeout="see etcdctl cluster-health",
    )
    asker = ceph_asker(snapshot)
    if has_ceph(snapshot) and asker is not None:
        yield ceph_well(asker.name, f"ceph:{host}", needs)


def ceph_well(host: str, step: str, needs: tuple[str, ...]) -> WaitStep:
    """Ceph says HEALTH_OK."""
    return WaitStep(
        id=step,
        title="Ceph is well",
        host=host,
        needs=needs,
        condition=CommandSays(host=host, command=CEPH_ASK, pattern=r"^HEALTH_OK"),
        waiting_for="Ceph to say HEALTH_OK",
        timeout=WELL_TIMEOUT,
        interval=5.0,
        on_timeout="see why: docker exec deis-store-monitor ceph health detail",
    )


def change(snapshot: Snapshot, choices: PlanesChoices, host: HostFacts) -> Change:
    """The metadata of a host as it is and as it will be."""
    fleetd = fleetd_for(snapshot, host)
    name = host.name
    return Change(
        where=f"{name}: fleet metadata",
        current=fleetd.metadata or None,
        desired=wanted(fleetd, choices.hosts[name]),
        steps=(f"drop-in:{name}", f"apply:{name}"),
    )


def basis(snapshot: Snapshot, host: HostFacts) -> FileBasis:
    """The drop-in as it is."""
    return FileBasis(host=host.name, path=PATH, sha256=fleetd_for(snapshot, host).checksum)


def undo(snapshot: Snapshot, host: HostFacts) -> Stage:
    """The drop-in of before, and fleetd again."""
    fleetd = fleetd_for(snapshot, host)
    name = host.name
    tied = (f"drop-in:{name}", f"apply:{name}")
    back = f"mv -f {BEFORE} {PATH}" if fleetd.checksum else f"rm -f {PATH}"
    steps: tuple[Step, ...] = (
        CommandStep(
            id=f"back:drop-in:{name}",
            title="put the former drop-in back" if fleetd.checksum else f"remove {PATH}",
            host=name,
            sudo=True,
            command=back,
            danger=Danger.WRITE,
        ),
        _apply_step(host, fleetd, f"back:apply:{name}", (f"back:drop-in:{name}",)),
        _known_step(host, known(fleetd.metadata), f"back:known:{name}", (f"back:apply:{name}",)),
        *(
            step.model_copy(update={"id": f"back:{step.id}"})
            for step in well(snapshot, name, (f"back:known:{name}",))
        ),
    )
    return Stage(
        id=f"back:host:{name}", title=f"{name} as it was", steps=steps, hosts_at_a_time=1
    ).undoing(*tied)


def outages(snapshot: Snapshot, hosts: Sequence[HostFacts]) -> Mapping[str, tuple[str, ...]]:
    """Host to the units that stop because its fleetd must be restarted."""
    found = {}
    for host in hosts:
        if not fleetd_for(snapshot, host).comes_back:
            found[host.name] = tuple(
                unit.name for unit in snapshot.units if host in hosts_of(unit.name, snapshot)
            )
    return found
