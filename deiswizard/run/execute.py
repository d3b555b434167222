"""Doing one step: the only code that changes a host or a key."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from deiswizard.cluster.access import ClusterAccess, LayerReport
from deiswizard.cluster.docker import classify
from deiswizard.cluster.probe_script import parse_df
from deiswizard.errors import (
    CancelledError,
    LinkError,
    PlanStaleError,
    PullError,
    StepError,
    WizardError,
)
from deiswizard.plan.conditions import CommandSays, DiskRoom, ImagePresent, KeyIs
from deiswizard.plan.step import (
    SECRET,
    CommandStep,
    GuardStep,
    PullStep,
    RemoveKeyStep,
    Step,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.run.events import Event, ImageChecked, LayerProgressed, OutputReceived, WaitPolled
from deiswizard.run.progress import READERS
from deiswizard.vocabulary import StepStatus

PULL_TRIES = 3
PULL_PAUSE = 3.0
ASK_SECONDS = 30.0
"""How long a wait's question may take; a guard's has the time of its step."""

LAYER_SECONDS = 0.25
"""A layer's bytes are told four times a second at most; its changes of state always."""


@dataclass(frozen=True)
class Result:
    """How a step ended."""

    status: StepStatus
    said: str = ""
    do: str = ""
    code: int | None = None


DONE = Result(StepStatus.DONE)


@dataclass(frozen=True)
class Context:
    """What a step may use. ``cancel`` set means stop now."""

    access: ClusterAccess
    emit: Callable[[Event], None]
    secrets: Mapping[str, SecretStr]
    cancel: threading.Event
    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    def filled(self, text: str) -> str:
        """``text`` with its secrets put in. Raises StepError for one that is not known."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self.secrets:
                raise StepError(f"the secret '{match[1]}' was not given", do="enter it again")
            return self.secrets[match[1]].get_secret_value()

        return SECRET.sub(value, text)


def execute(step: Step, context: Context) -> Result:
    """Do one step and say how it ended.

    Raises:
        CancelledError: stopped; how far it got on the host is not known. No other WizardError.
    """
    try:
        match step:
            case CommandStep():
                return _command(step, context)
            case UploadStep():
                return _upload(step, context)
            case WriteKeyStep():
                context.access.etcd().put(step.key, context.filled(step.value), expect=step.expect)
                return DONE
            case RemoveKeyStep():
                context.access.etcd().remove(step.key, expect=step.expect)
                return DONE
            case PullStep():
                return _pull(step, context)
            case WaitStep():
                return _wait(step, context)
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
        changes = isinstance(step, WriteKeyStep | RemoveKeyStep | UploadStep)
        status = StepStatus.UNKNOWN if changes or isinstance(step, PullStep) else StepStatus.FAILED
        return Result(status, str(error), error.do)
    except WizardError as error:
        unknown = error.state.startswith("not known")
        return Result(
            StepStatus.UNKNOWN if unknown else StepStatus.FAILED,
            str(error),
            error.do or error.state,
        )


def _command(step: CommandStep, context: Context) -> Result:
    reader = (
        READERS[step.progress](step.id, context.images.get(step.host, ()), context.clock)
        if step.progress
        else None
    )
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
        for line in lines:
            if reader is not None and (event := reader.read(line)) is not None:
                context.emit(event)

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


def _upload(step: UploadStep, context: Context) -> Result:
    host = context.access.host(step.host)
    if step.expect is not None:
        there = host.checksum(step.path, sudo=step.sudo) or ""
        if there != step.expect:
            what = "removed" if not there else "changed" if step.expect else "made"
            raise PlanStaleError((f"{step.path} on {step.host} was {what} since",))
    host.upload(step.path, context.filled(step.content).encode(), mode=step.mode, sudo=step.sudo)
    return DONE


def _pull(step: PullStep, context: Context) -> Result:
    """Pull, again after a pause when the registry or the network was at fault; then look."""
    docker = context.access.docker(step.host)
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

    for attempt in range(1, PULL_TRIES + 1):
        try:
            docker.pull(step.image, on_layer, context.cancel)
            break
        except PullError as error:
            if attempt == PULL_TRIES or not classify(step.image, error.said)[1]:
                return Result(StepStatus.FAILED, str(error), error.do)
            again = f"{error}; try {attempt + 1} of {PULL_TRIES} in {PULL_PAUSE * attempt:.0f} s"
            context.emit(
                OutputReceived(
                    at=context.clock(), step=step.id, host=step.host, stream="err", lines=(again,)
                )
            )
            if context.cancel.wait(PULL_PAUSE * attempt):
                raise CancelledError(f"stopped before {step.image} was asked for again") from error
    found = docker.inspect(step.image)
    context.emit(
        ImageChecked(at=context.clock(), step=step.id, image=step.image, present=found is not None)
    )
    if found is None:
        return Result(
            StepStatus.FAILED, f"the engine said it pulled {step.image}, but it is not there"
        )
    return DONE


def _wait(step: WaitStep, context: Context) -> Result:
    deadline = time.monotonic() + step.timeout
    while True:
        holds, saw = holds_now(step.condition, context)
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
        if context.cancel.wait(min(step.interval, left)):
            return Result(StepStatus.UNKNOWN, f"stopped waiting for {step.waiting_for}")


def holds_now(
    condition: CommandSays | KeyIs | ImagePresent | DiskRoom,
    context: Context,
    timeout: float = ASK_SECONDS,
) -> tuple[bool | None, str]:
    """Whether a condition holds (None: it could not be asked), and what was seen."""
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
                return disk.free >= condition.needed, f"{disk.free / 1e9:.1f} GB free"
            case CommandSays():
                result = context.access.host(condition.host).run(
                    condition.command, sudo=condition.sudo, timeout=timeout, cancel=context.cancel
                )
                saw = (result.out or result.err).strip()
                if result.code is None:
                    return None, result.why
                holds = result.ok and re.search(condition.pattern, result.out) is not None
                return holds, " / ".join(saw.splitlines()[-3:])
    except (LinkError, WizardError) as error:
        return None, str(error)
