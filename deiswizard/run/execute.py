"""Doing one step: the only code that changes a host or a key."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence

from deiswizard.cluster.access import EtcdAccess
from deiswizard.cluster.image_names import normalised
from deiswizard.cluster.probe_script import parse_df
from deiswizard.errors import (
    CancelledError,
    LinkError,
    NeverHoldsError,
    PlanStaleError,
    WizardError,
)
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep, RestoreStep
from deiswizard.plan.conditions import (
    CommandSays,
    Condition,
    DiskRoom,
    ImagePresent,
    KeyIs,
    UnitDone,
    UnitGone,
)
from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.plan.step import (
    CommandStep,
    DestroyUnitStep,
    GuardStep,
    JobStep,
    PullStep,
    RemoveKeyStep,
    Step,
    SubmitUnitStep,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.run.context import Context, Result
from deiswizard.run.events import OutputReceived, WaitPolled
from deiswizard.run.fleet_units import (
    LATE_SECONDS,
    ImageWatch,
    destroy,
    submit,
    unit_done,
    unit_gone,
)
from deiswizard.run.here import put_here, run_here
from deiswizard.run.jobs import run_job
from deiswizard.run.pulling import pull
from deiswizard.run.settling import DONE, settled
from deiswizard.run.state import StepState
from deiswizard.vocabulary import StepStatus

ASK_SECONDS = 30.0
"""How long a wait's question may take; a guard's has the time of its step."""

FRESH = StepState()


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
            case WriteKeyStep() | RemoveKeyStep():
                return _write(step, context, before)
            case PullStep():
                return pull(step, context, before)
            case SubmitUnitStep():
                return submit(step, context, before)
            case DestroyUnitStep():
                return destroy(step, context, before)
            case WaitStep():
                return _wait(step, context, before)
            case BackupStep() | BackupTaskStep() | RestoreStep():
                return _data(step, context)
            case HereStep():
                return run_here(step, context)
            case HereFileStep():
                return put_here(step, before)
            case GuardStep():
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
        changes = isinstance(
            step, WriteKeyStep | RemoveKeyStep | SubmitUnitStep | DestroyUnitStep | UploadStep
        )
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


def _write(step: WriteKeyStep | RemoveKeyStep, context: Context, before: StepState) -> Result:
    """Write or remove a key once; its outcome is read with a majority."""
    wanted = context.filled(step.value) if isinstance(step, WriteKeyStep) else None

    def send(etcd: EtcdAccess) -> None:
        if wanted is None:
            etcd.remove(step.key, expect=step.expect)
        else:
            etcd.put(step.key, wanted, expect=step.expect)

    return settled(
        context,
        step.id,
        f"whether {step.key} was written",
        context.access.etcd,
        is_applied=lambda etcd: _has(etcd, step.key, wanted),
        send=send,
        is_sent=before.attempt > 0,
    )


def _has(etcd: EtcdAccess, key: str, wanted: str | None) -> bool:
    """Whether a majority has the key so; None: has no such key."""
    fact = etcd.get(key, quorum=True)
    return (fact.text if fact else None) == wanted


def _wait(step: WaitStep, context: Context, before: StepState) -> Result:
    """A retry first tries what may mend a failure; what was seen before it is not believed then."""
    deadline = time.monotonic() + step.timeout
    mended_at: float | None = None
    images = ImageWatch(step, context) if isinstance(step.condition, UnitDone) else None
    while True:
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
        left = deadline - time.monotonic()
        if left <= 0:
            return Result(
                StepStatus.FAILED,
                f"waited {step.timeout:.0f} s for {step.waiting_for} in vain"
                + (f"; last seen: {saw}" if saw else ""),
                step.on_timeout,
            )
        if context.interrupted.wait(min(step.interval, left)):
            raise CancelledError(f"stopped waiting for {step.waiting_for}")


def holds_now(
    condition: Condition,
    context: Context,
    timeout: float = ASK_SECONDS,
) -> tuple[bool | None, str]:
    """Whether a condition holds (None: it could not be asked), and what was seen.

    Raises:
        NeverHoldsError: it will not, however long one waits.
    """
    try:
        match condition:
            case KeyIs():
                fact = context.access.etcd().get(condition.key)
                if fact is not None and fact.is_secret:
                    return fact.text == condition.value, ""
                seen = "absent" if fact is None else f"'{fact.value}'"
                return (
                    fact.value if fact else None
                ) == condition.value, f"{condition.key} is {seen}"
            case ImagePresent():
                found = context.access.docker(condition.host).inspect(condition.image)
                return found is not None, "" if found else f"{condition.image} is not there"
            case DiskRoom():
                answer = context.access.host(condition.host).run(f"df -P -k {condition.path}")
                disk = parse_df(answer.out)
                if disk is None:
                    return None, answer.why or answer.err.strip() or "df said nothing"
                needed = condition.needed - _there_already(condition, context)
                return disk.free >= needed, f"{disk.free / 1e9:.1f} GB free"
            case CommandSays():
                result = context.access.host(condition.host).run(
                    condition.command, sudo=condition.sudo, timeout=timeout, cancel=context.cancel
                )
                saw = (result.out or result.err).strip()
                if result.code is None:
                    return None, result.why
                holds = result.ok and re.search(condition.pattern, result.out) is not None
                return holds, " / ".join(saw.splitlines()[-3:])
            case UnitDone():
                return unit_done(condition, context)
            case UnitGone():
                return unit_gone(condition, context)
    except NeverHoldsError:
        raise
    except WizardError as error:
        return None, str(error)


def _there_already(condition: DiskRoom, context: Context) -> int:
    """Bytes of the images that need no room because the engine has them; 0 when it is not asked."""
    if not condition.images:
        return 0
    try:
        found = context.access.docker(condition.host).images()
    except WizardError:
        return 0
    there = {normalised(tag) for image in found for tag in image.tags}
    return sum(size for name, size in condition.images if normalised(name) in there)
