"""Snapshots of planes: what the probe would have found on a cluster with or without Ceph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deiswizard.cluster.snapshot import Answer, HostFacts, Snapshot, Unit, UnitState, Versions
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
        f'Environment="FLEET_METADATA={metadata}"\n',
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
    **changes: Any,
) -> Snapshot:
    """A host for each ``metadata``; ``where`` puts units elsewhere (host numbers)."""
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
        UnitState(
            unit=f"deis-{name}.service", machine_id=f"{number:032x}", load="loaded", active="active",
            sub="running",
        )
        for name, numbers in places.items()
        for number in numbers
    )  # fmt: skip
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
    fields: dict[str, Any] = {
        "keys": {FLAG: flag} if flag is not None else {},
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
