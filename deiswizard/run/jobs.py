"""Job steps: begun once, found again after whatever happened in between."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.jobs import JobLook, JobState
from deiswizard.errors import CancelledError
from deiswizard.plan.step import JobStep, PullStep
from deiswizard.run.context import Context, Result
from deiswizard.run.events import JobGone
from deiswizard.run.follow import Follower
from deiswizard.run.progress import READERS
from deiswizard.run.state import StepState
from deiswizard.vocabulary import StepStatus

KEPT_LINES = 5
ASK_AGAIN = "look at that host; trying again starts it anew there"


def run_job(step: JobStep, context: Context, before: StepState) -> Result:
    """Start the job or, when ``before`` holds one, go on with that; wait for its end."""
    follower = Follower(step, context)
    reader = (
        READERS[step.progress](step.id, context.images.get(step.host, ()), context.clock)
        if step.progress
        else None
    )
    last: list[str] = []

    def on_lines(lines: Sequence[str]) -> None:
        last[:] = [*last, *(line for line in lines if line.strip())][-KEPT_LINES:]
        for line in lines:
            if reader is not None and (event := reader.read(line)) is not None:
                context.emit(event)

    with stopped_on_its_host(follower, context):
        if before.job is not None:
            gone = found_again(follower, step, context, before)
            if gone:
                return Result(StepStatus.UNKNOWN, gone, ASK_AGAIN)
        else:
            follower.begin(context.unit(step.id, before.attempt + 1), step.command)
        look = follower.watch(on_lines)
    assert look is not None, "it was watched without a limit"
    return ended(look, last, follower)


def found_again(
    follower: Follower, step: JobStep | PullStep, context: Context, before: StepState
) -> str:
    """Take up a job that an earlier attempt has left. Starts it if the host never did.

    Answers why it cannot be taken up, in words; empty when it was.
    """
    assert before.job is not None
    follower.job = before.job
    look = follower.look()
    if look.state is JobState.REBOOTED:
        said = f"{step.host} was rebooted since; whether the job had ended is not known"
    elif look.state is JobState.MISSING and before.has_job_begun:
        said = f"somebody has cleared the job {before.job.unit} away on {step.host}"
    else:
        if look.state is JobState.MISSING:
            follower.start(step.command)
        return ""
    context.emit(JobGone(at=context.clock(), step=step.id, said=said))
    return said


def ended(look: JobLook, last: Sequence[str], follower: Follower) -> Result:
    """How a job ended, from its host's own word."""
    if look.state is JobState.REBOOTED:
        return Result(
            StepStatus.UNKNOWN, "the host was rebooted while the job ran on it", ASK_AGAIN
        )
    if look.code == 0:
        return Result(StepStatus.DONE, code=0, tidy=follower.forget)
    if look.code is None:
        why = look.why or "it ended, and the host does not say how"
        return Result(StepStatus.FAILED, why, ASK_AGAIN, tidy=follower.forget)
    said = " / ".join(last) or f"exit status {look.code}"
    return Result(StepStatus.FAILED, said, code=look.code, tidy=follower.forget)


class stopped_on_its_host:
    """Ends the job on its host when the operator says stop now; leaves it when they only leave."""

    def __init__(self, follower: Follower, context: Context) -> None:
        self._follower = follower
        self._context = context

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, CancelledError) or self._follower.job is None:
            return
        if not self._context.cancel.is_set():
            return
        is_ended = self._follower.end_on_host()
        raise CancelledError(
            "stopped",
            state="the job was ended on its host"
            if is_ended
            else "the host could not be told; the job may go on there",
        ) from error
