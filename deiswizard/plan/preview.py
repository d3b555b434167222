"""What the preview shows of a plan, as data and as text: pure functions, no screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deiswizard.plan.backup_steps import BackupTaskStep, RestoreStep
from deiswizard.plan.conditions import CommandSays, UnitDone, UnitGone, UnitRunning
from deiswizard.plan.fleet_conditions import FleetCondition
from deiswizard.plan.fleet_steps import FleetStep
from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.plan.plan import Plan, Stage
from deiswizard.plan.step import (
    GuardStep,
    JobStep,
    PullStep,
    Step,
    WaitStep,
    shown,
)
from deiswizard.plan.user_data_step import UserDataStep
from deiswizard.vocabulary import Danger, JobWay

View = Literal["changes", "commands", "impact"]
LONGEST_VALUE = 200
HERE = "this machine"


@dataclass(frozen=True)
class CommandLine:
    """One command: what it is for, its exact text, what it can cost, and how it is run if not simply
    to its end.
    """

    title: str
    text: str
    danger: Danger
    how: str = ""


@dataclass(frozen=True)
class CommandGroup:
    """The commands of one stage on one host; empty: on the cluster (etcd), or ``fleet``."""

    stage: str
    host: str
    commands: tuple[CommandLine, ...]


def changes(plan: Plan) -> tuple[str, ...]:
    """``~ /deis/...   enabled  ->  disabled``: the sign comes first and needs no colour."""
    width = value_column(plan)
    lines = []
    for change in plan.changes:
        current, desired = _shown(change.current), _shown(change.desired)
        note = f"   {change.note}" if change.note else ""
        where = f"{change.sign} {change.where}"
        lines.append(f"{where:{width}}{current}  ->  {desired}{note}")
    return tuple(lines) or ("nothing to do: everything is as wanted already",)


def value_column(plan: Plan) -> int:
    """Where in the lines of ``changes`` the values begin."""
    return max((len(change.where) for change in plan.changes), default=0) + len("~ ") + len("   ")


def _shown(value: str | None) -> str:
    """A value in a line of changes; a long one by its beginning."""
    if value is None:
        return "absent"
    return (
        value
        if len(value) <= LONGEST_VALUE
        else f"{value[:LONGEST_VALUE]}... ({len(value)} characters)"
    )


def commands(plan: Plan) -> tuple[CommandGroup, ...]:
    """Every command, stage by stage and host by host, in the order in which it runs."""
    groups = []
    for stage in plan.stages:
        hosts = dict.fromkeys(place_of(step) for step in stage.steps)
        for host in hosts:
            lines = []
            for step in stage.steps:
                if place_of(step) != host:
                    continue
                lines.append(CommandLine(step.title, shown(step), step.danger, _how(step)))
            groups.append(CommandGroup(stage.title, host, tuple(lines)))
    return tuple(groups)


def place_of(step: Step) -> str:
    """The host of a step, or this machine; of one that concerns the cluster, ``fleet`` or nothing
    (etcd).
    """
    if isinstance(step, BackupTaskStep | HereStep | HereFileStep | UserDataStep):
        return HERE
    if isinstance(step, RestoreStep) and step.to == "check":
        return HERE
    if step.host:
        return step.host
    condition = getattr(step, "condition", None)
    if isinstance(condition, CommandSays):
        return condition.host
    is_fleets = isinstance(step, FleetStep)
    is_asked = isinstance(condition, UnitDone | UnitRunning | UnitGone | FleetCondition)
    return "fleet" if is_fleets or is_asked else ""


def _how(step: Step) -> str:
    if isinstance(step, WaitStep):
        return f"wait, {step.timeout:.0f} s at most"
    if isinstance(step, JobStep | PullStep):
        return "job, as a unit" if step.way is JobWay.UNIT else "job, by setsid"
    return ""


def impact(plan: Plan) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Label and lines: danger, restarts, duration, guards, undo, what it was made from."""
    changing = [n for n, stage in enumerate(plan.stages) if _changes_something(stage)]
    before = plan.stages[: max(changing, default=0) + 1]
    guards = tuple(
        dict.fromkeys(s.title for stage in before for s in stage.steps if isinstance(s, GuardStep))
    )
    words = {
        Danger.READ: "read: nothing is changed",
        Danger.WRITE: "write: settings or files are changed, nothing restarts",
        Danger.RESTART: "restart: something stops and comes back",
        Danger.DESTROY: "destroy: something is gone afterwards",
    }
    made_from = (f"{len(plan.basis.machines)} hosts",) + (
        (f"etcd index {plan.basis.etcd_index}",) if plan.basis.etcd_index else ()
    )
    rows = (
        ("Danger", (words[plan.impact.danger],)),
        ("Restarts", plan.impact.restarts or ("nothing",)),
        ("Duration", (plan.impact.duration or "seconds",)),
        ("Guards", guards or ("none",)),
        ("Undo", (plan.impact.undo or "not needed",)),
        ("Made from", (", ".join(made_from),)),
        ("Notes", plan.impact.notes),
    )
    return tuple((label, lines) for label, lines in rows if lines)


def _changes_something(stage: Stage) -> bool:
    return any(step.danger is not Danger.READ for step in stage.steps)


def as_text(plan: Plan, view: View) -> str:
    """One view as lines for a terminal without a screen."""
    if view == "changes":
        return "\n".join(changes(plan))
    if view == "impact":
        return "\n".join(
            f"{label if not index else '':10} {line}"
            for label, lines in impact(plan)
            for index, line in enumerate(lines)
        )
    out = []
    for group in commands(plan):
        out.append(f"{group.stage}: {group.host or 'etcd'}")
        out += [f"  [{line.danger}] {line.text}" for line in group.commands]
    return "\n".join(out) or "no commands"
