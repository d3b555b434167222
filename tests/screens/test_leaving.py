"""Turning away from a run, and coming back to one that was cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from deiswizard.recommendations import catalogue
from deiswizard.redaction import Redactor
from deiswizard.run import events as e
from deiswizard.run.journal import JournalWriter
from deiswizard.screens.overview import OverviewScreen
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import NOW, snapshot
from tests.screens.fakes import FakeSession, app_on, halfway
from tests.screens.waiting import until_quit, until_text

SIZE = (80, 24)
TO_RUN = ("4", "enter", "enter")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEISWIZARD_STATE", str(tmp_path))
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def cut_off_run(runs: Path, name: str = "20261122-223104") -> JournalWriter:
    """The journal of a preseed that did one step and was going on with the next; still open."""
    now = snapshot()
    recommendation = catalogue.named("preseed")
    plan = recommendation.plan(now, recommendation.defaults(now))
    folder = runs / name
    folder.mkdir()
    journal = JournalWriter(folder, Redactor([]))
    first, second = [step.id for step in plan.steps][:2]
    for event in (
        e.RunStarted(at=NOW - 300, run=name, plan=plan, by="ann@laptop"),
        e.StepStarted(at=NOW - 299, step=first),
        e.StepFinished(at=NOW - 298, step=first, status=StepStatus.DONE),
        e.StepStarted(at=NOW - 240, step=second),
    ):
        journal.write(event)
    return journal


async def to_the_run(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Preseeding")
    for key, words in zip(TO_RUN, ("● Choose", "● Preview", "● Run"), strict=True):
        await pilot.press(key)
        await until_text(pilot, words)


async def test_leaving_hands_the_run_over_and_says_how_to_come_back() -> None:
    session = FakeSession(events=halfway)
    app = app_on(session)
    async with app.run_test(size=SIZE) as pilot:
        await to_the_run(pilot)
        await pilot.press("escape")
        await until_text(pilot, "Leave, let it go on: back with deiswizard resume")
        await pilot.press("down", "down", "enter")
        await until_quit(pilot)
    run = session.runs[0]
    assert session.handed_over == [run.folder]
    assert [what for what, _ in run.asked] == ["leave"]
    assert app.return_value is not None
    assert "goes on without this program" in app.return_value
    assert f"deiswizard resume {run.id}" in app.return_value


async def test_the_overview_points_at_the_run_that_was_left() -> None:
    app = app_on(FakeSession(events=halfway))
    async with app.run_test(size=SIZE) as pilot:
        await to_the_run(pilot)
        for _ in range(2):
            await pilot.press("escape")
            await until_text(pilot, "Go to the overview, let it go on")
            await pilot.press("down", "enter")
            await until_text(pilot, "is going on: o shows it")
            screen = app.screen
            assert isinstance(screen, OverviewScreen) and screen.highlighted.id == "preseed"
            await pilot.press("j", "j")
            assert screen.highlighted.id != "preseed"
            await pilot.press("o")
            await until_text(pilot, "● Run")


async def test_where_nobody_can_take_over_the_operator_decides_again() -> None:
    session = FakeSession(events=halfway)
    session.refuses_hand_over = True
    app = app_on(session)
    async with app.run_test(size=SIZE) as pilot:
        await to_the_run(pilot)
        await pilot.press("q")
        await until_text(pilot, "Stop now, then quit")
        await pilot.press("down", "enter")
        await until_text(
            pilot, "cannot go on without this program", "a passphrase", "What the hosts have begun"
        )
        assert session.runs[0].asked == []
        await pilot.press("enter")
        await until_text(pilot, "● Run")
        assert session.runs[0].asked == [] and not app._exit
        await pilot.press("q")
        await until_text(pilot, "A run is going on")
        await pilot.press("down", "enter")
        await until_text(pilot, "Leave all the same; the rest waits")
        await pilot.press("down", "enter")
        await until_quit(pilot)
    assert [what for what, _ in session.runs[0].asked] == ["leave"]
    assert app.return_value is not None and "waits; what the hosts have begun" in app.return_value


async def test_a_pretend_cluster_cannot_be_left_to_itself() -> None:
    session = FakeSession(events=halfway)
    session.outlives_us = False
    app = app_on(session)
    async with app.run_test(size=SIZE) as pilot:
        await to_the_run(pilot)
        await pilot.press("escape")
        dialog = await until_text(pilot, "A run is going on", "The pretend cluster ends")
        assert "Leave, let it go on" not in dialog
        assert session.handed_over == [] and session.runs[0].asked == []


async def test_a_run_that_was_cut_off_is_offered_and_taken_up_again(runs: Path) -> None:
    cut_off_run(runs).close()
    session = FakeSession()
    app = app_on(session)
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Preseeding containers was cut off 4 min ago: c goes on")
        await pilot.press("c")
        await until_text(pilot, "Run 20261122-223104 was cut off", "1 unknown", "stays done")
        await pilot.press("down", "enter")
        await until_text(pilot, "was cut off 4 min ago")
        assert session.resumed == []
        await pilot.press("c")
        await until_text(pilot, "Go on with what is missing")
        await pilot.press("enter")
        await until_text(pilot, "● Run")
    assert [found.folder.name for found in session.resumed] == ["20261122-223104"]


async def test_the_same_cluster_by_another_address_is_still_the_same(runs: Path) -> None:
    cut_off_run(runs).close()
    session = FakeSession(snapshot(cluster="10.21.2.12"))
    app = app_on(session)
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "was cut off 4 min ago: c goes on")
        await pilot.press("c")
        await until_text(pilot, "Go on with what is missing")
        await pilot.press("enter")
        await until_text(pilot, "● Run")
    assert len(session.resumed) == 1


async def test_a_run_in_another_wizard_is_followed_and_leaving_does_not_touch_it(
    runs: Path,
) -> None:
    journal = cut_off_run(runs)
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Preseeding containers goes on in another wizard: c follows it")
        await pilot.press("c")
        await until_text(pilot, "● Run", "esc leave")
        await pilot.press("escape")
        await until_text(pilot, "It runs in another wizard on this machine")
        await pilot.press("escape")
        journal.write(e.RunFinished(at=NOW, status=RunStatus.STOPPED, said="stopped there"))
        journal.close()
        await until_text(pilot, "stopped")
        await pilot.press("q")
        await until_quit(pilot)
    last = (runs / "20261122-223104" / "journal.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["said"] == "stopped there"


async def test_only_the_newest_run_of_this_very_cluster_is_offered(runs: Path) -> None:
    cut_off_run(runs, "20261122-010101").close()
    done = cut_off_run(runs, "20261122-020202")
    done.write(e.RunFinished(at=NOW, status=RunStatus.DONE))
    done.close()
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Preseeding containers", "looked")
        assert app.unfinished is None
        await pilot.press("c")
        assert app.run_handle is None
