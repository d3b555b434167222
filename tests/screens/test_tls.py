"""TLS by keyboard: what is not asked is known, and what is chosen decides what is asked."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.tls.facts import DOMAIN
from tests.screens.fakes import FakeSession, app_on
from tests.screens.waiting import until_text
from tests.unit.test_tls import look

SIZE = (80, 24)


def seen() -> Snapshot:
    return look({DOMAIN: "demo.example.com"})


async def test_files_are_asked_for_beside_their_fields() -> None:
    app = app_on(FakeSession(seen()), open_first="tls")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Certificate file", "no file is named; allowed: a PEM file")


async def test_a_certificate_made_here_needs_nothing_but_the_platform_s_domain() -> None:
    app = app_on(FakeSession(seen()), open_first="tls")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Certificate file")
        await pilot.press("tab", "down")
        await until_text(pilot, "no client trusts it", "next: Preview")
        await pilot.press("enter")
        await until_text(pilot, "● Preview", "*.demo.example.com")
