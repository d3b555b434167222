"""Reducer, journal, redaction, summary: pure functions and files."""

from __future__ import annotations

import base64
import fcntl
import json
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from deiswizard.errors import PreconditionError
from deiswizard.redaction import MASK, Redactor
from deiswizard.run import events as e
from deiswizard.run.folders import JOURNAL, find_run, list_runs, new_run_folder
from deiswizard.run.hub import Hub
from deiswizard.run.journal import JournalWriter, read_journal
from deiswizard.run.reducer import reduce
from deiswizard.run.replay import final_state
from deiswizard.run.runner import Run
from deiswizard.run.state import RunState
from deiswizard.run.summary import lines
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.unit.memory_cluster import LIMIT, MemoryCluster, command, plan_of, stage

PLAN = plan_of(
    stage(command("one"), command("two", "b"), name="s0"), stage(command("three"), name="s1")
)
STEPS = st.sampled_from(["one", "two", "three", "nobody"])
AT = st.floats(0, 1e9)
EVENTS = st.one_of(
    st.builds(e.RunStarted, at=AT, run=st.just("r"), plan=st.just(PLAN)),
    st.builds(e.StepStarted, at=AT, step=STEPS, attempt=st.integers(1, 3)),
    st.builds(e.StepFinished, at=AT, step=STEPS, status=st.sampled_from(StepStatus), said=st.text()),
    st.builds(e.OutputReceived, at=AT, step=STEPS, host=st.text(), lines=st.lists(st.text(), max_size=3).map(tuple)),
    st.builds(e.LayerProgressed, at=AT, step=STEPS, image=st.text(), layer=st.sampled_from("xy"),
              state=st.sampled_from(["Downloading", "Pull complete", "Already exists", "Waiting"]),
              current=st.none() | st.integers(0, 100), total=st.none() | st.integers(0, 100)),
    st.builds(e.ImageChecked, at=AT, step=STEPS, image=st.text(), present=st.booleans()),
    st.builds(e.WaitPolled, at=AT, step=STEPS, said=st.text()),
    st.builds(e.StepSkipped, at=AT, step=STEPS, reason=st.text()),
    st.builds(e.RetryRequested, at=AT, steps=st.lists(STEPS).map(tuple)),
    st.builds(e.HostLost, at=AT, host=st.text()),
    st.builds(e.DecisionNeeded, at=AT, stage=st.text(), failed=st.just(())),
    st.builds(e.StopRequested, at=AT),
    st.builds(e.RunFinished, at=AT, status=st.sampled_from(RunStatus)),
)  # fmt: skip


@given(st.lists(EVENTS, max_size=30))
def test_any_order_of_events_makes_a_state(events: list[e.Event]) -> None:
    state = RunState()
    for event in events:
        state = reduce(state, event)
        for step in state.steps.values():
            for pull in step.pulls.values():
                assert pull.rate >= 0 and pull.layers_done <= len(pull.layers)
    list(lines(state))


@given(st.lists(EVENTS, max_size=20))
def test_events_survive_json(events: list[e.Event]) -> None:
    assert [e.EVENT.validate_json(event.model_dump_json()) for event in events] == events


def progressed(
    at: float, state: str, current: int | None = None, total: int | None = None
) -> e.LayerProgressed:
    return e.LayerProgressed(
        at=at, step="one", image="i", layer="x", state=state, current=current, total=total
    )


def test_bytes_rate_and_time_left_are_summed_over_layers() -> None:
    state = reduce(RunState(), e.RunStarted(at=0, run="r", plan=PLAN))
    state = reduce(state, progressed(0, "Pulling fs layer"))
    pull = state.steps["one"].pulls["i"]
    assert pull.total is None and pull.seconds_left is None
    state = reduce(state, progressed(10, "Downloading", 100, 400))
    state = reduce(state, progressed(12, "Downloading", 200, 400))
    pull = state.steps["one"].pulls["i"]
    assert (pull.current, pull.total, pull.rate) == (200, 400, 100.0)
    assert pull.seconds_left == 2.0
    state = reduce(state, progressed(14, "Pull complete"))
    pull = state.steps["one"].pulls["i"]
    assert (pull.current, pull.layers_done, pull.seconds_left) == (400, 1, 0.0)


def write(folder: Path, events: list[e.Event], redactor: Redactor | None = None) -> None:
    writer = JournalWriter(folder, redactor or Redactor([]))
    for event in events:
        writer.write(event)
    writer.close()


STORY: list[e.Event] = [
    e.RunStarted(at=1, run="20261123-120000", plan=PLAN),
    e.StageStarted(at=2, stage="s0"),
    e.StepStarted(at=3, step="one"),
    e.StepFinished(at=4, step="one", status=StepStatus.DONE),
    e.StepStarted(at=5, step="two"),
]


@settings(max_examples=60)
@given(data=st.data())
def test_a_journal_torn_anywhere_keeps_every_whole_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    write(folder, STORY)
    whole = (folder / JOURNAL).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    (folder / JOURNAL).write_bytes(whole[:cut])
    read = list(read_journal(folder))
    assert read == STORY[: len(read)]
    assert len(read) >= whole[:cut].count(b"\n")


def test_a_run_that_was_killed_is_told_exactly(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    state = final_state(tmp_path)
    assert state.status is RunStatus.INTERRUPTED
    told = "\n".join(lines(state))
    assert "done     a: do one" in told
    assert "unknown  b: do two (going on when the wizard ended)" in told
    assert "waiting  a: do three" in told


def test_a_damaged_line_does_not_hide_the_rest(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes().replace(b'"stage-started"', b'"\xff\xfe'))
    assert len(list(read_journal(tmp_path))) == len(STORY) - 1


def test_the_files_are_the_operators_alone(tmp_path: Path) -> None:
    folder = new_run_folder(0)
    write(folder, [*STORY, e.OutputReceived(at=6, step="two", host="../b/x", lines=("hi",))])
    assert folder.stat().st_mode & 0o777 == 0o700
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert {p.stat().st_mode & 0o777 for p in files} == {0o600}
    assert all(folder in p.resolve().parents for p in files) and len(files) == 2


SECRET = "pa$$ wörd=/+'x"


@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_secret_is_masked_in_every_form(before: str, after: str) -> None:
    redactor = Redactor([SecretStr(SECRET)])
    for form in (
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
    ):
        shown = redactor.text(f"{before}{form}{after}")
        assert form not in shown.replace(before, "", 1) or form in before + after
        assert MASK in shown


def test_a_secret_never_reaches_the_journal(tmp_path: Path) -> None:
    secret = SecretStr(SECRET)
    leaked = e.OutputReceived(at=1, step="one", host="a", lines=(f"password is {SECRET}",))
    write(tmp_path, [STORY[0], leaked], Redactor([secret]))
    for path in (p for p in tmp_path.rglob("*") if p.is_file()):
        text = path.read_text()
        assert SECRET not in text and json.dumps(SECRET)[1:-1] not in text and MASK in text


def test_a_full_disk_is_remembered_instead_of_raised(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).symlink_to("/dev/full")
    writer = JournalWriter(tmp_path, Redactor([]))
    writer.write(STORY[0])
    assert "cannot be written: No space left on device" in writer.problem
    writer.write(STORY[1])
    writer.close()


def test_a_log_that_cannot_be_written_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "a.log").symlink_to("/dev/full")
    writer = JournalWriter(tmp_path, Redactor([]))
    writer.write(e.OutputReceived(at=1, step="one", host="a", lines=("x",)))
    writer.flush()
    assert writer.problem.startswith(f"{tmp_path / 'hosts' / 'a.log'} cannot be written")


def test_a_run_that_can_no_longer_be_recorded_stops(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / JOURNAL).symlink_to("/dev/full")
    cluster = MemoryCluster("a", "b")
    run = Run(PLAN, cluster, folder=folder)
    run.start()
    state = run.hub.wait_for(lambda s: s.finished_at is not None, LIMIT)
    assert state.status is RunStatus.STOPPED and "No space left" in state.said
    assert cluster.commands() == []


def test_runs_are_found_by_any_end_of_their_name() -> None:
    first, second = new_run_folder(0), new_run_folder(0)
    assert second.name == f"{first.name}-2"
    for folder in (first, second):
        write(folder, STORY)
    assert [f.name for f in list_runs()] == [second.name, first.name]
    assert find_run(first.name) == first
    assert find_run("last") == list_runs()[0] != first
    with pytest.raises(PreconditionError, match="more than one") as caught:
        find_run(first.name[:4])
    assert second.name in caught.value.do
    with pytest.raises(PreconditionError, match="no run"):
        find_run("nothing")


def test_the_hub_keeps_a_bounded_window_and_counts_on() -> None:
    hub = Hub()
    hub.emit(STORY[0])
    for number in range(300):
        batch = tuple(f"{number}.{i}" for i in range(100))
        hub.emit(e.OutputReceived(at=1, step="one", host="a" if number % 2 else "b", lines=batch))
    following, window = hub.lines(0)
    assert following == 30_000 and len(window) == 2000 and window[-1].text == "299.99"
    assert {line.host for line in hub.lines(0, host="a")[1]} == {"a"}
    assert hub.lines(following)[1] == ()
    assert hub.state.steps["one"].lines == 30_000


def test_who_only_asks_whether_a_journal_is_written_does_not_keep_its_writer_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JournalWriter(tmp_path, Redactor([])).close()
    with (tmp_path / JOURNAL).open("rb") as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (asked.fileno(), fcntl.LOCK_UN)).start()
        writer = JournalWriter(tmp_path, Redactor([]))
    monkeypatch.setattr("deiswizard.run.journal.ASKED_FOR", 0.1)
    with pytest.raises(PreconditionError, match="is going on in another wizard"):
        JournalWriter(tmp_path, Redactor([]))
    writer.close()
