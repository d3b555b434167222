"""``ceph`` in a pretend host's containers, in the words of hammer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deiswizard.demo.ceph import (
    COPIES,
    GROUPS,
    KB_SIZE,
    PER_POOL,
    POOLS,
    PretendCeph,
)
from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

MONITOR, ADMIN = "deis-store-monitor", "deis-store-admin"
CONTAINERS = (MONITOR, ADMIN)
FSID = "20038e38-4108-4e79-95d4-291d0eef2949"
HEADING = "pg_stat\tobjects\tmip\tdegr\tmisp\tunf\tbytes\tlog\tdisklog\tstate\tstate_stamp\n"


def no_container(process: Process, name: str) -> int:
    """The engine's own words."""
    process.err(f"Error response from daemon: No such container: {name}\n")
    return 1


def rename_container(host: PretendHost, process: Process, old: str, new: str) -> int:
    """``docker rename`` of a data container."""
    containers = host.data_containers
    if old not in containers:
        return no_container(process, old)
    if new in containers:
        process.err(f'Error response from daemon: Conflict. The name "/{new}" is already in use\n')
        return 1
    containers[new] = containers.pop(old)
    return 0


def ceph_exec(host: PretendHost, process: Process, container: str, words: list[str]) -> int | None:
    """A question or a change; None: it is not one of these."""
    ceph = host.cluster.ceph
    is_there = ceph.runs(host.name) if container == MONITOR else host.cluster.scenario.store_admin
    if not is_there:
        return no_container(process, container)
    if not ceph.quorum:
        process.err("Error connecting to cluster: TimedOut\n")
        return 1
    if (said := _asked(ceph, words)) is not None:
        process.out(said)
        return 0
    return _changed(ceph, process, words)


def _asked(ceph: PretendCeph, words: list[str]) -> str | None:
    match words:
        case ["health", *_]:
            return f"{ceph.health()}\n"
        case ["osd", "dump"]:
            return _osd_dump(ceph)
        case ["mon", "dump"]:
            return _mon_dump(ceph)
        case ["osd", "df", "-f", "json"]:
            return f"\n{json.dumps({'nodes': _rooms(ceph), 'stray': []})}\n"
        case ["osd", "stat"]:
            up = sum(ceph.is_up(osd) for osd in ceph.osds.values())
            inside = sum(osd.is_in for osd in ceph.osds.values())
            return f"     osdmap e{ceph.epoch}: {len(ceph.osds)} osds: {up} up, {inside} in\n"
        case ["mon", "stat"]:
            return _mon_stat(ceph)
        case ["pg", "stat"]:
            size = KB_SIZE * len(ceph.osds) // 1024
            used = ceph.kb_data * COPIES // 1024
            return (
                f"v{2000 + ceph.epoch}: {GROUPS} pgs: {ceph.pg_states()}; {ceph.kb_data // 1024} MB data, "
                f"{used} MB used, {size - used} MB / {size} MB avail\n"
            )
        case ["pg", "ls-by-osd", name]:
            return _groups_on(ceph, int(name.removeprefix("osd.")))
        case ["osd", "tree"]:
            return _tree(ceph)
    return None


def _changed(ceph: PretendCeph, process: Process, words: list[str]) -> int | None:
    """Ceph tells of changes on standard error."""
    match words:
        case ["osd", "out" | "in" as word, number]:
            said = ceph.mark(int(number.removeprefix("osd.")), is_in=word == "in")
        case ["osd", "crush", "remove", name]:
            said = ceph.out_of_crush(int(name.removeprefix("osd.")))
        case ["auth", "del", name]:
            said = ceph.forget_key(int(name.removeprefix("osd.")))
        case ["osd", "rm", number]:
            status, said = ceph.remove_osd(int(number.removeprefix("osd.")))
            process.err(f"{said}\n")
            return status
        case ["mon", "remove", name]:
            said = ceph.remove_monitor(name)
        case _:
            return None
    process.err(f"{said}\n")
    return 0


def _osd_dump(ceph: PretendCeph) -> str:
    lines = [f"epoch {ceph.epoch}", f"fsid {FSID}", "flags "]
    lines += [
        f"pool {number} {name!r} replicated size {COPIES} min_size 1 "
        f"crush_ruleset 0 object_hash rjenkins pg_num {PER_POOL} pgp_num {PER_POOL} last_change 1 "
        "flags hashpspool stripe_width 0"
        for number, name in enumerate(POOLS)
    ]
    lines.append(f"max_osd {max(ceph.osds, default=-1) + 1}")
    for osd in sorted(ceph.osds.values(), key=lambda osd: osd.id):
        up = "up  " if ceph.is_up(osd) else "down"
        inside = "in  weight 1" if osd.is_in else "out weight 0"
        lines.append(
            f"osd.{osd.id} {up} {inside} up_from 4 up_thru 30 down_at 0 last_clean_interval [0,0) "
            f"{osd.host.address}:6800/1 {osd.host.address}:6801/1 exists,{up.strip()}"
        )
    return "\n".join(lines) + "\n"


def _mon_dump(ceph: PretendCeph) -> str:
    lines = [f"epoch {ceph.epoch}", f"fsid {FSID}"]
    lines += [
        f"{rank}: {ceph.monitors[name].address}:6789/0 mon.{name}"
        for rank, name in enumerate(ceph.ranks)
    ]
    return "\n".join(lines) + "\n"


def _mon_stat(ceph: PretendCeph) -> str:
    names = ceph.ranks
    where = ",".join(f"{name}={ceph.monitors[name].address}:6789/0" for name in names)
    ranks = ",".join(str(names.index(name)) for name in ceph.quorum)
    return (
        f"e{ceph.epoch}: {len(names)} mons at {{{where}}}, election epoch {ceph.epoch + 12}, "
        f"quorum {ranks} {','.join(ceph.quorum)}\n"
    )


def _rooms(ceph: PretendCeph) -> list[dict[str, object]]:
    sharing = max(1, sum(osd.is_in and osd.in_crush for osd in ceph.osds.values()))
    used = ceph.kb_data * COPIES // sharing
    return [
        {
            "id": osd.id,
            "name": f"osd.{osd.id}",
            "type": "osd",
            "crush_weight": 1.0,
            "reweight": 1.0 if osd.is_in else 0.0,
            "kb": KB_SIZE,
            "kb_used": used,
            "kb_avail": KB_SIZE - used,
        }
        for osd in sorted(ceph.osds.values(), key=lambda osd: osd.id)
    ]


def _groups_on(ceph: PretendCeph, number: int) -> str:
    """Placement groups with a copy there: fewer while they move away."""
    moving, osd = ceph.moving, ceph.osds.get(number)
    count = 0
    if osd is not None and osd.holds:
        count = GROUPS * COPIES // max(1, len(ceph.osds)) if osd.is_in else moving
    rows = [
        f"{n % len(POOLS)}.{n // len(POOLS):x}\t0\t0\t0\t0\t0\t0\t0\t0\tactive+clean\t-\n"
        for n in range(count)
    ]
    return HEADING + "".join(rows)


def _tree(ceph: PretendCeph) -> str:
    lines = [
        "ID WEIGHT  TYPE NAME       UP/DOWN REWEIGHT PRIMARY-AFFINITY",
        f"-1 {len(ceph.osds)}.00000 root default",
    ]
    for osd in sorted(ceph.osds.values(), key=lambda osd: osd.id):
        up, share = "up" if ceph.is_up(osd) else "down", "1.00000" if osd.is_in else "0"
        lines.append(f"-{osd.id + 2} 1.00000     host {osd.host.name}")
        lines.append(f" {osd.id} 1.00000         osd.{osd.id}  {up:>7} {share:>8} 1.00000")
    return "\n".join(lines) + "\n"
