"""The guided set-up as questions line by line: for screen readers, dumb terminals, and scripts."""

from __future__ import annotations

from typing import Any

from deiswizard.answers import first_values, judged, remember
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.commands.apply import run_plan
from deiswizard.commands.breaking import ask_to_break
from deiswizard.commands.check import as_lines
from deiswizard.commands.failing import explain
from deiswizard.commands.opening import TerminalAsker, say_progress
from deiswizard.commands.plan import text_of
from deiswizard.commands.saying import result, talk
from deiswizard.commands.secrets import ask_secret
from deiswizard.errors import LockedError
from deiswizard.inventory import Target
from deiswizard.materials import make_plan
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Choices, FormField, Recommendation
from deiswizard.run.summary import headline
from deiswizard.session import Session

YES = ("y", "yes")


def guide(target: Target, open_first: str = "") -> int:
    """Connect, then overview and recommendations until the operator quits."""
    session = Session.open(target, TerminalAsker(), say_progress)
    try:
        if open_first:
            recommendation = catalogue.named(open_first)
            _walk(session, session.look(recommendation.id), recommendation)
            return 0
        while True:
            snapshot = session.look()
            result("\n".join(as_lines(snapshot, [r.assess(snapshot) for r in catalogue.ALL], True)))
            names = ", ".join(f"{r.number} {r.id}" for r in catalogue.ALL)
            answer = _ask(f"Open which ({names}), l to look again, q to quit")
            if answer in ("q", "quit", ""):
                return 0
            if answer not in ("l", "look"):
                chosen = [r for r in catalogue.ALL if answer in (r.id, str(r.number))]
                if not chosen:
                    result(f"'{answer}' is none of: {names}")
                    continue
                _walk(session, snapshot, chosen[0])
    except EOFError:
        return 0
    finally:
        session.close()


def _ask(question: str, default: str = "") -> str:
    shown = f" [{default}]" if default else ""
    return input(f"{question}{shown}: ").strip() or default


def _walk(session: Session, snapshot: Snapshot, recommendation: Recommendation) -> None:
    """Choose, preview, run, verify."""
    result(f"\n{recommendation.title}. {recommendation.why}")
    choices = _choose(snapshot, recommendation)
    prepared = make_plan(recommendation, snapshot, choices)
    result(text_of(prepared.plan))
    if _ask("Run this? (yes or no)", "no") not in YES:
        result("nothing was changed")
        return
    try:
        holder = None if prepared.plan.no_lock else session.lock_holder()
        state = run_plan(session, prepared, snapshot, ask_to_break(holder) if holder else "")
    except LockedError as error:
        talk(explain(error))
        return
    result(headline(state))


def _choose(snapshot: Snapshot, recommendation: Recommendation) -> Choices:
    """Ask field by field until the whole is right; answers are kept for next time."""
    raw = first_values(recommendation, snapshot)
    while True:
        for form_field in recommendation.fields:
            if form_field.shown is None or form_field.shown(snapshot, raw):
                raw[form_field.name] = _field(snapshot, form_field, raw[form_field.name])
        choices, found = judged(recommendation, snapshot, raw)
        for problem in found:
            allowed = f" Allowed: {problem.allowed}." if problem.allowed else ""
            result(f"  {problem.field}: {problem.what}.{allowed}")
        if choices is not None:
            remember(snapshot.cluster, recommendation, choices)
            return choices


def _field(snapshot: Snapshot, form_field: FormField, now: Any) -> Any:
    options = form_field.options(snapshot) if form_field.options else ()
    for option in options:
        star = " (recommended)" if option.recommended else ""
        result(f"  {option.value}: {option.label} {option.note} {option.warning}{star}".rstrip())
    if form_field.explain:
        result(f"  {form_field.explain}")
    if form_field.kind in ("many", "list"):
        words = _ask(form_field.label, " ".join(now)).replace(",", " ").split()
        return [] if words == ["-"] else words
    if form_field.kind == "matrix":
        return _matrix(snapshot, form_field, now)
    if form_field.kind == "flag":
        return _ask(f"{form_field.label} (yes or no)", "yes" if now else "no") in YES
    if form_field.kind == "secret":
        typed = ask_secret(form_field)
        return now if typed is None else typed
    answer = _ask(form_field.label, str(now))
    return int(answer) if form_field.kind == "number" and answer.isdecimal() else answer


def _matrix(snapshot: Snapshot, form_field: FormField, now: dict[str, list[str]]) -> Any:
    """Row by row, then what it comes to; the row may be left as it is."""
    names = " ".join(column.value for column in form_field.columns)
    found = {}
    for row in form_field.options(snapshot) if form_field.options else ():
        words = _ask(f"{row.label}: {names}", " ".join(now.get(row.value, ())))
        found[row.value] = words.replace(",", " ").split()
    if form_field.tallies:
        sums = zip(form_field.columns, form_field.tallies(snapshot, found), strict=False)
        result("  " + ", ".join(f"{column.label} {text}" for column, text in sums))
    return found
