"""The one runner: takes a plan, runs its stages, emits events. It decides nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from deiswizard import __version__
from deiswizard.cluster.access import ClusterAccess
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import CancelledError, LockedError, WizardError
from deiswizard.plan.plan import Plan, Stage
from deiswizard.plan.step import CommandStep, Step
from deiswizard.redaction import Redactor
from deiswizard.run import events as e
from deiswizard.run.basis import NOTHING, differences, own_changes
from deiswizard.run.context import Context, Result, images_of
from deiswizard.run.execute import execute
from deiswizard.run.hub import Hub
from deiswizard.run.journal import JournalWriter
from deiswizard.run.lock import RunLock, whoami
from deiswizard.run.record import RecordWriter
from deiswizard.run.reducer import rested_on_by
from deiswizard.run.state import RunState
from deiswizard.run.summary import doing
from deiswizard.run.watching import watch_members
from deiswizard.vocabulary import RunStatus, StepStatus

FLUSH_SECONDS = 1.0
UNFINISHED = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.WAITING)
"""What keeps a stage open. A blocked step does not: it waits for one of these, or was given up
with the step that the operator left out."""

ENDED_WELL = (StepStatus.DONE, StepStatus.WARNING, StepStatus.SKIPPED)
LATE_SECONDS = 3.0
"""Between the look after a run and a second one, where something was not as it should be."""

SKIPPABLE = (StepStatus.WAITING, StepStatus.BLOCKED, StepStatus.FAILED, StepStatus.UNKNOWN)


class Run:
    """A plan being executed in threads of its own. ``is_ours``: it can be decided about here.

    ``earlier``: the events of the same run so far, when it is taken up again. What is done stays
    done; what may be going on is looked for first.

    ``interactive``: a stage that ends with failed steps waits for ``retry``, ``skip`` or ``stop``;
    otherwise the run fails there. With ``look`` and ``verify`` the cluster is looked at again, and
    only then can the run be ``done``. ``break_lock`` is the token of another run's lock that the
    operator has decided to break.
    """

    is_ours = True

    def __init__(
        self,
        plan: Plan,
        access: ClusterAccess,
        *,
        folder: Path,
        look: Callable[[], Snapshot] | None = None,
        verify: Callable[[Snapshot], tuple[e.Check, ...]] | None = None,
        secrets: Mapping[str, SecretStr] | None = None,
        keep_out: Sequence[SecretStr] = (),
        interactive: bool = False,
        break_lock: str = "",
        earlier: Sequence[e.Event] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.id = folder.name
        redactor = Redactor([*(secrets or {}).values(), *keep_out])
        self.hub = Hub(redactor)
        self.after: Snapshot | None = None
        self._access = access
        self._look = look
        self._verify = verify
        self._interactive = interactive
        self._clock = clock
        self._cancel = threading.Event()
        self._interrupted = threading.Event()
        self._stop = threading.Event()
        self._left_saying = ""
        self._is_resumed = bool(earlier)
        self._decided = threading.Condition()
        self._journal = JournalWriter(folder, redactor)
        self.hub.subscribe(RecordWriter(folder, redactor).tell)
        for event in earlier:
            self.hub.emit(event)
        self.hub.subscribe(self._journal.write)
        self._lock = RunLock(
            access,
            self.hub.emit,
            folder=folder,
            is_needed=not plan.is_empty and not plan.no_lock,
            doing=lambda: doing(self.hub.state),
            break_token=break_lock,
            on_lost=self._wake,
            clock=clock,
        )
        self._numbers = {step.id: number for number, step in enumerate(plan.steps, 1)}
        self._context = Context(
            access,
            self.hub.emit,
            dict(secrets or {}),
            self._cancel,
            self._interrupted,
            self._unit,
            images_of(plan),
            clock,
            self.id,
        )
        self.ended = threading.Event()
        """Set when nothing more is written to the journal."""
        self._thread = threading.Thread(target=self._main, name=f"run-{self.id}", daemon=True)

    def start(self) -> None:
        """Begin. Returns as soon as the journal says so."""
        now = self._clock()
        who = {"by": whoami(), "wizard": __version__, "pid": os.getpid()}
        self.hub.emit(
            e.RunResumed.model_validate({"at": now, **who})
            if self._is_resumed
            else e.RunStarted.model_validate({"at": now, "run": self.id, "plan": self.plan, **who})
        )
        self._thread.start()
        watch_members(self.plan, self._access, self.hub.emit, self.ended, self._clock)
        threading.Thread(target=self._flush, name=f"journal-{self.id}", daemon=True).start()

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait for the end or for a decision to be needed, ``timeout`` seconds at most."""
        return self.hub.wait_for(lambda state: state.status is not RunStatus.RUNNING, timeout)

    def retry(self, steps: Sequence[str] | None = None) -> None:
        """Run these failed or unknown steps again (default: all), and what they blocked; what they rest on first."""
        now = self.hub.state.steps
        bad = (StepStatus.FAILED, StepStatus.UNKNOWN)
        named = now if steps is None else steps
        chosen = {name for name, step in now.items() if step.status in bad and name in named}
        if not chosen:
            return
        chosen |= rested_on_by(chosen, self.hub.state)
        again = (n for n, s in now.items() if n in chosen or s.status is StepStatus.BLOCKED)
        self._decide(e.RetryRequested(at=self._clock(), steps=tuple(again)))

    def skip(self, step: str, reason: str) -> None:
        """Leave a step out that has not run or did not go well, where the plan allows that."""
        if not self.plan.may_be_left_out(step):
            return
        if self.hub.state.steps[step].status not in SKIPPABLE:
            return
        self._decide(e.StepSkipped(at=self._clock(), step=step, reason=reason, by=whoami()))

    def stop(self, *, now: bool = False) -> None:
        """Stop after what is going on, or ``now``: what the hosts have begun may still finish."""
        self._stop.set()
        if now:
            self._cancel.set()
            self._interrupted.set()
        self._decide(e.StopRequested(at=self._clock(), now=now))

    def leave(self, said: str) -> None:
        """Stop following the run without ending it: ``said`` is how to come back.

        Jobs go on on their hosts, short steps are let end, nothing else is begun. The run can be
        taken up again by any wizard that has its folder.
        """
        with self._decided:
            self._left_saying = said
            self._stop.set()
            self._interrupted.set()
            self._decided.notify_all()

    @property
    def _is_left(self) -> bool:
        return bool(self._left_saying) and not self._cancel.is_set()

    def _unit(self, step: str, attempt: int) -> str:
        """The name of a job: by it a person finds the run, the step and the try."""
        return f"deiswizard-{self.id}-{self._numbers[step]}-{attempt}"

    def _decide(self, event: e.Event) -> None:
        """Tell the runner. After the end there is nothing left to decide."""
        with self._decided:
            if self.hub.state.finished_at is None and not self._left_saying:
                self.hub.emit(event)
                self._decided.notify_all()

    def _wake(self) -> None:
        """Let whoever waits for a decision look at how things stand."""
        with self._decided:
            self._decided.notify_all()

    def _flush(self) -> None:
        while self._thread.is_alive():
            self._journal.flush()
            if (said := self._journal.problem) and not self.hub.state.recording_ended:
                self.hub.emit(e.RecordingEnded(at=self._clock(), said=said))
            self._thread.join(FLUSH_SECONDS)

    def _main(self) -> None:
        try:
            status, said = self._run_plan()
        except LockedError as error:
            self.hub.emit(e.LockRefused(at=self._clock(), holder=error.holder))
            status, said = RunStatus.REFUSED, str(error)
        except WizardError as error:
            do = f" ({error.do})" if error.do else ""
            status, said = RunStatus.FAILED, f"{error}{do}"
        except Exception as error:  # a bug must end the run, not hang whoever waits for it
            status, said = RunStatus.FAILED, f"internal error ({type(error).__name__}): a bug"
        is_left = self._is_left and status is RunStatus.STOPPED
        self._lock.release(is_left=is_left)
        if self._journal.problem:
            said = f"{said} ({self._journal.problem})".strip()
        with self._decided:
            if is_left:
                self.hub.emit(e.RunLeft(at=self._clock(), said=self._left_saying))
            elif self._is_resumed and self.hub.state.held_by is not None:
                self.hub.emit(e.RunLeft(at=self._clock(), said=said))  # it is as it was
            else:
                self.hub.emit(e.RunFinished(at=self._clock(), status=status, said=said))
        self._journal.close()
        self.ended.set()

    def _run_plan(self) -> tuple[RunStatus, str]:
        self._lock.acquire()
        own = own_changes(self.plan, self.hub.state) if self._is_resumed else NOTHING
        changed = differences(self.plan.basis, self._access, own)
        if changed:
            self.hub.emit(e.PlanRefused(at=self._clock(), differences=changed))
            return RunStatus.REFUSED, "the cluster has changed since this plan was made"
        for stage in self.plan.stages:
            if all(self.hub.state.steps[step.id].status in ENDED_WELL for step in stage.steps):
                continue  # taken up again: this one was done before
            self.hub.emit(e.StageStarted(at=self._clock(), stage=stage.id))
            problem = self._run_stage(stage)
            if problem is not None:
                return problem
            self.hub.emit(e.StageFinished(at=self._clock(), stage=stage.id))
            if self._journal.problem:
                return RunStatus.STOPPED, "stopped, because nothing more can be recorded"
        return self._check()

    def _run_stage(self, stage: Stage) -> tuple[RunStatus, str] | None:
        """Run a stage to its border; None when the next may begin."""
        while True:
            self._run_lanes(stage)
            steps = self.hub.state.steps
            left = [s for s in stage.steps if steps[s.id].status in UNFINISHED]
            freed = any(self._is_freed(step) for step in stage.steps)
            if not left and not freed:
                return None
            if self._journal.problem:
                return RunStatus.STOPPED, "stopped, because nothing more can be recorded"
            if self._lock.lost:
                return RunStatus.STOPPED, f"stopped, because {self._lock.lost}"
            if self._stop.is_set():
                return RunStatus.STOPPED, "stopped by the operator"
            if freed:
                continue
            failed = tuple(step.id for step in left)
            if not self._interactive:
                bad = f"{len(left)} of {len(stage.steps)} steps of '{stage.title}' failed"
                return RunStatus.FAILED, bad
            self.hub.emit(e.DecisionNeeded(at=self._clock(), stage=stage.id, failed=failed))
            with self._decided:
                self._decided.wait_for(partial(self._is_decided, left))

    def _is_freed(self, step: Step) -> bool:
        """Blocked by a step of another host's lane that has been done since."""
        return self.hub.state.steps[step.id].status is StepStatus.BLOCKED and not self._missing(
            step
        )

    def _missing(self, step: Step) -> list[str]:
        """What a step needs and is not done."""
        steps = self.hub.state.steps
        return [n for n in step.needs if n in steps and not steps[n].status.lets_others_go_on]

    def _is_decided(self, left: Sequence[Step]) -> bool:
        """The operator stopped, or asked for a retry, or has left out all that had failed.

        Without its lock the run stops by itself.
        """
        steps = self.hub.state.steps
        statuses = [steps[step.id].status for step in left]
        return (
            self._stop.is_set()
            or bool(self._lock.lost)
            or StepStatus.WAITING in statuses
            or all(status is StepStatus.SKIPPED for status in statuses)
        )

    def _run_lanes(self, stage: Stage) -> None:
        """One lane for each host: its steps in order; ``hosts_at_a_time`` lanes side by side."""
        lanes: dict[str, list[Step]] = {}
        for step in stage.steps:
            if self.hub.state.steps[step.id].status in (StepStatus.WAITING, StepStatus.BLOCKED):
                lanes.setdefault(step.host, []).append(step)
        queue = deque(lanes.values())

        def work() -> None:
            while True:
                try:
                    lane = queue.popleft()
                except IndexError:
                    return
                for step in lane:
                    self._run_step(step)

        count = min(max(1, stage.hosts_at_a_time), len(lanes))
        threads = [
            threading.Thread(target=work, name=f"{stage.id}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _run_step(self, step: Step) -> None:
        emit, now = self.hub.emit, self._clock
        if self._stop.is_set() or self._journal.problem or self._lock.lost:
            return
        state = self.hub.state.steps[step.id]
        if state.status is StepStatus.SKIPPED:
            return
        missing = self._missing(step)
        if missing:
            titles = {s.id: s.title for s in self.plan.steps}
            said = f"needs: {', '.join(titles[name] for name in missing)}"
            emit(e.StepFinished(at=now(), step=step.id, status=StepStatus.BLOCKED, said=said))
            return
        if not self._lock.allows(step):
            return
        emit(e.StepStarted(at=now(), step=step.id, attempt=state.attempt + 1))
        try:
            result = execute(step, self._context, state)
        except CancelledError as error:
            if self._is_left:
                return  # it goes on, or nothing of it was begun: the journal says as much already
            words = (error.what, error.state)
            result = Result(StepStatus.UNKNOWN, "; ".join(word for word in words if word))
        except Exception as error:
            result = Result(
                StepStatus.UNKNOWN if isinstance(step, CommandStep) else StepStatus.FAILED,
                f"internal error ({type(error).__name__}: {error}): this is a bug",
            )
        self._tell_lost(step, result)
        emit(
            e.StepFinished(
                at=now(),
                step=step.id,
                status=result.status,
                code=result.code,
                said=result.said,
                do=result.do,
            )
        )
        if result.tidy is not None and not self._journal.problem:
            result.tidy()

    def _tell_lost(self, step: Step, result: Result) -> None:
        """A host whose connection broke is shown as lost until a step on it goes well."""
        lost = step.host in self.hub.state.lost
        broke = result.status is StepStatus.UNKNOWN and "connection" in result.said
        if step.host and broke and not lost:
            self.hub.emit(e.HostLost(at=self._clock(), host=step.host, said=result.said))
        elif lost and result.status is StepStatus.DONE:
            self.hub.emit(e.HostReturned(at=self._clock(), host=step.host))

    def _check(self) -> tuple[RunStatus, str]:
        """Look again: only what is seen on the cluster makes a run ``done``.

        What does not hold is looked at once more: what a cluster does late is no failure.
        """
        if self._look is None or self._verify is None:
            return RunStatus.DONE, ""
        self.hub.emit(e.VerifyStarted(at=self._clock()))
        for is_last in (False, True):
            self.after = self._look()
            checks = self._verify(self.after)
            bad = [check for check in checks if check.ok is not True]
            if not bad or is_last or self._interrupted.wait(LATE_SECONDS):
                break
        self.hub.emit(e.Verified(at=self._clock(), checks=checks))
        if not bad:
            return RunStatus.DONE, ""
        return RunStatus.FAILED, f"{len(bad)} of {len(checks)} checks did not hold: {bad[0].title}"
