"""What is known of planes on a cluster: who carries what, which unit may run where, and where it does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import field_validator

from deiswizard.cluster.fleet import PLATFORM
from deiswizard.cluster.placement import DATA_PLANE, app_of, fits, pairs_of
from deiswizard.cluster.snapshot import HostFacts, Question, Snapshot, Unit
from deiswizard.recommendations.deis_units import short
from deiswizard.recommendations.planes import fleetd as planes_fleetd
from deiswizard.recommendations.provisioning import ProvisioningChoices
from deiswizard.userdata.metadata import PLANES
from deiswizard.wording import few

Plane = Literal["control", "data", "router"]
FLAG = "/deis/platform/enablePlacementOptions"
BOTH_TRUE = ("true", "True", "TRUE", "1")
"""deisctl and the controller read these as true; deisctl also ``t`` and ``T`` (deis-facts 1)."""

DEISCTL_TRUE = (*BOTH_TRUE, "t", "T")
FALSE = ("0", "f", "F", "FALSE", "false", "False")
DECORATORS, CEPH = "planes.decorators", "planes.ceph"
UNIT_FOLDERS = (
    '"$DEISCTL_UNITS/decorators"',
    '"$HOME/.deis/units/decorators"',
    "/var/lib/deis/units/decorators",
)
DECORATORS_ASK = f"grep -rs MachineMetadata {' '.join(UNIT_FOLDERS)}; true"
CEPH_ASK = "docker exec deis-store-monitor ceph health"
"""A monitor's container holds the administrator's key (deis/deis, store/monitor/bin/boot)."""

ASKED = 3
"""Hosts that are asked for their decorators."""

ORDER = (
    "store-monitor", "store-daemon", "store-metadata", "store-gateway", "store-volume", "store-admin",
    "logger", "database", "registry", "controller", "builder", "publisher", "router",
)  # fmt: skip
"""The order in which deisctl starts components (deis-facts 0.6). logspout belongs to no plane."""

ON_CEPH = (*ORDER[:6], "logger", "database", "registry")
"""What is Ceph, or hangs when Ceph does."""

PLANE_OF: Mapping[str, Plane] = {
    **dict.fromkeys(ORDER, "control"), "publisher": "data", "router": "router"
}  # fmt: skip
ONE_PER_HOST = ("router", "registry", "store-gateway")
"""Their units conflict with each other: one to a host."""

CEPH_HOSTS = 3
"""Monitors keep a majority, and data is there three times (deis-facts 1)."""


class PlanesChoices(ProvisioningChoices):
    """Which host is to be of which planes, and how far to go.

    ``how_far``: ``metadata`` (of the hosts alone), ``components`` (also the setting, and each
    component made again by itself), ``platform`` (all of them down, then up).
    """

    hosts: dict[str, tuple[Plane, ...]]
    how_far: Literal["metadata", "components", "platform"] = "components"

    @field_validator("hosts", mode="before")
    @classmethod
    def _in_words(cls, raw: object) -> object:
        """One sentence for what is no matrix of hosts and planes."""
        if not isinstance(raw, Mapping):
            raise ValueError(
                "this is no list of hosts with their planes: deis-1: [control, router]"
            )
        found = {}
        for host, planes in raw.items():
            named = [planes] if isinstance(planes, str) else planes
            if not isinstance(named, Sequence):
                raise ValueError(f"the planes of {host} are no list: {host}: [control, router]")
            for plane in named:
                if plane not in PLANES:
                    raise ValueError(
                        f"'{plane}' of {host} is no plane; allowed: {', '.join(PLANES)}"
                    )
            found[str(host)] = tuple(plane for plane in PLANES if plane in named)
        return found


def component_of(unit: str) -> str:
    """``deis-store-gateway@1.service`` -> ``store-gateway``; empty: none of Deis's own."""
    if not PLATFORM.fullmatch(unit):
        return ""
    return short(unit).partition("@")[0]


def plane_of(unit: str) -> Plane | None:
    """The plane of one of Deis's units; None: none (logspout), or not Deis's."""
    return PLANE_OF.get(component_of(unit))


def is_database(unit: str) -> bool:
    """It keeps its data in a container of its host, and restores it from its backups on another one."""
    return component_of(unit) == "database"


def pair_of(plane: str) -> str:
    """``routerMesh=true``."""
    return f"{PLANES[plane]}=true"


def planes_now(host: HostFacts) -> tuple[Plane, ...]:
    """The planes that fleet's metadata gives a host."""
    has = dict(host.metadata)
    return tuple(plane for plane, key in PLANES.items() if has.get(key) == "true")  # type: ignore[misc]


def of_planes(snapshot: Snapshot) -> tuple[Unit, ...]:
    """Deis's units that belong to a plane, in the order in which they start."""
    found = [unit for unit in snapshot.units if plane_of(unit.name)]
    return tuple(sorted(found, key=lambda u: (ORDER.index(component_of(u.name)), u.name)))


def is_decorated(unit: Unit) -> bool:
    """Its file keeps it to the hosts of its plane."""
    plane = plane_of(unit.name)
    return plane is not None and (PLANES[plane], "true") in pairs_of(unit.machine_metadata)


def kept_to(unit: Unit) -> Plane | None:
    """The plane to whose hosts its file keeps it: a unit of Deis's or of an app; None: to none."""
    if app_of(unit.name):
        return "data" if DATA_PLANE in pairs_of(unit.machine_metadata) else None
    return plane_of(unit.name) if is_decorated(unit) else None


def may_run_on(unit: Unit, host: HostFacts) -> bool:
    """Whether fleet may run it there as it is now."""
    return fits(host.metadata, pairs_of(unit.machine_metadata))


def is_wanted(unit: Unit) -> bool:
    """Fleet is to run it."""
    return unit.desired == "launched"


def hosts_of(unit: str, snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Where it runs, or is about to."""
    active = {
        s.machine_id for s in snapshot.unit_states if s.unit == unit and s.active != "inactive"
    }
    return tuple(host for host in snapshot.hosts if host.machine_id in active)


def has_ceph(snapshot: Snapshot) -> bool:
    """Ceph is part of the platform here."""
    return any(component_of(unit.name) == "store-monitor" for unit in snapshot.units)


def ceph_hosts(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Hosts that hold Ceph's data or a monitor: they leave the control plane only by Ceph's own steps."""
    found = {
        host.name
        for unit in snapshot.units
        if component_of(unit.name) in ("store-monitor", "store-daemon")
        for host in hosts_of(unit.name, snapshot)
    }
    return tuple(host for host in snapshot.hosts if host.name in found)


def ceph_asker(snapshot: Snapshot) -> HostFacts | None:
    """A host on which Ceph can be asked."""
    return next((h for h in snapshot.where("deis-store-monitor.service") if h.reachable), None)


def ceph_question(snapshot: Snapshot) -> tuple[Question, ...]:
    """What ``ceph_said`` needs; none where nobody can be asked."""
    host = ceph_asker(snapshot)
    return (Question(id=CEPH, host=host.name, command=CEPH_ASK),) if host else ()


def ceph_said(snapshot: Snapshot) -> str:
    """Ceph's own word on its health; empty: it could not be asked."""
    answer = snapshot.answer(CEPH)
    return answer.out.strip() if answer is not None and answer.code == 0 else ""


def is_ceph_well(snapshot: Snapshot) -> bool:
    """It says HEALTH_OK."""
    return ceph_said(snapshot).startswith("HEALTH_OK")


@dataclass(frozen=True)
class Needed:
    """How many hosts a plane needs, and why."""

    count: int
    why: str


def needed(snapshot: Snapshot) -> Mapping[Plane, Needed]:
    """The least number of hosts of each plane (deis-facts 1, minimums)."""
    counts = dict.fromkeys(ONE_PER_HOST, 0)
    for unit in snapshot.units:
        if component_of(unit.name) in counts:
            counts[component_of(unit.name)] += 1
    control = Needed(1, "the control plane needs a host")
    if has_ceph(snapshot):
        control = Needed(CEPH_HOSTS, "Ceph's monitors need three hosts for a majority")
    for name in ("registry", "store-gateway"):
        if counts[name] > control.count:
            control = Needed(counts[name], f"{counts[name]} units of {name} run one to a host")
    routers = counts["router"]
    router = Needed(
        max(routers, 1), f"{routers} routers need {routers} router hosts, one to a host"
    )
    return {
        "control": control,
        "data": Needed(1, "apps need a host of the data plane"),
        "router": router if routers > 1 else Needed(1, "the router mesh needs a host"),
    }


def decorators(snapshot: Snapshot, host: HostFacts) -> Mapping[str, tuple[str, ...]] | None:
    """Component to what the first decorator file that deisctl finds on a host says; None: not asked."""
    answer = snapshot.answer(DECORATORS, host.name)
    if answer is None or answer.code is None:
        return None
    found: dict[str, tuple[str, str]] = {}
    for line in answer.out.splitlines():
        path, _, text = line.partition(":")
        name = re.fullmatch(r"(.+)/deis-([a-z-]+)\.service\.decorator", path)
        if name and name[2] not in found:
            found[name[2]] = (path, text)
        elif name and found[name[2]][0] == path:
            found[name[2]] = (path, f"{found[name[2]][1]} {text}")
    return {name: tuple(_values(text)) for name, (_, text) in found.items()}


def _values(text: str) -> Iterator[str]:
    for part in text.split("MachineMetadata=")[1:]:
        yield from shlex.split(part) if part.count('"') % 2 == 0 else part.split()


def undecorated_templates(snapshot: Snapshot, host: HostFacts) -> tuple[str, ...]:
    """Components that the next ``deisctl install`` on a host would leave without their plane."""
    found = decorators(snapshot, host)
    installed = {component_of(unit.name) for unit in of_planes(snapshot)}
    if found is None:
        return ()
    return tuple(
        name
        for name in ORDER
        if name in installed and pair_of(PLANE_OF[name]) not in found.get(name, ())
    )


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Fleetd on each host; decorators on a few; Ceph on one."""
    found = list(planes_fleetd.questions(snapshot))
    has_deisctl = [h for h in snapshot.reachable_hosts if h.versions.deisctl]
    found += [
        Question(id=DECORATORS, host=h.name, command=DECORATORS_ASK) for h in has_deisctl[:ASKED]
    ]
    return (*found, *ceph_question(snapshot))


@dataclass(frozen=True)
class App:
    """An app's containers of one type that the flag has not reached: ``count`` of them."""

    name: str
    kind: str
    count: int

    @property
    def command(self) -> str:
        """What makes them again, with the plane."""
        return (
            f"deis ps:scale {self.kind}=0 -a {self.name} && "
            f"deis ps:scale {self.kind}={self.count} -a {self.name}"
        )


def apps_to_redeploy(snapshot: Snapshot) -> tuple[App, ...]:
    """App containers whose units are not kept to the data plane: only new ones are (deis-facts 1)."""
    counts: dict[tuple[str, str], int] = {}
    for unit in snapshot.units:
        if (app := app_of(unit.name)) and kept_to(unit) is None:
            key = (app, unit.name.split(".")[1])
            counts[key] = counts.get(key, 0) + 1
    return tuple(App(name, kind, count) for (name, kind), count in sorted(counts.items()))


@dataclass(frozen=True)
class Move:
    """A unit that will run elsewhere: where it runs now, and where it may run then.

    One that is global runs on all of them.
    """

    unit: str
    now: tuple[str, ...]
    then: tuple[str, ...]
    is_global: bool = False

    @property
    def words(self) -> str:
        """``router@3: deis-5 -> deis-1, deis-2 or deis-3``."""
        name = short(self.unit)
        if not self.is_global:
            return f"{name}: {in_short(self.now)} -> {in_short(self.then)}"
        left = [host for host in self.now if host not in self.then]
        new = [host for host in self.then if host not in self.now]
        told = [f"leaves {in_short(left)}"] if left else []
        told += [f"comes to {in_short(new)}"] if new else []
        return f"{name} {', '.join(told)}"


def in_short(hosts: Sequence[str]) -> str:
    """At most four names, and how many there are."""
    return few(hosts) or "nowhere"


def moves(snapshot: Snapshot, choices: PlanesChoices) -> tuple[Move, ...]:
    """The units that cannot stay where they are, once their planes hold."""
    found = []
    for unit in of_planes(snapshot):
        if choices.how_far == "metadata" and not is_decorated(unit):
            continue
        plane = plane_of(unit.name)
        then = [h.name for h in snapshot.hosts if plane in choices.hosts.get(h.name, ())]
        now = [host.name for host in hosts_of(unit.name, snapshot)]
        is_moved = set(now) - set(then) or (unit.is_global and set(then) - set(now))
        if is_moved:
            found.append(Move(unit.name, tuple(now), tuple(then), unit.is_global))
    return tuple(found)


def to_decorate(snapshot: Snapshot, choices: PlanesChoices) -> tuple[Unit, ...]:
    """The units that are to be made again with their plane, in the order in which they start.

    One that somebody has stopped stays as it is: made again it would start.
    """
    if choices.how_far == "metadata":
        return ()
    return tuple(u for u in of_planes(snapshot) if is_wanted(u) and not is_decorated(u))
