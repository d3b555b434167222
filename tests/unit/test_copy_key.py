"""A key's value kept and put back within etcd: never in a plan, never twice, never lost."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from deiswizard.cluster.secret_keys import is_secret
from deiswizard.cluster.web import WebAnswer, WebRequest
from deiswizard.errors import ServiceError
from deiswizard.plan.conditions import WebSays
from deiswizard.plan.keeping import keep, kept_key, put_back, token_of
from deiswizard.plan.plan import Plan
from deiswizard.plan.preview import commands
from deiswizard.plan.step import (
    CopyKeyStep,
    GuardStep,
    RemoveKeyStep,
    WaitStep,
    WriteKeyStep,
    shown,
)
from deiswizard.run import events as e
from deiswizard.run.basis import own_changes
from deiswizard.run.record import record
from deiswizard.run.reducer import reduce
from deiswizard.run.runner import Run
from deiswizard.run.state import RunState, StepState
from deiswizard.run.undo import undo_plan, verify_undo
from deiswizard.vocabulary import Danger, RunStatus, StepStatus
from tests.builders import snapshot
from tests.unit.doing import Doing
from tests.unit.memory_cluster import LIMIT, MemoryCluster, plan_of, stage
from tests.unit.runs import Make, ended

KEY = "/deis/router/sslKey"
KEPT = kept_key("t1", KEY)
COPY = CopyKeyStep(id="c", title="c", source="/a", key="/b", danger=Danger.WRITE)
TIMED_OUT = ServiceError("etcd did not answer", state="not known: it may still be applied")


def values(doing: Doing) -> dict[str, str]:
    return {key: value for key, (value, _) in doing.cluster.store.keys.items()}


def kept_and_key(cluster: MemoryCluster) -> dict[str, str]:
    return {k: v for k, (v, _) in cluster.store.keys.items() if k in (KEY, KEPT)}


def test_a_value_is_copied_as_it_is(doing: Doing) -> None:
    doing.cluster.store.keys["/a"] = ("line\nline\n", 5)
    assert doing.do(COPY).status is StepStatus.DONE
    assert values(doing) == {"/a": "line\nline\n", "/b": "line\nline\n"}


def test_a_source_that_is_absent_leaves_no_copy(doing: Doing) -> None:
    doing.cluster.store.keys["/b"] = ("old", 5)
    assert doing.do(COPY).status is StepStatus.DONE and values(doing) == {}
    assert doing.do(COPY).status is StepStatus.DONE and values(doing) == {}


@pytest.mark.parametrize("source", ["new", None])
def test_it_is_copied_only_over_what_was_seen(doing: Doing, source: str | None) -> None:
    if source is not None:
        doing.cluster.store.keys["/a"] = (source, 4)
    doing.cluster.store.keys["/b"] = ("theirs", 5)
    for expect in (0, 4):
        result = doing.do(COPY.model_copy(update={"expect": expect}))
        assert result.status is StepStatus.FAILED and "make a new plan" in result.do
    assert values(doing)["/b"] == "theirs"
    assert doing.do(COPY.model_copy(update={"expect": 5})).status is StepStatus.DONE


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_copy_that_timed_out_is_looked_for_first(doing: Doing, is_applied: bool) -> None:
    etcd = doing.cluster.store
    etcd.keys["/a"] = ("x", 5)
    etcd.late, etcd.applies_late = [TIMED_OUT], is_applied
    assert doing.do(COPY).status is StepStatus.DONE
    assert etcd.asked == (["put"] if is_applied else ["put", "put"])


def test_a_copy_that_was_cut_off_is_not_made_twice(doing: Doing) -> None:
    doing.cluster.store.keys |= {"/a": ("x", 5), "/b": ("x", 6)}
    step = COPY.model_copy(update={"expect": 0})
    assert doing.do(step, StepState(attempt=1)).status is StepStatus.DONE
    assert doing.cluster.store.asked == []


def test_what_was_put_back_already_is_not_put_back_as_nothing(doing: Doing) -> None:
    doing.cluster.store.keys[KEY] = ("precious", 5)
    back = put_back("t1", KEY, "set", was_there=True)[0]
    result = doing.do(back)
    assert result.status is StepStatus.FAILED and "nothing at" in result.said
    assert values(doing) == {KEY: "precious"}


def test_removing_what_is_gone_is_no_failure(doing: Doing) -> None:
    gone = RemoveKeyStep(id="r", title="r", key="/k", danger=Danger.WRITE)
    assert doing.do(gone).status is StepStatus.DONE
    doing.cluster.store.keys["/k"] = ("x", 5)
    made_since = doing.do(gone.model_copy(update={"expect": 0}))
    assert made_since.status is StepStatus.FAILED and values(doing) == {"/k": "x"}


def test_what_is_kept_is_as_secret_as_it_was() -> None:
    assert is_secret(KEPT) and KEPT == "/deiswizard/kept/t1/deis/router/sslKey"
    assert token_of(snapshot(), "tls") != token_of(snapshot(), "logging")


def changing() -> Plan:
    """The key set anew, with its former value kept; and the way back."""
    write = WriteKeyStep(id="set", title="set", key=KEY, value="new-hunter2", danger=Danger.WRITE)
    back, forget = put_back("t1", KEY, "set", was_there=True)
    return plan_of(
        stage(keep("t1", KEY), name="keep"),
        stage(write, name="set"),
        undo=(stage(back, name="back"), stage(forget, name="forget")),
    )


def test_a_change_is_kept_made_and_taken_back(make: Make) -> None:
    cluster = MemoryCluster("a")
    cluster.store.keys[KEY] = ("old-hunter2", 7)
    run = make(changing(), cluster)
    run.start()
    assert ended(run).status is RunStatus.DONE and run.ended.wait(LIMIT)
    assert kept_and_key(cluster) == {
        KEY: "new-hunter2", KEPT: "old-hunter2",
    }  # fmt: skip
    assert "old-hunter2" not in (run.folder / "journal.jsonl").read_text()

    now = snapshot(keys={KEY: "new-hunter2"}).model_copy(update={"cluster": "prod"})
    undo = undo_plan(run.hub.state, now)
    assert [step.id for step in undo.steps] == [f"back:{KEY}", f"forget:{KEY}"]
    assert [basis.key for basis in undo.basis.keys] == [KEY]
    folder = run.folder.with_name("back")
    folder.mkdir()
    again = Run(undo.model_copy(update={"basis": changing().basis}), cluster, folder=folder)
    again.start()
    assert ended(again).status is RunStatus.DONE, again.hub.state
    assert kept_and_key(cluster) == {KEY: "old-hunter2"}
    assert "old-hunter2" not in (folder / "journal.jsonl").read_text()


def test_a_way_back_is_judged_without_telling_the_value() -> None:
    undo = changing().model_copy(update={"stages": changing().undo, "undo": ()})
    checks = verify_undo(undo, snapshot(keys={KEY: "old-hunter2"}))
    assert [(c.ok, c.evidence) for c in checks] == [(True, "it is there; its value is not shown")]
    assert verify_undo(undo, snapshot())[0].ok is False
    removed = plan_of(stage(*put_back("t1", KEY, "set", was_there=False)))
    assert [c.ok for c in verify_undo(removed, snapshot())] == [True]
    assert [c.ok for c in verify_undo(removed, snapshot(keys={KEY: "x"}))] == [False]


def test_it_shows_what_a_person_would_type_and_is_recorded() -> None:
    step = keep("t1", KEY)
    wanted = f'etcdctl set {KEPT} "$(etcdctl get {KEY})"'
    assert shown(step) == wanted
    plan = plan_of(stage(step))
    assert [line.text for group in commands(plan) for line in group.commands] == [wanted]
    events: list[e.Event] = [
        e.RunStarted(at=1, run="r", plan=plan),
        e.StepStarted(at=2, step=step.id),
        e.StepFinished(at=3, step=step.id, status=StepStatus.DONE),
        e.RunFinished(at=4, status=RunStatus.DONE),
    ]
    state = RunState()
    for event in events:
        state = reduce(state, event)
    assert "etcdctl get /deis/router/sslKey" in record(state)
    assert set(own_changes(plan, state).keys) == {KEPT}


def test_a_guard_asks_a_service_as_its_clients_would(doing: Doing) -> None:
    host = doing.cluster.hosts["a"]
    host.webs = [WebAnswer(said="refused"), WebAnswer(status=200)]
    asked = WebRequest(host="a", name="deis.example.com")
    condition = WebSays(request=asked, status="200")
    guard = GuardStep(id="g", title="g", host="a", condition=condition, otherwise="no router")
    refused = doing.do(guard)
    assert refused.status is StepStatus.FAILED and refused.said == "no router (refused)"
    fine = doing.do(guard)
    assert (fine.status, fine.said) == (StepStatus.DONE, "HTTP 200")
    assert host.asked_web == [asked, asked] and shown(guard) == asked.shown


def test_an_answer_that_shall_last_is_asked_for_again_and_again(
    doing: Doing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reload nginx' old workers answer beside the new ones for a moment."""
    ticks = SimpleNamespace(monotonic=itertools.count().__next__)
    monkeypatch.setattr("deiswizard.run.holding.time", ticks)
    monkeypatch.setattr("deiswizard.run.holding.BETWEEN", 0.0)
    asked = WebRequest(host="a", name="deis.example.com")
    condition = WebSays(request=asked, status="200", steady=3)
    wait = WaitStep(id="w", title="w", condition=condition, waiting_for="it", interval=0.01)
    old, new = WebAnswer(status=403), WebAnswer(status=200)
    host = doing.cluster.hosts["a"]
    host.webs = [old, new, old, new]
    assert doing.do(wait).status is StepStatus.DONE
    assert len(host.asked_web) == 1 + 2 + 3
    assert len(doing.told("wait-polled")) == 2
