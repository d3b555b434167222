"""The judgement of planes: the setting, the hosts, the units' files, and where units really run."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Evidence, Snapshot
from deiswizard.recommendations.base import Assessment, Finding
from deiswizard.recommendations.ceph_shutdown import DROP_IN, disarmed_hosts
from deiswizard.recommendations.deis_units import short
from deiswizard.recommendations.planes.choices import counts
from deiswizard.recommendations.planes.facts import (
    BOTH_TRUE,
    DECORATORS,
    DEISCTL_TRUE,
    FALSE,
    FLAG,
    apps_to_redeploy,
    ceph_hosts,
    component_of,
    hosts_of,
    in_short,
    is_decorated,
    is_wanted,
    may_run_on,
    needed,
    of_planes,
    pair_of,
    plane_of,
    planes_now,
    undecorated_templates,
)
from deiswizard.recommendations.planes.shutdown import SHUTDOWN
from deiswizard.userdata.metadata import PLANES
from deiswizard.userdata.roles import CEPH_SHUTDOWN
from deiswizard.vocabulary import Status

MACHINES = "fleetctl list-machines -l"
UNITS = "fleetctl list-units --full"
SMALL = 3
"""Hosts up to which nothing can be kept apart; the documentation accepts that on small clusters."""


def assess(snapshot: Snapshot) -> Assessment:
    """How far the planes are kept apart, and what is wrong with it."""
    if not snapshot.keys_read or not snapshot.units:
        what = "etcd did not answer." if not snapshot.keys_read else "fleet has no unit of Deis."
        status = Status.TO_DO if snapshot.keys_read and snapshot.hosts else Status.UNKNOWN
        now = "Deis is not installed" if status is Status.TO_DO else "could not be read"
        return _result(status, now, what, ())
    findings = tuple(
        finding for look in (_flag, _hosts, _units, _apps, _disarmed) for finding in look(snapshot)
    )
    apart = _is_apart(snapshot)
    decorated = [is_decorated(unit) for unit in of_planes(snapshot)]
    worst = [finding.status for finding in findings]
    if Status.AT_RISK in worst:
        return _result(Status.AT_RISK, _now(snapshot), RISK, findings)
    if not apart and not any(decorated):
        if len(snapshot.hosts) <= SMALL:
            words = "Small clusters are reasonable without it, the documentation says."
            return _result(Status.BY_CHOICE, _now(snapshot), words, findings)
        return _result(Status.TO_DO, _now(snapshot), WHY, findings)
    if worst and any(status is not Status.BY_CHOICE for status in worst):
        return _result(Status.PARTLY, _now(snapshot), HALF, findings)
    return _result(Status.OK, _now(snapshot), DONE, findings)


RISK = "Something of it can leave units without a place, or keeps them from being made."
WHY = (
    "Every unit may run on every host. In a larger cluster a few hosts for the control plane keep it "
    "out of the way of apps, and of hosts that come and go."
)
HALF = "The planes are kept apart in part: see what is missing."
DONE = "Every unit of Deis is kept to the hosts of its plane, and runs there."


def _result(status: Status, now: str, words: str, findings: tuple[Finding, ...]) -> Assessment:
    return Assessment(
        recommendation="planes", status=status, now=now, explanation=words, findings=findings
    )


def _is_apart(snapshot: Snapshot) -> bool:
    """Some host is not of all planes."""
    found = {planes_now(host) for host in snapshot.hosts}
    return found not in ({()}, {tuple(PLANES)})


def _now(snapshot: Snapshot) -> str:
    found = counts({host.name: planes_now(host) for host in snapshot.hosts})
    if all(count == len(snapshot.hosts) for count in found.values()):
        return "every plane on every host"
    if not any(found.values()):
        return "no host has a plane"
    return ", ".join(f"{count} {plane}" for plane, count in found.items())


def _flag(snapshot: Snapshot) -> Iterator[Finding]:
    flag = snapshot.value(FLAG)
    evidence = (Evidence(source=FLAG, said=flag or "absent"),)
    decorated = [unit.name for unit in of_planes(snapshot) if is_decorated(unit)]
    bare = [u.name for u in of_planes(snapshot) if is_wanted(u) and not is_decorated(u)]
    if flag and flag not in (*DEISCTL_TRUE, *FALSE):
        yield Finding(
            status=Status.AT_RISK,
            what=f"enablePlacementOptions is '{flag}': deisctl can make no unit with it, and exits with 0",
            evidence=evidence,
            do="set it to true or remove it",
        )
    elif flag in DEISCTL_TRUE and flag not in BOTH_TRUE:
        yield Finding(
            status=Status.PARTLY,
            what=f"enablePlacementOptions is '{flag}': deisctl reads it as true, the controller as false, "
            "so that apps go everywhere",
            evidence=evidence,
            do="set it to true",
        )
    elif flag in BOTH_TRUE and bare:
        yield Finding(
            status=Status.PARTLY,
            what=f"the setting is on, but {_these(bare)} without it: they must be made again",
            evidence=(*evidence, Evidence(source="fleetctl cat", said=in_short(bare))),
            do="go on with this recommendation: it makes them again",
        )
    elif flag not in DEISCTL_TRUE and (decorated or _is_apart(snapshot)):
        what = "the setting is off, so that new apps and the next install go everywhere"
        if not decorated:
            what = "hosts have different planes, but the setting is off: units go everywhere"
        yield Finding(
            status=Status.PARTLY,
            what=what,
            evidence=evidence,
            do="go on with this recommendation",
        )


def _these(units: list[str]) -> str:
    return f"{units[0]} was made" if len(units) == 1 else f"{len(units)} units were made"


def _hosts(snapshot: Snapshot) -> Iterator[Finding]:
    """Only where some unit or the setting makes a difference of it."""
    is_on = snapshot.value(FLAG) in DEISCTL_TRUE
    if not is_on and not any(is_decorated(unit) for unit in of_planes(snapshot)):
        return
    found = counts({host.name: planes_now(host) for host in snapshot.hosts})
    for plane, least in needed(snapshot).items():
        if found[plane] < least.count:
            yield Finding(
                status=Status.AT_RISK,
                what=f"{plane}: {least.why}, and there are {found[plane]}: the next install or failover "
                "leaves a unit without a place, and deisctl waits for ever",
                evidence=(Evidence(source=MACHINES, said=f"{found[plane]} with {pair_of(plane)}"),),
                do=f"make {least.count - found[plane]} more of the {plane} plane",
            )
    idle = [host.name for host in snapshot.hosts if not planes_now(host)]
    if idle:
        yield Finding(
            status=Status.PARTLY,
            what=f"{', '.join(idle)}: of no plane, so that nothing of Deis runs there",
            evidence=(Evidence(source=MACHINES, said="no plane"),),
            do="give it a plane",
        )
    for host in ceph_hosts(snapshot):
        if "control" not in planes_now(host):
            yield Finding(
                status=Status.AT_RISK,
                what=f"{host.name} holds Ceph's data but is not of the control plane: Ceph's units leave it "
                "as soon as they are made again",
                evidence=(Evidence(source=MACHINES, host=host.name, said="no controlPlane=true"),),
                do="take it out of Ceph, or back into the control plane",
            )


def _units(snapshot: Snapshot) -> Iterator[Finding]:
    for unit in of_planes(snapshot):
        if not is_wanted(unit):
            continue
        here = hosts_of(unit.name, snapshot)
        plane = plane_of(unit.name)
        wrong = [host.name for host in here if plane not in planes_now(host)]
        can = [host.name for host in snapshot.hosts if may_run_on(unit, host)]
        if not can:
            yield Finding(
                status=Status.AT_RISK,
                what=f"{unit.name} may run on no host",
                evidence=(Evidence(source=MACHINES, said=" ".join(unit.machine_metadata)),),
                do=f"a host with {pair_of(plane or '')}",
            )
        elif not here:
            yield Finding(
                status=Status.AT_RISK,
                what=f"{unit.name} runs nowhere, though {in_short(can)} could run it",
                evidence=(Evidence(source=UNITS, said="no row"),),
                do="look at fleet: journalctl -u fleet",
            )
        elif wrong and snapshot.value(FLAG) in DEISCTL_TRUE:
            yield Finding(
                status=Status.PARTLY,
                what=f"{unit.name} runs on {in_short(wrong)}, which is not of the {plane} plane",
                evidence=(Evidence(source=UNITS, said=in_short(wrong)),),
                do="go on with this recommendation: it makes the unit again",
            )
    if snapshot.value(FLAG) in DEISCTL_TRUE:
        yield from _templates(snapshot)


def _templates(snapshot: Snapshot) -> Iterator[Finding]:
    for host in snapshot.hosts:
        if missing := undecorated_templates(snapshot, host):
            answer = snapshot.answer(DECORATORS, host.name)
            yield Finding(
                status=Status.PARTLY,
                what=f"{host.name}: no decorator file for {in_short(missing)}: deisctl there would make "
                "them without their plane, and says nothing",
                evidence=(answer.evidence,) if answer else (),
                do="deisctl refresh-units -t RELEASE, or copy /var/lib/deis/units from another host",
            )


def _apps(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.value(FLAG) not in BOTH_TRUE:
        return
    for app in apps_to_redeploy(snapshot):
        yield Finding(
            status=Status.PARTLY,
            what=f"{app.name}: {app.count} of {app.kind} may still run on every host",
            evidence=(Evidence(source=UNITS, said=f"no {pair_of('data')}"),),
            do=app.command,
        )


def _disarmed(snapshot: Snapshot) -> Iterator[Finding]:
    """A run that was left has not put Ceph's shutdown service back; a host that has left Ceph needs none."""
    holds = ceph_hosts(snapshot)
    for host in disarmed_hosts(snapshot, SHUTDOWN):
        if host in holds:
            yield Finding(
                status=Status.PARTLY,
                what=f"{host.name} holds Ceph's data, and its {CEPH_SHUTDOWN} does nothing: a run has kept it from "
                "taking the host out of Ceph, and has not put it back",
                evidence=(Evidence(source=DROP_IN, host=host.name, said="it is there"),),
                do="take that run up again, or back (deiswizard runs); without it: "
                f"sudo rm {DROP_IN}; sudo systemctl daemon-reload",
            )


def planes_of_units(snapshot: Snapshot) -> dict[str, str]:
    """Host to the names of Deis's units there, for the form."""
    found: dict[str, list[str]] = {host.name: [] for host in snapshot.hosts}
    for unit in of_planes(snapshot):
        component = component_of(unit.name)
        name = "store" if component.startswith("store-") and "gateway" not in component else ""
        name = name or short(unit.name)
        for host in hosts_of(unit.name, snapshot):
            if name not in found[host.name] and component not in ("publisher",):
                found[host.name].append(name)
    return {host: ", ".join(names) for host, names in found.items()}
