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
    title, cluster = (plan.title, plan.cluster) if plan else ("?", "?")
    return in_a_line(state.run, title, cluster, state.started_at or 0, state.status)


def in_a_line(run: str, title: str, cluster: str, began: float, status: str) -> str:
    """The same from what is known of a run without reading its whole journal."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began))
    return f"run {run}: {title} on {cluster}, begun {at}: {status}"


def doing(state: RunState) -> str:
    """What the run does now, for whoever meets its lock: the plan and the stage."""
    plan = state.plan
    if plan is None:
        return ""
    if state.verifying:
        return f"{plan.title}: looking at the cluster again"
    if state.status is RunStatus.NEEDS_DECISION:
        return f"{plan.title}: waiting for a decision"
    title = next((stage.title for stage in plan.stages if stage.id == state.stage), "beginning")
    return f"{plan.title}: {title}"


def lines(state: RunState) -> Iterator[str]:
    """The whole story: the headline, each host's steps, the checks, what is open."""
    yield headline(state)
    if state.said:
        yield f"  {state.said}"
    for difference in state.differences:
        yield f"  changed meanwhile: {difference}"
    if state.lock_lost and state.lock_lost not in state.said:
        yield f"  {state.lock_lost}"
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
        yield "  The wizard ended before the run did. What is done stays done; the rest goes on with:"
        yield f"  deiswizard resume {state.run}"
