"""Each kind of step, against a cluster of dictionaries."""

from __future__ import annotations

import hashlib
import time

import pytest

from deiswizard.cluster.access import CommandResult, LayerReport
from deiswizard.errors import CancelledError, LinkError, PullError, ServiceError
from deiswizard.plan.conditions import CommandSays, DiskRoom, ImagePresent, KeyIs
from deiswizard.plan.step import (
    GuardStep,
    PullStep,
    RemoveKeyStep,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.run import events as e
from deiswizard.run import settling
from deiswizard.run.state import StepState
from deiswizard.vocabulary import JobWay, StepStatus
from tests.unit.doing import IMAGE, Doing
from tests.unit.memory_cluster import Call, command, wait_for_key


def pull() -> PullStep:
    return PullStep(id="pull", title="pull", host="a", image=IMAGE, way=JobWay.UNIT)


def guard(condition: KeyIs | ImagePresent | DiskRoom | CommandSays) -> GuardStep:
    return GuardStep(
        id="guard", title="g", host="a", condition=condition, otherwise="not so", timeout=60
    )


def test_a_secret_goes_by_stdin_only(doing: Doing) -> None:
    step = command("login", stdin="user ${secret:registry}\n", sudo=True, timeout=7)
    assert doing.do(step, registry="hunter22").status is StepStatus.DONE
    (call,) = doing.cluster.calls
    assert (call.stdin, call.command, call.sudo, call.timeout) == (
        b"user hunter22\n",
        "login",
        True,
        7,
    )


def test_a_secret_that_was_not_given_fails_the_step_before_anything_is_done(doing: Doing) -> None:
    result = doing.do(command("login", stdin="${secret:registry}"))
    assert result.status is StepStatus.FAILED
    assert "'registry' was not given" in result.said
    assert doing.cluster.calls == []


def test_a_failed_command_says_its_last_lines_and_its_code(doing: Doing) -> None:
    def failing(call: Call) -> CommandResult:
        assert call.on_lines is not None
        call.on_lines("out", [f"line {number}" for number in range(9)])
        call.on_lines("err", ["", "boom", "  "])
        return CommandResult(3)

    doing.cluster.hosts["a"].answers["c"] = [failing]
    result = doing.do(command("c"))
    assert (result.status, result.code) == (StepStatus.FAILED, 3)
    assert result.said == "line 5 / line 6 / line 7 / line 8 / boom"
    assert [event.stream for event in doing.events if isinstance(event, e.OutputReceived)] == [
        "out",
        "err",
    ]


def test_a_silent_failure_says_its_exit_status(doing: Doing) -> None:
    doing.cluster.hosts["a"].answers["c"] = [CommandResult(4)]
    assert doing.do(command("c")).said == "exit status 4"


def test_no_exit_status_is_unknown(doing: Doing) -> None:
    doing.cluster.hosts["a"].answers["c"] = [CommandResult(None, why="no end within 60 s")]
    result = doing.do(command("c"))
    assert (result.status, result.said) == (StepStatus.UNKNOWN, "no end within 60 s")


def test_a_stop_is_neither_success_nor_failure(doing: Doing) -> None:
    doing.cluster.hosts["a"].answers["c"] = [CancelledError("stopped", state="may go on")]
    with pytest.raises(CancelledError):
        doing.do(command("c"))


def test_a_host_out_of_reach_fails_a_command_because_nothing_was_started(doing: Doing) -> None:
    doing.cluster.hosts["a"].answers["c"] = [LinkError("a", "no route", do="look at it")]
    result = doing.do(command("c"))
    assert (result.status, result.said, result.do) == (StepStatus.FAILED, "no route", "look at it")


@pytest.mark.parametrize("expect", [None, "", hashlib.sha256(b"old").hexdigest()])
def test_an_upload_replaces_only_what_it_was_made_for(doing: Doing, expect: str | None) -> None:
    host = doing.cluster.hosts["a"]
    step = UploadStep(id="u", title="u", host="a", path="/etc/x", content="new", expect=expect)
    if expect:
        host.files["/etc/x"] = b"old"
    assert doing.do(step).status is StepStatus.DONE
    assert host.files["/etc/x"] == b"new"


@pytest.mark.parametrize(
    ("there", "expect", "word"),
    [(b"other", "", "made"), (b"other", "0" * 64, "changed"), (None, "0" * 64, "removed")],
)
def test_an_upload_leaves_alone_what_has_changed_since(
    doing: Doing, there: bytes | None, expect: str, word: str
) -> None:
    host = doing.cluster.hosts["a"]
    if there is not None:
        host.files["/etc/x"] = there
    step = UploadStep(id="u", title="u", host="a", path="/etc/x", content="new", expect=expect)
    result = doing.do(step)
    assert result.status is StepStatus.FAILED
    assert host.files.get("/etc/x") == there
    assert result.said == f"/etc/x on a was {word} since"
    assert "make a new plan" in result.do


def test_keys_are_written_and_removed_only_as_they_were_seen(doing: Doing) -> None:
    etcd = doing.cluster.store
    write = WriteKeyStep(id="w", title="w", key="/k", value="v", expect=0)
    assert doing.do(write).status is StepStatus.DONE
    assert etcd.keys["/k"][0] == "v"
    again = doing.do(write)
    assert again.status is StepStatus.FAILED
    assert "make a new plan" in again.do
    remove = RemoveKeyStep(id="r", title="r", key="/k", expect=etcd.keys["/k"][1])
    assert doing.do(remove).status is StepStatus.DONE
    assert etcd.keys == {}


TIMED_OUT = ServiceError("etcd did not answer", state="not known: it may still be applied")
WRITE = WriteKeyStep(id="w", title="w", key="/k", value="new", expect=0)


def test_a_write_is_unknown_only_when_etcd_stays_silent(
    doing: Doing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLE_SECONDS", 0.0)
    doing.cluster.store.trouble = TIMED_OUT
    assert doing.do(WRITE).status is StepStatus.UNKNOWN


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_write_that_timed_out_is_looked_for_before_it_is_sent_again(
    doing: Doing, is_applied: bool
) -> None:
    etcd = doing.cluster.store
    etcd.late = [TIMED_OUT]
    etcd.applies_late = is_applied
    result = doing.do(WRITE)
    assert result.status is StepStatus.DONE
    assert etcd.keys["/k"][0] == "new"
    assert etcd.asked == (["put"] if is_applied else ["put", "put"])
    assert ("had been applied" in result.said) is is_applied
    assert [event.said for event in doing.events if isinstance(event, e.WaitPolled)]


def test_a_write_that_was_cut_off_is_looked_for_first(doing: Doing) -> None:
    doing.cluster.store.keys["/k"] = ("new", 5)
    assert doing.do(WRITE, StepState(attempt=1)).status is StepStatus.DONE
    assert doing.cluster.store.asked == []


def test_somebody_else_s_value_is_never_taken_for_our_own(doing: Doing) -> None:
    doing.cluster.store.keys["/k"] = ("theirs", 5)
    result = doing.do(WRITE, StepState(attempt=1))
    assert result.status is StepStatus.FAILED and "make a new plan" in result.do
    assert doing.cluster.store.keys["/k"][0] == "theirs"


def test_what_etcd_refuses_is_not_asked_again(doing: Doing) -> None:
    doing.cluster.store.late = [ServiceError("etcd refused", state="the key is as it was")]
    assert doing.do(WRITE).status is StepStatus.FAILED
    assert doing.cluster.store.asked == ["put"]


def test_a_pull_is_believed_only_when_the_image_is_there(doing: Doing) -> None:
    assert doing.do(pull()).status is StepStatus.DONE
    assert [event.present for event in doing.events if isinstance(event, e.ImageChecked)] == [True]
    doing.cluster.dockers["a"].inspect = lambda name: None  # type: ignore[method-assign]
    result = doing.do(pull())
    assert result.status is StepStatus.FAILED
    assert "it is not there" in result.said


def test_a_pull_is_tried_again_visibly_when_the_registry_was_at_fault(doing: Doing) -> None:
    docker = doing.cluster.dockers["a"]
    docker.pulls[IMAGE] = [
        PullError("slow", said="toomanyrequests: 429"),
        PullError("broken", said="read: connection reset by peer"),
        (),
    ]
    assert doing.do(pull()).status is StepStatus.DONE
    assert len(docker.asked) == 3
    said = " ".join(
        line
        for event in doing.events
        if isinstance(event, e.OutputReceived)
        for line in event.lines
    )
    assert "try 2 of 3" in said and "try 3 of 3" in said


def test_a_pull_gives_up_after_the_third_try(doing: Doing) -> None:
    docker = doing.cluster.dockers["a"]
    docker.pulls[IMAGE] = [PullError(f"{n}", said="i/o timeout") for n in range(9)]
    result = doing.do(pull())
    assert result.status is StepStatus.FAILED
    assert result.said.endswith("the registry did not answer, or the pull was cut off: i/o timeout")
    assert "try again" in result.do
    assert len(docker.asked) == 3


@pytest.mark.parametrize("said", ["manifest unknown", "unauthorized", "no space left on device"])
def test_a_pull_that_cannot_go_well_is_not_tried_again(doing: Doing, said: str) -> None:
    docker = doing.cluster.dockers["a"]
    docker.pulls[IMAGE] = [PullError("no", said=said)]
    assert doing.do(pull()).status is StepStatus.FAILED
    assert docker.asked == [IMAGE]


def test_a_stop_between_two_tries_asks_the_engine_no_more(doing: Doing) -> None:
    docker = doing.cluster.dockers["a"]
    docker.pulls[IMAGE] = [PullError("slow", said="i/o timeout")]

    def stopping(event: e.Event) -> None:
        if isinstance(event, e.OutputReceived) and "try 2 of 3" in event.lines[0]:
            doing.interrupted.set()

    doing.listener = stopping
    with pytest.raises(CancelledError):
        doing.do(pull())
    assert docker.asked == [IMAGE]


def test_a_pull_goes_on_when_the_engine_s_stream_breaks_and_its_layers_are_asked_for_again(
    doing: Doing,
) -> None:
    docker = doing.cluster.dockers["a"]
    docker.pulls[IMAGE] = [LinkError("a", "the connection broke"), ()]
    assert doing.do(pull()).status is StepStatus.DONE
    assert docker.asked == [IMAGE, IMAGE]
    assert len(doing.told("job-prepared")) == 1


def test_a_layer_s_bytes_are_told_four_times_a_second_its_states_always(doing: Doing) -> None:
    def ticking() -> list[LayerReport]:
        reports = [LayerReport("aa", "Downloading", n, 1000) for n in range(1000)]
        return [
            *reports,
            LayerReport("aa", "Download complete"),
            LayerReport("aa", "Pull complete"),
        ]

    class Ticks(list[LayerReport]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for report in list.__iter__(self):
                doing.clock.now += 0.001
                yield report

    doing.cluster.dockers["a"].pulls[IMAGE] = [Ticks(ticking())]
    doing.do(pull())
    told = [event for event in doing.events if isinstance(event, e.LayerProgressed)]
    assert len(told) <= 2 + 5
    assert [event.state for event in told][-2:] == ["Download complete", "Pull complete"]


def test_a_wait_tells_what_it_sees_and_gives_up_in_words(doing: Doing) -> None:
    step = wait_for_key("w", timeout=0, on_timeout="look at etcd")
    result = doing.do(step)
    assert result.status is StepStatus.FAILED
    assert result.said == "waited 0 s for the key in vain; last seen: /k is absent"
    assert result.do == "look at etcd"
    assert [event.said for event in doing.events if isinstance(event, e.WaitPolled)] == [
        "/k is absent"
    ]


def wait_until_ready(seconds: float) -> WaitStep:
    """Until ``ask`` says ``ready`` on the host."""
    return WaitStep(
        id="w",
        title="w",
        host="a",
        condition=CommandSays(host="a", command="ask", pattern="^ready$"),
        waiting_for="it",
        interval=0.001,
        timeout=seconds,
    )


def test_a_wait_goes_on_through_a_broken_link(doing: Doing) -> None:
    doing.cluster.hosts["a"].answers["ask"] = [
        LinkError("a", "cut"),
        CommandResult(None, why="late"),
        CommandResult(1, err="starting"),
        CommandResult(0, out="ready\n"),
    ]
    assert doing.do(wait_until_ready(60)).status is StepStatus.DONE
    assert [event.said for event in doing.events if isinstance(event, e.WaitPolled)] == [
        "cut",
        "late",
        "starting",
    ]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (CommandResult(0, out="3\n"), StepStatus.DONE),
        (CommandResult(0, out="0\n"), StepStatus.FAILED),
        (CommandResult(1, out="3\n"), StepStatus.FAILED),
        (CommandResult(None, out="3\n", why="late"), StepStatus.UNKNOWN),
        (LinkError("a", "cut"), StepStatus.UNKNOWN),
    ],
)
def test_a_guard_holds_only_when_the_host_says_so(
    doing: Doing, answer: CommandResult | Exception, status: StepStatus
) -> None:
    doing.cluster.hosts["a"].answers["count"] = [answer] * 2
    step = guard(CommandSays(host="a", command="count", pattern=r"^[1-9]"))
    assert doing.do(step).status is status


@pytest.mark.parametrize("silence", [CommandResult(None, why="late"), LinkError("a", "cut")])
def test_a_guard_that_nobody_could_answer_is_asked_once_more(
    doing: Doing, silence: CommandResult | Exception
) -> None:
    condition = CommandSays(host="a", command="count", pattern=r"^[1-9]")
    doing.cluster.hosts["a"].answers["count"] = [silence, CommandResult(0, out="3\n")]
    assert doing.do(guard(condition)).status is StepStatus.DONE
    doing.cluster.hosts["a"].answers["count"] = [CommandResult(0, out="0\n")] * 2
    assert doing.do(guard(condition)).status is StepStatus.FAILED, "no is an answer"
    assert len(doing.cluster.hosts["a"].answers["count"]) == 1


def test_a_look_that_outlasts_the_time_of_a_wait_is_not_the_last(doing: Doing) -> None:
    def slow(call: Call) -> CommandResult:
        time.sleep(0.3)
        return CommandResult(1, err="starting")

    doing.cluster.hosts["a"].answers["ask"] = [slow, CommandResult(0, out="ready\n")]
    assert doing.do(wait_until_ready(0.2)).status is StepStatus.DONE


def test_a_guard_s_question_has_the_time_of_its_step(doing: Doing) -> None:
    doing.do(guard(CommandSays(host="a", command="count", pattern="")))
    assert doing.cluster.calls[0].timeout == 60


@pytest.mark.parametrize(("needed", "status"), [(10**9, "done"), (10**12, "failed")])
def test_a_guard_knows_the_room_on_a_disk(doing: Doing, needed: int, status: str) -> None:
    listing = (
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "/dev/sda9 40000000 3000000 37000000 8% /\n"
    )
    doing.cluster.hosts["a"].answers["df -P -k /var/lib/docker"] = [CommandResult(0, out=listing)]
    result = doing.do(guard(DiskRoom(host="a", path="/var/lib/docker", needed=needed)))
    assert result.status == status
    assert "37.9 GB free" in result.said


def test_what_is_there_by_now_needs_no_room(doing: Doing) -> None:
    listing = (
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "/dev/sda9 40000000 38000000 1000000 95% /\n"
    )
    doing.cluster.hosts["a"].answers["df -P -k /x"] = [CommandResult(0, listing)]
    sizes = (("deis/builder:v1", 1_500_000_000), (IMAGE, 500_000_000))
    step = guard(DiskRoom(host="a", path="/x", needed=2_000_000_000, images=sizes))
    assert doing.do(step).status is StepStatus.FAILED
    doing.cluster.dockers["a"].store.add("docker.io/deis/builder:v1")
    assert doing.do(step).status is StepStatus.DONE


def test_a_disk_that_cannot_be_read_is_unknown(doing: Doing) -> None:
    doing.cluster.hosts["a"].answers["df -P -k /x"] = [CommandResult(1, err="df: no such file\n")]
    result = doing.do(guard(DiskRoom(host="a", path="/x", needed=1)))
    assert (result.status, result.said) == (StepStatus.UNKNOWN, "df: no such file")


def test_a_guard_looks_for_an_image(doing: Doing) -> None:
    step = guard(ImagePresent(host="a", image=IMAGE))
    assert doing.do(step).said == f"not so ({IMAGE} is not there)"
    doing.cluster.dockers["a"].store.add(IMAGE)
    assert doing.do(step).status is StepStatus.DONE
