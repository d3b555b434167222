"""Pull steps: a job on the host holds the pull, the engine's API shows its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deiswizard.cluster.access import LayerReport
from deiswizard.cluster.docker import classify
from deiswizard.errors import CancelledError, LinkError, ServiceError, WizardError
from deiswizard.plan.step import PullStep
from deiswizard.run.context import Context, Result
from deiswizard.run.events import ImageChecked, LayerProgressed, OutputReceived
from deiswizard.run.follow import Follower
from deiswizard.run.jobs import ended, found_again, stopped_on_its_host
from deiswizard.run.state import StepState
from deiswizard.vocabulary import StepStatus

TRIES = 3
PAUSE = 3.0
REJOIN_SECONDS = 2.0
"""How long the job alone is watched before its layers are asked for again."""

LOOK_AGAIN = "try again: it looks whether the image is there, and pulls it if not"

LAYER_SECONDS = 0.25
"""A layer's bytes are told four times a second at most; its changes of state always."""


def pull(step: PullStep, context: Context, before: StepState) -> Result:
    """Pull, again after a pause when the registry or the network was at fault; then look.

    An image that is there already needs no pull: after a reboot, say, or when another has done it.
    """
    follower = Follower(step, context)
    with stopped_on_its_host(follower, context):
        is_taken_up = before.job is not None and not found_again(follower, step, context, before)
        for attempt in range(1, TRIES + 1):
            if not is_taken_up:
                unit = context.unit(step.id, before.attempt + 1)
                follower.begin(f"{unit}-{attempt}" if attempt > 1 else unit, step.command)
            is_taken_up = False
            result = _watched(step, context, follower)
            if result.status is StepStatus.DONE:
                break
            error, may_help = classify(step.image, result.said)
            if attempt == TRIES or not may_help:
                if result.code is None:  # not the engine's words: the host was rebooted, say
                    return Result(result.status, result.said, LOOK_AGAIN, tidy=result.tidy)
                return Result(result.status, str(error), error.do, result.code, result.tidy)
            if result.tidy is not None:
                result.tidy()
            _pause(step, context, error, attempt + 1, PAUSE * attempt)
    return _checked(step, context, result)


def _watched(step: PullStep, context: Context, follower: Follower) -> Result:
    """Follow the pull to its end: layers while the engine tells them, and the job's own output."""
    last: list[str] = []

    def on_lines(lines: Sequence[str]) -> None:
        last[:] = [line for line in (*last, *lines) if line.strip()][-1:]

    while True:
        try:
            context.access.docker(step.host).pull(
                step.image, _teller(step, context), context.interrupted
            )
            patience = None
        except CancelledError:
            raise
        except ServiceError:
            patience = None  # the job meets the same, and says it in the engine's words
        except LinkError:
            patience = REJOIN_SECONDS
        look = follower.watch(on_lines, patience)
        if look is not None:
            return ended(look, last, follower)


def _teller(step: PullStep, context: Context) -> Callable[[LayerReport], None]:
    told: dict[str, tuple[str, float]] = {}

    def on_layer(report: LayerReport) -> None:
        now = context.clock()
        state, at = told.get(report.layer, ("", 0.0))
        if report.state == state and now - at < LAYER_SECONDS:
            return
        told[report.layer] = (report.state, now)
        context.emit(
            LayerProgressed(
                at=now,
                step=step.id,
                image=step.image,
                layer=report.layer,
                state=report.state,
                current=report.current,
                total=report.total,
            )
        )

    return on_layer


def _pause(
    step: PullStep, context: Context, why: WizardError, attempt: int, seconds: float
) -> None:
    line = f"try {attempt} of {TRIES} in {seconds:.0f} s, because {why}"
    context.emit(
        OutputReceived(
            at=context.clock(), step=step.id, host=step.host, stream="err", lines=(line,)
        )
    )
    if context.interrupted.wait(seconds):
        raise CancelledError(f"stopped before {step.image} was asked for again")


def _checked(step: PullStep, context: Context, result: Result) -> Result:
    """Only what the engine shows is there."""
    try:
        found = context.access.docker(step.host).inspect(step.image)
    except WizardError as error:
        return Result(StepStatus.UNKNOWN, str(error), error.do, tidy=result.tidy)
    context.emit(
        ImageChecked(at=context.clock(), step=step.id, image=step.image, present=found is not None)
    )
    if found is None:
        said = f"the engine said it pulled {step.image}, but it is not there"
        return Result(StepStatus.FAILED, said, tidy=result.tidy)
    return Result(StepStatus.DONE, tidy=result.tidy)
