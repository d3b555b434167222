"""Snapshots of planes: what the probe would have found on a cluster with or without Ceph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deiswizard.cluster.snapshot import Answer, HostFacts, Snapshot, Unit, UnitState, Versions
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import Step
from deiswizard.recommendations.ceph_shutdown import ASK as SHUTDOWN_ASK
from deiswizard.recommendations.planes.ceph_facts import ASK as CEPH_QUESTIONS
from deiswizard.recommendations.planes.ceph_facts import MONITORS, OSDS, ROOM
from deiswizard.recommendations.planes.choices import check_choices
from deiswizard.recommendations.planes.facts import (
    CEPH,
    CEPH_ASK,
    DECORATORS,
    DECORATORS_ASK,
    FLAG,
    ORDER,
    PLANE_OF,
    PlanesChoices,
    pair_of,
)
from deiswizard.recommendations.planes.fleetd import ASK, FLEETD
from deiswizard.recommendations.planes.shutdown import SHUTDOWN
from deiswizard.userdata.metadata import pairs
from tests.builders import host, snapshot

ALL = "controlPlane=true,dataPlane=true,routerMesh=true"
STATELESS = ("logger", "registry@1", "controller", "builder", "router@1", "router@2", "router@3")
STORE = ("store-gateway@1", "database")
GLOBALS = ("publisher",)
STORE_GLOBALS = ("store-monitor", "store-daemon", "store-metadata", "store-volume")
SPLIT = {
    "deis-1": ["control", "router"],
    "deis-2": ["control", "router"],
    "deis-3": ["control", "router"],
    "deis-4": ["data"],
    "deis-5": ["data"],
}


def unit(name: str, *, is_global: bool = False, decorated: bool = False, **more: Any) -> Unit:
    component = name.partition("@")[0]
    lines = ["[Service]", "ExecStart=/bin/true", "", "[X-Fleet]"]
    conflicts = (f"deis-{component}@*.service",) if "@" in name else ()
    lines += ["Global=true"] if is_global else [f"Conflicts={one}" for one in conflicts]
    plane = PLANE_OF.get(component)
    line = f'"{pair_of(plane)}"' if plane else ""
    lines += [f"MachineMetadata={line}"] if decorated else []
    fields = {
        "name": f"deis-{name}.service",
        "is_global": is_global,
        "desired": "launched",
        "machine_metadata": (line,) if decorated else (),
        "conflicts": conflicts,
        "content": "\n".join(lines) + "\n",
        "index": 40,
    }
    return Unit.model_validate({**fields, **more})


def fleetd_says(
    metadata: str,
    *,
    restart: str = "always",
    pause: str = "10s",
    files: Mapping[str, str] | None = None,
    checksum: str = "",
) -> str:
    """As systemd 229 answers; ``files`` are drop-ins besides cloudinit's."""
    told = [
        f"Environment=FLEET_METADATA={metadata} FLEET_PUBLIC_IP=10.21.2.11",
        f"Restart={restart}",
        f"RestartUSec={pause}",
        "ActiveState=active",
        "# /usr/lib/systemd/system/fleet.service\n[Service]\nExecStart=/usr/bin/fleetd\n",
        "# /run/systemd/system/fleet.service.d/20-cloudinit.conf\n[Service]\n"
        f'Environment="FLEET_METADATA={metadata}"\nEnvironment="FLEET_PUBLIC_IP=10.21.2.11"\n',
    ]
    told += [f"# {path}\n{text}\n" for path, text in (files or {}).items()]
    end = (
        f"{checksum}  /etc/systemd/system/fleet.service.d/50-deiswizard.conf\n" if checksum else ""
    )
    return "\n".join(told) + "\n" + end


def decorators(leave_out: Sequence[str] = ()) -> str:
    return "".join(
        f'/var/lib/deis/units/decorators/deis-{name}.service.decorator:MachineMetadata="{pair_of(PLANE_OF[name])}"\n'
        for name in ORDER
        if name not in leave_out
    )


def ceph_answers(
    count: int, *, used: int = 7_850_000, copies: int = 3, down: Sequence[int] = (), code: int = 0
) -> list[Answer]:
    """As hammer prints them (``OSDMap::print``, ``MonMap::print``, ``osd df`` as JSON)."""
    dump = ["epoch 36", "fsid 20038e38-4108-4e79-95d4-291d0eef2949", "flags "]
    dump += [
        f"pool 1 'data' replicated size {copies} min_size 1 crush_ruleset 0 object_hash rjenkins "
        "pg_num 64 pgp_num 64 last_change 1 flags hashpspool stripe_width 0",
        f"max_osd {count}",
    ]
    dump += [
        f"osd.{n} {'down' if n in down else 'up  '} in  weight 1 up_from 4 up_thru 30 down_at 0 "
        f"last_clean_interval [0,0) {host(n + 1).address}:6800/1 exists,up 1f"
        for n in range(count)
    ]
    monitors = ["epoch 3", "last_changed 2014-11-04 06:45:07.940731"]
    monitors += [f"{n}: {host(n + 1).address}:6789/0 mon.deis-{n + 1}" for n in range(count)]
    nodes = [{"id": n, "kb": 16_402_000, "kb_used": used, "type": "osd"} for n in range(count)]
    said = {
        OSDS: "\n".join(dump),
        MONITORS: "\n".join(monitors),
        ROOM: json.dumps({"nodes": nodes}),
    }
    return [
        Answer(id=name, host="deis-1", command=CEPH_QUESTIONS[name], code=code, out=f"{out}\n")
        for name, out in said.items()
    ]


def runs_at(unit: str, number: int) -> UnitState:
    """It runs on the host of that number."""
    machine = f"{number:032x}"
    return UnitState(unit=unit, machine_id=machine, load="loaded", active="active", sub="running")


def world(
    *metadata: str,
    flag: str | None = None,
    ceph: bool = False,
    health: str = "HEALTH_OK",
    decorated: bool | Sequence[str] = False,
    where: Mapping[str, Sequence[int]] | None = None,
    units: tuple[Unit, ...] = (),
    fleetd: Mapping[int, str] | None = None,
    leave_out: Sequence[str] = (),
    hosts: Mapping[int, Mapping[str, Any]] | None = None,
    ceph_is: Mapping[str, Any] | None = None,
    graceful: Sequence[int] = (),
    disarmed: Sequence[int] = (),
    **changes: Any,
) -> Snapshot:
    """A host for each ``metadata``; ``where`` puts units elsewhere (host numbers).

    ``graceful`` hosts leave Ceph at their shutdown; ``disarmed`` are kept from it.
    """
    texts = metadata or (ALL,) * 5
    found: list[HostFacts] = [
        host(
            number,
            metadata=tuple(sorted(dict(pairs(text)).items())),
            versions=Versions(deisctl="1.13.4"),
            **(hosts or {}).get(number, {}),
        )
        for number, text in enumerate(texts, 1)
    ]
    names = [*STATELESS, *(STORE if ceph else ())]
    everywhere = ["logspout", *GLOBALS, *(STORE_GLOBALS if ceph else ())]

    def is_decorated(name: str) -> bool:
        return decorated if isinstance(decorated, bool) else name in decorated

    own = [unit(n, decorated=is_decorated(n)) for n in names]
    own += [
        unit(n, is_global=True, decorated=is_decorated(n) and n != "logspout") for n in everywhere
    ]
    places: dict[str, Sequence[int]] = {}
    for number, name in enumerate(names):
        places[name] = [number % len(found) + 1]
    places |= {f"router@{n}": [(n - 1) % len(found) + 1] for n in (1, 2, 3)}
    places |= {name: range(1, len(found) + 1) for name in everywhere}
    places |= where or {}
    states = tuple(
        runs_at(f"deis-{name}.service", number)
        for name, numbers in places.items()
        for number in numbers
    )
    answers = [
        Answer(
            id=FLEETD,
            host=one.name,
            command=ASK,
            code=0,
            out=(fleetd or {}).get(number, fleetd_says(texts[number - 1])),
        )
        for number, one in enumerate(found, 1)
        if one.reachable
    ]
    answers.append(
        Answer(
            id=DECORATORS, host="deis-1", command=DECORATORS_ASK, code=0, out=decorators(leave_out)
        )
    )
    if ceph:
        answers.append(Answer(id=CEPH, host="deis-1", command=CEPH_ASK, code=0, out=f"{health}\n"))
        answers += ceph_answers(len(found), **(ceph_is or {}))
        answers += [
            Answer(
                id=SHUTDOWN,
                host=one.name,
                command=SHUTDOWN_ASK,
                code=0,
                out=f"LoadState=loaded\nActiveState={'active' if number in graceful else 'inactive'}\n"
                "UnitFileState=disabled\n" + "Disarmed=yes\n" * (number in disarmed),
            )
            for number, one in enumerate(found, 1)
            if one.reachable
        ]
    keys = {FLAG: flag} if flag is not None else {}
    if ceph:
        for number, one in enumerate(found):
            keys |= {
                f"/deis/store/osds/{one.address}": str(number),
                f"/deis/store/hosts/{one.address}": one.name,
            }
    fields: dict[str, Any] = {
        "keys": keys,
        "units": (*own, *units),
        "unit_states": states,
        "answers": tuple(answers),
        **changes,
    }
    return snapshot(*found, **fields)


def with_fleetds(now: Snapshot) -> Snapshot:
    """The same, and each host has said how its fleetd is started."""
    told = tuple(
        Answer(
            id=FLEETD,
            host=one.name,
            command=ASK,
            code=0,
            out=fleetd_says(",".join(f"{key}={value}" for key, value in one.metadata)),
        )
        for one in now.hosts
    )
    return now.model_copy(update={"answers": (*now.answers, *told)})


def choose(hosts: Mapping[str, Sequence[str]] | None = None, **more: Any) -> PlanesChoices:
    return PlanesChoices.model_validate({"hosts": hosts or SPLIT, **more})


def sentences(now: Snapshot, choices: PlanesChoices, *, blocks: bool = True) -> str:
    return "\n".join(
        f"{problem.field}: {problem.what}; allowed: {problem.allowed}"
        for problem in check_choices(now, choices)
        if problem.blocks == blocks
    )


def step_of(made: Plan, name: str, *, back: bool = False) -> Step:
    """A plan's step, or with ``back`` its way back's."""
    return next(
        s for stage in (made.undo if back else made.stages) for s in stage.steps if s.id == name
    )
