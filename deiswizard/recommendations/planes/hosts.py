"""The stage of one host: its metadata changed, without an outage where its fleetd allows that.

fleetd that is told to end stops every unit of its host; one that is killed leaves them running, and
systemd starts it again within fleet's lease, with the new metadata (deis-facts 14).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from deiswizard.cluster.etcd_host import BLINK
from deiswizard.cluster.snapshot import HostFacts, Snapshot, Unit
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.fleet_conditions import MachinesCarry, MetadataIs, UnitsElsewhere
from deiswizard.plan.former_file import back_command, keep_command
from deiswizard.plan.plan import Stage
from deiswizard.plan.step import CommandStep, GuardStep, JobStep, Step, UploadStep, WaitStep, as_run
from deiswizard.recommendations.deis_units import runs_on, stay
from deiswizard.recommendations.planes.facts import (
    CEPH_ASK,
    PlanesChoices,
    ceph_asker,
    ceph_hosts,
    is_ceph_well,
    is_decorated,
    needed,
    of_planes,
    pair_of,
    plane_of,
    planes_now,
)
from deiswizard.recommendations.planes.fleetd import (
    FOLDER,
    LEASE_SECONDS,
    PATH,
    UNIT,
    Fleetd,
    await_news,
    drop_in,
    known,
    shown,
)
from deiswizard.recommendations.planes.passes import Pass, leaving, leaving_apps, lost
from deiswizard.userdata.metadata import PLANES
from deiswizard.vocabulary import Danger
from deiswizard.wording import counted

ETCD_HEALTH = "etcdctl cluster-health"
ETCD_ASK = (
    f"{ETCD_HEALTH} | grep -q -e unhealthy -e unreachable -e degraded && sleep {BLINK}; "
    f"{ETCD_HEALTH} | grep -v 'got healthy result'"
)
ETCD_WELL = r"^cluster is healthy\s*$"
"""Its exit status proves nothing: it is 0 as long as one member is healthy (deis-facts 10)."""

CEPH_WELL = r"^HEALTH_OK"
DETAIL = "See ceph health detail"
KNOWN_TIMEOUT = 60.0
BACK_TIMEOUT = 15 * 60.0
WELL_TIMEOUT = 10 * 60.0
SECONDS = " ".join(str(number) for number in range(1, int(LEASE_SECONDS)))


def applied(fleetd: Fleetd, machine_id: str) -> str:
    """The command that makes the fleetd of that machine read its drop-ins."""
    if not fleetd.comes_back:
        return f"systemctl daemon-reload && systemctl restart {UNIT}"
    return (
        f"{await_news(machine_id)}; "
        f"systemctl daemon-reload && systemctl kill -s KILL {UNIT} && sleep 1; "
        f"for second in {SECONDS}; do systemctl is-active -q {UNIT} && break || sleep 1; done; "
        f"systemctl is-active -q {UNIT} || systemctl start {UNIT}"
    )


def _apply_step(
    one: Pass, step: str, needs: tuple[str, ...], planes: tuple[str, ...] = ()
) -> JobStep:
    """``planes``: what is kept to these leaves the host by it."""
    host, fleetd = one.host, one.fleetd
    how = "restart fleetd, which stops every fleet unit of this host"
    if fleetd.comes_back:
        how = "kill fleetd; systemd starts it again, and its units go on running"
    if fleetd.comes_back and planes:
        how += f", except what is kept to the {' and '.join(planes)} plane: it leaves this host"
    return JobStep(
        id=step,
        title=how,
        host=host.name,
        command=as_run(applied(fleetd, host.machine_id), sudo=True),
        way=host.job_way,
        needs=needs,
        timeout=120.0,
        danger=Danger.WRITE if fleetd.comes_back and not planes else Danger.RESTART,
        undo="the drop-in of before, and the same again",
    )


def planes_of(metadata: str) -> tuple[str, ...]:
    """The planes that such metadata gives a host."""
    has = dict(known(metadata))
    return tuple(plane for plane, key in PLANES.items() if has.get(key) == "true")


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


def stage(snapshot: Snapshot, choices: PlanesChoices, one: Pass) -> Stage:
    """Guards, the drop-in, fleetd again, and everything well before the next host.

    The guards are asked until fleetd has been started again: from then on the metadata may be that of a
    later pass, and a host whose units stopped with fleetd keeps Ceph from being well.
    """
    name, key = one.host.name, one.key
    guards = tuple(_guards(snapshot, one))
    needs = tuple(guard.id for guard in guards)
    keeps = one.expect and not one.is_second
    keep = f" && {keep_command(PATH)}" if keeps else ""
    steps: list[Step] = [
        *guards,
        CommandStep(
            id=f"folder:{key}",
            title=f"make {FOLDER}" + (", and keep the drop-in of before" if keep else ""),
            host=name,
            sudo=True,
            command=f"mkdir -p {FOLDER}{keep}",
            needs=needs,
            danger=Danger.WRITE,
        ),
        UploadStep(
            id=f"drop-in:{key}",
            title=f"write {PATH}",
            host=name,
            path=PATH,
            content=drop_in(one.new),
            sudo=True,
            expect=one.expect,
            needs=(f"folder:{key}",),
            danger=Danger.WRITE,
            undo="the drop-in of before is put back, or the file removed",
        ),
        _apply_step(one, f"apply:{key}", (f"drop-in:{key}",), lost(snapshot, one.old, one.planes)),
        _known_step(one.host, known(one.new), f"known:{key}", (f"apply:{key}",)),
        *_afterwards(snapshot, choices, one, (f"known:{key}",)),
    ]
    return Stage(
        id=f"host:{key}",
        title=f"{name}: {', '.join(one.planes)}",
        steps=tuple(steps),
        hosts_at_a_time=1,
    )


def _guards(snapshot: Snapshot, one: Pass) -> Iterator[GuardStep]:
    host, key, until = one.host, one.key, (f"apply:{one.key}",)
    either = tuple(dict.fromkeys((shown(known(one.old)), shown(known(one.new)))))
    if not one.is_second:
        either = tuple(dict.fromkeys((shown(host.metadata), *either)))
    yield GuardStep(
        id=f"guard:same:{key}",
        title="its metadata is still what this plan was made from",
        host=host.name,
        condition=MetadataIs(host=host.name, machine=host.machine_id, either=either),
        otherwise=f"{host.name} has other metadata than when this plan was made. Make a new plan",
        until=until,
    )
    yield etcd_guard(host.name, key, until)
    asker = ceph_asker(snapshot)
    if asker is not None and not one.fleetd.comes_back:
        why = f"Ceph is not well, and its units on {host.name} would stop for a while. {DETAIL}"
        yield ceph_guard(asker.name, f"guard:ceph:{key}", why, until, host=host.name)
    for plane, least in needed(snapshot).items():
        if plane not in lost(snapshot, one.old, one.planes):
            continue  # nothing is kept to it yet, so nothing has to leave
        yield GuardStep(
            id=f"guard:{plane}:{key}",
            title=f"what leaves {host.name} has a place: {least.count} other {plane} hosts",
            host=host.name,
            condition=MachinesCarry(pair=pair_of(plane), least=least.count, but=host.machine_id),
            otherwise=f"{least.why}; without {host.name} there would be too few, and a unit would run "
            "nowhere. Give another host that plane first",
            until=until,
        )


def etcd_guard(host: str, key: str, until: tuple[str, ...]) -> GuardStep:
    """Every member of etcd is healthy, asked on that host until these steps are done."""
    return GuardStep(
        id=f"guard:etcd:{key}",
        title="every member of etcd is healthy",
        host=host,
        condition=CommandSays(host=host, command=ETCD_ASK, pattern=ETCD_WELL),
        otherwise="a member of etcd is not healthy; fleetd needs etcd to come back in time. "
        "See etcdctl cluster-health",
        until=until,
    )


def _afterwards(
    snapshot: Snapshot, choices: PlanesChoices, one: Pass, needs: tuple[str, ...]
) -> Iterator[WaitStep]:
    """What stays still runs, what had to leave runs elsewhere; etcd and Ceph are well."""
    host, key = one.host, one.key
    here = [unit for unit in of_planes(snapshot) if host in snapshot.where(unit.name)]
    leaves = leaving(snapshot, one)
    stays = [unit for unit in here if unit not in leaves]
    sure = [unit.name for unit in stays if one.fleetd.comes_back or unit.is_global]
    if sure:
        yield WaitStep(
            id=f"stays:{key}",
            title=f"what stays on {host.name} runs: {counted(len(sure), 'unit')}",
            host=host.name,
            needs=needs,
            condition=CommandSays(
                host=host.name,
                command=f"systemctl is-active {' '.join(shlex.quote(name) for name in sure)}",
                pattern=r"^(active\s*)+$",
            ),
            waiting_for=f"the units of {host.name} to run",
            timeout=BACK_TIMEOUT,
            on_timeout=f"see which does not on {host.name}: fleetctl list-units",
        )
    moved = [
        runs_on(
            unit.name,
            _places(snapshot, choices, unit, host if unit in leaves else None),
            f"moved:{key}:{unit.name}",
            needs,
        )
        for unit in here
        if not unit.is_global and unit.name not in sure
    ]
    yield from moved
    yield from stay(f"stay:{key}", moved)
    if apps := tuple(unit.name for unit in leaving_apps(snapshot, one)):
        yield WaitStep(
            id=f"apps:{key}",
            title=f"{counted(len(apps), 'container')} of apps run elsewhere",
            needs=needs,
            condition=UnitsElsewhere(units=apps, machine=host.machine_id),
            waiting_for=f"what has left {host.name} to run on other hosts of the data plane",
            timeout=BACK_TIMEOUT,
            on_timeout="see which has no place, or does not start: fleetctl list-units, fleetctl journal with the unit",
        )
    yield from well(snapshot, host.name, key, needs)


def _places(
    snapshot: Snapshot, choices: PlanesChoices, unit: Unit, left: HostFacts | None
) -> tuple[HostFacts, ...]:
    """The hosts of a unit's plane, as it is now or will be; all when nothing keeps it there."""
    plane = plane_of(unit.name)
    return tuple(
        host
        for host in snapshot.hosts
        if host is not left
        and (
            not is_decorated(unit)
            or plane in planes_now(host)
            or plane in choices.hosts.get(host.name, ())
        )
    )


def well(snapshot: Snapshot, host: str, key: str, needs: tuple[str, ...]) -> Iterator[WaitStep]:
    """etcd, and Ceph where there is one."""
    yield WaitStep(
        id=f"etcd:{key}",
        title="every member of etcd is healthy",
        host=host,
        needs=needs,
        condition=CommandSays(host=host, command=ETCD_ASK, pattern=ETCD_WELL),
        waiting_for="etcd to be healthy",
        timeout=WELL_TIMEOUT,
        on_timeout="see etcdctl cluster-health",
    )
    asker = ceph_asker(snapshot)
    if asker is not None and is_ceph_well(snapshot):
        yield ceph_well(asker.name, f"ceph:{key}", needs)


def ceph_says_well(asker: str) -> CommandSays:
    """Ceph says HEALTH_OK, asked on that host."""
    return CommandSays(host=asker, command=CEPH_ASK, pattern=CEPH_WELL)


def ceph_guard(
    asker: str, step: str, otherwise: str, until: tuple[str, ...] = (), *, host: str = ""
) -> GuardStep:
    """Ceph is well, asked on ``asker``, before something changes on ``host`` (empty: there, too)."""
    return GuardStep(
        id=step,
        title="Ceph is well",
        host=host or asker,
        condition=ceph_says_well(asker),
        otherwise=otherwise,
        until=until,
    )


def ceph_well(host: str, step: str, needs: tuple[str, ...]) -> WaitStep:
    """Ceph says HEALTH_OK."""
    return WaitStep(
        id=step,
        title="Ceph is well",
        host=host,
        needs=needs,
        condition=ceph_says_well(host),
        waiting_for="Ceph to say HEALTH_OK",
        timeout=WELL_TIMEOUT,
        interval=5.0,
        on_timeout="see why: docker exec deis-store-monitor ceph health detail",
    )


CEPH_UNITS = "deis-store-monitor.service deis-store-daemon.service"
CEPH_ASK_HERE = f"systemctl is-active {CEPH_UNITS}; {CEPH_ASK}; true"
NOTHING_OR_WELL = r"^((inactive|failed|unknown)\s+){2}|\nHEALTH_OK"
"""Whether a host may lose its units for a while: Ceph has stopped there already, or is well."""


def _undo_guards(snapshot: Snapshot, one: Pass) -> Iterator[GuardStep]:
    """As before the change; only that a host whose units are down by that change is let come back."""
    name, key, until = one.host.name, one.key, (f"back:apply:{one.key}",)
    yield etcd_guard(name, f"back:{key}", until)
    is_held = one.host in ceph_hosts(snapshot) and is_ceph_well(snapshot)
    if is_held and not one.fleetd.comes_back:
        yield GuardStep(
            id=f"guard:ceph:back:{key}",
            title=f"Ceph is well, or has stopped on {name}",
            host=name,
            condition=CommandSays(host=name, command=CEPH_ASK_HERE, pattern=NOTHING_OR_WELL),
            otherwise=f"Ceph is not well, and its units on {name} would stop for a while. {DETAIL}",
            until=until,
        )


def undo(snapshot: Snapshot, one: Pass) -> Stage:
    """The drop-in of before this pass, and fleetd again."""
    name, key = one.host.name, one.key
    guards = tuple(_undo_guards(snapshot, one))
    needs = tuple(guard.id for guard in guards)
    tied = (f"drop-in:{key}", f"apply:{key}")
    step: Step
    if one.is_second:
        step = UploadStep(
            id=f"back:drop-in:{key}",
            title=f"write {PATH} as it was",
            host=name,
            path=PATH,
            content=drop_in(one.old),
            sudo=True,
            needs=needs,
            danger=Danger.WRITE,
        )
    else:
        step = CommandStep(
            id=f"back:drop-in:{key}",
            title="put the former drop-in back" if one.expect else f"remove {PATH}",
            host=name,
            sudo=True,
            command=back_command(PATH, was_there=bool(one.expect)),
            needs=needs,
            danger=Danger.WRITE,
        )
    steps: tuple[Step, ...] = (
        *guards,
        step,
        _apply_step(
            one,
            f"back:apply:{key}",
            (f"back:drop-in:{key}",),
            lost(snapshot, one.new, planes_of(one.old)),
        ),
        _known_step(one.host, known(one.old), f"back:known:{key}", (f"back:apply:{key}",)),
        *(
            after.model_copy(update={"id": f"back:{after.id}"})
            for after in well(snapshot, name, key, (f"back:known:{key}",))
        ),
    )
    return Stage(
        id=f"back:host:{key}", title=f"{name} as it was", steps=steps, hosts_at_a_time=1
    ).undoing(*tied)
