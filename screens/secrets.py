"""Secrets that a plan needs and that no file tells: typed in small dialogs before the run begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pydantic import SecretStr

from deiswizard.errors import WizardError
from deiswizard.materials import from_environment, secrets_for, to_type
from deiswizard.plan.plan import Plan
from deiswizard.recommendations.base import FormField
from deiswizard.screens.modals.dialog import LineDialog
from deiswizard.screens.text import clean

if TYPE_CHECKING:
    from deiswizard.screens.app import WizardApp

Go = Callable[[Mapping[str, SecretStr]], None]


def with_secrets(
    wizard: WizardApp, plan: Plan, go: Go, given: Mapping[str, SecretStr] | None = None
) -> None:
    """Call ``go`` with all secrets that the plan needs; asks for those that are not ``given``.

    Esc in a dialog leaves all as it is, and ``go`` is not called.
    """
    if given is not None and all(name in given for name in plan.secrets):
        go(given)
        return
    try:
        left = [field for field in to_type(plan) if from_environment(field) is None]
    except WizardError as error:
        wizard.notify(f"{error}. {error.do}", severity="error", markup=False)
        return
    typed: dict[str, SecretStr] = {}

    def answer(field: FormField) -> SecretStr | None:
        return typed.get(field.name) or from_environment(field)

    def next_one() -> None:
        if not left:
            try:
                secrets = secrets_for(plan, answer)
            except WizardError as error:
                wizard.notify(f"{error}. {error.do}", severity="error", markup=False)
            else:
                go(secrets)
            return
        field = left.pop(0)

        def entered(value: str | None) -> None:
            if value is not None:
                typed[field.name] = SecretStr(value)
                next_one()

        words = f"{clean(plan.title)} needs it again: it is kept in no file."
        wizard.push_screen(LineDialog(clean(field.label), words, is_secret=True), entered)

    next_one()
