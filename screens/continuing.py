"""Runs that have not come to their end: told on the overview, taken up again or followed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from deiswizard.errors import WizardError
from deiswizard.run.live import LiveRun
from deiswizard.run.resume import Unfinished, unfinished
from deiswizard.run.summary import counts
from deiswizard.screens.modals.dialog import ChoiceDialog
from deiswizard.screens.secrets import with_secrets
from deiswizard.screens.text import ago, clean
from deiswizard.vocabulary import StepStatus

if TYPE_CHECKING:
    from deiswizard.screens.app import WizardApp

STAYS = (
    "What is done stays done. What may be going on is looked for on its host first, and guards look "
    "again."
)
SHOWN = 6
"""Steps that the dialog names."""


def unfinished_line(found: Unfinished, now: float) -> str:
    """One line for the overview."""
    title = clean(found.plan.title)
    if found.is_live:
        return f"{title} goes on in another wizard: c follows it"
    return f"{title} was cut off {ago(now - found.state.last_at)}: c goes on with what is missing"


def words(found: Unfinished) -> str:
    """What is known of it, for the dialog."""
    steps = {step.id: step for step in found.plan.steps}
    open_ones = [
        f"  {now.status}  {f'{steps[name].host}: ' if steps[name].host else ''}{steps[name].title}"
        for name, now in found.state.steps.items()
        if now.status in (StepStatus.UNKNOWN, StepStatus.FAILED)
    ]
    more = [f"  and {len(open_ones) - SHOWN} more"] if len(open_ones) > SHOWN else []
    said = [found.state.said] if found.state.said else []
    lines = [f"Steps: {counts(found.state)}.", *said, *open_ones[:SHOWN], *more, "", STAYS]
    return "\n".join(clean(line) for line in lines)


def go_on(wizard: WizardApp, folder: Path) -> None:
    """Follow a run that another wizard runs, or ask whether to take it up again."""
    if wizard.run_goes_on:
        wizard.notify("another run is going on; one at a time", severity="warning", markup=False)
        return
    try:
        found = unfinished(folder)
        plan, snapshot = found.plan, wizard.snapshot
        if snapshot is not None and not snapshot.is_of(plan.cluster, plan.basis.machines):
            wizard.notify(
                f"that run was on {plan.cluster}: deiswizard resume {folder.name}",
                severity="warning",
                markup=False,
            )
            return
        if found.is_live:
            live = LiveRun(folder)
            live.start()
            wizard.show_run(live)
            return
    except WizardError as error:
        wizard.notify(str(error), severity="warning", markup=False)
        return

    def go(secrets: Mapping[str, SecretStr]) -> None:
        try:
            wizard.resume_run(found, secrets)
        except (WizardError, OSError) as error:
            wizard.notify(str(error), severity="error", markup=False)

    def chosen(choice: bool | None) -> None:
        if choice:
            with_secrets(wizard, found.plan, go)

    wizard.push_screen(
        ChoiceDialog[bool](
            f"Run {folder.name} was cut off",
            words(found),
            [("Go on with what is missing", True), ("Not now", False)],
        ),
        chosen,
    )
