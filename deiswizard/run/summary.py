"""How far a run got, in words: what ``deiswizard show`` prints."""

from __future__ import annotations

import time
from collections.abc import Iterator

from deiswizard.run.state import RunState
from deiswizard.vocabulary import RunStatus, StepStatus


def counts(state: RunState) -> str:
    """``24 done, 3 running, 2 failed``; only what there is."""
    parts = [f"{n} {status}" for status in StepStatus if (n := state.count(status))]
    return ", ".join(parts) or "no steps"


def headline(state: RunState) -> str:
    """One sentence on the run as a whole."""
    plan = state.plan
    title = plan.title if plan else "?"
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started_at or 0))
    cluster = plan.cluster if plan else "?"
    return f"run {state.run}: {title} on {cluster}, begun {began}: {state.status}"


def lines(state: RunState) -> Iterator[str]:
    """The whole story: the headline, each host's steps, the checks, what is open."""
    yield headline(state)
    if state.said:
        yield f"  {state.said}"
    for difference in state.differences:
        yield f"  changed meanwhile: {difference}"
    yield f"  steps: {counts(state)}"
    plan = state.plan
    for stage in plan.stages if plan else ():
        yield f"  {stage.title}"
        for step in stage.steps:
            now = state.steps[step.id]
            where = f"{step.host}: " if step.host else ""
            said = f" ({now.said})" if now.said else ""
            pulls = "".join(
                f" [{pull.layers_done} of {len(pull.layers)} layers]"
                for pull in now.pulls.values()
                if pull.layers and pull.present is None
            )
            yield f"    {now.status:8} {where}{step.title}{pulls}{said}"
    for check in state.checks:
        word = {True: "ok", False: "NOT ok", None: "not checked"}[check.ok]
        yield f"  check: {word}: {check.title}" + (f" ({check.evidence})" if check.evidence else "")
    if state.status is RunStatus.INTERRUPTED:
        yield "  The wizard ended before the run did. Look again: what is done stays done, and a new"
        yield "  plan holds only what is missing."
