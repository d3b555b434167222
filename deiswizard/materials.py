"""What a plan needs of this machine when it runs: files read again, secrets given again.

A plan holds neither. Its choices are made once more from what it recorded; what was read must still
be what it was made with; a secret that was typed is typed again, or taken from the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from deiswizard.answers import build
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Choices, FormField, Problem, Recommendation

VARIABLE = "DEISWIZARD_SECRET_"

AskSecret = Callable[[FormField], SecretStr | None]
"""Asks for what was typed into a field of kind secret; None: there is nobody to ask."""


@dataclass(frozen=True)
class Prepared:
    """A plan, and the secrets that its steps need, by name."""

    plan: Plan
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)


def variable_of(name: str) -> str:
    """The environment variable that a secret, or a field of kind secret, is taken from."""
    return VARIABLE + re.sub(r"[^A-Z0-9]", "_", name.upper())


def from_environment(asked: FormField) -> SecretStr | None:
    """The secret of a field, where the environment has it."""
    value = os.environ.get(variable_of(asked.name), "")
    return SecretStr(value) if value else None


def secret_fields(recommendation: Recommendation) -> tuple[FormField, ...]:
    """The fields into which secrets are typed."""
    return tuple(asked for asked in recommendation.fields if asked.kind == "secret")


def secrets_in(recommendation: Recommendation, choices: Choices) -> dict[str, SecretStr]:
    """What choices hold of secrets: by their names in steps, and what was typed, by field."""
    found = dict(recommendation.secrets(choices))
    for asked in secret_fields(recommendation):
        value = getattr(choices, asked.name, None)
        if isinstance(value, SecretStr):
            found.setdefault(asked.name, value)
    return {name: secret for name, secret in found.items() if secret.get_secret_value()}


def make_plan(recommendation: Recommendation, snapshot: Snapshot, choices: Choices) -> Prepared:
    """The plan of some choices, with what it was made with. Raises PreconditionError."""
    plan = recommendation.plan(snapshot, choices)
    typed = {asked.name for asked in secret_fields(recommendation)}
    made_with = {
        "choices": {name: value for name, value in plan.choices.items() if name not in typed},
        "fingerprints": dict(recommendation.fingerprints(choices)),
    }
    return Prepared(plan.model_copy(update=made_with), secrets_in(recommendation, choices))


def choices_again(plan: Plan, secrets: Mapping[str, SecretStr]) -> Choices:
    """The choices that a plan was made from, with files read again and ``secrets`` put in.

    Raises:
        PreconditionError: they cannot be made again, or what was read is another now.
    """
    recommendation = catalogue.named(plan.recommendation)
    choices, problems = _rebuilt(recommendation, plan, secrets)
    if choices is None:
        raise PreconditionError(
            f"the choices of '{plan.title}' cannot be made again on this machine",
            said="; ".join(_words(problem) for problem in problems),
            state="nothing was changed",
            do="put back what is missing, or make a new plan",
        )
    now = recommendation.fingerprints(choices)
    _refuse_changed(plan, (name for name, was in plan.fingerprints.items() if now.get(name) != was))
    return choices


def _refuse_changed(plan: Plan, names: Iterable[str]) -> None:
    if changed := ", ".join(names):
        raise PreconditionError(
            f"{changed}: another one than the plan '{plan.title}' was made with",
            state="nothing was changed",
            do="put the former one back, or make a new plan",
        )


def to_type(plan: Plan) -> tuple[FormField, ...]:
    """The fields into which a secret must be typed before the plan can run.

    Raises:
        PreconditionError: as ``choices_again``, where typing would not help.
    """
    if not plan.secrets:
        return ()
    recommendation = catalogue.named(plan.recommendation)
    fields = secret_fields(recommendation)
    choices, problems = _rebuilt(recommendation, plan, {})
    have: dict[str, SecretStr] = {}
    if choices is not None:
        have = secrets_in(recommendation, choices)
        now, was = recommendation.fingerprints(choices), plan.fingerprints
        _refuse_changed(plan, (name for name in now if now[name] != was.get(name, now[name])))
    lacking = {variable_of(name) for name in plan.secrets if name not in have}
    blocked = {problem.field for problem in problems if problem.blocks}
    asked = tuple(f for f in fields if variable_of(f.name) in lacking or f.name in blocked)
    if not asked:
        choices_again(plan, {})
    return asked


def secrets_for(plan: Plan, ask: AskSecret = from_environment) -> dict[str, SecretStr]:
    """All secrets that a plan's steps need. Nothing is asked that a file tells.

    Raises:
        PreconditionError: one is not to be had; names the environment variable that gives it.
    """
    if not plan.secrets:
        return {}
    typed = {asked.name: ask(asked) for asked in to_type(plan)}
    given = {name: secret for name, secret in typed.items() if secret is not None}
    refuse_lacking(plan, (name for name in typed if name not in given))
    choices = choices_again(plan, given)
    found = {**given, **secrets_in(catalogue.named(plan.recommendation), choices)}
    refuse_lacking(plan, (name for name in plan.secrets if name not in found))
    return found


def refuse_lacking(plan: Plan, names: Iterable[str]) -> None:
    """Refuse a plan that lacks secrets, before anything runs. Raises PreconditionError."""
    lacking = list(names)
    if lacking:
        raise PreconditionError(
            f"'{plan.title}' needs a secret that was not given: {', '.join(lacking)}",
            state="nothing was changed",
            do="run it on a terminal to type it, or set "
            + ", ".join(variable_of(name) for name in lacking),
        )


def _rebuilt(
    recommendation: Recommendation, plan: Plan, secrets: Mapping[str, SecretStr]
) -> tuple[Choices | None, tuple[Problem, ...]]:
    raw = dict(plan.choices)
    by_variable = {variable_of(name): secret for name, secret in secrets.items()}
    for asked in secret_fields(recommendation):
        raw.pop(asked.name, None)
        if (secret := by_variable.get(variable_of(asked.name))) is not None:
            raw[asked.name] = secret
    return build(recommendation, raw)


def _words(problem: Problem) -> str:
    return f"{problem.field}: {problem.what}" if problem.field else problem.what
