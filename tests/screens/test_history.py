"""The history: what was run, told by its journals, and what its keys do with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from deiswizard.demo.cluster import PretendCluster
from deiswizard.plan.plan import Plan
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed import plan as preseed_plan
from deiswizard.recommendations.registration import plan as registration_plan
from deiswizard.recommendations.registration.facts import RegistrationChoices
from deiswizard.redaction import Redactor
from deiswizard.run import events as e
from deiswizard.run.folders import runs_folder
from deiswizard.run.journal import JournalWriter
from deiswizard.screens.app import WizardApp
from deiswizard.screens.history import HistoryScreen
from deiswizard.session import Session
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import NOW, snapshot
from tests.screens.fakes import FakeSession, app_on, finished, halfway
from tests.screens.waiting import painted, until_still, until_text, until_told

SIZE = (80, 24)
DAY = 86_400


def registration() -> Plan:
    return registration_plan.plan(snapshot(), RegistrationChoices(mode="admin_only"))


def preseeding() -> Plan:
    return preseed_plan.plan(snapshot(), preseed.defaults(snapshot()))


def elsewhere(plan: Plan) -> Plan:
    basis = plan.basis.model_copy(update={"machines": ("f" * 32,)})
    return plan.model_copy(update={"cluster": "staging", "basis": basis})


def journal(name: str, plan: Plan, *events: e.Event, days_ago: int = 0) -> JournalWriter:
    """A run's journal that is still open."""
    folder = runs_folder() / name
    folder.mkdir(parents=True)
    writer = JournalWriter(folder, Redactor([]))
    for event in (e.RunStarted(at=NOW, run=name, plan=plan, by="ann@laptop"), *events):
        writer.write(event.model_copy(update={"at": event.at - days_ago * DAY}))
    return writer


def kept(name: str, plan: Plan, *events: e.Event, days_ago: int = 0) -> None:
    journal(name, plan, *events, days_ago=days_ago).close()


def done(plan: Plan) -> list[e.Event]:
    steps = (e.StepFinished(at=NOW, step=s.id, status=StepStatus.DONE) for s in plan.steps)
    return [*steps, e.RunFinished(at=NOW + 3, status=RunStatus.DONE)]


def after_it() -> FakeSession:
    """The cluster as the registration run left it."""
    return FakeSession(snapshot(keys={"/deis/controller/registrationMode": "admin_only"}))


def four_runs() -> None:
    plan = registration()
    kept("20261118-110640", plan, *done(plan))
    kept("20261117-110640", elsewhere(plan), *done(plan), days_ago=1)
    kept("20261116-110640", preseeding(), *halfway(preseeding()), days_ago=2)
    kept("20251116-110640", preseeding(), *finished(preseeding(), ok=False), days_ago=367)


async def to_history(pilot: Pilot[Any], *words: str) -> str:
    await until_text(pilot, "h history")
    await pilot.press("h")
    return await until_text(pilot, "History", *words)


async def test_nothing_was_run_yet_says_what_to_do() -> None:
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until_text(pilot, "h history")
        await pilot.press("h")
        await until_text(pilot, "Nothing was run from this machine yet", "open a recommendation")
        await pilot.press("u", "c", "v", "y", "tab", "enter", "j", "k", "down")
        await until_text(pilot, "Nothing was run from this machine yet")
        await pilot.press("escape")
        await until_text(pilot, "look again")


async def test_all_runs_are_listed_this_clusters_first() -> None:
    four_runs()
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        text = await to_history(
            pilot, "3 runs on this cluster, then 1 run on other clusters", "4 done"
        )
        rows = text.splitlines()[4:8]
        assert [row.strip(">").split()[0] for row in rows] == [
            "11-18",
            "11-16",
            "2025-11-16",
            "11-17",
        ]
        for row, words in zip(
            rows,
            (
                ("Registration mode", "✓ done", "prod-eu", "ann"),
                ("Preseeding containers", "! interrupted"),
                ("Preseeding containers", "✗ failed"),
                ("Registration mode", "✓ done", "staging"),
            ),
            strict=True,
        ):
            assert all(word in row for word in words), row


async def test_the_run_under_the_cursor_is_told_and_can_be_scrolled() -> None:
    four_runs()
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        await to_history(pilot, "u shows the plan that takes it back", "u undo", "4 done")
        await pilot.press("down")
        text = await until_text(pilot, "not needed: an image", "interrupted", "c continue")
        assert "u undo" not in text and "deiswizard resume 20261116-110640" not in text
        await pilot.press("tab", "end")
        await until_text(pilot, "deiswizard resume 20261116-110640")
        await pilot.press("tab", "down")
        await until_text(pilot, "1 of 2 checks did not hold")
        await pilot.press("enter", "end")
        await until_text(pilot, "check: NOT ok: deis-3 has every image")


async def test_undo_opens_in_the_preview_and_escape_comes_back() -> None:
    four_runs()
    app = app_on(after_it())
    async with app.run_test(size=SIZE) as pilot:
        await to_history(pilot, "u undo")
        await pilot.press("u")
        await until_text(
            pilot, "7 Undo: Registration mode", "● Preview", "admin_only  ->  enabled",
            "deiswizard undo 20261118-110640 --yes",
        )  # fmt: skip
        await pilot.press("escape")
        await until_text(pilot, "History", "3 runs on this cluster")


@pytest.mark.parametrize(
    ("plan", "events", "words"),
    [
        (registration(), [], "this run changed nothing"),
        (preseeding(), done(preseeding()), "not taken back by a run"),
        (elsewhere(registration()), done(registration()), "was on another cluster: staging"),
        (registration(), done(registration()), "as it was before this run already"),
    ],
    ids=["nothing done", "no way back", "other cluster", "back already"],
)
async def test_undo_is_refused_in_words(plan: Plan, events: list[e.Event], words: str) -> None:
    kept("20261118-110640", plan, *events)
    app = app_on(FakeSession())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await to_history(pilot, "By       ann@laptop")
        await pilot.press("u")
        (told,) = await until_told(pilot)
        assert words in told
        assert isinstance(app.screen, HistoryScreen)


async def test_a_run_that_goes_on_is_followed_and_not_taken_back() -> None:
    writer = journal("20261118-110640", registration(), e.StageStarted(at=NOW, stage="write"))
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await to_history(pilot, "▶ running", "c follow", "this run is going on")
        await pilot.press("u")
        await until_text(pilot, "or stop it")
        await pilot.press("c")
        await until_text(pilot, "● Run", "stage 2 of 3")
        writer.write(e.RunFinished(at=NOW + 9, status=RunStatus.STOPPED, said="stopped"))
        writer.close()
        await until_text(pilot, "● Verify", "stopped")
        await pilot.press("enter")
        await until_text(pilot, "■ stopped")


async def test_what_is_over_is_not_gone_on_with_and_what_was_cut_off_is() -> None:
    four_runs()
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await to_history(pilot, "4 done")
        await pilot.press("c")
        await until_text(pilot, "there is nothing")
        await pilot.press("j", "c")
        await until_text(pilot, "Run 20261116-110640 was cut off")


async def test_a_run_is_seen_again_and_its_end_at_once() -> None:
    plan = preseeding()
    *events, last = halfway(plan)
    kept("20261116-110640", plan, *events, last.model_copy(update={"at": NOW + 19}))
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        await to_history(pilot, "v see again")
        await pilot.press("v")
        await until_text(pilot, "replay of 2026-11", "stage 2 of 3")
        await pilot.press("e")
        await until_text(pilot, "its wizard ended here", "▶ running")
        await pilot.press("tab")
        await until_text(pilot, "[ Hosts ]")
        await pilot.press("a")
        await until_text(pilot, "as fast as it was", "[ Steps ]")
        await pilot.press("m", "escape")
        await until_text(pilot, "History", "1 run on this cluster")


async def test_a_journal_that_cannot_be_read_again_is_told() -> None:
    plan = registration()
    kept("20261118-110640", plan, *done(plan))
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await to_history(pilot, "4 done")
        (runs_folder() / "20261118-110640" / "journal.jsonl").unlink()
        await pilot.press("u")
        await until_text(pilot, "cannot be read", "History")
        await pilot.press("v")
        await until_text(pilot, "cannot be read", "Nothing was run from this machine yet")


async def test_the_path_of_the_record_is_copied_and_shown() -> None:
    plan = registration()
    kept("20261118-110640", plan, *done(plan))
    app = app_on(FakeSession())
    async with app.run_test(size=(160, 45), notifications=True) as pilot:
        await to_history(pilot, "4 done")
        await pilot.press("y")
        await until_text(pilot, "copied")
        assert app.clipboard == str(runs_folder() / "20261118-110640")


async def test_the_palette_knows_it() -> None:
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "h history")
        await pilot.press("colon", *"history", "enter")
        await until_text(pilot, "Nothing was run from this machine yet")


@pytest.mark.parametrize(
    "evil",
    ["[/foo]", "[b +", "\x1b[31mred", "x" * 5000, "a\nb"],
    ids=["closing", "broken", "escape", "long", "lines"],
)
async def test_words_from_elsewhere_are_no_markup(evil: str) -> None:
    plan = registration().model_copy(update={"title": evil, "cluster": evil})
    kept(
        "20261118-110640", plan, e.StepFinished(
            at=NOW, step="write:mode", status=StepStatus.UNKNOWN, said=evil
        ), e.Verified(at=NOW, checks=(e.Check(title=evil, ok=False, evidence=evil),)),
        e.RunFinished(at=NOW + 1, status=RunStatus.FAILED, said=evil),
    )  # fmt: skip
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await to_history(pilot, "✗ failed", "By       ann@laptop")
        await pilot.press("u")
        await until_text(pilot, "● Preview")
        await pilot.press("escape", "v", "e")
        await until_text(pilot, "this is its end")
        assert "\x1b" not in painted(app)


async def test_undone_from_the_history_on_a_cluster_that_answers() -> None:
    """Real SSH and etcd of the pretend cluster: run, go home, take it back from the history."""
    with PretendCluster.start("three", speed=50) as cluster:
        app = WizardApp(
            start=lambda address, asker, tell: Session.open(cluster.target, asker, tell),
            address=cluster.target.text,
            demo="three",
            open_first="registration",
        )
        async with app.run_test(size=SIZE) as pilot:
            await until_text(pilot, "● Choose", "next: Preview")
            await pilot.press("enter")
            await until_text(pilot, "● Preview")
            await pilot.press("enter")
            await until_text(pilot, "● Verify", "the live controller answers as admin_only")
            await pilot.press("enter")
            await to_history(pilot, "1 run on this cluster", "u undo")
            await pilot.press("u")
            await until_text(pilot, "● Preview", "admin_only  ->  enabled")
            await pilot.press("enter")
            await until_text(pilot, "● Verify", "registrationMode is enabled again")
            await pilot.press("enter")
            await until_text(pilot, "2 runs on this cluster", "Undo: Registration mode")
        assert cluster.store.value("/deis/controller/registrationMode") == "enabled"


async def pictured(pilot: Pilot[Any]) -> None:
    await to_history(pilot, "By       ann@laptop")


async def pictured_empty(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "h history")
    await pilot.press("h")
    await until_text(pilot, "Nothing was run")


async def pictured_replay(pilot: Pilot[Any]) -> None:
    await pictured(pilot)
    await pilot.press("down")
    await until_text(pilot, "interrupted", "c continue")
    await pilot.press("v", "e")
    await until_text(pilot, "its wizard ended here")


async def pictured_undo(pilot: Pilot[Any]) -> None:
    await to_history(pilot, "u undo")
    await pilot.press("u")
    await until_text(pilot, "Undo: Registration mode", "->")


CASES: dict[str, tuple[Callable[[], None], Callable[[Pilot[Any]], Any]]] = {
    "history": (four_runs, pictured),
    "history-empty": (lambda: None, pictured_empty),
    "history-replay": (four_runs, pictured_replay),
    "history-undo": (four_runs, pictured_undo),
}


@pytest.mark.parametrize("look", ["dark", "plain"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("case", CASES)
def test_the_history_looks_as_it_did(
    case: str,
    size: tuple[int, int],
    look: str,
    snap_compare: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    record = Path("/home/core/.local/state/deiswizard/runs/20261118-110640/record.md")
    monkeypatch.setattr("deiswizard.screens.history.kept_at", lambda folder: record)
    if look == "plain":
        monkeypatch.setenv("NO_COLOR", "1")
    prepare, steps = CASES[case]
    prepare()
    app = app_on(after_it(), ascii_only=look == "plain")

    async def settled(pilot: Pilot[Any]) -> None:
        await steps(pilot)
        await until_still(pilot)
        assert look != "plain" or painted(app).isascii()

    assert snap_compare(app, terminal_size=size, run_before=settled)
