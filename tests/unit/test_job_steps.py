"""Jobs: begun once, watched over broken links, found again, stopped only when asked to."""

from __future__ import annotations

import threading

import pytest

from deiswizard.demo.shell import Write
from deiswizard.errors import CancelledError, LinkError
from deiswizard.plan.step import JobStep
from deiswizard.run import events as e
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState, StepState
from deiswizard.vocabulary import Danger, JobWay, StepStatus
from tests.unit.doing import IMAGE, Doing
from tests.unit.memory_cluster import LIMIT, plan_of, stage

BROKEN = LinkError("a", "the connection was lost")


def job(command: str = "long", **more: object) -> JobStep:
    fields = {"id": "job", "title": "a long one", "host": "a", "danger": Danger.WRITE}
    return JobStep.model_validate({**fields, "command": command, "way": JobWay.UNIT, **more})


def lines(doing: Doing) -> list[str]:
    return [line for event in doing.told("output-received") for line in event.lines]  # type: ignore[union-attr]


def printing(*printed: str, code: int = 0):  # type: ignore[no-untyped-def]
    def work(write: Write, stop: threading.Event) -> int:
        for line in printed:
            write(f"{line}\n")
        return code

    return work


class Held:
    """A job that prints, then waits to be let go."""

    def __init__(self, doing: Doing) -> None:
        self.has_begun, self.may_end, self.was_stopped = (threading.Event() for _ in range(3))
        self.times = 0
        doing.cluster.hosts["a"].keeper.jobs["long"] = self.work

    def work(self, write: Write, stop: threading.Event) -> int:
        self.times += 1
        write("first\n")
        self.has_begun.set()
        while not self.may_end.wait(0.002):
            if stop.is_set():
                self.was_stopped.set()
                return 143
        write("last\n")
        return 0


def state_after(doing: Doing) -> StepState:
    """How the step stands for whoever reads the events so far."""
    plan = plan_of(stage(job()))
    state = reduce(RunState(), e.RunStarted(at=0, run="r", plan=plan))
    for event in [e.StepStarted(at=0, step="job"), *doing.events]:
        state = reduce(state, event)
    return state.steps["job"]


def test_a_job_s_output_and_end_come_from_its_host(doing: Doing) -> None:
    doing.cluster.hosts["a"].keeper.jobs["long"] = printing("one", "two")
    result = doing.do(job())
    assert (result.status, result.code) == (StepStatus.DONE, 0)
    assert lines(doing) == ["one", "two"]
    kinds = [event.kind for event in doing.events]
    assert kinds[:2] == ["job-prepared", "job-started"]


def test_a_failed_job_says_its_last_lines_and_its_code(doing: Doing) -> None:
    printed = [f"line {number}" for number in range(9)]
    doing.cluster.hosts["a"].keeper.jobs["long"] = printing(*printed, "", code=3)
    result = doing.do(job())
    assert (result.status, result.code) == (StepStatus.FAILED, 3)
    assert result.said == "line 4 / line 5 / line 6 / line 7 / line 8"
    doing.cluster.hosts["a"].keeper.jobs["long"] = printing(code=4)
    assert doing.do(job(id="silent")).said == "exit status 4"


def test_the_preseed_script_s_lines_become_progress(doing: Doing) -> None:
    doing.cluster.hosts["a"].keeper.jobs["long"] = printing(
        "v1.13.4: Pulling from deis/router",
        "a3ed95caeb02: Pull complete",
        f"Status: Downloaded newer image for {IMAGE}",
    )
    assert doing.do(job(progress="preseed")).status is StepStatus.DONE
    told = [event.kind for event in doing.events if event.kind != "output-received"]
    assert told == ["job-prepared", "job-started", "layer-progressed", "image-checked"]


def test_what_is_needed_to_find_it_is_told_before_it_is_started(doing: Doing) -> None:
    keeper = doing.cluster.hosts["a"].keeper
    seen = []

    def looking(event: e.Event) -> None:
        if isinstance(event, e.JobPrepared):
            seen.append(
                (event.job.unit, event.job.boot_id, keeper.systemd.show("job-job-1.service"))
            )

    doing.listener = looking
    doing.do(job())
    ((unit, boot_id, properties),) = seen
    assert (unit, boot_id) == ("job-job-1", keeper.boot_id)
    assert properties["LoadState"] == "not-found"


def test_a_link_that_breaks_loses_no_line_and_doubles_none(doing: Doing) -> None:
    host = doing.cluster.hosts["a"]
    held = Held(doing)

    def breaking(event: e.Event) -> None:
        if isinstance(event, e.OutputReceived) and "first" in event.lines:
            host.links = [BROKEN, BROKEN]
        if isinstance(event, e.HostLost):
            held.may_end.set()

    doing.listener = breaking
    assert doing.do(job()).status is StepStatus.DONE
    assert lines(doing) == ["first", "last"]
    assert [event.kind for event in doing.events if event.kind.startswith("host-")] == [
        "host-lost",
        "host-returned",
    ]
    lost = doing.told("host-lost")[0]
    assert isinstance(lost, e.HostLost) and "goes on" in lost.said
    assert held.times == 1


def test_a_link_that_breaks_while_the_job_is_started_does_not_start_it_twice(doing: Doing) -> None:
    host = doing.cluster.hosts["a"]
    held = Held(doing)
    held.may_end.set()
    host.links = [None, BROKEN]
    host.breaks_after = True
    assert doing.do(job()).status is StepStatus.DONE
    assert held.times == 1
    assert lines(doing) == ["first", "last"]


def test_a_host_out_of_reach_at_the_beginning_fails_because_nothing_was_started(
    doing: Doing,
) -> None:
    doing.cluster.hosts["a"].links = [BROKEN]
    result = doing.do(job())
    assert result.status is StepStatus.FAILED
    assert doing.events == []


def test_a_job_that_was_prepared_and_never_started_is_started(doing: Doing) -> None:
    doing.cluster.hosts["a"].links = [None, CancelledError("killed here")]
    with pytest.raises(CancelledError):
        doing.do(job())
    before = state_after(doing)
    assert before.job is not None and not before.has_job_begun
    held = Held(doing)
    held.may_end.set()
    assert doing.do(job(), before).status is StepStatus.DONE
    assert held.times == 1 and len(doing.told("job-prepared")) == 1


def left_behind(doing: Doing) -> tuple[Held, StepState]:
    """A job that goes on on its host while nobody follows it."""
    held = Held(doing)

    def leaving(event: e.Event) -> None:
        if isinstance(event, e.OutputReceived):
            doing.interrupted.set()

    doing.listener = leaving
    with pytest.raises(CancelledError):
        doing.do(job())
    doing.interrupted.clear()
    doing.listener = lambda event: None
    assert not held.was_stopped.is_set()
    return held, state_after(doing)


def test_a_job_that_was_left_is_taken_up_where_it_is(doing: Doing) -> None:
    held, before = left_behind(doing)
    held.may_end.set()
    assert doing.do(job(), before).status is StepStatus.DONE
    assert lines(doing) == ["first", "last"]
    assert held.times == 1


def test_after_a_reboot_nothing_is_started_without_the_operator(doing: Doing) -> None:
    held, before = left_behind(doing)
    doing.cluster.hosts["a"].keeper.reboot()
    result = doing.do(job(), before)
    assert result.status is StepStatus.UNKNOWN
    assert "was rebooted since" in result.said and "again" in result.do
    assert held.times == 1
    again = state_after(doing)
    assert again.job is None
    held.may_end.set()
    assert doing.do(job(id="job"), StepState(attempt=1)).status is StepStatus.DONE
    assert held.times == 2


def test_a_job_that_somebody_cleared_away_is_not_started_again(doing: Doing) -> None:
    held, before = left_behind(doing)
    doing.cluster.hosts["a"].keeper.systemd.stop("job-job-1.service")
    result = doing.do(job(), before)
    assert result.status is StepStatus.UNKNOWN
    assert "cleared the job job-job-1 away" in result.said
    assert held.times == 1


def test_stop_now_ends_the_job_on_its_host(doing: Doing) -> None:
    held = Held(doing)

    def stopping(event: e.Event) -> None:
        if isinstance(event, e.OutputReceived):
            doing.cancel.set()
            doing.interrupted.set()

    doing.listener = stopping
    with pytest.raises(CancelledError) as caught:
        doing.do(job())
    assert "ended on its host" in caught.value.state
    assert held.was_stopped.wait(LIMIT)


def test_what_has_ended_is_cleared_away_after_its_end_was_told(doing: Doing) -> None:
    keeper = doing.cluster.hosts["a"].keeper
    keeper.jobs["long"] = printing("one")
    systemd = keeper.systemd
    result = doing.do(job())
    assert systemd.show("job-job-1.service")["SubState"] == "exited"
    assert result.tidy is not None
    result.tidy()
    assert systemd.show("job-job-1.service")["LoadState"] == "not-found"
