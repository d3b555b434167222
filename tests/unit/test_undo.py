"""The way back: of whole, half-done, unknown and resumed runs; never what the run did not touch."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from deiswizard.cluster.access import CommandResult
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Basis, Change, Plan
from deiswizard.plan.step import WriteKeyStep
from deiswizard.redaction import MASK
from deiswizard.run import events as e
from deiswizard.run.record import record
from deiswizard.run.reducer import reduce
from deiswizard.run.replay import final_state
from deiswizard.run.resume import unfinished
from deiswizard.run.runner import Run
from deiswizard.run.state import RunState
from deiswizard.run.undo import undo_plan, verify_undo
from deiswizard.vocabulary import Danger, RunStatus, StepStatus
from tests.builders import snapshot
from tests.unit.memory_cluster import LIMIT, MemoryCluster, command, plan_of, stage, wait_for_key
from tests.unit.runs import Make, ended, fails

NAMES = ("a", "b", "c")
MACHINES = tuple(f"{number:032x}" for number in (1, 2, 3))


def write(name: str, value: str, **more: object) -> WriteKeyStep:
    fields = {"id": f"set:{name}", "title": f"set {name}", "key": f"/deis/x/{name}"}
    return WriteKeyStep.model_validate({**fields, "value": value, "danger": Danger.WRITE, **more})


def back(name: str) -> WriteKeyStep:
    return write(name, "old", id=f"back:{name}", undoes=(f"set:{name}",))


def three(**more: object) -> Plan:
    """Three keys in three stages, and the way back."""
    fields = {
        "changes": tuple(
            Change(where=f"/deis/x/{n}", current="old", desired="new", steps=(f"set:{n}",))
            for n in NAMES
        ),
        "undo": tuple(stage(back(n), name=f"back-{n}") for n in reversed(NAMES)),
        "basis": Basis(taken_at=0, machines=MACHINES),
        **more,
    }
    return plan_of(*(stage(write(n, "new"), name=n) for n in NAMES)).model_copy(update=fields)


def told(plan: Plan, *events: e.Event) -> RunState:
    state = reduce(RunState(), e.RunStarted(at=1, run="r1", plan=plan))
    for event in events:
        state = reduce(state, event)
    return state


def step(name: str, status: StepStatus, **more: object) -> e.StepFinished:
    return e.StepFinished.model_validate({"at": 2, "step": f"set:{name}", "status": status, **more})


def done(*names: str) -> list[e.Event]:
    return [step(name, StepStatus.DONE) for name in names]


END = e.RunFinished(at=9, status=RunStatus.DONE)
STOP = e.RunFinished(at=9, status=RunStatus.STOPPED)


def looks(**values: str) -> Snapshot:
    now = {"a": "old", "b": "old", "c": "old", **values}
    return snapshot(keys={f"/deis/x/{name}": value for name, value in now.items()})


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


def test_a_whole_run_is_taken_back_last_change_first() -> None:
    now = looks(a="new", b="new", c="new")
    plan = undo_plan(told(three(), *done(*NAMES), END), now)
    assert ids(plan) == ["back:c", "back:b", "back:a"]
    assert [(c.current, c.desired, c.note) for c in plan.changes] == [("new", "old", "")] * 3
    assert plan.is_undo and plan.undo_of == "r1" and plan.undo == ()
    assert [check.ok for check in verify_undo(plan, looks())] == [True] * 3
    assert plan.impact.notes == ("takes back run r1",)


def test_of_a_half_done_run_only_what_it_did_is_taken_back() -> None:
    plan = undo_plan(told(three(), *done("a", "b"), STOP), looks(a="new", b="new", c="mine"))
    assert ids(plan) == ["back:b", "back:a"]
    assert [key.key for key in plan.basis.keys] == ["/deis/x/b", "/deis/x/a"]
    assert [(c.where, c.steps) for c in plan.changes] == [
        ("/deis/x/a", ("back:a",)), ("/deis/x/b", ("back:b",)),
    ]  # fmt: skip
    assert "2 of 3 steps that change something" in " ".join(plan.impact.notes)
    assert len(verify_undo(plan, looks(c="mine"))) == 2


def test_the_plan_of_a_half_done_run_leaves_the_other_keys_alone(make: Make) -> None:
    """Through the real runner: the key that the run never wrote keeps somebody else's value."""
    plan = undo_plan(told(three(), *done("a"), STOP), looks(a="new", b="mine"))
    plan = plan.model_copy(update={"basis": Basis(taken_at=0)})
    cluster = MemoryCluster("a")
    cluster.store.put("/deis/x/a", "new", expect=None)
    cluster.store.put("/deis/x/b", "mine", expect=None)
    run = make(plan, cluster)
    run.start()
    assert ended(run).status is RunStatus.DONE
    values = [cluster.store.get(f"/deis/x/{name}") for name in NAMES]
    assert [fact.text if fact else None for fact in values] == ["old", "mine", None]


@pytest.mark.parametrize(
    "event",
    [
        step("b", StepStatus.UNKNOWN),
        step("b", StepStatus.FAILED, code=1),
        e.StepStarted(at=2, step="set:b"),
    ],
)
def test_what_may_have_been_done_is_taken_back_too(event: e.Event) -> None:
    plan = undo_plan(told(three(), *done("a"), event, STOP), looks(a="new"))
    assert ids(plan) == ["back:b", "back:a"]
    assert [c.note for c in plan.changes] == ["", ""]


def test_what_is_known_not_to_have_been_done_is_left_alone() -> None:
    failed = step("b", StepStatus.FAILED)  # refused before it was sent
    assert ids(undo_plan(told(three(), *done("a"), failed, STOP), looks(a="new"))) == ["back:a"]


LATER: dict[str, list[e.Event]] = {
    "resumed": [e.RunResumed(at=5)],
    "resumed and left": [e.RunResumed(at=5), e.RunLeft(at=6, said="later")],
    "resumed and stale": [
        e.RunResumed(at=5),
        e.StepStarted(at=6, step="set:b", attempt=2),
        step("b", StepStatus.FAILED),
    ],
    "tried again": [e.RetryRequested(at=5, steps=("set:b",))],
    "tried again, blocked": [
        e.RetryRequested(at=5, steps=("set:b",)),
        step("b", StepStatus.BLOCKED),
    ],
    "left out": [e.StepSkipped(at=5, step="set:b", reason="known")],
}


@pytest.mark.parametrize("later", LATER)
def test_what_an_earlier_try_may_have_done_is_not_forgotten(later: str) -> None:
    """A run that was taken up again, and then ended before it came to that step."""
    begun: list[e.Event] = [
        e.StepStarted(at=2, step="set:b"),
        step("b", StepStatus.UNKNOWN),
    ]
    state = told(three(), *done("a"), *begun, *LATER[later], STOP)
    assert ids(undo_plan(state, looks(a="new", b="new"))) == ["back:b", "back:a"]


def test_a_run_that_was_cut_off_and_resumed_is_taken_back_as_far_as_it_came(make: Make) -> None:
    """Through the real runner and its journal: half-done at first, whole after the resumption."""
    cluster = MemoryCluster("a")
    cluster.hosts["a"].answers["gate"] = [fails, CommandResult(0)]
    plan = three(basis=Basis(taken_at=0))
    gate = stage(command("gate", danger=Danger.READ), name="gate")
    plan = plan.model_copy(update={"stages": (*plan.stages[:2], gate, plan.stages[2])})
    run = make(plan, cluster)
    run.start()
    assert ended(run).status is RunStatus.FAILED and run.ended.wait(LIMIT)
    now = looks(a="new", b="new").model_copy(update={"cluster": "prod"})
    assert ids(undo_plan(final_state(run.folder), now)) == ["back:b", "back:a"]
    again = Run(run.plan, cluster, folder=run.folder, earlier=unfinished(run.folder).events)
    again.start()
    assert ended(again).status is RunStatus.DONE and again.ended.wait(LIMIT)
    whole = undo_plan(final_state(run.folder), now)
    assert ids(whole) == ["back:c", "back:b", "back:a"]


def test_without_ties_the_whole_way_back_is_taken() -> None:
    loose = tuple(stage(write(n, "old", id=f"back:{n}"), name=f"back-{n}") for n in NAMES)
    plan = undo_plan(told(three(undo=loose), *done("a"), STOP), looks(a="new"))
    assert ids(plan) == ["back:a", "back:b", "back:c"]
    assert [c.where for c in plan.changes] == ["/deis/x/a"]


def test_what_belongs_to_the_whole_is_kept_and_is_not_enough_by_itself() -> None:
    wait = stage(wait_for_key("wait"), name="wait")
    plan = three(undo=(stage(back("c"), name="back-c"), wait))
    assert ids(undo_plan(told(plan, *done(*NAMES), END), looks(c="new"))) == ["back:c", "wait"]
    with pytest.raises(PreconditionError, match="nothing that this run did is taken back by a run"):
        undo_plan(told(plan, *done("a"), STOP), looks(a="new"))


def test_what_has_moved_is_not_asked_where_it_was() -> None:
    asked = [
        wait_for_key(f"wait:{asks}:{host}", host=host, asks=asks)
        for asks, host in (
            ("deis-logger", "deis-1"),
            ("deis-logger", "deis-2"),
            ("deis-gone", "deis-2"),
        )
    ]
    last = wait_for_key("last", needs=tuple(step.id for step in asked))
    plan = three(undo=(stage(back("c"), name="back-c"), stage(*asked, last, name="live")))
    found = undo_plan(told(plan, *done(*NAMES), END), looks(c="new"))
    left = ("wait:deis-logger:deis-1", "wait:deis-gone:deis-2")
    assert ids(found) == ["back:c", *left, "last"]
    assert list(found.steps)[-1].needs == left
    assert "deis-logger runs on deis-2 no more: it is not asked there" in found.impact.notes


def test_the_preview_tells_what_is_there_now_not_what_the_run_had_made() -> None:
    plan = undo_plan(told(three(), *done(*NAMES), END), looks(a="mine", b="new", c="new"))
    first = plan.changes[0]
    assert (first.current, first.desired) == ("mine", "old")
    assert first.note == "changed since that run, which had made it new"


@pytest.mark.parametrize(
    ("wrote", "now", "shown"),
    [
        ("new", "new", "as is best"),
        ("new", "mine", "mine"),
        ("${secret:x}", "new", "as is best"),
        (MASK, "new", "as is best"),
    ],
)
def test_a_value_that_was_told_in_other_words_is_not_taken_for_changed(
    wrote: str, now: str, shown: str
) -> None:
    plan = three(changes=(Change(where="/deis/x/a", current="old", desired="as is best", steps=("set:a",)),))  # fmt: skip
    plan = plan.model_copy(
        update={"stages": (stage(write("a", wrote), name="a"), *plan.stages[1:])}
    )
    [change] = undo_plan(told(plan, *done(*NAMES), END), looks(a=now)).changes
    assert (change.current, change.desired) == (shown, "old")
    assert bool(change.note) == (shown == "mine")


def test_what_is_back_already_is_not_taken_back_again() -> None:
    with pytest.raises(PreconditionError, match="as it was before this run already"):
        undo_plan(told(three(), *done(*NAMES), END), looks())
    unknown = told(three(), step("a", StepStatus.UNKNOWN), STOP)
    assert ids(undo_plan(unknown, looks())) == ["back:a"]  # etcd may still apply the request


def test_what_cannot_be_taken_back_says_why() -> None:
    going_on = told(three(), *done("a"))
    other = told(three(basis=Basis(taken_at=0, machines=("f" * 32,))), *done("a"), STOP)
    masked = three(undo=(stage(write("a", MASK, id="u", undoes=("set:a",)), name="u"),))
    whole = told(three(), *done(*NAMES), END)
    for state, now, words in (
        (RunState(), looks(), "never began"),
        (going_on, looks(), "is going on"),
        (told(three(), STOP), looks(), "changed nothing"),
        (told(three(undo=()), *done("a"), STOP), looks(), "not taken back by a run"),
        (told(masked, *done("a"), STOP), looks(), "kept out of its journal as secrets"),
        (other, looks(), "was on another cluster: prod"),
        (whole, looks().model_copy(update={"keys_read": False}), "could not be read from etcd"),
    ):
        with pytest.raises(PreconditionError, match=words):
            undo_plan(state, now)


def test_a_cluster_is_known_by_its_machines_or_else_by_its_name() -> None:
    now = snapshot()
    assert now.is_of("called otherwise", MACHINES[:1]) and now.is_of("prod-eu", ())
    assert not now.is_of("prod-eu", ("f" * 32,)) and not now.is_of("prod", ())


def test_a_way_back_is_tied_to_steps_that_are_there_and_goes_backwards() -> None:
    plan = three()
    assert Plan.model_validate(plan.model_dump()) == plan
    stray = (stage(write("a", "old", id="u", undoes=("set:z",))),)
    with pytest.raises(ValidationError, match="undoes what is no step"):
        Plan.model_validate(three(undo=stray).model_dump())
    with pytest.raises(ValidationError, match="the last change goes first"):
        Plan.model_validate(three(undo=plan.undo[::-1]).model_dump())


def test_the_record_names_the_way_back_of_a_step_that_was_tried_before() -> None:
    state = told(three(), step("a", StepStatus.UNKNOWN), e.RunResumed(at=5), STOP)
    text = record(state)
    assert "`deiswizard undo r1`" in text and "Not known: look" in text
    assert "changed nothing" not in text
