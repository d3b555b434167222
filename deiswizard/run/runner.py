"""The one runner: takes a plan, runs its stages, emits events. It decides nothing else."""

from __future__ import annotations

import getpass
import socket
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
from deiswizard.errors import CancelledError, WizardError
from deiswizard.plan.plan import Plan, Stage
from deiswizard.plan.step import CommandStep, GuardStep, PullStep, Step
from deiswizard.redaction import Redactor
from deiswizard.run import events as e
from deiswizard.run.basis import differences
from deiswizard.run.execute import Context, Result, execute
from deiswizard.run.hub import Hub
from deiswizard.run.journal import JournalWriter
from deiswizard.run.state import RunState
from deiswizard.vocabulary import RunStatus, StepStatus

FLUSH_SECONDS = 1.0
UNFINISHED = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.WAITING)
"""What keeps a stage open. A blocked step does not: it waits for one of these, or was given up
with the step that the operator left out."""

SKIPPABLE = (StepStatus.WAITING, StepStatus.BLOCKED, StepStatus.FAILED, StepStatus.UNKNOWN)


def whoami() -> str:
    """``user@machine`` of the operator, for the journal."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return "unknown"


class Run:
    """A plan being executed in threads of its own.

    ``interactive``: a stage that ends with failed steps waits for ``retry``, ``skip`` or ``stop``;
    otherwise the run fails there. With ``look`` and ``verify`` the cluster is looked at again, and
    only then can the run be ``done``.
    """

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
        self._stop = threading.Event()
        self._decided = threading.Condition()
        self._journal = JournalWriter(folder, redactor)
        self.hub.subscribe(self._journal.write)
        images: dict[str, list[str]] = {}
        for stage in plan.stages:
            for step in stage.steps:
                condition = getattr(step, "condition", None)
                if isinstance(step, PullStep):
                    images.setdefault(step.host, []).append(step.image)
                elif image := getattr(condition, "image", ""):
                    images.setdefault(step.host, []).append(image)
        self._context = Context(
            access, self.hub.emit, dict(secrets or {}), self._cancel, images, clock
        )
        self._thread = threading.Thread(target=self._main, name=f"run-{self.id}", daemon=True)

    def start(self) -> None:
        """Begin. Returns as soon as the journal says so."""
        self.hub.emit(
            e.RunStarted(
                at=self._clock(), run=self.id, plan=self.plan, by=whoami(), wizard=__version__
            )
        )
        self._thread.start()
        threading.Thread(target=self._flush, name=f"journal-{self.id}", daemon=True).start()

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait for the end or for a decision to be needed, ``timeout`` seconds at most."""
        return self.hub.wait_for(lambda state: state.status is not RunStatus.RUNNING, timeout)

    def retry(self, steps: Sequence[str] | None = None) -> None:
        """Run these failed or unknown steps again (default: all of them), and what they blocked."""
        now = self.hub.state.steps
        chosen = {
            name
            for name, step in now.items()
            if step.status in (StepStatus.FAILED, StepStatus.UNKNOWN)
            and (steps is None or name in steps)
        }
        if not chosen:
            return
        again = (n for n, s in now.items() if n in chosen or s.status is StepStatus.BLOCKED)
        self._decide(e.RetryRequested(at=self._clock(), steps=tuple(again)))

    def skip(self, step: str, reason: str) -> None:
        """Leave a step out that has not run or did not go well. Guards cannot be left out."""
        found = next((s for s in self.plan.steps if s.id == step), None)
        if found is None or isinstance(found, GuardStep):
            return
        if self.hub.state.steps[step].status not in SKIPPABLE:
            return
        self._decide(e.StepSkipped(at=self._clock(), step=step, reason=reason, by=whoami()))

    def stop(self, *, now: bool = False) -> None:
        """Stop after what is going on, or ``now``: what the hosts have begun may still finish."""
        self._stop.set()
        if now:
            self._cancel.set()
        self._decide(e.StopRequested(at=self._clock(), now=now))

    def _decide(self, event: e.Event) -> None:
        """Tell the runner. After the end there is nothing left to decide."""
        with self._decided:
            if self.hub.state.finished_at is None:
                self.hub.emit(event)
                self._decided.notify_all()

    def _flush(self) -> None:
        while self._thread.is_alive():
            self._journal.flush()
            self._thread.join(FLUSH_SECONDS)

    def _main(self) -> None:
        try:
            status, said = self._run_plan()
        except WizardError as error:
            status, said = RunStatus.FAILED, str(error)
        except Exception as error:  # a bug must end the run, not hang whoever waits for it
            status, said = RunStatus.FAILED, f"internal error ({type(error).__name__}): a bug"
        if self._journal.problem:
            said = f"{self._journal.problem}. {said}".strip()
        with self._decided:
            self.hub.emit(e.RunFinished(at=self._clock(), status=status, said=said))
        self._journal.close()

    def _run_plan(self) -> tuple[RunStatus, str]:
        changed = differences(self.plan.basis, self._access)
        if changed:
            self.hub.emit(e.PlanRefused(at=self._clock(), differences=changed))
            return RunStatus.REFUSED, "the cluster has changed since this plan was made"
        for stage in self.plan.stages:
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
        """The operator stopped, or asked for a retry, or has left out all that had failed."""
        steps = self.hub.state.steps
        statuses = [steps[step.id].status for step in left]
        return (
            self._stop.is_set()
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
        if self._stop.is_set() or self._journal.problem:
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
        emit(e.StepStarted(at=now(), step=step.id, attempt=state.attempt + 1))
        try:
            result = execute(step, self._context)
        except CancelledError as error:
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

    def _tell_lost(self, step: Step, result: Result) -> None:
        """A host whose connection broke is shown as lost until a step on it goes well."""
        lost = step.host in self.hub.state.lost
        broke = result.status is StepStatus.UNKNOWN and "connection" in result.said
        if step.host and broke and not lost:
            self.hub.emit(e.HostLost(at=self._clock(), host=step.host, said=result.said))
        elif lost and result.status is StepStatus.DONE:
            self.hub.emit(e.HostReturned(at=self._clock(), host=step.host))

    def _check(self) -> tuple[RunStatus, str]:
        """Look again: only what is seen on the cluster makes a run ``done``."""
        if self._look is None or self._verify is None:
            return RunStatus.DONE, ""
        self.hub.emit(e.VerifyStarted(at=self._clock()))
        self.after = self._look()
        checks = self._verify(self.after)
        self.hub.emit(e.Verified(at=self._clock(), checks=checks))
        bad = [check for check in checks if check.ok is not True]
        if not bad:
            return RunStatus.DONE, ""
        return RunStatus.FAILED, f"{len(bad)} of {len(checks)} checks did not hold: {bad[0].title}"
