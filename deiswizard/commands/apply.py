"""``deiswizard apply``: run saved plans or answers. 0 only when a new look has verified it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.commands.breaking import token_to_break
from deiswizard.commands.failing import FAILED
from deiswizard.commands.following import asked_to_stop, to_the_end
from deiswizard.commands.opening import opened
from deiswizard.commands.plan import answers_of, plans_for, text_of
from deiswizard.commands.saying import result, talk
from deiswizard.commands.secrets import ask_secret
from deiswizard.errors import AnswersError
from deiswizard.materials import Prepared, refuse_lacking, secrets_for
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import Step
from deiswizard.recommendations import catalogue
from deiswizard.run import summary
from deiswizard.run.events import (
    BytesCopied,
    Event,
    HostLost,
    HostReturned,
    ImageChecked,
    LockRefused,
    LockReleased,
    OutputReceived,
    PlanRefused,
    RunFinished,
    RunLeft,
    RunResumed,
    RunStarted,
    StageStarted,
    StepFinished,
    Verified,
)
from deiswizard.run.folders import runs_folder
from deiswizard.run.hub import lock_words
from deiswizard.run.lock import way_out
from deiswizard.run.record import kept_at
from deiswizard.run.state import RunState
from deiswizard.session import Session
from deiswizard.vocabulary import RunStatus
from deiswizard.wording import in_bytes


def saved_plan(path: Path) -> Plan:
    """A plan that was saved. Raises AnswersError."""
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise AnswersError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise AnswersError(
            f"{path} is not a saved plan", said=str(error.errors()[0]["msg"])
        ) from error


def prepared(plan: Plan) -> Prepared:
    """A plan that was made before, with its secrets. Raises PreconditionError."""
    return Prepared(plan, secrets_for(plan, ask_secret))


TELL_SECONDS = 10.0
"""How often the bytes of a copy are told."""


class Narrator:
    """Tells a run line by line on stderr."""

    def __init__(self, plan: Plan) -> None:
        self._steps: dict[str, Step] = {step.id: step for step in plan.steps}
        self._told = 0.0
        self._stages = {stage.id: stage.title for stage in plan.stages}

    def tell(self, event: Event) -> None:
        """One line for what is worth one."""
        match event:
            case RunStarted():
                talk(f"run {event.run}: {runs_folder() / event.run}")
            case RunResumed():
                talk(f"taken up again by {event.by}")
            case RunFinished() if event.said:
                talk(f"ended    {event.status}: {event.said}")
            case RunLeft():
                talk(f"left: {event.said}")
            case HostLost():
                talk(f"lost     {event.host}: {event.said}")
            case HostReturned():
                talk(f"returned {event.host}: connected again")
            case StageStarted():
                talk(f"== {self._stages.get(event.stage, event.stage)}")
            case StepFinished():
                step = self._steps[event.step]
                where = f"{step.host}: " if step.host else ""
                said = f": {event.said}" if event.said else ""
                talk(f"{event.status:8} {where}{step.title}{said}")
            case ImageChecked() if self._steps[event.step].kind == "job":
                host = self._steps[event.step].host
                talk(f"{'there' if event.present else 'missing':8} {host}: {event.image}")
            case BytesCopied() if event.at - self._told >= TELL_SECONDS:
                self._told = event.at
                total = f" of {in_bytes(event.total)}" if event.total else ""
                talk(f"         {self._steps[event.step].title}: {in_bytes(event.current)}{total}")
            case OutputReceived(stream="err"):
                for line in event.lines:
                    talk(f"         {event.host}: {line}")
            case PlanRefused():
                for difference in event.differences:
                    talk(f"changed meanwhile: {difference}")
            case Verified():
                for check in event.checks:
                    word = {True: "ok", False: "NOT ok", None: "unknown"}[check.ok]
                    talk(f"verify   {word}: {check.title} ({check.evidence})")
            case LockReleased(said=said) if said:
                talk(f"lock     it could not be given back: {said}")
            case _ if words := lock_words(event):
                talk(f"lock     {words}")
                if isinstance(event, LockRefused):
                    talk(f"         {way_out(event.holder)}")
            case _:
                pass


def run_plan(
    session: Session, prepared: Prepared, before: Snapshot, break_lock: str = ""
) -> RunState:
    """Run to the end, telling it. Raises PreconditionError before anything has run."""
    with asked_to_stop() as asks:
        run = session.start(
            prepared.plan,
            before=before,
            secrets=prepared.secrets,
            break_lock=break_lock,
            on_event=Narrator(prepared.plan).tell,
        )
        return to_the_end(run, asks)


def agreed(plan: Plan, yes: bool, question: str = "Run this?") -> bool:
    """Shown, and confirmed by a person or by --yes."""
    talk(f"== {plan.title} on {plan.cluster} ==\n{text_of(plan)}")
    if yes:
        return True
    if not sys.stdin.isatty():
        talk("nobody is here to confirm: give --yes to run this")
        return False
    talk(f"{question} [y/N] ", end="")
    return input().strip().lower() in ("y", "yes")


def run_all(
    args: argparse.Namespace, session: Session, plans: Sequence[Prepared], before: Snapshot
) -> int:
    """Run plans one after the other; stops at the first that is not done.

    Raises:
        PreconditionError: one lacks a secret; nothing has run.
        LockedError: the lock was to be broken, but is not whose it was said to be.
    """
    states: list[RunState] = []
    for one in plans:
        refuse_lacking(one.plan, (name for name in one.plan.secrets if name not in one.secrets))
    for number, one in enumerate(plans):
        if not agreed(one.plan, args.yes):
            return FAILED
        if number:
            before = session.look(one.plan.recommendation)
        states.append(run_plan(session, one, before, token_to_break(session, args)))
        if states[-1].status is not RunStatus.DONE:
            break
    return ended(states, args.json)


def ended(states: Sequence[RunState], as_json_too: bool) -> int:
    """Print how runs ended; the exit status."""
    for state in states:
        talk(f"record: {kept_at(runs_folder() / state.run)}")
    if as_json_too:
        result(json.dumps([as_json(state) for state in states], indent=2))
    else:
        result("\n".join(summary.headline(state) for state in states))
    return 0 if all(state.status is RunStatus.DONE for state in states) else FAILED


def as_json(state: RunState) -> dict[str, object]:
    """How a run stands, for machines."""
    return {
        "run": state.run,
        "status": state.status,
        "said": state.said,
        "differences": state.differences,
        "held_by": state.held_by.model_dump(mode="json") if state.held_by else None,
        "steps": {
            name: {"status": step.status, "said": step.said, "code": step.code}
            for name, step in state.steps.items()
        },
        "checks": [check.model_dump(mode="json") for check in state.checks],
    }


def run(args: argparse.Namespace) -> int:
    """Apply one saved plan, or recommendations by answers."""
    is_saved = args.what[0].endswith(".json")
    if is_saved and len(args.what) > 1:
        raise AnswersError("one saved plan at a time", do="call apply once for each")
    saved = [prepared(saved_plan(Path(args.what[0])))] if is_saved else []
    answers = answers_of(args)
    if not is_saved:
        for name in args.what:
            catalogue.named(name)
    with opened(args) as session:
        names = [one.plan.recommendation for one in saved] or args.what
        before = session.look(*names)
        plans = saved or plans_for(args.what, answers, before)
        return run_all(args, session, plans, before)
