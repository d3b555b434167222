"""The matrix of planes: by keyboard, by mouse, line by line, and when the hosts are others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard import plain
from deiswizard.answers import remember
from deiswizard.recommendations.planes import declaration as planes
from deiswizard.screens.widgets.matrix import CELL, GUTTER, MatrixList
from tests.screens.fakes import FakeSession, app_on
from tests.screens.waiting import until_text
from tests.unit.planes_world import ALL, choose, world

SIZE = (80, 24)


async def test_arrows_move_and_space_ticks_and_what_follows_is_told_beside_it() -> None:
    app = app_on(FakeSession(world()), open_first="planes")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(
            pilot, "control  data     router", "3 ok     2 ok     3 ok", "next: Preview"
        )
        await pilot.press("tab", "down", "down", "right", "right")
        await until_text(pilot, ">[x]<    controller, router@3", "load balancer and DNS point")
        await pilot.press("space")
        await until_text(
            pilot, "3 ok     2 ok     2 !", "3 routers need 3 router hosts", "(mend the field)"
        )
        assert app.screen.query_one(MatrixList).value["deis-3"] == ["control"]
        await pilot.press("right", "space", "left", "left", "left", "a")
        await until_text(pilot, "5 ok     2 ok     3 ok", ">[x]<")
        await pilot.press("a")
        await until_text(pilot, "0 !      2 ok     3 ok", "(mend the field)")


async def test_the_cell_is_marked_while_the_keys_are_in_the_list_and_not_when_they_are_not() -> (
    None
):
    app = app_on(FakeSession(world()), open_first="planes")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "next: Preview")
        await pilot.press("tab")
        matrix = app.screen.query_one(MatrixList)

        def cells() -> str:
            return str(matrix.get_option_at_index(0).prompt)

        assert ">[x]<" in cells()
        await pilot.press("shift+tab")
        assert not matrix.has_focus
        assert ">[x]<" not in cells()
        await pilot.press("tab")
        assert matrix.has_focus
        assert ">[x]<" in cells()


async def test_a_click_ticks_the_cell_under_it_and_nothing_beside_it() -> None:
    app = app_on(FakeSession(world()), open_first="planes")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "3 ok     2 ok     3 ok")
        matrix = app.screen.query_one(MatrixList)
        cell = GUTTER + matrix.width_of_label
        await pilot.click(MatrixList, offset=(cell + CELL + 2, 0))
        await until_text(pilot, "3 ok     3 ok     3 ok")
        await pilot.click(MatrixList, offset=(4, 4))
        await until_text(pilot, "> deis-5")
        assert matrix.value["deis-1"] == ["control", "data", "router"]
        assert matrix.value["deis-5"] == ["data"]


async def test_a_preview_comes_from_the_matrix() -> None:
    app = app_on(FakeSession(world()), open_first="planes")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "next: Preview")
        await pilot.press("enter")
        await until_text(pilot, "deis-4: fleet metadata", "Preview")


async def test_answers_of_another_set_of_hosts_are_not_taken(own_folders: Path) -> None:
    now = world()
    hosts = {f"deis-{n}": ["data"] for n in (7, 8)}
    remember(now.cluster, planes.RECOMMENDATION, choose(hosts))
    app = app_on(FakeSession(now), open_first="planes")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "3 ok     2 ok     3 ok")


async def test_fifty_hosts_scroll() -> None:
    app = app_on(FakeSession(world(*[ALL] * 50)), open_first="planes")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "deis-1 ", "3 ok")
        await pilot.press("tab", "end")
        await until_text(pilot, "> deis-50")


def test_line_by_line_each_host_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: Iterator[str] = iter(["", "control, router", "", "control router", "data", "data", ""])
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return next(given)

    monkeypatch.setattr("builtins.input", answer)
    now = world()
    found = plain._choose(now, planes.RECOMMENDATION)
    assert found == choose()
    assert asked[1] == "deis-1: control data router [control router]: "
    assert "control 3 ok, data 2 ok, router 3 ok" in capsys.readouterr().out
