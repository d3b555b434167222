"""Waiting for what a screen shows, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from deiswizard.screens.app import WizardApp

LIMIT = 90.0
"""Seconds until what is waited for does not come any more; it comes within one, on a machine that is idle."""


def painted(app: WizardApp) -> str:
    """The text on the terminal, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(
    pilot: Pilot[Any], condition: Callable[[], object], told: Callable[[], str], pause: float = 0.02
) -> None:
    """Pump and pause until it holds; what is told when it never does."""
    app = pilot.app
    assert isinstance(app, WizardApp)
    deadline = time.monotonic() + LIMIT
    while True:
        app.pump()
        await pilot.pause(pause)
        if condition():
            return
        assert time.monotonic() < deadline, told()


async def until_text(pilot: Pilot[Any], *words: str) -> str:
    """Pause until all ``words`` are painted; answers the text."""
    app = pilot.app
    assert isinstance(app, WizardApp)
    text = ""

    def are_painted() -> bool:
        nonlocal text
        text = painted(app)
        return all(word in text for word in words)

    await until(pilot, are_painted, lambda: f"never painted {words}:\n{text}")
    return text


async def until_still(pilot: Pilot[Any]) -> None:
    """Pause until two pumps and the layouts between them paint the same."""
    app = pilot.app
    assert isinstance(app, WizardApp)
    before = ""

    def is_still() -> bool:
        nonlocal before
        text, last = painted(app), before
        before = text
        return text == last

    await until(pilot, is_still, lambda: f"never still:\n{before}", 0.0)


async def until_told(pilot: Pilot[Any]) -> list[str]:
    """Pause until the program has something to tell in a corner; what it tells."""
    app = pilot.app
    await until(pilot, lambda: app._notifications, lambda: "it told nothing")
    return [told.message for told in app._notifications]


def text_of(app: WizardApp, selector: str) -> str:
    """The plain text of a Static."""
    return str(app.screen.query_one(selector, Static).visual)


async def until_quit(pilot: Pilot[Any]) -> None:
    """Wait until the program has ended."""
    await until(pilot, lambda: pilot.app._exit, lambda: "it never ended")
