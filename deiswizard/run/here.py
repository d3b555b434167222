"""Steps on the machine that the wizard runs on."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from deiswizard.errors import PlanStaleError, StepError
from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.run.context import Context, Result
from deiswizard.run.events import OutputReceived
from deiswizard.run.state import StepState
from deiswizard.vocabulary import StepStatus
from deiswizard.whole_file import write_whole


def run_here(step: HereStep, context: Context) -> Result:
    """The command, by this machine's ``sh``."""
    try:
        done = subprocess.run(
            ["sh", "-c", step.command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=step.timeout,
        )
    except subprocess.TimeoutExpired:
        words = f"no end within {step.timeout:.0f} s"
        return Result(StepStatus.UNKNOWN, words, "look at this machine before trying again")
    lines = tuple((done.stdout + done.stderr).splitlines())
    if lines:
        context.emit(OutputReceived(at=context.clock(), step=step.id, lines=lines, stream="out"))
    if done.returncode:
        said = " / ".join(line for line in lines[-5:] if line.strip())
        return Result(
            StepStatus.FAILED, said or f"exit status {done.returncode}", code=done.returncode
        )
    return Result(StepStatus.DONE, code=0)


def checksum_here(path: Path) -> str:
    """sha256 of a file of this machine, empty when there is none. Raises StepError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StepError(f"{path} cannot be read", said=error.strerror or "") from error


def put_here(step: HereFileStep, before: StepState) -> Result:
    """The file, whole or not at all."""
    path = Path(step.path)
    there = checksum_here(path)
    content = None if step.content is None else step.content.encode()
    wanted = "" if content is None else hashlib.sha256(content).hexdigest()
    if there == wanted:
        return Result(StepStatus.DONE, "it is so already" if before.attempt or not wanted else "")
    if step.expect is not None and there != step.expect:
        raise PlanStaleError((f"{path} on this machine was changed since",))
    try:
        if content is None:
            path.unlink(missing_ok=True)
            return Result(StepStatus.DONE)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, mode=step.mode)
    except OSError as error:
        raise StepError(
            f"{path} cannot be written", said=error.strerror or "", do="look at the folder's rights"
        ) from error
    return Result(StepStatus.DONE)
