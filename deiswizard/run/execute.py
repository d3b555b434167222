"""Doing one step: the only code that changes a host or a key."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from deiswizard.errors import (
    CancelledError,
    LinkError,
    NeverHoldsError,
    PlanStaleError,
    WizardError,
)
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep, RestoreStep
from deiswizard.plan.conditions import UnitDone
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.fleet_steps import (
    DestroyUnitStep,
    FleetStep,
    StartUnitStep,
    StopUnitStep,
    SubmitUnitStep,
)
from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.plan.step import (
    CommandStep,
    CopyKeyStep,
    GuardStep,
    JobStep,
    KeyStep,
    PullStep,
    RemoveKeyStep,
    Step,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.plan.store_steps import BucketStep, DatabaseStep, StoreStep
from deiswizard.plan.user_data_step import UserDataStep
from deiswizard.run.context import Context, Result
from deiswizard.run.events import OutputReceived, WaitPolled
from deiswizard.run.fleet_units import (
    LATE_SECONDS,
    ImageWatch,
    destroy,
    set_going,
    submit,
)
from deiswizard.run.here import put_here, run_here
from deiswizard.run.holding import holds_now
from deiswizard.run.jobs import run_job
from deiswizard.run.keys import change_key
from deiswizard.run.membership import change_members
from deiswizard.run.pulling import pull
from deiswizard.run.settling import DONE
from deiswizard.run.state import StepState
from deiswizard.run.user_data import make_user_data
from deiswizard.vocabulary import StepStatus

ASKED_AGAIN = 1.0
"""Seconds after which a guard that nobody could answer is asked once more: it only reads."""

FRESH = StepState()
SOON = 0.1
"""Seconds to the second question of a wait; each pause is twice the one before, up to its interval."""


def execute(step: Step, context: Context, before: StepState = FRESH) -> Result:
    """Do one step and say how it ended; ``before`` is how far an earlier attempt had got.

    Raises:
        CancelledError: stopped; how far it got on the host is not known. No other WizardError.
    """
    try:
        match step:
            case CommandStep():
                return _command(step, context)
            case JobStep():
                return run_job(step, context, before)
            case UploadStep():
                return _upload(step, context, before)
            case WriteKeyStep() | RemoveKeyStep() | CopyKeyStep():
                return change_key(step, context, before)
            case PullStep():
                return pull(step, context, before)
            case SubmitUnitStep():
                return submit(step, context, before)
            case DestroyUnitStep():
                return destroy(step, context, before)
            case StopUnitStep() | StartUnitStep():
                return set_going(step, context, before)
            case WaitStep():
                return _wait(step, context, before)
            case AddMemberStep() | RemoveMemberStep():
                return change_members(step, context, before)
            case BackupStep() | BackupTaskStep() | RestoreStep():
                return _data(step, context)
            case BucketStep() | DatabaseStep():
                return _store(step, context)
            case HereStep():
                return run_here(step, context)
            case HereFileStep():
                return put_here(step, before)
            case UserDataStep():
                return make_user_data(step)
            case GuardStep():
                holds, saw = holds_now(step.condition, context, step.timeout)
                if holds is None and not context.interrupted.wait(ASKED_AGAIN):
                    holds, saw = holds_now(step.condition, context, step.timeout)
                if holds:
                    return Result(StepStatus.DONE, saw)
                if holds is None:
                    return Result(StepStatus.UNKNOWN, saw, step.otherwise)
                return Result(StepStatus.FAILED, step.otherwise + (f" ({saw})" if saw else ""))
    except CancelledError:
        raise
    except PlanStaleError as error:
        return Result(StepStatus.FAILED, error.said, "look again and make a new plan")
    except LinkError as error:
        changes = isinstance(step, KeyStep | FleetStep | UploadStep)
        unknown = changes or error.is_outcome_unknown
        return Result(StepStatus.UNKNOWN if unknown else StepStatus.FAILED, str(error), error.do)
    except WizardError as error:
        return Result(
            StepStatus.UNKNOWN if error.is_outcome_unknown else StepStatus.FAILED,
            str(error),
            error.do or error.state,
        )


def _data(step: BackupStep | BackupTaskStep | RestoreStep, context: Context) -> Result:
    """What moves data; loaded only where there is some."""
    from deiswizard.run import backing_up, restoring

    match step:
        case BackupStep():
            return backing_up.back_up(step, context)
        case BackupTaskStep():
            return backing_up.do_task(step, context)
        case RestoreStep():
            return restoring.restore(step, context)


def _store(step: StoreStep, context: Context) -> Result:
    """The same for stores outside the cluster."""
    from deiswizard.run import stores

    match step:
        case BucketStep():
            return stores.do_bucket(step, context)
        case DatabaseStep():
            return stores.do_database(step, context)


def _command(step: CommandStep, context: Context) -> Result:
    last: list[str] = []

    def on_lines(stream: str, lines: Sequence[str]) -> None:
        last[:] = [*last, *(line for line in lines if line.strip())][-5:]
        context.emit(
            OutputReceived(
                at=context.clock(),
                step=step.id,
                host=step.host,
                stream="err" if stream == "err" else "out",
                lines=tuple(lines),
            )
        )

    if step.unless is not None:
        is_needless, saw = holds_now(step.unless, context)
        if is_needless:
            return Result(StepStatus.DONE, f"not needed: {saw}")
        if is_needless is None:
            return Result(StepStatus.FAILED, saw, "nothing was run on the host; try again")
    result = context.access.host(step.host).run(
        step.command,
        sudo=step.sudo,
        timeout=step.timeout,
        stdin=context.filled(step.stdin).encode() if step.stdin else None,
        on_lines=on_lines,
        cancel=context.cancel,
    )
    if result.code is None:
        return Result(StepStatus.UNKNOWN, result.why, "look at that host before trying again")
    if result.code:
        return Result(
            StepStatus.FAILED, " / ".join(last) or f"exit status {result.code}", code=result.code
        )
    return Result(StepStatus.DONE, code=0)


def _upload(step: UploadStep, context: Context, before: StepState) -> Result:
    host = context.access.host(step.host)
    content = context.filled(step.content).encode()
    if step.expect is not None:
        there = host.checksum(step.path, sudo=step.sudo) or ""
        if before.attempt and there == hashlib.sha256(content).hexdigest():
            return Result(StepStatus.DONE, "it had been written already")
        if there != step.expect:
            what = "removed" if not there else "changed" if step.expect else "made"
            raise PlanStaleError((f"{step.path} on {step.host} was {what} since",))
    host.upload(step.path, content, mode=step.mode, sudo=step.sudo)
    return DONE


def _wait(step: WaitStep, context: Context, before: StepState) -> Result:
    """A retry first tries what may mend a failure; what was seen before it is not believed then."""
    deadline = time.monotonic() + step.timeout
    pause = min(SOON, step.interval)
    mended_at: float | None = None
    images = ImageWatch(step, context) if isinstance(step.condition, UnitDone) else None
    while True:
        left = deadline - time.monotonic()  # before the look: one that takes long is not the last
        try:
            holds, saw = holds_now(step.condition, context)
        except NeverHoldsError as error:
            if mended_at is None and before.attempt and step.on_retry:
                context.access.host(step.host).run(step.on_retry, sudo=True)
                mended_at = time.monotonic()
            elif mended_at is None or time.monotonic() - mended_at > LATE_SECONDS:
                raise
            holds, saw = False, f"{error.what}; tried again"
        if images is not None:
            saw = ": ".join(word for word in (saw, images.look()) if word)
        if holds:
            return Result(StepStatus.DONE, saw)
        context.emit(WaitPolled(at=context.clock(), step=step.id, said=saw))
        if left <= 0:
            return Result(
                StepStatus.FAILED,
                f"waited {step.timeout:.0f} s for {step.waiting_for} in vain"
                + (f"; last seen: {saw}" if saw else ""),
                step.on_timeout,
            )
        if context.interrupted.wait(max(0.0, min(pause, deadline - time.monotonic()))):
            raise CancelledError(f"stopped waiting for {step.waiting_for}")
        pause = min(2 * pause, step.interval)
