"""A followed log keeps its end in sight, and lets the operator read in peace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from deiswizard.plan.plan import Plan
from deiswizard.run import events as e
from deiswizard.screens.widgets.tail import Tail
from tests.builders import NOW
from tests.screens.fakes import FakeSession, app_on
from tests.screens.waiting import until_text


class Followed(App[None]):
    """Nothing but a log of forty lines."""

    def compose(self) -> ComposeResult:
        """The log."""
        yield Tail(id="tail")

    def on_mount(self) -> None:
        """Its lines."""
        self.query_one(Tail).focus()
        self.query_one(Tail).write_lines(f"line {number}" for number in range(40))


def last_in_sight(pilot: Pilot[Any]) -> str:
    """The lowest line that is painted."""
    tail = pilot.app.query_one(Tail)
    lines = [tail.render_line(y).text.strip() for y in range(tail.scrollable_content_region.height)]
    return next(line for line in reversed(lines) if line)


async def grows(pilot: Pilot[Any]) -> None:
    pilot.app.query_one(Tail).write_lines(["one more"])
    await pilot.pause()


async def loses_room(pilot: Pilot[Any]) -> None:
    await pilot.resize_terminal(80, 7)


async def gains_room(pilot: Pilot[Any]) -> None:
    await pilot.resize_terminal(80, 24)


async def grows_before_its_new_room_is_told(pilot: Pilot[Any]) -> None:
    tail = pilot.app.query_one(Tail)
    tail.styles.height = 5
    await pilot.pause()
    tail.styles.height = 4
    tail.write_lines(["one more"])
    await pilot.pause()


CHANGES = [grows, loses_room, gains_room, grows_before_its_new_room_is_told]


def newest(pilot: Pilot[Any]) -> str:
    """The last line there is."""
    return pilot.app.query_one(Tail).lines[-1]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("keys", [(), ("down",), ("pagedown",), ("up", "end"), ("home", "end")])
async def test_its_end_stays_in_sight(
    keys: tuple[str, ...], change: Callable[[Pilot[Any]], Any]
) -> None:
    async with Followed().run_test(size=(80, 12)) as pilot:
        await pilot.press(*keys)
        for each in (change, grows):
            await each(pilot)
            assert last_in_sight(pilot) == newest(pilot)


@pytest.mark.parametrize("change", [grows, loses_room])
@pytest.mark.parametrize("key", ["up", "pageup", "home"])
async def test_who_scrolled_away_is_left_there(
    key: str, change: Callable[[Pilot[Any]], Any]
) -> None:
    async with Followed().run_test(size=(80, 12)) as pilot:
        tail = pilot.app.query_one(Tail)
        await pilot.press(key)
        top = tail.render_line(0).text
        await change(pilot)
        await grows(pilot)
        assert tail.render_line(0).text == top
        assert not tail.follows


async def test_a_line_that_comes_with_the_key_undoes_nothing() -> None:
    async with Followed().run_test(size=(80, 12)) as pilot:
        tail = pilot.app.query_one(Tail)
        tail.scroll_up()
        tail.write_lines(["one more"])
        await pilot.pause()
        assert not tail.follows and last_in_sight(pilot) == "line 38"
        tail.action_scroll_end()
        tail.styles.height = 5
        tail.write_lines(["and one more"])
        await pilot.pause()
        assert tail.follows and last_in_sight(pilot) == "and one more"


@pytest.mark.parametrize("follows", [True, False])
async def test_it_is_followed_as_it_was_when_it_starts_over(follows: bool) -> None:
    async with Followed().run_test(size=(80, 12)) as pilot:
        tail = pilot.app.query_one(Tail)
        tail.follow(follows)
        tail.clear()
        tail.write_lines(f"again {number}" for number in range(40))
        await pilot.pause()
        assert (last_in_sight(pilot) == newest(pilot)) is follows


async def test_the_log_says_whether_it_follows_and_f_changes_that() -> None:
    def chatty(plan: object) -> list[e.Event]:
        assert isinstance(plan, Plan)
        stage = plan.stages[0]
        step = stage.steps[0].id
        lines = tuple(f"line {number}" for number in range(60))
        return [
            e.StageStarted(at=NOW, stage=stage.id),
            e.StepStarted(at=NOW, step=step),
            e.OutputReceived(at=NOW, step=step, host="deis-1", lines=lines),
        ]

    app = app_on(FakeSession(events=chatty), open_first="registration")
    async with app.run_test(size=(80, 24)) as pilot:
        await until_text(pilot, "Who may register")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("enter")
        await until_text(pilot, "● Run")
        await pilot.press("l")
        await until_text(pilot, "f stop following", "line 59")
        await pilot.press("home")
        await until_text(pilot, "f follow", "line 0")
        await pilot.press("f")
        await until_text(pilot, "f stop following", "line 59")
        await pilot.press("f")
        await until_text(pilot, "f follow", "line 59")
