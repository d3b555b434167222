"""The screens by keyboard: what is shown, what keys do, what hostile text does not do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.cluster.snapshot import Evidence, Trouble
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import LinkError, ServiceError
from deiswizard.recommendations import catalogue
from deiswizard.run import events as e
from deiswizard.screens.app import WizardApp
from deiswizard.screens.widgets.form import FieldView
from deiswizard.session import Session
from deiswizard.vocabulary import RunStatus
from tests.builders import NOW, all_images, host, snapshot
from tests.screens.fakes import FakeSession, app_on, finished, halfway
from tests.screens.waiting import painted, until_quit, until_text

SIZE = (80, 24)
HOSTILE = [
    "[/foo]",
    "[b +",
    "\x1b[31mred\x1b[0m",
    "x" * 100_000,
    "\ud800bad",
    "line\nbreak",
    "[@click=app.quit]x[/]",
]


async def test_both_recommendations_go_from_to_do_to_ok_by_keyboard_alone() -> None:
    """The whole product in one test: real SSH, etcd and Docker API of the pretend cluster."""
    with PretendCluster.start("three", speed=50) as cluster:
        app = WizardApp(
            start=lambda address, asker, tell: Session.open(cluster.target, asker, tell),
            address=cluster.target.text,
            demo="three",
        )
        async with app.run_test(size=SIZE) as pilot:
            await until_text(pilot, "24 of 36 images", "○ to do", "DEMO")
            await pilot.press("4")
            await until_text(pilot, "● Choose", "pull through the Docker API")
            await pilot.press("enter")
            await until_text(
                pilot, "● Preview", "+ deis-1  deis/builder:v1.13.4", "absent  ->  present"
            )
            await pilot.press("tab")
            await until_text(pilot, "docker pull deis/builder:v1.13.4")
            await pilot.press("enter")
            await until_text(pilot, "● Verify", "deis-3 has every image", "confirms it")
            await pilot.press("enter")
            await until_text(pilot, "36 of 36 images", "✓ ok")
            await pilot.press("7")
            await until_text(pilot, "● Choose", "admins only")
            await pilot.press("enter")
            await until_text(pilot, "● Preview", "enabled  ->  admin_only")
            await pilot.press("enter")
            await until_text(pilot, "● Verify", "the live controller answers as admin_only")
            await pilot.press("u")
            await until_text(pilot, "● Preview", "admin_only  ->  enabled")
            await pilot.press("escape")
            await pilot.press("escape")
            await until_text(pilot, "admin_only", f"3 of {len(catalogue.ALL)} ok")
        assert cluster.unknown_commands == ()
        assert all(host.engine.has("deis/builder:v1.13.4") for host in cluster.hosts)


async def test_the_connection_asks_once_about_all_unknown_hosts() -> None:
    with PretendCluster.start("three", speed=50) as cluster:
        entry = cluster.known_hosts.read_text().splitlines()[0]
        cluster.known_hosts.write_text(f"{entry}\n")
        app = WizardApp(
            start=lambda address, asker, tell: Session.open(cluster.target, asker, tell),
            address=cluster.target.text,
        )
        async with app.run_test(size=SIZE) as pilot:
            text = await until_text(pilot, "These hosts are not known yet", "Do not connect")
            assert "10.21.2.12" in text and "10.21.2.13" in text and text.count("SHA256:") == 2
            await pilot.press("down", "enter")
            await until_text(pilot, "24 of 36 images")
        assert cluster.known_hosts.read_text().count("10.21.2.1") == 2


async def test_a_changed_key_stops_that_host_and_offers_no_way_around() -> None:
    with PretendCluster.start("troubled", speed=50) as cluster:
        app = WizardApp(
            start=lambda address, asker, tell: Session.open(cluster.target, asker, tell),
            address=cluster.target.text,
        )
        async with app.run_test(size=(120, 40)) as pilot:
            text = await until_text(pilot, "CHANGED", "! partly")
            assert "ccept" not in text


async def test_an_address_that_makes_no_sense_is_told_beside_the_field() -> None:
    app = WizardApp(start=lambda *args: FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Address of one host")
        await pilot.press(*"bad host:99999", "enter")
        await until_text(pilot, "is not an address")


async def test_a_failed_connection_says_what_and_can_be_tried_again() -> None:
    answers: list[object] = [
        LinkError("x", "x refused the connection", do="check the address"),
        FakeSession(),
    ]

    def start(address: str, asker: Asker, tell: Callable[[ConnectProgress], None]) -> FakeSession:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, FakeSession)
        return answer

    app = WizardApp(start=start, address="x")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "x refused the connection", "check the address", "try again")
        await pilot.press("r")
        await until_text(pilot, "7 of 21 images")


async def test_a_passphrase_is_asked_for_and_never_shown() -> None:
    got: list[object] = []

    def start(address: str, asker: Asker, tell: Callable[[ConnectProgress], None]) -> FakeSession:
        got.append(asker.passphrase(Path("/k")))
        return FakeSession()

    app = WizardApp(start=start, address="x")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "A passphrase")
        await pilot.press(*"sesame")
        assert "sesame" not in painted(app)
        await pilot.press("enter")
        await until_text(pilot, "7 of 21 images")
    assert "sesame" not in repr(got) and len(got) == 1


async def test_a_look_that_fails_keeps_the_old_one_and_says_so() -> None:
    app = app_on(FakeSession(snapshot(), ServiceError("etcd answers on no host")))
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "7 of 21 images")
        await pilot.press("r")
        await until_text(pilot, "could not look: etcd answers on no host", "7 of 21 images")


async def test_every_number_jumps_to_its_recommendation() -> None:
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until_text(pilot, "7 of 21 images")
        await pilot.press("3")
        await until_text(pilot, "3 Running without Ceph", "Choose")
        await pilot.press("escape")
        await until_text(pilot, "look again")
        await pilot.press("7")
        await until_text(pilot, "7 Registration mode", "Choose")
        await pilot.press("escape")
        await until_text(pilot, "look again")


async def test_a_wrong_choice_is_told_below_its_field_and_enter_does_not_go_on() -> None:
    app = app_on(FakeSession(), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("tab", "tab", "end", "backspace", *"99")
        await until_text(
            pilot, "'99' is not allowed; allowed: a number from 1 to 32", "mend the field"
        )
        await pilot.press("enter")
        await until_text(pilot, "● Choose")
        await pilot.press("backspace")
        await until_text(pilot, "next: Preview")


async def test_a_key_before_the_first_cursor_counts_from_the_first_field() -> None:
    app = app_on(FakeSession(), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        app.screen.set_focus(None)
        await pilot.press("tab")
        await until_text(pilot, "Missing here")


async def test_what_a_field_said_too_late_does_not_stand_beside_another() -> None:
    app = app_on(FakeSession(), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("tab")
        await until_text(pilot, "Missing here")
        method = app.screen.query(FieldView).first()
        method.post_message(FieldView.Explained(method, "Method", "said too late"))
        await pilot.pause()
        assert "said too late" not in painted(app) and "Missing here" in painted(app)


async def test_unticking_every_host_is_told() -> None:
    app = app_on(FakeSession(), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "deis-3")
        await pilot.press("tab", "space", "down", "space", "down", "space")
        await until_text(pilot, "no host is chosen")


async def test_the_field_for_words_appears_only_when_nobody_can_be_asked() -> None:
    app = app_on(FakeSession(snapshot(answers=())), open_first="registration")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "the database cannot be asked", "mend the field")
        await pilot.press("tab", *"an admin exists")
        await until_text(pilot, "next: Preview")


async def test_answers_are_offered_again_next_time() -> None:
    app = app_on(FakeSession(), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("tab", "tab", "end", "backspace", "7", "enter")
        await until_text(pilot, "● Preview")
    again = app_on(FakeSession(), open_first="preseed")
    async with again.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time", "  7")


async def test_a_failure_is_a_card_and_its_keys_reach_the_run() -> None:
    session = FakeSession(events=lambda plan: halfway(plan, fails=True))
    app = app_on(session, open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("enter")
        await until_text(pilot, "It said", "no space left", "retry failed", "✗ failed", "▶ running")
        await pilot.press("r")
        await pilot.press("s")
        await until_text(pilot, "Leave this step out", "Why?")
        await pilot.press(*"disk is full", "enter")
        await pilot.pause()
    run = session.runs[0]
    assert run.asked[0] == ("retry", None)
    assert run.asked[1][0] == "skip" and run.asked[1][1][1] == "disk is full"


async def test_leaving_in_the_middle_keeps_running_by_default() -> None:
    session = FakeSession(events=halfway)
    app = app_on(session, open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("enter")
        await until_text(pilot, "● Run")
        for key in ("q", "escape"):
            await pilot.press(key)
            await until_text(pilot, "A run is going on", "Keep running")
            await pilot.press("enter")
            await until_text(pilot, "stage 2 of 3")
        assert session.runs[0].asked == []
        await pilot.press("escape", "down", "enter")
        await until_text(pilot, "is going on: o shows it")
        await pilot.press("o")
        await until_text(pilot, "● Run", "stage 2 of 3")
        await pilot.press("l")
        await until_text(pilot, "log: all hosts")
        await pilot.press("escape", "q", "end", "enter")
        await until_quit(pilot)
    assert session.runs[0].asked == [("stop", True)]
    assert "deiswizard show" in (app.return_value or "")


async def test_a_refused_plan_says_what_changed() -> None:
    def refused(plan: object) -> list[e.Event]:
        return [
            e.PlanRefused(at=NOW, differences=("/deis/x was written: it is now 'y'",)),
            e.RunFinished(at=NOW, status=RunStatus.REFUSED, said="the cluster has changed"),
        ]

    app = app_on(FakeSession(events=refused), open_first="registration")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Who may register")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("enter")
        await until_text(pilot, "/deis/x was written: it is now 'y'", "new plan")


async def test_a_failed_check_is_not_ok() -> None:
    app = app_on(FakeSession(events=lambda plan: finished(plan, ok=False)), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("enter")
        await until_text(pilot, "● Verify", "NOT ok", "✗ failed")


async def test_what_nothing_was_compared_with_is_not_called_confirmed() -> None:
    app = app_on(FakeSession(events=lambda p: [*finished(p)[:-2], e.Verified(at=NOW, checks=()), finished(p)[-1]]), open_first="preseed")  # fmt: skip
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "● Choose")
        await pilot.press("enter", "enter")
        await until_text(pilot, "● Verify", "nothing to compare")


async def test_help_lists_the_keys_of_the_page() -> None:
    app = app_on(FakeSession())
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "7 of 21 images")
        await pilot.press("question_mark")
        text = await until_text(pilot, "Keys of this page")
        assert "look again" in text and "quit" in text
        await pilot.press("escape")
        await until_text(pilot, "7 of 21 images")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16), (160, 50)])
async def test_every_key_that_is_shown_fits(size: tuple[int, int]) -> None:
    app = app_on(FakeSession(), open_first="preseed")
    async with app.run_test(size=size) as pilot:
        await until_text(pilot, "Choose")
        last = painted(app).splitlines()[size[1] - 1]
        assert len(last.rstrip()) <= size[0] and "q quit" in last and "enter" in last


async def test_a_terminal_that_is_too_small_says_so_and_recovers() -> None:
    app = app_on(FakeSession())
    async with app.run_test(size=(50, 12)) as pilot:
        await until_text(pilot, "Please enlarge")
        await pilot.resize_terminal(80, 24)
        await until_text(pilot, "7 of 21 images")
        for size in ((10, 3), (200, 60), (61, 16)):
            await pilot.resize_terminal(*size)
            await pilot.pause()


@pytest.mark.parametrize(
    "text", HOSTILE, ids=["tag", "open", "escape", "long", "surrogate", "lines", "action"]
)
async def test_hostile_text_is_shown_as_text(text: str) -> None:
    evil = host(
        2, images=None, reachable=False, name="deis-2",
        trouble=Trouble(what=text, evidence=Evidence(source=text, host="deis-2", said=text), do=text),
    )  # fmt: skip
    now = snapshot(host(1, *all_images()), evil, keys={"/deis/controller/registrationMode": text})

    def events(plan: object) -> list[e.Event]:
        from deiswizard.plan.plan import Plan

        assert isinstance(plan, Plan)
        step = next(iter(plan.steps))
        return [
            e.StageStarted(at=NOW, stage=plan.stages[0].id),
            e.StepStarted(at=NOW, step=step.id),
            e.OutputReceived(at=NOW, step=step.id, host=text[:50], lines=(text, text)),
        ]

    app = app_on(FakeSession(now, events=events))
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Registration mode", "at risk")
        await pilot.press("4")
        await until_text(pilot, "Choose")
        await pilot.press("enter")
        await until_text(pilot, "Preview", "->")
        await pilot.press("enter")
        await until_text(pilot, "● Run")
        await pilot.press("l")
        await until_text(pilot, "log: all hosts")
        if text.startswith("["):
            await until_text(pilot, text.splitlines()[0][:20])


async def test_a_replay_goes_through_the_same_panes(tmp_path: Path) -> None:
    from deiswizard.recommendations.preseed import declaration as preseed
    from deiswizard.recommendations.preseed import plan as preseed_plan
    from deiswizard.redaction import Redactor
    from deiswizard.run.journal import JournalWriter
    from deiswizard.run.replay import Replay

    plan = preseed_plan.plan(snapshot(), preseed.defaults(snapshot()))
    writer = JournalWriter(tmp_path, Redactor([]))
    for event in [e.RunStarted(at=NOW, run="r", plan=plan), *halfway(plan), *finished(plan)]:
        writer.write(event)
    writer.close()
    others = threading.active_count()
    app = WizardApp(start=None, replay=Replay(tmp_path, speed=0))
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "● Verify", "deis-3 has every image", "replay")
        await pilot.press("q")
        await pilot.pause()
    assert threading.active_count() - others < 20
