"""The choices of planes: what is advised for a cluster, and what may not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deiswizard.cluster.placement import DATA_PLANE, app_of, fits, pairs_of
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.planes import files as planes_files
from deiswizard.recommendations.planes.ceph_choices import may_leave
from deiswizard.recommendations.planes.facts import (
    DEISCTL_TRUE,
    FALSE,
    FLAG,
    Plane,
    PlanesChoices,
    ceph_hosts,
    ceph_said,
    has_ceph,
    hosts_of,
    is_ceph_well,
    is_database,
    is_decorated,
    kept_to,
    moves,
    needed,
    of_planes,
    planes_now,
    to_decorate,
)
from deiswizard.recommendations.planes.fleetd import FOLDER, Fleetd, fleetd_of, known, shown
from deiswizard.userdata.metadata import PLANES, pairs, with_planes
from deiswizard.wording import few

ADVISED_CONTROL = 3
ROOMY = 2
"""Hosts that must be left for apps before routers get hosts of their own."""


def is_separated(snapshot: Snapshot) -> bool:
    """Somebody has given hosts different planes already."""
    found = {planes_now(host) for host in snapshot.hosts}
    return len(found) > 1 and () not in found


def defaults(snapshot: Snapshot) -> PlanesChoices:
    """What is there when hosts differ already; else what is advised."""
    if is_separated(snapshot):
        return PlanesChoices(hosts={host.name: planes_now(host) for host in snapshot.hosts})
    return PlanesChoices(hosts=advised(snapshot))


def advised(snapshot: Snapshot) -> dict[str, tuple[Plane, ...]]:
    """A small fixed control plane, routers on hosts of their own where there are enough, apps on the rest.

    Hosts with Ceph stay in the control plane. On three hosts nothing can be kept apart.
    """
    hosts = list(snapshot.hosts)
    least = needed(snapshot)
    stays = {host.name for host in ceph_hosts(snapshot)}
    wanted = max(least["control"].count, min(ADVISED_CONTROL, len(hosts)))
    ranked = sorted(hosts, key=lambda host: not _is_member(snapshot, host))
    control = {host.name for host in ranked[:wanted]} | stays
    if len(hosts) <= ADVISED_CONTROL:
        control = {host.name for host in hosts}
    core = [host for host in ranked if host.name in control]
    rest = [host for host in hosts if host.name not in control]
    data = {host.name for host in rest} or {host.name for host in ranked[ADVISED_CONTROL:]}
    data = data or {host.name for host in hosts}
    count = least["router"].count
    if len(rest) >= count + ROOMY:
        router = {host.name for host in rest[:count]}
        data -= router
    else:
        router = {host.name for host in [*core, *rest][:count]}
    sets = {"control": control, "data": data, "router": router}
    return {
        host.name: tuple(plane for plane in PLANES if host.name in sets[plane])  # type: ignore[misc]
        for host in hosts
    }


def _is_member(snapshot: Snapshot, host: HostFacts) -> bool:
    """Members of etcd are the hosts that stay."""
    return any(member.name == host.machine_id for member in snapshot.etcd.members)


def counts(raw: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many hosts each plane has."""
    return {plane: sum(plane in planes for planes in raw.values()) for plane in PLANES}


def tallies(snapshot: Snapshot, raw: Any) -> tuple[str, ...]:
    """``3 ok``, ``2 !`` below each plane's column."""
    if not isinstance(raw, Mapping):
        return ()
    least, found = needed(snapshot), counts(raw)
    return tuple(
        f"{found[plane]} {'ok' if found[plane] >= least[plane].count else '!'}"  # type: ignore[index]
        for plane in PLANES
    )


def check_choices(snapshot: Snapshot, choices: PlanesChoices) -> tuple[Problem, ...]:
    """Everything that would leave a unit without a place, or a host in between."""
    if choices.makes_files:
        return (*_counts(snapshot, choices), *planes_files.check_choices(snapshot, choices))
    return tuple(
        problem
        for judge in (_hosts, _counts, _apps, _ceph, _fleetd, _far)
        for problem in judge(snapshot, choices)
    )


def _hosts(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    names = [host.name for host in snapshot.hosts]
    for name in choices.hosts:
        if name not in names:
            yield Problem(
                field="hosts", what=f"there is no host '{name}'", allowed=", ".join(names)
            )
    for host in snapshot.hosts:
        chosen = choices.hosts.get(host.name, ())
        if not host.reachable:
            if chosen != planes_now(host):
                now = ", ".join(planes_now(host)) or "none"
                yield Problem(
                    field="hosts",
                    what=f"{host.name} cannot be reached, so its planes stay as they are",
                    allowed=now,
                )
        elif not chosen:
            yield Problem(
                field="hosts",
                what=f"{host.name} is in no plane, so that it would run nothing",
                allowed="control, data, router",
            )


def _counts(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    found = counts(choices.hosts)
    for plane, least in needed(snapshot).items():
        if found[plane] < least.count:
            yield Problem(
                field="hosts",
                what=f"{plane}: {least.why}; {found[plane]} ticked",
                allowed=f"{least.count} or more",
            )
    if not has_ceph(snapshot) and found["control"] == 1 and len(snapshot.hosts) > 1:
        yield Problem(
            field="hosts",
            what="with one control host the whole control plane ends when that host does; "
            "two or three are better",
            blocks=False,
        )
    if found["data"] == len(snapshot.hosts) and found["control"] == len(snapshot.hosts):
        yield Problem(
            field="hosts",
            what="every host is of the control and the data plane: nothing is kept apart",
            blocks=False,
        )


def _apps(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    """Containers of apps that are kept to the data plane, and whose tags no host of it would have."""
    then = [_with_planes(host, choices.hosts.get(host.name, ())) for host in snapshot.hosts]
    found: dict[tuple[str, str], dict[str, None]] = {}
    for unit in snapshot.units:
        app, kept = app_of(unit.name), pairs_of(unit.machine_metadata)
        tags = " ".join(f"{key}={value}" for key, value in kept if (key, value) != DATA_PLANE)
        if not (app and kept_to(unit) and tags) or any(fits(host.metadata, kept) for host in then):
            continue
        if now := hosts_of(unit.name, snapshot):
            found.setdefault((app, tags), {}).update(dict.fromkeys(host.name for host in now))
    for (app, tags), names in found.items():
        yield Problem(
            field="hosts",
            what=f"{app} runs only where {tags} is (now {few(list(names))}), and no such host would be of the data "
            "plane: its containers would run nowhere",
            allowed=f"the data plane for a host with {tags}, or other tags for {app} first",
        )


def _with_planes(host: HostFacts, planes: Sequence[str]) -> HostFacts:
    """A host as it will be."""
    then = with_planes(shown(host.metadata), planes)
    return host.model_copy(update={"metadata": pairs(then)})


def _ceph(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    yield from may_leave(snapshot, choices)
    if not has_ceph(snapshot) or is_ceph_well(snapshot):
        return
    said = f"Ceph is not well ({ceph_said(snapshot) or 'it could not be asked'})"
    until = "until 'ceph health' says HEALTH_OK"
    restarted = [
        host.name
        for host in changing(snapshot, choices)
        if (fleetd := fleetd_of(snapshot, host)) is not None and not fleetd.comes_back
    ]
    if to_decorate(snapshot, choices):
        yield Problem(
            field="how_far",
            what=f"{said}, and its units would be made again",
            allowed=f"metadata, {until}",
        )
    if restarted:
        yield Problem(
            field="hosts",
            what=f"{said}, and a restart of fleetd on {', '.join(restarted)} would restart it there",
            allowed=f"their planes as they are, {until}",
        )
    elif not to_decorate(snapshot, choices):
        yield Problem(
            field="hosts",
            what=f"{said}; no unit of it is touched, so it is not waited for",
            blocks=False,
        )


def changing(snapshot: Snapshot, choices: PlanesChoices) -> tuple[HostFacts, ...]:
    """Hosts whose metadata will be another."""
    return tuple(
        host
        for host in snapshot.hosts
        if host.reachable and choices.hosts.get(host.name, ()) != planes_now(host)
    )


def _fleetd(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    for host in changing(snapshot, choices):
        fleetd = fleetd_of(snapshot, host)
        if fleetd is None:
            yield Problem(
                field="hosts",
                what=f"{host.name} did not say how its fleetd is started",
                allowed="its planes as they are, until it answers: systemctl show fleet",
            )
        else:
            yield from _service(host, fleetd)


def _service(host: HostFacts, fleetd: Fleetd) -> Iterator[Problem]:
    if fleetd.beaten_by:
        yield Problem(
            field="hosts",
            what=f"{host.name}: {fleetd.beaten_by} sets FLEET_METADATA, and would win over ours",
            allowed=f"its planes as they are, or that file renamed to sort before {FOLDER}/50-",
        )
    if fleetd.from_file:
        yield Problem(
            field="hosts",
            what=f"{host.name}: fleet.service reads an EnvironmentFile, which may win over ours",
            blocks=False,
        )
    only_fleets = sorted(set(host.metadata) - set(known(fleetd.metadata)))
    lost = [f"{key}={value}" for key, value in only_fleets if key not in PLANES.values()]
    if lost:
        yield Problem(
            field="hosts",
            what=f"{host.name}: fleet knows it with {', '.join(lost)}, which the variable FLEET_METADATA of its "
            f"fleetd does not hold ('{fleetd.metadata}'): it would be lost",
            allowed="its planes as they are, until FLEET_METADATA holds all of its metadata, or fleetd was started "
            "again without it",
        )
    elif known(fleetd.metadata) != tuple(sorted(host.metadata)):
        yield Problem(
            field="hosts",
            what=f"{host.name}: fleetd was not started again since its metadata was changed: it runs with "
            f"others than '{fleetd.metadata}', which take effect now",
            blocks=False,
        )
    if not fleetd.comes_back:
        yield Problem(
            field="hosts",
            what=f"{host.name}: systemd does not start a killed fleetd again soon, so it must be restarted, "
            "which stops every fleet unit of that host for a while",
            blocks=False,
        )


def _far(snapshot: Snapshot, choices: PlanesChoices) -> Iterator[Problem]:
    flag = snapshot.value(FLAG)
    if flag and flag not in (*DEISCTL_TRUE, *FALSE) and choices.how_far == "metadata":
        yield Problem(
            field="how_far",
            what=f"enablePlacementOptions is '{flag}', with which no unit can be made any more",
            allowed="components or platform, which set it to true",
        )
    is_made_again = any(is_database(unit.name) for unit in to_decorate(snapshot, choices))
    goes = any(is_database(move.unit) for move in moves(snapshot, choices))
    if (is_made_again or goes) and not snapshot.backups:
        what = "is made again" if is_made_again else "moves to another host"
        yield Problem(
            field="how_far" if is_made_again else "hosts",
            what=f"no verified backup of this cluster is known, and its database {what}: "
            "back up first (recommendation 6)",
            blocks=False,
        )
    unread = [unit.name for unit in to_decorate(snapshot, choices) if not unit.content]
    if unread:
        yield Problem(
            field="how_far",
            what=f"{', '.join(unread)}: its file seems to hold a secret, so it is not put into a plan",
            allowed="metadata; then make these again by deisctl",
        )
    out_of_reach = [host.name for host in snapshot.hosts if not host.reachable]
    if out_of_reach and to_decorate(snapshot, choices):
        yield Problem(
            field="how_far",
            what=f"{', '.join(out_of_reach)} cannot be reached: whether units stop there is not seen, so "
            "none is made again",
            allowed="metadata, until every host answers",
        )
    if choices.how_far == "metadata" and any(not is_decorated(u) for u in of_planes(snapshot)):
        yield Problem(
            field="how_far",
            what="metadata alone moves no unit: those of Deis are not kept to their planes yet",
            blocks=False,
        )
