"""Waiting for what a screen shows, never for time to pass."""

from __future__ import annotations

from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from deiswizard.screens.app import WizardApp

TRIES = 400


def painted(app: WizardApp) -> str:
    """The text on the terminal, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until_text(pilot: Pilot[Any], *words: str) -> str:
    """Pause until all ``words`` are painted; answers the text."""
    app = pilot.app
    assert isinstance(app, WizardApp)
    for _ in range(TRIES):
        app.pump()
        await pilot.pause(0.02)
        text = painted(app)
        if all(word in text for word in words):
            return text
    raise AssertionError(f"never painted {words}:\n{painted(app)}")


async def until_still(pilot: Pilot[Any]) -> None:
    """Pause until two pumps and the layouts between them paint the same."""
    app = pilot.app
    assert isinstance(app, WizardApp)
    before = ""
    for _ in range(TRIES):
        app.pump()
        await pilot.pause()
        text = painted(app)
        if text == before:
            return
        before = text
    raise AssertionError(f"never still:\n{before}")


def text_of(app: WizardApp, selector: str) -> str:
    """The plain text of a Static."""
    return str(app.screen.query_one(selector, Static).visual)


async def until_quit(pilot: Pilot[Any]) -> None:
    """Wait until the program has ended."""
    for _ in range(TRIES):
        if pilot.app._exit:
            return
        await pilot.pause(0.02)
    raise AssertionError("it never ended")
