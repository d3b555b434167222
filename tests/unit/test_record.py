"""The record of a run: true to what happened, whatever happened, and harmless to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pydantic import SecretStr

from deiswizard.cluster.access import CommandResult
from deiswizard.plan.conditions import CommandSays, DiskRoom, ImagePresent
from deiswizard.plan.plan import Basis, Change, KeyBasis, Plan
from deiswizard.plan.step import (
    CommandStep,
    GuardStep,
    PullStep,
    RemoveKeyStep,
    Step,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed import plan as preseed_plan
from deiswizard.recommendations.registration import plan as registration_plan
from deiswizard.recommendations.registration.facts import RegistrationChoices
from deiswizard.redaction import MASK, Redactor
from deiswizard.run import events as e
from deiswizard.run.journal import JournalWriter
from deiswizard.run.record import RECORD, kept_at, outcome, record
from deiswizard.run.reducer import reduce
from deiswizard.run.replay import final_state
from deiswizard.run.state import RunState
from deiswizard.vocabulary import Danger, JobWay, RunStatus, StepStatus
from tests.builders import snapshot
from tests.unit.memory_cluster import MemoryCluster, command, plan_of, stage
from tests.unit.runs import Make, ended

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
CHANGE = Change(where="/k", current="no", desired="yes", steps=("one",))
PLAN = plan_of(
    stage(command("one"), command("two", "b"), name="s0"),
    stage(command("three"), name="s1"),
    changes=(
        CHANGE,
        Change(where="/l", current=None, desired="x", steps=("two",)),
        Change(where="/m", current="x", desired=None, steps=("three",)),
        Change(where="/n", current="x", desired="x"),
    ),
)


def told(*events: e.Event, plan: Plan = PLAN) -> RunState:
    state = reduce(RunState(), e.RunStarted(at=100, run="r1", plan=plan, by="ann@pc", wizard="9.8"))
    for event in events:
        state = reduce(state, event)
    return state


def step_ended(step: str, status: StepStatus, **more: Any) -> e.StepFinished:
    return e.StepFinished(at=160, step=step, status=status, **more)


def part(text: str, title: str) -> str:
    """One section of a record."""
    return text.split(f"## {title}", 1)[1].split("\n## ", 1)[0]


def test_a_run_that_went_well_says_what_who_when_and_how_to_take_it_back() -> None:
    undo = stage(WriteKeyStep(id="u", title="back", key="/k", value="no", danger=Danger.WRITE))
    state = told(
        e.StepStarted(at=101, step="one"),
        *(step_ended(name, StepStatus.DONE, code=0) for name in ("one", "two", "three")),
        e.Verified(at=170, checks=(e.Check(title="the key is yes", ok=True, evidence="/k = yes"),)),
        e.RunFinished(at=230, status=RunStatus.DONE),
        plan=PLAN.model_copy(update={"undo": (undo,), "choices": {"mode": "yes", "hosts": []}}),
    )
    text = record(state)
    assert text.startswith("# Run r1: A test on prod\n\n**done**. A new look at the cluster")
    for words in (
        "| By | ann@pc |",
        "| With | deiswizard 9.8 |",
        "(after 2 min 10 s)",
        "| Choice: mode | `yes` |",
        "| Choice: hosts | `none` |",
        "| the key is yes | ok | /k = yes |",
        "`deiswizard undo r1`",
    ):
        assert words in text, words
    changed = part(text, "What was changed")
    assert "| /k | `no` | `yes` |" in changed and "| /l | absent | `x` |" in changed
    assert "| /m | `x` | absent |" in changed and "As wanted already" in changed
    assert "not made" not in changed and "What is not known" not in text
    assert "| a | do one | done |" in text and "| 59 s | 0 | `one` |" in text


def test_only_what_was_done_is_told_as_changed() -> None:
    state = told(
        step_ended("one", StepStatus.DONE),
        step_ended("two", StepStatus.UNKNOWN, said="the connection to b was lost"),
        e.HostLost(at=161, host="b"),
        step_ended("three", StepStatus.BLOCKED, said="needs: do two"),
        e.RunFinished(at=170, status=RunStatus.FAILED, said="1 of 2 steps failed"),
    )
    assert [outcome(c, state) for c in PLAN.changes] == [
        "made", "not known", "not made", "was so already",
    ]  # fmt: skip
    text = record(state)
    changed = part(text, "What was changed")
    made, _, rest = changed.partition("Not known: look")
    unknown, _, not_made = rest.partition("Planned, but not made")
    assert "/k" in made and "/l" in unknown and "/m" in not_made
    assert "- 1 of 2 steps failed" in text
    assert "It was not: no new look" in part(text, "How it was verified")
    open_ = part(text, "What is not known")
    assert "- b: do two: the connection to b was lost" in open_
    assert "- b: the connection was lost" in open_
    assert "| b | 1 unknown | the connection was lost |" in text


def test_a_change_whose_steps_are_not_named_waits_for_all_that_change_something() -> None:
    change = Change(where="/k", current="no", desired="yes")
    half = told(step_ended("one", StepStatus.DONE), plan=PLAN)
    whole = told(*(step_ended(n, StepStatus.DONE) for n in ("one", "two", "three")), plan=PLAN)
    assert outcome(change, told()) == "not made"
    assert outcome(change, half) == "not known"
    assert outcome(change, whole) == "made"


def test_a_script_that_ended_well_has_made_nothing_that_a_look_did_not_find() -> None:
    look = GuardStep(
        id="look", title="there", host="a", otherwise="not there",
        condition=ImagePresent(host="a", image="i"),
    )  # fmt: skip
    change = CHANGE.model_copy(update={"steps": ("one", "look")})
    plan = plan_of(stage(command("one")), stage(look, name="look"), changes=(change,))
    done = step_ended("one", StepStatus.DONE, code=0)
    assert outcome(change, told(done, plan=plan)) == "not known"
    missing = told(done, step_ended("look", StepStatus.FAILED), plan=plan)
    assert outcome(change, missing) == "not made"
    found = told(done, step_ended("look", StepStatus.DONE), plan=plan)
    assert outcome(change, found) == "made"


def test_a_refused_run_changed_nothing_and_says_why() -> None:
    state = told(
        e.PlanRefused(at=101, differences=("/k was written: it is now 'x'",)),
        e.RunFinished(at=101, status=RunStatus.REFUSED, said="the cluster has changed"),
    )
    text = record(state)
    assert "**refused**. Nothing was changed" in text
    assert "- /k was written: it is now 'x'" in text
    assert "No change is known to have been made" in text
    assert "deiswizard undo" not in text


def test_what_was_left_out_says_by_whom_and_why() -> None:
    state = told(
        step_ended("one", StepStatus.FAILED, code=1, said="no room", do="make room"),
        e.StepSkipped(at=150, step="two", reason="host is going", by="bob@pc"),
        e.StopRequested(at=160),
        e.RunFinished(at=170, status=RunStatus.STOPPED, said="stopped by the operator"),
    )
    text = record(state)
    assert "| b | do two | skipped |" in text and "left out by bob@pc: host is going" in text
    assert "| 1 | `one` | no room; to do: make room |" in text
    assert "It was stopped before its end" in text


def test_an_empty_plan_and_a_run_that_never_began() -> None:
    text = record(told(e.RunFinished(at=101, status=RunStatus.DONE), plan=plan_of()))
    assert "Nothing was to be changed" in text and "no steps" in text
    assert "Nothing was changed" in record(RunState())


EVERY_STEP: tuple[Step, ...] = (
    CommandStep(id="c", title="c", host="a", command="x | y", sudo=True, stdin="${secret:pass}"),
    UploadStep(id="u", title="u", host="a", path="/etc/x", content="${secret:pass}"),
    WriteKeyStep(id="w", title="w", key="/deis/x/y", value="${secret:pass}"),
    RemoveKeyStep(id="r", title="r", key="/deis/x/y"),
    PullStep(id="p", title="p", host="a", image="deis/x:v1", way=JobWay.UNIT),
    WaitStep(
        id="t", title="t", host="a", waiting_for="y",
        condition=CommandSays(host="a", command="true", pattern=""),
    ),
    GuardStep(
        id="g", title="g", host="a", condition=DiskRoom(host="a", path="/", needed=1), otherwise="o"
    ),
)  # fmt: skip


def test_every_kind_of_step_stands_in_it_and_no_secret_does() -> None:
    text = record(told(plan=plan_of(stage(*EVERY_STEP))))
    assert "<secret: pass>" in text and "docker pull deis/x:v1" in text
    for step in EVERY_STEP:
        assert f"| {step.id} | waiting |" in text


@settings(deadline=None)
@given(st.text("\\`*_[]()<>#|~&;!-+=1.) \n\x1b\u202ea", min_size=1, max_size=20))
def test_hostile_words_are_shown_and_are_no_markup(evil: str) -> None:
    plan = plan_of(
        stage(CommandStep(id="one", title=evil, host=evil, command=evil, danger=Danger.WRITE)),
        changes=(Change(where=evil, current=evil, desired=evil + "2", note=evil),),
        choices={evil: evil},
    )
    plan = plan.model_copy(update={"cluster": evil, "title": evil})
    state = told(
        step_ended("one", StepStatus.UNKNOWN, said=evil, do=evil),
        e.HostLost(at=1, host=evil),
        e.Verified(at=2, checks=(e.Check(title=evil, ok=None, evidence=evil),)),
        e.RunFinished(at=3, status=RunStatus.FAILED, said=evil),
        plan=plan,
    )
    text = record(state)
    assert all(char.isprintable() or char == "\n" for char in text)
    kinds = [t.type for token in PARSER.parse(text) for t in (token, *(token.children or []))]
    assert not {"html_inline", "html_block", "link_open", "image", "blockquote_open"} & set(kinds)
    assert kinds.count("table_open") == 5 and kinds.count("heading_open") == 8
    assert kinds.count("strong_open") == 1 and kinds.count("fence") == 0


def test_the_record_is_written_when_the_run_ends_for_the_operator_alone(make: Make) -> None:
    cluster = MemoryCluster("a", "b")
    run = make(PLAN, cluster)
    run.start()
    state = ended(run)
    path = run.folder / RECORD
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == record(final_state(run.folder))
    assert str(state.status) in path.read_text() and kept_at(run.folder) == path


def test_a_refused_run_is_recorded_too(make: Make) -> None:
    basis = Basis(taken_at=0.0, keys=(KeyBasis(key="/k", index=7),))
    run = make(PLAN.model_copy(update={"basis": basis}), MemoryCluster("a", "b"))
    run.start()
    ended(run)
    assert "/k was removed" in (run.folder / RECORD).read_text()


def test_a_record_that_cannot_be_written_does_not_break_the_run(make: Make) -> None:
    run = make(PLAN, MemoryCluster("a", "b"))
    (run.folder / RECORD).mkdir()
    run.start()
    assert ended(run).status is RunStatus.DONE
    assert any("gave up: IsADirectoryError" in line.text for line in run.hub.lines()[1])


def test_a_killed_run_has_no_file_but_its_record_can_be_made(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, Redactor([]))
    for event in (
        e.RunStarted(at=100, run="r1", plan=PLAN),
        e.StepStarted(at=101, step="one"),
        e.StepFinished(at=102, step="one", status=StepStatus.DONE),
        e.StepStarted(at=103, step="two"),
    ):
        writer.write(event)
    writer.close()
    text = record(final_state(tmp_path))
    assert "**interrupted**. The wizard ended before the run did" in text
    assert "not recorded; last heard of" in text
    assert "- b: do two: going on when the wizard ended" in text
    assert kept_at(tmp_path) == tmp_path


def test_a_secret_that_a_host_said_is_not_in_the_record(make: Make) -> None:
    secret = SecretStr("pa$$_w*rd|`x`")
    cluster = MemoryCluster("a", "b")

    def says(call: Any) -> CommandResult:
        call.on_lines("err", [f"no: {secret.get_secret_value()}"])
        return CommandResult(1)

    cluster.hosts["a"].answers["one"] = [says]
    plan = PLAN.model_copy(
        update={"changes": (Change(where="/k", current=secret.get_secret_value(), desired="x"),)}
    )
    run = make(plan, cluster, keep_out=[secret])
    run.start()
    ended(run)
    text = (run.folder / RECORD).read_text()
    assert "pa$$" not in text and "rd" + "&#124;" not in text
    assert f"`{MASK}`" in text and "no: &lt;secret&gt;" in text


@pytest.mark.parametrize("method", ["pull", "script"])
def test_the_changes_of_our_plans_name_the_steps_that_make_them(method: str) -> None:
    choices = preseed.defaults(snapshot()).model_copy(update={"method": method})
    plans = [
        preseed_plan.plan(snapshot(), choices),
        registration_plan.plan(snapshot(), RegistrationChoices()),
    ]
    for plan in plans:
        ids = {step.id for step in plan.steps}
        for change in plan.changes:
            assert change.steps and set(change.steps) <= ids
