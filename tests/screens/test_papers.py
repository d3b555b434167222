"""The keys that write something down, and where it goes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.screens.fakes import FakeSession, app_on, finished
from tests.screens.waiting import painted, until, until_text

SIZE = (80, 24)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, as the operator's shell has it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


async def test_the_preview_writes_the_plan_and_the_script(own_folder: Path) -> None:
    app = app_on(FakeSession(), open_first="registration")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until_text(pilot, "Who may register")
        await pilot.press("x")  # nothing to write yet
        await pilot.press("enter")
        await until_text(pilot, "● Preview", "w save plan", "x script", "q quit")
        assert list(own_folder.iterdir()) == []
        await pilot.press("x")
        await until_text(pilot, "written:")
        assert [path.name for path in own_folder.iterdir()] == ["registration-plan.sh"]
        await pilot.press("w")
        await until_text(pilot, "deiswizard apply")
    text = (own_folder / "registration-plan.sh").read_text()
    assert "$SSH -n core@10.21.2.11 'etcdctl set --swap-with-index 7" in text
    assert subprocess.run(["sh", "-n"], input=text, text=True).returncode == 0
    assert (own_folder / "registration-plan.json").exists()


async def test_a_folder_that_cannot_be_written_is_told(own_folder: Path) -> None:
    app = app_on(FakeSession(), open_first="registration")
    (own_folder / "registration-plan.sh").mkdir()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until_text(pilot, "Who may register")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("x")
        await until_text(pilot, "directory")


async def test_the_verify_page_names_the_record(own_folder: Path) -> None:
    session = FakeSession(events=finished)
    app = app_on(session, open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("enter")
        await until_text(pilot, "Record   /home/core/.local/state/deiswizard/runs/20261122-223104")


async def test_the_overview_writes_the_report_and_says_where(own_folder: Path) -> None:
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until_text(pilot, "7 of 21 images", "R report", "q quit")
        await pilot.press("R")
        await until_text(pilot, "report written")
        names = sorted(path.suffix for path in own_folder.iterdir())
        assert names == [".html", ".md"]
        for path in own_folder.iterdir():
            assert path.name.startswith("report-prod-eu-2026")
            assert "7 of 21 images" in path.read_text()
            path.unlink()
        app.clear_notifications()
        await until(pilot, lambda: "report written" not in painted(app), lambda: "it stays told")
        await pilot.press("colon", *"report", "enter")
        await until_text(pilot, "report written")
        assert len(list(own_folder.iterdir())) == 2


async def test_a_report_that_cannot_be_written_is_told(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until_text(pilot, "7 of 21 images")
        own_folder.rmdir()
        monkeypatch.setattr(Path, "cwd", lambda: own_folder)
        await pilot.press("R")
        await until_text(pilot, "could not be written")
