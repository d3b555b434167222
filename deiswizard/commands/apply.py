"""``deiswizard apply``: run saved plans or answers. 0 only when a new look has verified it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pydantic import ValidationError

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.commands.failing import FAILED
from deiswizard.commands.opening import opened
from deiswizard.commands.plan import answers_of, plans_for, text_of
from deiswizard.commands.saying import result, talk
from deiswizard.errors import AnswersError
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import Step
from deiswizard.recommendations import catalogue
from deiswizard.run import summary
from deiswizard.run.events import (
    Event,
    ImageChecked,
    OutputReceived,
    PlanRefused,
    StageStarted,
    StepFinished,
    Verified,
)
from deiswizard.run.hub import Hub
from deiswizard.run.state import RunState
from deiswizard.session import Session
from deiswizard.vocabulary import RunStatus


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


class Narrator:
    """Tells a run line by line on stderr."""

    def __init__(self, plan: Plan) -> None:
        self._steps: dict[str, Step] = {step.id: step for step in plan.steps}
        self._stages = {stage.id: stage.title for stage in plan.stages}

    def tell(self, event: Event) -> None:
        """One line for what is worth one."""
        match event:
            case StageStarted():
                talk(f"== {self._stages.get(event.stage, event.stage)}")
            case StepFinished():
                step = self._steps[event.step]
                where = f"{step.host}: " if step.host else ""
                said = f": {event.said}" if event.said else ""
                talk(f"{event.status:8} {where}{step.title}{said}")
            case ImageChecked() if self._steps[event.step].kind == "command":
                host = self._steps[event.step].host
                talk(f"{'there' if event.present else 'missing':8} {host}: {event.image}")
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
            case _:
                pass


def run_plan(session: Session, plan: Plan, before: Snapshot) -> tuple[RunState, Hub]:
    """Run to the end, telling it; ctrl-c asks to stop after what is going on, twice: now."""
    run = session.start(plan, before=before)
    narrator = Narrator(plan)
    talk(f"run {run.id}: {run.folder}")
    run.hub.subscribe(narrator.tell)
    asked = False
    while True:
        try:
            while run.wait(0.5).status is RunStatus.RUNNING:
                pass
            return run.hub.state, run.hub
        except KeyboardInterrupt:
            run.stop(now=asked)
            talk("stopping after what is going on now; ctrl-c again: at once")
            asked = True


def agreed(plan: Plan, yes: bool) -> bool:
    """Shown, and confirmed by a person or by --yes."""
    talk(f"== {plan.title} on {plan.cluster} ==\n{text_of(plan)}")
    if yes:
        return True
    if not sys.stdin.isatty():
        talk("nobody is here to confirm: give --yes to run this")
        return False
    talk("Run this? [y/N] ", end="")
    return input().strip().lower() in ("y", "yes")


def run_all(args: argparse.Namespace, session: Session, plans: list[Plan], before: Snapshot) -> int:
    """Run plans one after the other; stops at the first that is not done."""
    ended = []
    status = 0
    for number, plan in enumerate(plans):
        if not agreed(plan, args.yes):
            return FAILED
        if number:
            before = session.look()
        state, _ = run_plan(session, plan, before)
        ended.append(state)
        if state.status is not RunStatus.DONE:
            status = FAILED
            break
    if args.json:
        result(json.dumps([as_json(state) for state in ended], indent=2))
    else:
        result("\n".join(summary.headline(state) for state in ended))
    return status


def as_json(state: RunState) -> dict[str, object]:
    """How a run stands, for machines."""
    return {
        "run": state.run,
        "status": state.status,
        "said": state.said,
        "differences": state.differences,
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
    saved = [saved_plan(Path(args.what[0]))] if is_saved else []
    answers = answers_of(args)
    if not is_saved:
        for name in args.what:
            catalogue.named(name)
    with opened(args) as session:
        before = session.look()
        plans = saved or plans_for(args.what, answers, before)
        return run_all(args, session, plans, before)
