"""Whether the planes hold: by fleet's machines, by the units' files, and by where units really run."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.placement import app_of
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.recommendations import provisioned
from deiswizard.recommendations.deis_units import short
from deiswizard.recommendations.planes import apps
from deiswizard.recommendations.planes.facts import (
    FLAG,
    PlanesChoices,
    component_of,
    in_short,
    is_decorated,
    is_wanted,
    kept_to,
    of_planes,
    pair_of,
    plane_of,
    planes_now,
)
from deiswizard.recommendations.planes.files import roles
from deiswizard.recommendations.planes.fleetd import shown
from deiswizard.run.events import Check
from deiswizard.userdata.metadata import PLANES
from deiswizard.wording import counted, few


def verify(before: Snapshot, after: Snapshot, choices: PlanesChoices) -> tuple[Check, ...]:
    """Hosts, the setting, and every unit of Deis that belongs to a plane; of files, what they hold."""
    if choices.makes_files:
        return provisioned.verify(choices, roles(choices))
    found = [*_hosts(before, after, choices)]
    found += _running(before, after, choices)
    found += apps.checks(before, after)
    if choices.how_far != "metadata":
        value = after.value(FLAG)
        found.append(
            Check(
                title="new units are kept to their planes",
                ok=value == "true",
                evidence=f"{FLAG} is {value or 'absent'}",
            )
        )
    return tuple(found)


def _hosts(before: Snapshot, after: Snapshot, choices: PlanesChoices) -> Iterator[Check]:
    for name, planes in choices.hosts.items():
        host, was = after.host(name), before.host(name)
        if host is None or was is None:
            yield Check(title=f"{name} is {', '.join(planes)}", ok=None, evidence="it is gone")
            continue
        same = _others(host) == _others(was)
        yield Check(
            title=f"{name} is {', '.join(planes) or 'of no plane'}, and keeps its other metadata",
            ok=planes_now(host) == planes and same,
            evidence=shown(host.metadata) or "no metadata",
        )


def _others(host: HostFacts) -> dict[str, str]:
    return {key: value for key, value in host.metadata if key not in PLANES.values()}


def _running(before: Snapshot, after: Snapshot, choices: PlanesChoices) -> Iterator[Check]:
    for old in of_planes(before):
        if not is_wanted(old):
            continue
        plane, unit = plane_of(old.name), after.unit(old.name)
        here = [host.name for host in after.where(old.name)]
        is_kept = choices.how_far != "metadata" or is_decorated(old)
        may = [
            host.name
            for host in after.hosts
            if not is_kept or plane in choices.hosts.get(host.name, ())
        ]
        wrong = [name for name in here if name not in may]
        lacking = [name for name in may if name not in here] if old.is_global and is_kept else []
        name = short(old.name)
        where = f"on every host of the {plane} plane" if old.is_global else f"on a {plane} host"
        bare = is_kept and (unit is None or not is_decorated(unit))
        evidence = f"runs on {in_short(here)}"
        evidence += f"; wrongly on {in_short(wrong)}" if wrong else ""
        evidence += f"; missing on {in_short(lacking)}" if lacking else ""
        evidence += f"; its file lacks {pair_of(plane or '')}" if bare else ""
        yield Check(
            title=f"{name} runs {where if is_kept else 'as before'}",
            ok=bool(here) and not wrong and not lacking and not bare,
            evidence=evidence,
        )
    yield from _everywhere(after)
    yield from _kept_apps(after)


def _kept_apps(after: Snapshot) -> Iterator[Check]:
    """Containers of apps that are kept to the data plane run there. Those that are not are told elsewhere."""
    kept = [unit.name for unit in after.units if app_of(unit.name) and kept_to(unit)]
    wrong = [
        f"{name} on {host.name}"
        for name in kept
        for host in after.where(name)
        if "data" not in planes_now(host)
    ]
    if kept:
        yield Check(
            title=f"{counted(len(kept), 'container')} of apps kept to the data plane",
            ok=not wrong,
            evidence=few(wrong) or "none runs elsewhere",
        )


def _everywhere(after: Snapshot) -> Iterator[Check]:
    """Logspout belongs to no plane, and runs on every host."""
    for unit in after.units:
        if component_of(unit.name) == "logspout" and is_wanted(unit):
            missing = [h.name for h in after.reachable_hosts if h not in after.where(unit.name)]
            yield Check(
                title="logspout runs on every host",
                ok=not missing,
                evidence=f"missing on {in_short(missing)}" if missing else "on all",
            )
