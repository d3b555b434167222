"""The inverse of a run, as a plan like any other: of a run that was cut off, only what it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from deiswizard.cluster.secret_keys import is_secret
from deiswizard.cluster.snapshot import KeyFact, Snapshot
from deiswizard.cluster.unit_files import digest
from deiswizard.errors import PreconditionError
from deiswizard.plan.backup_steps import BackupTaskStep
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.fleet_conditions import MetadataIs, UnitRunsOn
from deiswizard.plan.fleet_steps import DestroyUnitStep, SubmitUnitStep
from deiswizard.plan.here_steps import HereFileStep
from deiswizard.plan.plan import Basis, Change, KeyBasis, Plan, Stage, worst
from deiswizard.plan.step import (
    SECRET,
    CopyKeyStep,
    GuardStep,
    KeyStep,
    RemoveKeyStep,
    Step,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.redaction import MASK
from deiswizard.run.events import Check
from deiswizard.run.state import RunState, StepState
from deiswizard.vocabulary import Danger, RunStatus
from deiswizard.wording import few

READ = "/deis/"
"""What a snapshot knows keys of."""


def undo_plan(state: RunState, snapshot: Snapshot) -> Plan:
    """The plan that takes a run back, made from a new snapshot.

    It holds the steps that take back what the run did or may have done, and what belongs to the way
    back as a whole; what the run never began is not touched.

    Raises:
        PreconditionError: there is nothing to take back, or it cannot be; says why.
    """
    if (refusal := why_no_undo(state)) is not None:
        raise refusal
    plan = state.plan
    assert plan is not None
    if not snapshot.is_of(plan.cluster, plan.basis.machines):
        raise PreconditionError(
            f"run {state.run} was on another cluster: {plan.cluster}",
            do="connect to that cluster to take it back",
        )
    if not snapshot.keys_read:
        raise PreconditionError("the settings could not be read from etcd", do="look again")
    stages, left_out = _without_moved(way_back(state), snapshot)
    steps = [step for stage in stages for step in stage.steps]
    if _is_back(state, steps, snapshot):
        raise PreconditionError(
            "everything is as it was before this run already", do="there is nothing to take back"
        )
    keys = dict.fromkeys(step.key for step in _key_steps(steps) if step.key.startswith(READ))
    facts = {key: snapshot.key(key) for key in keys}
    return plan.model_copy(
        update={
            "title": f"Undo: {plan.title}",
            "changes": tuple(_changes(state, steps, snapshot)),
            "stages": stages,
            "undo": (),
            "is_undo": True,
            "undo_of": state.run,
            "impact": plan.impact.model_copy(
                update={
                    "danger": worst(steps),
                    "undo": "run the recommendation again to have it back",
                    "notes": (*_notes(state), *left_out),
                }
            ),
            "basis": Basis(
                taken_at=snapshot.taken_at,
                etcd_index=snapshot.etcd.index,
                keys=tuple(
                    KeyBasis(key=key, index=fact.index if fact else 0)
                    for key, fact in facts.items()
                ),
                machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
            ),
        }
    )


def why_no_undo(state: RunState) -> PreconditionError | None:
    """What keeps a run from being taken back by a plan; None: nothing that the run itself tells."""
    plan = state.plan
    if plan is None:
        return PreconditionError("this run never began")
    if state.status in (RunStatus.RUNNING, RunStatus.NEEDS_DECISION):
        return PreconditionError(
            "this run is going on", do="wait for its end, or stop it, before it is taken back"
        )
    if not plan.undo:
        return PreconditionError(
            f"'{plan.title}' is not taken back by a run", said=plan.impact.undo
        )
    if not _acted(state):
        return PreconditionError("this run changed nothing", do="there is nothing to take back")
    stages = way_back(state)
    if not any(step.danger is not Danger.READ for stage in stages for step in stage.steps):
        return PreconditionError(
            "nothing that this run did is taken back by a run", said=plan.impact.undo
        )
    if any(MASK in stage.model_dump_json() for stage in stages):
        return PreconditionError(
            "this run's way back holds words that were kept out of its journal as secrets",
            do="take it back by hand: " + plan.impact.undo,
        )
    return None


def may_have_changed(step: Step, now: StepState) -> bool:
    """It is more than a look, and is not known to have left all as it was."""
    return step.danger is not Danger.READ and now.may_have_acted


def way_back(state: RunState) -> tuple[Stage, ...]:
    """The undo stages of a run's plan without the steps that take back what was never begun."""
    acted, plan = _acted(state), state.plan
    stages = []
    for stage in plan.undo if plan else ():
        steps = tuple(s for s in stage.steps if not s.undoes or acted.intersection(s.undoes))
        if steps:
            stages.append(stage.model_copy(update={"steps": steps}))
    return tuple(stages)


def _without_moved(
    stages: Sequence[Stage], snapshot: Snapshot
) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
    """Without the waits that ask a unit on a host where it ran once and runs no more, being elsewhere, and the
    guards of the whole way back on a host that is away; and a note for each of them.
    """
    moved = {}
    for step in (step for stage in stages for step in stage.steps):
        if isinstance(step, WaitStep) and step.asks:
            places = {host.name for host in snapshot.where_any(step.asks)}
            if places and step.host not in places:
                moved[step.id] = f"{step.asks} runs on {step.host} no more: it is not asked there"
        elif isinstance(step, GuardStep) and step.host and not step.undoes:
            host = snapshot.host(step.host)
            if host is None or not host.reachable:
                moved[step.id] = f"{step.host} cannot be reached: not asked is whether {step.title}"
    left = []
    for stage in stages:
        steps = tuple(
            step.model_copy(update={"needs": tuple(n for n in step.needs if n not in moved)})
            for step in stage.steps
            if step.id not in moved
        )
        if steps:
            left.append(stage.model_copy(update={"steps": steps}))
    return tuple(left), tuple(dict.fromkeys(moved.values()))


def _acted(state: RunState) -> frozenset[str]:
    """The ids of the steps that have changed something, or may have."""
    steps = state.plan.steps if state.plan else ()
    return frozenset(step.id for step in steps if may_have_changed(step, state.steps[step.id]))


def _key_steps(steps: Sequence[Step]) -> Iterator[KeyStep]:
    return (step for step in steps if isinstance(step, KeyStep))


def _is_back(state: RunState, steps: Sequence[Step], snapshot: Snapshot) -> bool:
    """All that would be taken back is seen to be back. Not where the run's end is not known: what it
    had asked for may still be done.
    """
    if not all(state.steps[name].status.lets_others_go_on for name in _acted(state)):
        return False
    changing = [step for step in steps if step.danger is not Danger.READ]
    keys = list(_key_steps(changing))
    return len(keys) == len(changing) and all(_is_so(step, snapshot) for step in keys)


def _is_so(step: KeyStep, snapshot: Snapshot) -> bool:
    """A look does not tell what a copied value is to be."""
    if isinstance(step, CopyKeyStep):
        return False
    fact = snapshot.key(step.key)
    wanted = step.value if isinstance(step, WriteKeyStep) else None
    return (fact.text if fact else None) == wanted


def _changes(state: RunState, steps: Sequence[Step], snapshot: Snapshot) -> Iterator[Change]:
    """What the way back changes, from what is there now."""
    changing = [step for step in steps if step.danger is not Danger.READ]
    keys = {step.key for step in _key_steps(changing)}
    acted = _acted(state)
    for change in state.plan.changes if state.plan else ():
        begun = acted.intersection(change.steps) if change.steps else acted
        makers = [s for s in changing if not s.undoes or begun.intersection(s.undoes)]
        if change.sign == "=" or not begun or not makers:
            continue
        current, note = change.desired, ""
        fact = snapshot.key(change.where)
        is_read = change.where in keys and not (fact and fact.is_secret)
        if is_read and not _is_as_made(state, change, begun, fact):
            current = fact.value if fact else None
            if all(state.steps[name].status.lets_others_go_on for name in begun):
                note = f"changed since that run, which had made it {change.desired or 'absent'}"
        yield Change(
            where=change.where,
            current=current,
            desired=change.current,
            note=note,
            steps=tuple(step.id for step in makers),
        )


def _is_as_made(
    state: RunState, change: Change, begun: frozenset[str], fact: KeyFact | None
) -> bool:
    """A key is as the run made it. A change may tell a value in other words than what was written."""
    wrote = change.desired
    for step in state.plan.steps if state.plan else ():
        if isinstance(step, WriteKeyStep) and step.key == change.where and step.id in begun:
            wrote = step.value
    if fact is not None and wrote is not None and (MASK in wrote or SECRET.search(wrote)):
        return True  # what it is cannot be told from the plan
    return (fact.value if fact else None) == wrote


def _notes(state: RunState) -> Iterator[str]:
    """What the operator should know besides."""
    plan = state.plan
    yield f"takes back run {state.run}"
    changing = [s.id for s in plan.steps if s.danger is not Danger.READ] if plan else []
    acted = _acted(state)
    if len(acted) < len(changing):
        yield (
            f"that run began {len(acted)} of {len(changing)} steps that change something: "
            "only those are taken back"
        )
    for step in plan.steps if plan else ():
        job = state.steps[step.id].job
        if job is not None:
            yield f"{step.host}: '{step.title}' may still be going on there, as {job.unit}"


def verify_undo(plan: Plan, after: Snapshot) -> tuple[Check, ...]:
    """Whether keys, fleet units and where they run, hosts' metadata, backups, files of this machine and etcd's members
    are again as the plan wanted them.
    """
    checks = [*_unit_checks(plan, after), *_fleet_checks(plan, after)]
    for step in plan.steps:
        if isinstance(step, BackupTaskStep) and step.task == "remove":
            known = any(fact.backup == step.backup for fact in after.backups)
            checks.append(
                Check(
                    title=f"the backup {step.backup} is gone",
                    ok=not known,
                    evidence=f"{'still' if known else 'no longer'} among the verified ones",
                )
            )
        elif isinstance(step, HereFileStep) and step.content is None:
            gone = not Path(step.path).exists()
            checks.append(
                Check(
                    title=f"{step.path} is gone",
                    ok=gone,
                    evidence="there is none" if gone else "it is there",
                )
            )
    for step in plan.steps:
        if isinstance(step, KeyStep) and step.key.startswith(READ):
            checks.append(_key_check(step, after))
        elif isinstance(step, AddMemberStep | RemoveMemberStep):
            checks.append(_member_check(step, after))
    return tuple(checks)


def _member_check(step: AddMemberStep | RemoveMemberStep, after: Snapshot) -> Check:
    """On etcd's list and started, or on it no more."""
    where = step.peer.host or step.peer.peer_url
    member = next((m for m in after.etcd.members if step.peer.peer_url in m.peer_urls), None)
    if isinstance(step, RemoveMemberStep):
        return Check(
            title=f"{where} is no member of etcd again",
            ok=member is None,
            evidence="it is listed" if member else "it is not listed",
        )
    return Check(
        title=f"{where} is a member of etcd again",
        ok=member is not None and member.is_started,
        evidence=f"listed as {member.id}" if member else "it is not listed",
    )


def _key_check(step: KeyStep, after: Snapshot) -> Check:
    """Of a secret it is told whether it is there, never what it is."""
    fact = after.key(step.key)
    wanted = step.value if isinstance(step, WriteKeyStep) else None
    if not isinstance(step, CopyKeyStep) and not is_secret(step.key):
        now = fact.value if fact else None
        if wanted is None and fact is not None and fact.ttl is not None:
            return Check(
                title=f"{step.key} is no setting again",
                ok=True,
                evidence=f"its component says {now}, for {fact.ttl} s",
            )
        return Check(
            title=f"{step.key} is {wanted or 'absent'} again",
            ok=now == wanted,
            evidence=f"it is {now or 'absent'}",
        )
    if isinstance(step, RemoveKeyStep):
        ok = fact is None
    elif wanted is None or SECRET.search(wanted):
        ok = fact is not None
    else:
        ok = fact is not None and fact.text == wanted
    return Check(
        title=f"{step.key} is {'absent' if isinstance(step, RemoveKeyStep) else 'as it was'} again",
        ok=ok,
        evidence=f"it is {'there' if fact else 'absent'}; its value is not shown",
    )


def _unit_checks(plan: Plan, after: Snapshot) -> list[Check]:
    """A unit is to be gone, unless the plan submits an older one in its place."""
    contents: dict[str, str] = {}
    for step in plan.steps:
        if isinstance(step, DestroyUnitStep):
            contents[step.unit] = ""
        elif isinstance(step, SubmitUnitStep):
            contents[step.unit] = step.content
    checks = []
    for name, content in contents.items():
        unit = after.unit(name)
        is_same = unit is not None and digest(unit.content) == digest(content)
        evidence = "fleet has none" if unit is None else "fleet has it"
        if content and unit is not None and not is_same:
            evidence += " with another file"
        checks.append(
            Check(
                title=f"the fleet unit {name} is {'as it was' if content else 'gone'}",
                ok=is_same if content else unit is None,
                evidence=evidence,
            )
        )
    return checks


def _fleet_checks(plan: Plan, after: Snapshot) -> Iterator[Check]:
    """Of what the plan waited for: units run where they may, hosts carry what they had, as it was last."""
    conditions = [step.condition for step in plan.steps if isinstance(step, WaitStep)]
    carried = {one.machine: one for one in conditions if isinstance(one, MetadataIs)}
    for machine, wanted in carried.items():
        host = next((host for host in after.hosts if host.machine_id == machine), None)
        now = ",".join(f"{key}={value}" for key, value in sorted(host.metadata)) if host else ""
        yield Check(
            title=f"{wanted.host} carries the metadata that it had",
            ok=now in wanted.either if host else None,
            evidence=(now or "no metadata") if host else "it is gone",
        )
    for one in (one for one in conditions if isinstance(one, UnitRunsOn)):
        here = [host for host in after.where(one.unit) if host.machine_id in one.machines]
        enough = len(one.machines) if one.every else 1
        yield Check(
            title=f"{one.unit} runs again",
            ok=len(here) >= enough,
            evidence=f"on {few([host.name for host in here])}"
            if here
            else "on no host that it may",
        )
