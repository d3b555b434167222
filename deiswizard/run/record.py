"""The record of a run, in Markdown: what was changed, where, by whom, and how to take it back.

Made from the run state alone, so that a journal tells the same after a crash as at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from deiswizard.markdown import code, plain, table
from deiswizard.plan.plan import Change, Plan
from deiswizard.plan.step import Step, shown
from deiswizard.redaction import Redactor
from deiswizard.run.events import EVENT, Event, RunFinished, RunLeft
from deiswizard.run.journal import UNSYNCED
from deiswizard.run.masking import as_json
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState, StepState
from deiswizard.run.summary import counts
from deiswizard.run.undo import may_have_changed, why_no_undo
from deiswizard.vocabulary import Danger, RunStatus, StepStatus
from deiswizard.wording import at_time, counted, in_time

RECORD = "record.md"

Outcome = Literal["made", "not made", "not known", "was so already"]

MEANING = {
    RunStatus.RUNNING: "It is going on.",
    RunStatus.NEEDS_DECISION: "It waits for the operator's decision.",
    RunStatus.DONE: "A new look at the cluster confirmed it.",
    RunStatus.FAILED: "It did not come to its end, or a new look did not confirm it.",
    RunStatus.STOPPED: "It was stopped before its end.",
    RunStatus.REFUSED: "Nothing was changed: the cluster was no longer what the plan was made from.",
    RunStatus.INTERRUPTED: "The wizard ended before the run did. What was going on then is not known.",
}


def record(state: RunState) -> str:
    """The whole record."""
    plan = state.plan
    if plan is None:
        return "# A run that never began\n\nIts journal holds no plan. Nothing was changed.\n"
    parts = (
        _head(state, plan),
        _changes(state, plan),
        _hosts(state, plan),
        _verified(state),
        _way_back(state, plan),
        _not_known(state, plan),
        _steps(state, plan),
    )
    return "\n".join(line for part in parts for line in part).rstrip("\n") + "\n"


class RecordWriter:
    """Follows a run and writes its record when it ends. What ``redactor`` knows is masked first."""

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self._path = folder / RECORD
        self._redactor = redactor
        self._state = RunState()

    def tell(self, event: Event) -> None:
        """Take an event as the journal holds it. Raises OSError when the record cannot be written."""
        if isinstance(event, UNSYNCED):  # mere progress: nothing of it stands in the record
            return
        self._state = reduce(self._state, EVENT.validate_json(as_json(event, self._redactor)))
        if isinstance(event, RunFinished | RunLeft):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(record(self._state))


def kept_at(folder: Path) -> Path:
    """Where the operator finds what is known of a run: its record, else its folder."""
    path = folder / RECORD
    return path if path.is_file() else folder


def outcome(change: Change, state: RunState) -> Outcome:
    """Whether a change was made, as far as the steps that make it tell."""
    if change.current == change.desired:
        return "was so already"
    steps = {step.id: step for step in state.plan.steps} if state.plan else {}
    making = [steps[name] for name in change.steps if name in steps]
    making = making or [step for step in steps.values() if step.danger is not Danger.READ]
    statuses = {step.id: state.steps[step.id].status for step in making}
    if making and all(status.lets_others_go_on for status in statuses.values()):
        return "made"
    seen_missing = any(
        step.danger is Danger.READ and statuses[step.id] is StepStatus.FAILED for step in making
    )
    if not seen_missing and any(may_have_changed(step, state.steps[step.id]) for step in making):
        return "not known"
    return "not made"


def _head(state: RunState, plan: Plan) -> Iterator[str]:
    yield f"# Run {plain(state.run)}: {plain(plan.title)} on {plain(plan.cluster)}"
    yield ""
    yield f"**{state.status}**. {MEANING[state.status]}"
    yield ""
    for said in filter(None, (state.said, *state.differences)):
        yield f"- {plain(said)}"
    if state.said or state.differences:
        yield ""
    began, ended = state.started_at, state.finished_at
    took = f" (after {in_time(ended - began)})" if began is not None and ended is not None else ""
    last = at_time(state.last_at) or "nothing"
    end = at_time(ended) + took if ended is not None else f"not recorded; last heard of {last}"
    made_from = f"a look at the cluster at {at_time(plan.basis.taken_at)}"
    if plan.basis.etcd_index:
        made_from += f", etcd index {plan.basis.etcd_index}"
    rows = [
        ("Cluster", plain(plan.cluster)),
        ("By", plain(state.by) or "not recorded"),
        ("With", f"deiswizard {plain(state.wizard) or '(version not recorded)'}"),
        ("Began", at_time(began)),
        ("Ended", end),
        ("Made from", made_from),
        ("Danger", str(plan.impact.danger)),
        *(("Restarts", plain(what)) for what in plan.impact.restarts),
        *((f"Choice: {plain(name)}", code(_text(value))) for name, value in plan.choices.items()),
        *(("Note", plain(note)) for note in plan.impact.notes),
    ]
    yield from table(("", ""), rows)


def _text(value: object) -> str:
    """A choice as an answers file would have it, near enough for a reader."""
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value) or "none"
    return "not set" if value is None or value == "" else str(value)


def _changes(state: RunState, plan: Plan) -> Iterator[str]:
    yield "## What was changed"
    yield ""
    if not plan.changes:
        yield "Nothing was to be changed: everything was as wanted already."
        yield ""
        return
    found: dict[Outcome, list[Change]] = {}
    for change in plan.changes:
        found.setdefault(outcome(change, state), []).append(change)
    if "made" not in found:
        yield "No change is known to have been made."
        yield ""
    titles: tuple[tuple[Outcome, str], ...] = (
        ("made", ""),
        ("not known", "Not known: look at the cluster before anything is done again."),
        ("not made", "Planned, but not made."),
        ("was so already", "As wanted already."),
    )
    for name, title in titles:
        if name not in found:
            continue
        if title:
            yield f"{title}"
            yield ""
        yield from table(
            ("Where", "Before", "After" if name == "made" else "Wanted", "Note"),
            (
                (plain(c.where), _value(c.current), _value(c.desired), plain(c.note))
                for c in found[name]
            ),
        )


def _value(value: str | None) -> str:
    return "absent" if value is None else code(value)


def _hosts(state: RunState, plan: Plan) -> Iterator[str]:
    hosts: dict[str, list[StepState]] = {}
    for step in plan.steps:
        hosts.setdefault(step.host, []).append(state.steps[step.id])
    if not hosts:
        return
    yield "## Where"
    yield ""
    yield from table(
        ("Host", "Steps", ""),
        (
            (
                plain(host) or "the cluster (etcd)",
                _counts(steps),
                "the connection was lost" if host in state.lost else "",
            )
            for host, steps in hosts.items()
        ),
    )


def _counts(steps: Sequence[StepState]) -> str:
    statuses = [step.status for step in steps]
    return ", ".join(f"{statuses.count(s)} {s}" for s in StepStatus if s in statuses)


def _verified(state: RunState) -> Iterator[str]:
    yield "## How it was verified"
    yield ""
    if not state.checks:
        yield "It was not: no new look at the cluster was recorded."
        yield ""
        return
    yield "The cluster was looked at again after the last step."
    yield ""
    words = {True: "ok", False: "**NOT ok**", None: "could not be checked"}
    yield from table(
        ("Check", "Result", "Evidence"),
        ((plain(c.title), words[c.ok], plain(c.evidence)) for c in state.checks),
    )


def _way_back(state: RunState, plan: Plan) -> Iterator[str]:
    yield "## How to take it back"
    yield ""
    refusal = why_no_undo(state)
    if refusal is None:
        yield code(f"deiswizard undo {state.run}")
        yield ""
        yield f"It shows what it will do, and asks before. {_sentence(plan.impact.undo)}"
    elif not plan.undo:
        yield _sentence(plan.impact.undo or "there is nothing to take back")
    else:
        yield _sentence(": ".join(filter(None, (refusal.what, refusal.do))))
    yield ""
    by_hand = dict.fromkeys(
        (step.host, step.undo)
        for step in plan.steps
        if step.undo and may_have_changed(step, state.steps[step.id])
    )
    if by_hand:
        yield "By hand, step by step:"
        yield ""
        for host, undo in by_hand:
            yield f"- {plain(host) or 'etcd'}: {plain(undo)}"
        yield ""


def _sentence(words: str) -> str:
    return f"{plain(words[:1].upper() + words[1:])}." if words else ""


def _not_known(state: RunState, plan: Plan) -> Iterator[str]:
    """What nobody should take for granted."""
    lines = [
        f"{_named(step)}: {plain(now.said) or 'how far it got'}"
        for step in plan.steps
        if (now := state.steps[step.id]).status in (StepStatus.UNKNOWN, StepStatus.RUNNING)
    ]
    lines += [f"{plain(host)}: the connection was lost" for host in sorted(state.lost)]
    lines += [f"{plain(c.title)}: {plain(c.evidence)}" for c in state.checks if c.ok is None]
    if not lines:
        return
    yield "## What is not known"
    yield ""
    yield from (f"- {line}" for line in lines)
    yield ""


def _named(step: Step) -> str:
    return f"{plain(step.host)}: {plain(step.title)}" if step.host else plain(step.title)


def _steps(state: RunState, plan: Plan) -> Iterator[str]:
    yield f"## Every step: {counts(state)}"
    yield ""
    for stage in plan.stages:
        yield f"### {plain(stage.title)} ({counted(len(stage.steps), 'step')})"
        yield ""
        yield from table(
            ("Host", "Step", "Status", "Began", "Took", "Exit", "Command", "It said"),
            (_step(step, state.steps[step.id]) for step in stage.steps),
        )


def _step(step: Step, now: StepState) -> tuple[str, ...]:
    began, ended = now.started_at, now.finished_at
    took = in_time(max(0.0, ended - began)) if began is not None and ended is not None else ""
    status = str(now.status) + (f", try {now.attempt}" if now.attempt > 1 else "")
    said = plain(now.said)
    if now.skipped_by:
        said = f"left out by {plain(now.skipped_by)}: {said}"
    elif now.do and now.status is not StepStatus.DONE:
        said = f"{said}; to do: {plain(now.do)}"
    code_text = "" if now.code is None else str(now.code)
    where = plain(step.host) or "etcd"
    return (
        where,
        plain(step.title),
        status,
        at_time(began),
        took,
        code_text,
        code(shown(step)),
        said,
    )
