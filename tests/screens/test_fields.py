"""A form with a file to pick, a secret to type and a box to tick, at 80x24."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from textual.pilot import Pilot
from textual.widgets import Input

from deiswizard.answers import build
from deiswizard.materials import make_plan
from deiswizard.recommendations import catalogue
from deiswizard.redaction import Redactor
from deiswizard.run import events as e
from deiswizard.run.journal import JournalWriter
from deiswizard.screens.modals.files import FilePicker
from deiswizard.screens.widgets.form import FieldView
from deiswizard.screens.widgets.path import PathInput
from deiswizard.vocabulary import StepStatus
from tests.builders import NOW, snapshot
from tests.screens.backups import data_session
from tests.screens.fakes import FakeSession, app_on
from tests.screens.waiting import painted, until_still, until_text, until_told
from tests.unit.pretend_recommendation import SEALED, SealedChoices
from tests.unit.stateless_world import cluster

SIZE = (80, 24)
KEY, TOKEN = "hunter2-is-the-key", "hunter2-is-the-token"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(catalogue, "ALL", (*catalogue.ALL, SEALED))
    monkeypatch.setenv("DEISWIZARD_STATE", str(tmp_path / "state"))
    (tmp_path / "state" / "runs").mkdir(parents=True)
    home = tmp_path / "home"
    (home / "certificates").mkdir(parents=True)
    (home / "certificates" / "key.pem").write_text(KEY)
    (home / "certificates" / ".hidden").write_text("x")
    (home / "notes.txt").write_text("x" * 2_000)
    monkeypatch.setenv("HOME", str(home))
    yield home


async def form(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Key file", "ctrl+o picks a file", "[ ] Tell nobody")


async def test_a_file_is_picked_by_keyboard(folder: Path) -> None:
    app = app_on(FakeSession(), open_first="sealed")
    async with app.run_test(size=SIZE) as pilot:
        await form(pilot)
        await pilot.press("ctrl+o")
        text = await until_text(pilot, "certificates/", "notes.txt", "2 kB", "../")
        assert text.index("certificates/") < text.index("notes.txt")
        await pilot.press("enter")
        text = await until_text(pilot, "key.pem", ".hidden")
        assert text.index("key.pem") < text.index(".hidden")
        await pilot.press("backspace")
        await until_text(pilot, "notes.txt")
        await pilot.press("enter")
        await until_text(pilot, "key.pem")
        await pilot.press("enter")
        await form(pilot)
        assert app.screen.query_one(PathInput).value == str(folder / "certificates" / "key.pem")
        await pilot.press("ctrl+o")
        await until_text(pilot, "key.pem", ".hidden")
        await pilot.press("escape")
        await form(pilot)


async def test_a_file_is_picked_by_mouse(folder: Path) -> None:
    app = app_on(FakeSession(), open_first="sealed")
    async with app.run_test(size=SIZE) as pilot:
        await form(pilot)
        await pilot.click(".picks")
        await until_text(pilot, "notes.txt")
        await pilot.click("#files", offset=(4, 2))
        await form(pilot)
        assert app.screen.query_one(PathInput).value == str(folder / "notes.txt")


async def test_a_folder_that_cannot_be_read_is_told(folder: Path) -> None:
    (folder / "certificates" / "gone").mkdir()
    app = app_on(FakeSession(), open_first="sealed")
    async with app.run_test(size=SIZE) as pilot:
        await form(pilot)
        await pilot.press("ctrl+o")
        await until_text(pilot, "certificates/")
        await pilot.press("enter")
        await until_text(pilot, "gone/")
        (folder / "certificates" / "gone").rmdir()
        await pilot.press("enter")
        await until_text(pilot, "No such file or directory")
        assert isinstance(app.screen, FilePicker)


async def test_what_is_typed_and_read_goes_to_the_run_and_is_painted_nowhere(
    folder: Path,
) -> None:
    session = FakeSession()
    app = app_on(session, open_first="sealed")
    shown = []
    async with app.run_test(size=SIZE) as pilot:
        await form(pilot)
        await until_text(pilot, "a token is needed")
        app.screen.query_one(PathInput).value = "~/certificates/key.pem"
        await pilot.press("tab")
        await pilot.press(*TOKEN, "tab", "space")
        shown.append(await until_text(pilot, "[x] Tell nobody", "next: Preview"))
        await pilot.press("enter")
        for view in ("Changes 2", "<secret: drain-token>", "Impact"):
            shown.append(await until_text(pilot, view))
            await pilot.press("tab")
        await pilot.press("enter")
        shown.append(await until_text(pilot, "● Run"))
    assert session.runs[0].plan.choices["quietly"] is True
    given = session.secrets[0]
    assert given["drain-token"].get_secret_value() == TOKEN
    assert given["ssl-key"].get_secret_value() == KEY
    assert not [text for text in shown if KEY in text or TOKEN in text]
    kept = [p.read_text() for p in folder.parent.rglob("*") if p.is_file() and p.name != "key.pem"]
    assert not [text for text in kept if KEY in text or TOKEN in text]


async def test_a_file_that_is_gone_is_told_below_its_field(folder: Path) -> None:
    app = app_on(FakeSession(), open_first="sealed")
    async with app.run_test(size=SIZE) as pilot:
        await form(pilot)
        app.screen.query_one(PathInput).value = "/nowhere/key.pem"
        await until_text(pilot, "cannot be read: No such file")


def cut_off(folder: Path) -> None:
    """A run whose plan needs a file and a typed secret, ended in its first step."""
    values = {"key_file": str(folder / "certificates" / "key.pem"), "drain_token": TOKEN}
    choices, _ = build(SEALED, values)
    assert isinstance(choices, SealedChoices)
    run = folder.parent / "state" / "runs" / "20261122-223104"
    run.mkdir()
    journal = JournalWriter(run, Redactor([]))
    plan = make_plan(SEALED, snapshot(), choices).plan
    for event in (
        e.RunStarted(at=NOW - 300, run=run.name, plan=plan, by="ann@laptop"),
        e.StepStarted(at=NOW - 299, step="token"),
        e.StepFinished(at=NOW - 298, step="token", status=StepStatus.DONE),
    ):
        journal.write(event)
    journal.close()


async def test_a_run_that_is_taken_up_again_asks_for_what_was_typed(folder: Path) -> None:
    cut_off(folder)
    session = FakeSession()
    app = app_on(session)
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Sealed things was cut off")
        await pilot.press("c")
        await until_text(pilot, "Go on with what is missing")
        await pilot.press("enter")
        text = await until_text(pilot, "Token of the drain", "it is kept in no file")
        await pilot.press("escape")
        await until_text(pilot, "Sealed things was cut off")
        assert session.resumed == []
        await pilot.press("c", "enter")
        await until_text(pilot, "Token of the drain")
        assert app.screen.query_one(Input).password
        await pilot.press(*TOKEN)
        assert TOKEN not in painted(app) + text
        await pilot.press("enter")
        await until_text(pilot, "● Run")
    assert session.secrets == [
        {
            "drain_token": SecretStr(TOKEN),
            "drain-token": SecretStr(TOKEN),
            "ssl-key": SecretStr(KEY),
        }
    ]


async def test_a_run_whose_file_is_gone_is_not_taken_up_again(folder: Path) -> None:
    cut_off(folder)
    (folder / "certificates" / "key.pem").write_text("another key altogether")
    session = FakeSession()
    app = app_on(session)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_text(pilot, "Sealed things was cut off")
        await pilot.press("c")
        await until_text(pilot, "Go on with what is missing")
        await pilot.press("enter")
        assert "another one than the plan" in " ".join(await until_told(pilot))
    assert session.resumed == []


async def test_enter_leads_to_the_field_that_is_wrong() -> None:
    """At 80x24 it is below what is shown at first."""
    app = app_on(data_session(), open_first="backup")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "What to copy", "(*) with a passphrase", "mend the field")
        assert "no passphrase was given" not in painted(app)
        await pilot.press("enter")
        await until_text(pilot, "no passphrase was given; allowed: 12 characters or more")
        await pilot.press(*"correct horse battery")
        await until_text(pilot, "next: Preview")
        await pilot.press("enter")
        await until_text(pilot, "Changes", "database.sql.sealed")


@pytest.mark.parametrize("size", [SIZE, (60, 16)])
async def test_a_smaller_window_still_shows_the_field_that_has_the_focus(
    size: tuple[int, int],
) -> None:
    app = app_on(data_session(), open_first="backup")
    async with app.run_test(size=(120, 60)) as pilot:
        await until_text(pilot, "What to copy", "mend the field")
        last = [field for field in app.screen.query(Input) if field.region][-1]
        last.focus()
        await pilot.pause()
        fields = app.screen.query_one("#fields")
        await pilot.resize_terminal(*size)
        await until_still(pilot)
        assert app.screen.focused is last
        assert fields.region.contains_region(last.region), "it is seen whole"


async def test_a_field_is_seen_with_what_is_wrong_with_it() -> None:
    """When Enter leads to it from the field above, and when that is said only now."""
    app = app_on(FakeSession(cluster("ceph")), open_first="stateless")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "mend the field")
        fields = app.screen.query_one("#fields")

        def field(name: str) -> FieldView:
            return next(view for view in app.screen.query(FieldView) if view.field.name == name)

        for name in ("bucket", "access_key", "secret_key"):
            field(name).query_one(Input).value = "abc-def"
        field("secret_key").focus_first()
        await until_still(pilot)
        await pilot.press("enter")
        await until_still(pilot)
        host = field("database_host")
        assert host.has_focus_within and fields.region.contains_region(host.region)
        await until_text(pilot, "no host is named")
        await pilot.resize_terminal(
            80, 24 - (fields.region.bottom - host.query_one(Input).region.bottom)
        )
        await pilot.press(*"db")
        await until_still(pilot)
        assert "no host is named" not in painted(app)
        await pilot.press("backspace", "backspace")
        await until_text(pilot, "no host is named")
