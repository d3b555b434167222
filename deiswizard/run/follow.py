"""Keeping hold of a job on a host: started once, watched over any connection, found again.

What is needed to find it is on disk before it is started. A link that breaks is made again while
the job goes on, and its output is read on from where it was: no line is lost, none comes twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from deiswizard.cluster.access import CommandResult
from deiswizard.cluster.jobs import (
    BOOT_ID,
    Job,
    JobLook,
    JobState,
    forget_command,
    looked,
    new_look,
    prepared,
    start_command,
    stop_command,
)
from deiswizard.errors import CancelledError, LinkError, StepError
from deiswizard.plan.step import JobStep, PullStep
from deiswizard.run.context import Context
from deiswizard.run.events import HostLost, HostReturned, JobPrepared, JobStarted, OutputReceived
from deiswizard.vocabulary import JobWay

ASK_SECONDS = 30.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
"""Seconds between two looks at a job that says nothing: most are done soon, or take long."""

TALKING_PAUSE = 0.2
"""Seconds until the next look at one that says something."""

LONGEST_RECONNECT = 30.0
GIVE_UP_SECONDS = 600.0
"""How long a host may be out of reach before its job is left as unknown."""

LAST_WORDS_SECONDS = 15.0
"""How long the last lines of a job that has ended may take into the host's journal."""

Lines = Callable[[Sequence[str]], None]


class Follower:
    """One step's job. Blocks the calling thread; ends early when the run is stopped or left."""

    def __init__(self, step: JobStep | PullStep, context: Context) -> None:
        self._step = step
        self._context = context
        self._lost_at: float | None = None
        self.job: Job | None = None

    @property
    def _is_root(self) -> bool:
        """A unit is the system's; what setsid keeps is the user's own."""
        return self._step.way is JobWay.UNIT

    def _run(
        self, command: str, timeout: float = ASK_SECONDS, quick: bool = False
    ) -> CommandResult:
        return self._context.access.host(self._step.host).run(
            command,
            sudo=self._is_root,
            timeout=timeout,
            cancel=None if quick else self._context.interrupted,
        )

    def begin(self, unit: str, command: str) -> None:
        """Start a job of that name.

        Raises:
            LinkError: the host was out of reach before anything was started there.
            StepError: the host would not start it.
            CancelledError: the run is being stopped or left.
        """
        said = self._run(BOOT_ID)
        job = prepared(unit, self._step.way, said.out)
        if job is None:
            raise StepError(
                f"{self._step.host} did not say in which boot it is",
                said=said.err.strip() or said.why,
                state="nothing was started",
                do="try again",
            )
        self.job = job
        self._context.emit(
            JobPrepared(at=self._context.clock(), step=self._step.id, host=self._step.host, job=job)
        )
        self.start(command)

    def start(self, command: str) -> None:
        """Start the prepared job, at most once however often the link breaks. Raises as ``begin``."""
        assert self.job is not None
        while True:
            try:
                result = self._run(start_command(self.job, command, self._step.title))
                why = (result.err or result.out).strip()
            except LinkError as error:
                result, why = CommandResult(None), str(error)
            if result.ok or self.look().state is not JobState.MISSING:
                self._context.emit(JobStarted(at=self._context.clock(), step=self._step.id))
                return
            if result.code is not None:
                raise StepError(
                    f"{self._step.host} would not start the job",
                    said=why,
                    state="nothing was started",
                    do=f"look at that host: systemctl status {self.job.unit}"
                    if self._is_root
                    else "look at that host",
                )

    def look(self) -> JobLook:
        """One look, over whatever connection there is; waits for one when there is none.

        Raises:
            LinkError: the host was out of reach for too long; the job goes on there.
        """
        assert self.job is not None
        pause = 1.0
        while True:
            command, marker = new_look(self.job)
            try:
                result = self._run(command)
                look, why = looked(self.job, marker, result.out), result.why
            except LinkError as error:
                look, why = None, str(error)
            if look is not None:
                self._returned()
                return look
            self._still_lost(why or "the host's answer was cut off")
            self._pause(pause * random.uniform(0.7, 1.3))
            pause = min(pause * 2, LONGEST_RECONNECT)

    def _still_lost(self, why: str) -> None:
        host, now = self._step.host, time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            said = f"{why}. Reconnecting; what was begun there goes on"
            self._context.emit(HostLost(at=self._context.clock(), host=host, said=said))
        if now - self._lost_at > GIVE_UP_SECONDS:
            raise LinkError(
                host,
                f"{host} was out of reach for {GIVE_UP_SECONDS / 60:.0f} minutes",
                said=why,
                state="not known: what was begun there goes on",
                do="bring the host back into reach, then try again: its job is found again",
            )

    def _returned(self) -> None:
        if self._lost_at is not None:
            self._lost_at = None
            self._context.emit(HostReturned(at=self._context.clock(), host=self._step.host))

    def _pause(self, seconds: float) -> None:
        if self._context.interrupted.wait(seconds):
            raise CancelledError("stopped following a job", state="it goes on on its host")

    def watch(self, on_lines: Lines, seconds: float | None = None) -> JobLook | None:
        """Hand on what the job prints until it has ended; None when ``seconds`` have passed.

        Raises as ``look``; CancelledError when the run is stopped or left.
        """
        began = time.monotonic()
        pause, ended_at = FIRST_PAUSE, None
        while True:
            look = self.look()
            self._hand_on(look, on_lines)
            now = time.monotonic()
            if look.state is not JobState.RUNNING:
                ended_at = ended_at or now
                if look.is_whole or now - ended_at > LAST_WORDS_SECONDS:
                    return look
            if seconds is not None and now - began > seconds:
                return None
            if look.lines:
                pause = TALKING_PAUSE
            self._pause(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _hand_on(self, look: JobLook, on_lines: Lines) -> None:
        assert self.job is not None
        self.job = self.job.model_copy(update={"cursor": look.cursor})
        if look.lines:
            self._context.emit(
                OutputReceived(
                    at=self._context.clock(),
                    step=self._step.id,
                    host=self._step.host,
                    lines=look.lines,
                    cursor=look.cursor,
                )
            )
            on_lines(look.lines)

    def end_on_host(self) -> bool:
        """Stop the job on its host, in one try; whether the host confirmed it."""
        assert self.job is not None
        try:
            return self._run(stop_command(self.job), quick=True).ok
        except LinkError:
            return False

    def forget(self) -> None:
        """Clear away what is left of a job whose end is recorded; in one try, it does no harm."""
        if self.job is None:
            return
        try:
            self._run(forget_command(self.job), quick=True)
        except LinkError:
            return
