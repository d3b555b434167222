"""Running without Ceph for the pictures: a cluster that leaves it, a run in the middle, one that ended."""

from __future__ import annotations

from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from deiswizard.plan.plan import Plan
from deiswizard.recommendations.stateless.facts import StatelessChoices
from deiswizard.recommendations.stateless.verify import verify
from deiswizard.run import events as e
from deiswizard.screens.widgets.form import FieldView
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import NOW
from tests.screens.fakes import FakeSession
from tests.screens.waiting import until_text
from tests.unit.stateless_world import TYPED, cluster


async def missing(pilot: Pilot[Any]) -> None:
    """Nothing is named yet."""
    await until_text(pilot, "Choose", "no bucket is named")


async def preview(pilot: Pilot[Any]) -> None:
    """All is typed, each field in whole: each key that is pressed is a form that is judged and painted anew."""
    await missing(pilot)
    for asked in pilot.app.screen.query(FieldView):
        if asked.field.name in TYPED:
            asked.query_one(Input).value = TYPED[asked.field.name]
    await until_text(pilot, "next: Preview")
    await pilot.press("enter")
    await until_text(pilot, "[ Changes")


async def copies(pilot: Pilot[Any]) -> None:
    """The view of the copies."""
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "Copy what is left")
    await pilot.press("tab", "tab")
    await until_text(pilot, "[ Copies")


async def ended(pilot: Pilot[Any]) -> None:
    """All checks held."""
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "registry answers")


def midway(plan: Plan) -> list[e.Event]:
    """The first copy is done; the tables are on their way."""
    out: list[e.Event] = []
    for stage in plan.stages:
        out.append(e.StageStarted(at=NOW, stage=stage.id))
        if stage.id == "copy":
            break
        out += [
            e.StepFinished(at=NOW + 1, step=step.id, status=StepStatus.DONE, said=_said(step.id))
            for step in stage.steps
        ]
    out.append(e.StepStarted(at=NOW + 2, step="copy:database"))
    out.append(e.BytesCopied(at=NOW + 3, step="copy:database", current=31_000_000, total=None))
    return out


def _said(step: str) -> str:
    return "1 204 objects, 3.4 GB; 1 204 of them sent now" if step == "first:registry" else ""


def done(plan: Plan) -> list[e.Event]:
    """Every step, and a look that confirms it."""
    steps = [e.StepFinished(at=NOW + 1, step=s.id, status=StepStatus.DONE) for s in plan.steps]
    choices = StatelessChoices.model_validate(plan.choices)
    checks = verify(cluster("ceph"), cluster("stateless"), choices)
    end = e.RunFinished(at=NOW + 3, status=RunStatus.DONE, said="")
    return [*steps, e.Verified(at=NOW + 2, checks=checks), end]


def session(events: Any = None) -> FakeSession:
    return FakeSession(cluster("ceph"), events=events)


CASES = {
    "choose-stateless": (lambda: FakeSession(cluster("stateless")), "stateless", None),
    "choose-stateless-missing": (session, "stateless", missing),
    "preview-stateless": (session, "stateless", preview),
    "run-stateless-copies": (lambda: session(midway), "stateless", copies),
    "verify-stateless": (lambda: session(done), "stateless", ended),
}
