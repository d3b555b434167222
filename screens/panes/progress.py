"""The sum, the steps and the failures of a run, as pure functions of the run state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

from deiswizard.plan.plan import Plan
from deiswizard.plan.step import Step, WaitStep
from deiswizard.run.follow import GIVE_UP_SECONDS
from deiswizard.run.state import CopyState, PullState, RunState, StepState
from deiswizard.screens.text import cut, fit, hanging, in_bytes, in_time
from deiswizard.screens.theme import STYLES, Symbols
from deiswizard.vocabulary import RunStatus, StepStatus

Row = tuple[str, str]
"""A line and its style."""

RANK = {
    StepStatus.FAILED: 0,
    StepStatus.UNKNOWN: 1,
    StepStatus.RUNNING: 2,
    StepStatus.WARNING: 3,
    StepStatus.WAITING: 4,
    StepStatus.BLOCKED: 5,
    StepStatus.SKIPPED: 6,
    StepStatus.DONE: 7,
}


RECONNECTING = (
    "connecting again; what was begun there goes on",
    "connecting again, it goes on",
    "connecting again",
)
"""Of a host out of reach: the first that fits."""


@dataclass(frozen=True)
class Totals:
    """Bytes over all pulls, or of the copy that goes on: so far, in all as far as is known, and the
    rate now.
    """

    current: int
    total: int | None
    rate: float


def totals(state: RunState) -> Totals:
    """Summed over every image; the total is None until each pull of the plan knows its own."""
    pulls = [pull for step in state.steps.values() for pull in step.pulls.values()]
    begun = {name for name, step in state.steps.items() if step.pulls or step.status.is_final}
    to_come = state.plan is not None and any(
        step.kind == "pull" and step.id not in begun for step in state.plan.steps
    )
    known = [pull.total for pull in pulls if pull.present is None]
    copies = [step.copied for step in state.steps.values() if step.copied is not None]
    if copies:
        going = [
            step.copied
            for step in state.steps.values()
            if step.copied is not None and step.status is StepStatus.RUNNING
        ]
        shown = going or copies[-1:]
        return Totals(
            sum(copy.current for copy in shown),
            None if any(copy.total is None for copy in shown) else sum(c.total or 0 for c in shown),
            sum(copy.rate for copy in going),
        )
    running = [
        pull.rate
        for step in state.steps.values()
        if step.status is StepStatus.RUNNING
        for pull in step.pulls.values()
    ]
    total = (
        None
        if not pulls or to_come or None in known
        else sum(pull.total or pull.current for pull in pulls)
    )
    return Totals(sum(pull.current for pull in pulls), total, sum(running))


def headline(state: RunState, now: float) -> str:
    """Stage, elapsed, what is waited for and for how long at most."""
    plan = state.plan
    if plan is None:
        return "starting"
    stages = [stage.id for stage in plan.stages]
    number = stages.index(state.stage) + 1 if state.stage in stages else 0
    title = next(
        (s.title for s in plan.stages if s.id == state.stage), "checking that the plan still holds"
    )
    elapsed = in_time((state.finished_at or now) - (state.started_at or now))
    if state.finished_at is not None:
        return f"{state.status} after {elapsed}" + (f": {state.said}" if state.said else "")
    if not number:
        is_locking = state.lock is None and not plan.is_empty
        words = ("taking the lock of the cluster" if is_locking else title) + f"   {elapsed}"
    else:
        words = f"stage {number} of {len(stages)}: {title}   {elapsed}"
    if state.verifying:
        return f"looking at the cluster again (45 s at most)   {elapsed}"
    if state.recording_ended:
        return f"nothing more can be recorded here: stopping after what is going on now   {elapsed}"
    if state.lock_lost:
        return f"{state.lock_lost}: stopping after what is going on now   {elapsed}"
    if state.stop_requested:
        return f"stopping after what is going on now   {elapsed}"
    if state.status is RunStatus.NEEDS_DECISION:
        return f"{words}   waiting for your decision"
    if state.lock_unconfirmed is not None:
        left = in_time(max(0, state.lock_unconfirmed - now))
        return f"{words}   etcd does not confirm the lock: {left} left"
    running = {s.host for s in plan.steps if state.steps[s.id].status is StepStatus.RUNNING}
    if lost := [host for host in state.lost if host in running]:
        first = min(lost, key=lambda host: state.lost[host])
        which = first if len(lost) == 1 else f"{len(lost)} hosts"
        since = in_time(max(0, now - state.lost[first]))
        return f"{words}   connecting again to {which}: {since} of {in_time(GIVE_UP_SECONDS)}"
    waits = [
        step
        for step in plan.steps
        if isinstance(step, WaitStep) and state.steps[step.id].status is StepStatus.RUNNING
    ]
    if waits:
        began = state.steps[waits[0].id].started_at or now
        what = waits[0].waiting_for if len(waits) == 1 else f"{len(waits)} hosts"
        words += (
            f"   waiting for {what}: {in_time(max(0, now - began))} of {waits[0].timeout:.0f} s"
        )
    return words


def overall(state: RunState, now: float, width: int, symbols: Symbols) -> list[Row]:
    """One bar over the steps, the bytes where images are pulled; the bar takes what is left."""
    count = len(state.steps) or 1
    done = sum(step.status.is_final for step in state.steps.values())
    sums = totals(state)
    words = [f"{done} of {count} steps"]
    if sums.current:
        words.append(in_bytes(sums.current) + (f" of {in_bytes(sums.total)}" if sums.total else ""))
        if sums.rate and state.finished_at is None:
            words.append(f"{in_bytes(sums.rate)}/s")
            if sums.total and sums.total > sums.current:
                words.append(f"about {in_time((sums.total - sums.current) / sums.rate)} left")
    text = "   ".join(words)
    if len(text) + 22 > width:
        text = "  ".join(words).replace("about ", "")
    bar = symbols.bar(done / count, max(8, min(36, width - len(text) - 14)))
    return [
        (cut(f" all hosts  {bar}  {text}", width), "bold"),
        (cut(f" {headline(state, now)}", width), ""),
    ]


def pull_words(pull: PullState, is_running: bool, width: int, symbols: Symbols) -> str:
    """Bar, bytes, rate, time left, layers: the first of them that fit."""
    layers = f"{pull.layers_done}/{len(pull.layers)} layers"
    if not pull.total:
        return f"{in_bytes(pull.current)}  {layers}" if pull.layers else "asked for"
    words = [f"{pull.current / 1e6:.0f}/{in_bytes(pull.total)}"]
    if is_running and pull.rate:
        words.append(f"{in_bytes(pull.rate)}/s")
        if pull.seconds_left is not None:
            words.append(in_time(pull.seconds_left))
    words.append(layers)
    while len(words) > 1 and len("  ".join(words)) + 6 > width:
        words.pop()
    text = "  ".join(words)
    return (
        f"{symbols.bar(pull.current / pull.total, max(4, min(15, width - len(text) - 2)))} {text}"
    )


def copy_words(copy: CopyState, is_running: bool, width: int, symbols: Symbols) -> str:
    """Bar, bytes, rate, time left, objects: the first of them that fit."""
    total = copy.total if copy.total and copy.total >= copy.current else None
    words = [in_bytes(copy.current) + (f" of {in_bytes(total)}" if total else "")]
    if is_running and copy.rate:
        words.append(f"{in_bytes(copy.rate)}/s")
        if copy.seconds_left is not None:
            words.append(in_time(copy.seconds_left))
    if copy.of_items:
        words.append(f"{copy.items}/{copy.of_items} objects")
    while len(words) > 1 and len("  ".join(words)) + (6 if total else 0) > width:
        words.pop()
    text = "  ".join(words)
    if not total:
        return text
    return f"{symbols.bar(copy.current / total, max(4, min(15, width - len(text) - 2)))} {text}"


def _row(step: Step, state: StepState, lost: Container[str], width: int, symbols: Symbols) -> Row:
    name_width = 34 if width >= 110 else 26
    what = step.title.removeprefix("pull ")
    left = f" {symbols.of(state.status)} {fit(state.status, 8)}{fit(step.host, 11)} {fit(what, name_width)} "
    room = width - len(left)
    if step.host in lost and state.status is StepStatus.RUNNING:
        right = next((words for words in RECONNECTING if len(words) <= room), RECONNECTING[-1])
    elif state.status is StepStatus.RUNNING and state.copied is not None:
        right = copy_words(state.copied, True, room, symbols)
    elif state.status is StepStatus.RUNNING and state.pulls and step.kind != "wait":
        running = [p for p in state.pulls.values() if p.present is None]
        pull = running[-1] if running else list(state.pulls.values())[-1]
        name = pull.image.rpartition("/")[2] + " " if step.kind == "job" else ""
        right = name + pull_words(pull, True, room - len(name), symbols)
    elif state.status is StepStatus.RUNNING:
        right = state.said or state.last_line
    elif state.status is StepStatus.DONE:
        right = (
            in_time((state.finished_at or 0) - (state.started_at or 0))
            if not state.said
            else state.said
        )
    else:
        right = state.said.removeprefix(f"{what}: ")
    return left + cut(right, max(0, room)), STYLES.get(state.status, "")


def rows(plan: Plan, state: RunState, width: int, height: int, symbols: Symbols) -> list[Row]:
    """Steps of the current stage (all, once it has ended), worst first, folded to the height."""
    stage = next((s for s in plan.stages if s.id == state.stage), None)
    steps = list(plan.steps) if stage is None or state.finished_at else list(stage.steps)
    known = [(step, state.steps.get(step.id, StepState())) for step in steps]
    known.sort(key=lambda pair: RANK[pair[1].status])
    active = [pair for pair in known if RANK[pair[1].status] < RANK[StepStatus.WAITING]]
    shown = active[: max(1, height - 1)]
    rest = known[len(shown) :]
    if len(shown) < height - 1:
        extra = rest[: height - 1 - len(shown)]
        if len(rest) <= height - len(shown):
            extra = rest
        shown, rest = shown + extra, rest[len(extra) :]
    out = [_row(step, now, state.lost, width, symbols) for step, now in shown]
    if rest:
        counted = Counter(now.status for _, now in rest)
        words = "   ".join(f"{count} {status}" for status, count in counted.items())
        out.append((cut(f"   {symbols.waiting} {words}", width), "dim"))
    return out


def problems(plan: Plan, state: RunState) -> list[tuple[Step, StepState]]:
    """Steps that wait for a decision, in the plan's order."""
    bad = (StepStatus.FAILED, StepStatus.UNKNOWN)
    return [
        (step, state.steps[step.id]) for step in plan.steps if state.steps[step.id].status in bad
    ]


def _when(state: RunState) -> str:
    """When the operator can decide on a failed step, and by which keys."""
    if state.status is RunStatus.NEEDS_DECISION:
        return "r tries again, s leaves it out"
    if state.finished_at is None:
        return "you decide when the rest of this stage has ended"
    return "resume tries again"


def card(plan: Plan, state: RunState, chosen: int, width: int) -> list[Row]:
    """The failure under the cursor: what, what it said, how things stand, what to do."""
    found = problems(plan, state)
    if not found:
        return []
    step, now = found[chosen % len(found)]
    complete = sum(s.status is StepStatus.DONE for s in state.steps.values())
    where = f"{step.host}: " if step.host else ""
    said = now.said.removeprefix(f"{step.title.removeprefix('pull ')}: ")
    more = f"   ({chosen % len(found) + 1} of {len(found)}, n next)" if len(found) > 1 else ""
    lines = [
        ("It said", said or "nothing"),
        ("State", f"{complete} of {len(state.steps)} steps are done and stay done"),
        ("Do", f"{now.do or 'look at that host'} ({_when(state)})"),
    ]
    return [
        (cut(f"{where}{step.title}: {now.status}{more}", width), "bold $error"),
        *((line, "") for label, words in lines for line in hanging(label, words, 9, width)),
    ]
