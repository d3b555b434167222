"""Makes the pictures of the documentation: the program itself, on the pretend cluster."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.demo.cluster import PretendCluster
from deiswizard.screens.app import WizardApp
from deiswizard.session import Session

DOCS = Path(__file__).parent.parent / "docs" / "pictures"
SIZE = (100, 30)
PATIENCE = 120.0
"""Seconds to wait for a screen to show what the picture is about."""


async def shows(pilot: Pilot[Any], *words: str) -> None:
    """Wait until all ``words`` are painted."""
    text = ""
    deadline = time.monotonic() + PATIENCE
    while not all(word in text for word in words):
        if time.monotonic() > deadline:
            raise TimeoutError(f"never painted {words}:\n{text}")
        await pilot.pause(0.1)
        strips = pilot.app.screen._compositor.render_strips()
        text = "\n".join("".join(segment.text for segment in strip) for strip in strips)


def take(pilot: Pilot[Any], name: str) -> None:
    """Write what is painted now."""
    DOCS.mkdir(parents=True, exist_ok=True)
    svg = pilot.app.export_screenshot(title="deiswizard", simplify=True)
    (DOCS / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    print(f"docs/pictures/{name}.svg", file=sys.stderr)


async def walk(pilot: Pilot[Any]) -> None:
    """Preseeding and registration mode, from to do to ok."""
    await shows(pilot, "Registration mode", "looked")
    take(pilot, "overview")
    await pilot.press("4")
    await shows(pilot, "Hosts at a time")
    take(pilot, "preseed-choose")
    await pilot.press("enter")
    await shows(pilot, "[ Changes")
    take(pilot, "preseed-preview")
    await pilot.press("enter")
    await shows(pilot, "MB/s", "layers")
    take(pilot, "preseed-run")
    await shows(pilot, "confirms it")
    take(pilot, "preseed-verify")
    await pilot.press("enter")
    await shows(pilot, "Registration mode", "ok")
    await pilot.press("2")
    await shows(pilot, "all other hosts become proxies", "Where to")
    take(pilot, "etcd-choose")
    await pilot.press("escape")
    await shows(pilot, "Registration mode", "ok")
    await pilot.press("3")
    await shows(pilot, "Images in", "Amazon")
    take(pilot, "stateless-choose")
    await pilot.press("escape")
    await shows(pilot, "Registration mode", "ok")
    await pilot.press("5")
    await shows(pilot, "Who may reach the controller", "Choose")
    take(pilot, "security-choose")
    await pilot.press("down", "space")
    await shows(pilot, "Firewall on every host", "Who may log in over ssh")
    take(pilot, "security-hosts-choose")
    await pilot.press("escape")
    await shows(pilot, "Registration mode", "ok")
    await pilot.press("6")
    await shows(pilot, "What to copy", "Where to")
    take(pilot, "backup-choose")
    await pilot.press("escape")
    await shows(pilot, "Registration mode", "looked")
    await pilot.press("7")
    await shows(pilot, "Choose", "admin")
    take(pilot, "registration-choose")
    await pilot.press("escape")
    await shows(pilot, "Registration mode", "looked")
    await pilot.press("8")
    await shows(pilot, "Where logger keeps lines")
    take(pilot, "logging-choose")
    await pilot.press("escape")
    await shows(pilot, "looked", "TLS")
    await pilot.press("9")
    await shows(pilot, "Where TLS ends")
    await pilot.press("tab", "down")
    await shows(pilot, "no client trusts it")
    take(pilot, "tls-choose")


async def planes(pilot: Pilot[Any]) -> None:
    """The matrix, where planes can be kept apart."""
    await shows(pilot, "Registration mode", "looked")
    await pilot.press("1")
    await shows(pilot, "Planes of each host", "control")
    await pilot.press("tab", "down", "right")
    take(pilot, "planes-choose")


def walked(scenario: str, steps: Callable[[Pilot[Any]], Awaitable[None]]) -> None:
    """Take pictures on one pretend cluster."""
    with PretendCluster.start(scenario, speed=1.0) as pretend:

        def start(
            address: str, asker: Asker, on_progress: Callable[[ConnectProgress], None]
        ) -> Session:
            return Session.open(pretend.target, asker, on_progress)

        app = WizardApp(start=start, address=pretend.target.text, demo=scenario)

        async def run() -> None:
            async with app.run_test(size=SIZE) as pilot:
                await steps(pilot)

        asyncio.run(run())


def main() -> None:
    """Walk once and write every picture."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DEISWIZARD_STATE=f"{folder}/state", DEISWIZARD_CONFIG=f"{folder}/config")
        walked("stateless", planes)
        walked("three", walk)


if __name__ == "__main__":
    main()
