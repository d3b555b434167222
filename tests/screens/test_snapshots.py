"""Pictures of every screen, at the sizes and in the looks that are promised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from deiswizard.cluster.snapshot import Evidence, Trouble
from tests.builders import ANN, host, snapshot
from tests.screens.backups import copying, data_session, verified
from tests.screens.fakes import FakeSession, app_on, finished, halfway
from tests.screens.waiting import painted, until_still, until_text

SIZES = [(80, 24), (120, 40)]
LOOKS = ["dark", "plain"]
"""plain: NO_COLOR and ASCII."""


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr("deiswizard.screens.verify.counts", lambda state: "3 done")
    monkeypatch.setattr("textual.widgets.Input.cursor_blink", False, raising=False)
    if request.param == "plain":
        monkeypatch.setenv("NO_COLOR", "1")
    return str(request.param)


@pytest.fixture(params=SIZES, ids=["80x24", "120x40"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


def troubled() -> FakeSession:
    down = host(
        3, images=None, reachable=False,
        trouble=Trouble(what="the key of 10.21.2.13 has CHANGED", evidence=Evidence(source="ssh", host="deis-3")),
    )  # fmt: skip
    return FakeSession(snapshot(host(1), host(2), down))


Steps = Callable[[Pilot[Any]], Any]


async def overview(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Registration mode", "12 s ago")


async def choose(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Choose", "next: Preview")


async def preview(pilot: Pilot[Any]) -> None:
    await choose(pilot)
    await pilot.press("enter")
    await until_text(pilot, "Changes")


async def run(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "stage 2 of 3")


async def run_hosts(pilot: Pilot[Any]) -> None:
    await run(pilot)
    await pilot.press("tab")


async def run_images(pilot: Pilot[Any]) -> None:
    await run(pilot)
    await pilot.press("tab", "tab")


async def verify(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "deis-3 has every image")


async def leave(pilot: Pilot[Any]) -> None:
    await run(pilot)
    await pilot.press("q")
    await until_text(pilot, "A run is going on")


async def locked(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "Another run holds the lock")


async def break_lock(pilot: Pilot[Any]) -> None:
    await locked(pilot)
    await pilot.press("down", "enter")
    await until_text(pilot, "Type to confirm")


async def help_page(pilot: Pilot[Any]) -> None:
    await overview(pilot)
    await pilot.press("question_mark")
    await until_text(pilot, "Keys of this page")


async def run_backup(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "stage 3 of 5")


async def run_copies(pilot: Pilot[Any]) -> None:
    await run_backup(pilot)
    await pilot.press("tab", "tab")


async def verify_backup(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "a verified backup of now is there")


CASES: dict[str, tuple[Callable[[], FakeSession], str, Steps]] = {
    "overview": (FakeSession, "", overview),
    "overview-troubled": (troubled, "", overview),
    "help": (FakeSession, "", help_page),
    "choose-preseed": (FakeSession, "preseed", choose),
    "choose-registration": (FakeSession, "registration", choose),
    "preview": (FakeSession, "preseed", preview),
    "run": (lambda: FakeSession(events=halfway), "preseed", run),
    "run-failed": (lambda: FakeSession(events=lambda p: halfway(p, fails=True)), "preseed", run),
    "run-hosts": (lambda: FakeSession(events=halfway), "preseed", run_hosts),
    "run-images": (lambda: FakeSession(events=halfway), "preseed", run_images),
    "leave": (lambda: FakeSession(events=halfway), "preseed", leave),
    "overview-locked": (lambda: FakeSession(snapshot(lock=ANN)), "", overview),
    "locked": (lambda: FakeSession(holders=[ANN]), "preseed", locked),
    "break-lock": (lambda: FakeSession(holders=[ANN]), "preseed", break_lock),
    "verify": (lambda: FakeSession(events=finished), "preseed", verify),
    "choose-backup": (data_session, "backup", choose),
    "preview-backup": (data_session, "backup", preview),
    "run-backup": (lambda: data_session(copying), "backup", run_backup),
    "run-backup-copies": (lambda: data_session(copying), "backup", run_copies),
    "verify-backup": (lambda: data_session(verified), "backup", verify_backup),
}


def test_a_wide_terminal_shows_steps_hosts_and_images_side_by_side(snap_compare: Any) -> None:
    app = app_on(FakeSession(events=halfway), open_first="preseed")

    async def settled(pilot: Pilot[Any]) -> None:
        await run(pilot)
        await until_still(pilot)

    assert snap_compare(app, terminal_size=(160, 45), run_before=settled)


@pytest.mark.parametrize("case", CASES)
def test_screens_look_as_they_did(
    case: str, look: str, size: tuple[int, int], snap_compare: Any, own_folders: Path
) -> None:
    make, open_first, steps = CASES[case]
    app = app_on(make(), ascii_only=look == "plain", open_first=open_first)

    async def settled(pilot: Pilot[Any]) -> None:
        await steps(pilot)
        await until_still(pilot)
        assert look != "plain" or painted(app).isascii()

    assert snap_compare(app, terminal_size=size, run_before=settled)
