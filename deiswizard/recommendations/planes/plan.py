"""The plan of planes: hosts one at a time, the setting, the units; each proven before the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.fleet_conditions import MachinesCarry
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage, worst
from deiswizard.plan.step import GuardStep, RemoveKeyStep, Step, WriteKeyStep
from deiswizard.recommendations.base import refuse_blocking
from deiswizard.recommendations.deis_units import short
from deiswizard.recommendations.planes import ceph_leaves, shutdown
from deiswizard.recommendations.planes import files as files_part
from deiswizard.recommendations.planes import hosts as hosts_part
from deiswizard.recommendations.planes import passes as passes_part
from deiswizard.recommendations.planes import units as units_part
from deiswizard.recommendations.planes.choices import changing, check_choices
from deiswizard.recommendations.planes.facts import (
    FLAG,
    PlanesChoices,
    apps_to_redeploy,
    in_short,
    is_database,
    is_decorated,
    is_wanted,
    moves,
    needed,
    of_planes,
    pair_of,
)
from deiswizard.vocabulary import Danger
from deiswizard.wording import counted, few

ON = "true"


def plan(snapshot: Snapshot, choices: PlanesChoices) -> Plan:
    """Raises PreconditionError when a choice cannot be or something could not be read."""
    if not snapshot.keys_read:
        raise PreconditionError("the settings could not be read from etcd", do="look again")
    refuse_blocking(check_choices(snapshot, choices))
    if choices.makes_files:
        return files_part.plan(snapshot, choices)
    hosts = changing(snapshot, choices)
    sets_flag = choices.how_far != "metadata" and snapshot.value(FLAG) != ON
    groups = units_part.groups(snapshot, choices)
    fact = snapshot.key(FLAG)
    leavers = ceph_leaves.leavers(snapshot, choices)
    first = ceph_leaves.interim(snapshot, choices)
    passes = passes_part.passes(snapshot, first)
    off = shutdown.disarmed(
        snapshot,
        groups,
        (*passes, *(leaver.pass_ for leaver in leavers)),
        [leaver.host for leaver in leavers],
    )
    stages = [*off.stages(), *(hosts_part.stage(snapshot, first, one) for one in passes)]
    if sets_flag:
        stages.append(_flag_stage(snapshot, fact.index if fact else 0))
    stages += [units_part.stage(snapshot, first, group) for group in groups]
    stages += [*off.afterwards(), *ceph_leaves.stages(snapshot, choices, leavers)]
    undo = [*ceph_leaves.undo(snapshot, choices, leavers), *off.undo_first()]
    for group in reversed(groups):
        undo += units_part.undo(snapshot, group)
    if sets_flag:
        undo.append(_flag_back(fact.value if fact else None))
    undo += [hosts_part.undo(snapshot, one) for one in reversed(passes)]
    undo += off.undo_last()
    outages = passes_part.outages(snapshot, hosts)
    then = ceph_leaves.later(snapshot, choices)
    goes = [told for one in passes for told in passes_part.departures(snapshot, one)]
    goes += [told for leaver in leavers for told in passes_part.departures(then, leaver.pass_)]
    stops_back = any(
        step.danger is Danger.RESTART
        for stage in undo
        for step in stage.steps
        if step.id.startswith("back:apply:")
    )
    return Plan(
        recommendation="planes",
        title="Isolating the planes",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=(*_changes(snapshot, choices, hosts, leavers, passes), *shutdown.changes(off)),
        stages=tuple(stages),
        undo=tuple(undo),
        impact=Impact(
            danger=worst(step for stage in stages for step in stage.steps),
            restarts=tuple(
                [
                    f"every fleet unit on {host}: {in_short(names)}"
                    for host, names in outages.items()
                ]
                + goes
                + [_restart_of(group) for group in groups]
            ),
            duration=_duration(hosts, groups, outages, goes)
            + ("; then Ceph copies data, for hours perhaps" if leavers else ""),
            undo="units as they were, the setting as it was, then each host's drop-in; with the same "
            "short outages"
            if groups
            else "each host's drop-in as it was; no unit stops"
            if hosts and not stops_back and not goes
            else "each host's drop-in as it was, with the same restarts"
            if outages
            else "each host's drop-in as it was; what may not stay where it is by then moves again"
            if hosts
            else "the setting as it was"
            if sets_flag
            else "not needed: nothing changes",
            notes=(
                *ceph_leaves.notes(snapshot, leavers),
                *shutdown.notes(off),
                *_notes(snapshot, choices, hosts),
            ),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=(
                KeyBasis(key=FLAG, index=fact.index if fact else 0),
                *units_part.basis(snapshot, choices),
            ),
            files=tuple(passes_part.basis(snapshot, host) for host in hosts),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _flag_stage(snapshot: Snapshot, expect: int) -> Stage:
    """Only once every plane has its hosts."""
    asked = snapshot.reachable_hosts[:1]
    guards = tuple(hosts_part.etcd_guard(host.name, "flag", ("flag",)) for host in asked)
    guards += tuple(
        GuardStep(
            id=f"guard:{plane}:flag",
            title=f"{least.count} hosts of the {plane} plane are there",
            condition=MachinesCarry(pair=pair_of(plane), least=least.count),
            otherwise=f"{least.why}: what is made from now on would have no place",
            until=("flag",),
        )
        for plane, least in needed(snapshot).items()
    )
    step = WriteKeyStep(
        id="flag",
        title="new units are kept to their planes from now on",
        key=FLAG,
        value=ON,
        expect=expect,
        needs=tuple(guard.id for guard in guards),
        danger=Danger.WRITE,
        undo="the value before is written back, or the key removed",
    )
    return Stage(id="flag", title="The setting", steps=(*guards, step))


def _flag_back(value: str | None) -> Stage:
    step: Step
    if value is None:
        step = RemoveKeyStep(
            id="back:flag", title="remove the setting again", key=FLAG, danger=Danger.WRITE
        )
    else:
        step = WriteKeyStep(
            id="back:flag",
            title="the setting as it was",
            key=FLAG,
            value=value,
            danger=Danger.WRITE,
        )
    return Stage(id="back:flag", title="The setting", steps=(step,)).undoing("flag")


def _changes(
    snapshot: Snapshot,
    choices: PlanesChoices,
    hosts: Sequence[HostFacts],
    leavers: Sequence[ceph_leaves.Leaver],
    passes: Sequence[passes_part.Pass],
) -> Iterator[Change]:
    leave = {leaver.host.name: leaver for leaver in leavers}
    for host in hosts:
        if leaver := leave.get(host.name):
            yield from ceph_leaves.change(choices, leaver, passes)
        else:
            yield passes_part.change(snapshot, choices, host)
    if choices.how_far != "metadata":
        fact = snapshot.key(FLAG)
        now = fact.value if fact else None
        yield Change(where=FLAG, current=now, desired=ON, steps=("flag",) if now != ON else ())
    yield from units_part.changes(snapshot, choices)


def _restart_of(group: units_part.Group) -> str:
    names = [short(unit.name) for unit in group.units]
    return few(names, 5)


def _duration(
    hosts: Sequence[HostFacts],
    groups: Sequence[units_part.Group],
    outages: object,
    goes: Sequence[str],
) -> str:
    parts = []
    if hosts:
        what = "some units stop" if outages else "no unit stops"
        if goes and not outages:
            what = (
                "what is kept to a plane that its host loses stops there and starts elsewhere: 1 to 3 min, longer "
                "where an image is missing (preseed first); no other unit stops"
            )
        parts.append(f"20 to 40 s for each of {counted(len(hosts), 'host')}; {what}")
    if len(groups) == 1 and groups[0].id == "platform":
        parts.append("then the whole platform is away for 10 to 30 min; apps answer 503 meanwhile")
    elif groups:
        parts.append(
            "then each component is away while it starts again, one after the other: 1 to 3 min, "
            "longer where an image is missing (preseed first)"
        )
    return "; ".join(parts) or "nothing to do"


def _notes(snapshot: Snapshot, choices: PlanesChoices, hosts: Sequence[HostFacts]) -> Iterator[str]:
    moved = [move.unit for move in moves(snapshot, choices)]
    for move in moves(snapshot, choices):
        yield f"moves: {move.words}"
    components = {
        unit.name for group in units_part.groups(snapshot, choices) for unit in group.units
    }
    if "deis-publisher.service" in components:
        yield "apps answer 503 for some seconds while publisher is made again: their keys live 20 s"
    if any(name.startswith("deis-store-") for name in components):
        yield "leaving Ceph makes these units again once more: if you mean to, leave it first"
    if any(is_database(unit) for unit in (*components, *moved)):
        yield "database pushes a backup when it stops; on another host it restores from its backups"
    if any(name.startswith("deis-store-") for name in components):
        yield "Ceph is away while its units are made again: what stands on it is stopped before"
    apps = [name for name, planes in choices.hosts.items() if "data" in planes]
    if len(apps) < len(snapshot.hosts):
        have = f"{counted(len(apps), 'host')} of {len(snapshot.hosts)}"
        yield f"apps have {have} then: see that there is room for them"
    if any("router" in choices.hosts.get(host.name, ()) for host in hosts):
        routers = [name for name, planes in choices.hosts.items() if "router" in planes]
        yield f"point the load balancer or DNS at the router hosts: {in_short(routers)}"
    if hosts:
        roles = dict.fromkeys(",".join(p) for p in choices.hosts.values() if p)
        words = " ".join(f"--planes {planes}" for planes in roles)
        yield (
            "hosts that join later, or are made again, get their metadata from user-data: run this again "
            f"as user-data files, or deiswizard userdata FILE {words} -o FOLDER"
        )
    if choices.how_far != "metadata":
        for unit in of_planes(snapshot):
            if not is_wanted(unit) and not is_decorated(unit):
                yield f"{unit.name} is stopped, and stays as it is: destroy it and install it again"
        for app in apps_to_redeploy(snapshot):
            yield f"for you to run, when it suits: {app.command}"
