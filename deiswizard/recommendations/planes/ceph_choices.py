"""Whether hosts may leave Ceph: enough must stay, it must be well, and have room for what leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.planes.ceph_facts import Ceph, ceph_of, leaving, osd_id
from deiswizard.recommendations.planes.facts import (
    CEPH_HOSTS,
    PlanesChoices,
    ceph_hosts,
    ceph_said,
    component_of,
    is_ceph_well,
    is_decorated,
    of_planes,
)

FULL = 0.8
"""Ceph warns at 85 % of an OSD (mon osd nearfull ratio), and writes nothing more at 95 %."""

STAYS = "control stays ticked"


def may_leave(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    """What speaks against it; nothing when no host with Ceph leaves the control plane."""
    gone = leaving(snapshot, choices)
    if not gone:
        return
    names = ", ".join(host.name for host in gone)
    stay = [host for host in ceph_hosts(snapshot) if host not in gone]
    if len(stay) < CEPH_HOSTS:
        yield _no(
            f"without {names} only {len(stay)} hosts would hold Ceph; it keeps data three times and its "
            "monitors need a majority, so three must stay",
            f"{STAYS} on {CEPH_HOSTS} or more hosts with Ceph",
        )
        return
    if not is_ceph_well(snapshot):
        yield _no(
            f"{names}: Ceph is not well ({ceph_said(snapshot) or 'it could not be asked'}), and a host "
            "leaves it only when every copy is there",
            f"{STAYS}, until 'ceph health' says HEALTH_OK",
        )
        return
    ceph = ceph_of(snapshot)
    if ceph is None:
        yield _no(f"{names}: Ceph did not say what it has there", f"{STAYS}, until it answers")
        return
    yield from _known(snapshot, ceph, gone)
    yield from _room(snapshot, ceph, gone, stay)
    bare = [u for u in of_planes(snapshot) if _is_ceph(u.name) and not is_decorated(u)]
    if bare and choices.how_far == "metadata":
        yield Problem(
            field="how_far",
            what=f"{names}: Ceph's units are not kept to the control plane yet, and would go on there",
            allowed="components or platform",
        )
    yield Problem(
        field="hosts",
        what=f"{names}: Ceph copies its data to the other hosts first, one host after the other; that may "
        "take hours",
        blocks=False,
    )


def _is_ceph(unit: str) -> bool:
    return component_of(unit) in ("store-monitor", "store-daemon")


def _no(what: str, allowed: str) -> Problem:
    return Problem(field="hosts", what=what, allowed=allowed)


def _known(snapshot: Snapshot, ceph: Ceph, gone: Sequence[HostFacts]) -> Iterator[Problem]:
    there = {osd.id for osd in ceph.osds}
    for host in gone:
        if osd_id(snapshot, host) not in there or host.address not in ceph.monitors:
            yield _no(
                f"{host.name}: Ceph does not know an OSD and a monitor of it as etcd names them",
                f"{STAYS}; compare ceph osd tree with etcdctl ls /deis/store/osds",
            )
    if lost := [f"osd.{osd.id}" for osd in ceph.osds if not (osd.is_up and osd.is_in)]:
        yield _no(
            f"{', '.join(lost)}: down or out, so that Ceph has less room than it seems",
            f"{STAYS}, until every OSD is up and in",
        )


def _room(
    snapshot: Snapshot, ceph: Ceph, gone: Sequence[HostFacts], stay: Sequence[HostFacts]
) -> Iterator[Problem]:
    """Deis gives every OSD the same weight: each that stays holds an equal share."""
    for pool, copies in ceph.copies.items():
        if copies > len(stay):
            yield _no(
                f"pool {pool} keeps {copies} copies, each on a host of its own, and {len(stay)} would stay",
                f"{STAYS} on {copies} hosts with Ceph",
            )
    left = {osd_id(snapshot, host) for host in gone}
    staying = [osd for osd in ceph.osds if osd.id not in left]
    if any(not osd.size for osd in ceph.osds) or not staying:
        yield _no("Ceph did not say how full its OSDs are", f"{STAYS}, until it does")
        return
    share = sum(osd.used for osd in ceph.osds) / len(staying)
    for osd in staying:
        if share > FULL * osd.size:
            yield _no(
                f"osd.{osd.id} would be {share / osd.size:.0%} full; Ceph warns at 85 %, and stops at 95 %",
                f"{STAYS}, or more room",
            )
            return
