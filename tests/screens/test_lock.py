"""The lock on the screen: in the title bar, in the way of Enter, watched, broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from deiswizard.cluster.lock_key import KEY, value_of
from deiswizard.cluster.snapshot import Lock
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import ServiceError, WizardError
from deiswizard.plan.plan import Plan
from deiswizard.run import events as e
from deiswizard.run.lock import whoami
from deiswizard.screens.app import WizardApp
from deiswizard.screens.modals.lock import LockDialog
from deiswizard.screens.panes.lock import FREE, confirmation, held, title
from deiswizard.screens.panes.progress import headline
from deiswizard.session import Session
from deiswizard.vocabulary import RunStatus
from tests.builders import ANN, NOW, snapshot
from tests.screens.fakes import FakeSession, StillRun, app_on, finished, halfway
from tests.screens.waiting import painted, until, until_text

SIZE = (80, 24)


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (60, "DEMO   looked 12 s ago   lock: ann@laptop 3 min"),
        (41, "DEMO   12 s ago   lock: ann@laptop 3 min"),
        (33, "DEMO   12 s ago   lock: ann 3 min"),
        (30, "DEMO   12 s ago   lock: held"),
        (26, "DEMO   lock: ann 3 min"),
        (17, "DEMO   lock: held"),
        (5, "DEMO   looked 12 s ago"),
    ],
)
def test_the_title_says_as_much_as_fits(room: int, shown: str) -> None:
    assert title("DEMO", "looked 12 s ago", held(ANN, NOW), room) == shown


def test_a_free_lock_gives_way_to_the_age_of_the_look() -> None:
    assert title("", "looked 12 s ago", FREE, 28) == "looked 12 s ago   lock: free"
    assert title("", "looked 12 s ago", FREE, 27) == "12 s ago   lock: free"
    assert title("", "looking (45 s at most)", FREE, 27) == "looking   lock: free"
    assert title("", "looked 12 s ago", FREE, 20) == "looked 12 s ago"


@pytest.mark.parametrize(
    ("owner", "typed"),
    [("ann@laptop", "ann@laptop"), ("", "break"), ("änn", "break"), ("a\x1b[0m", "break"),
     (" ann", "break"), ("x" * 41, "break")],
)  # fmt: skip
def test_what_a_keyboard_cannot_type_is_not_asked_for(owner: str, typed: str) -> None:
    assert confirmation(ANN.model_copy(update={"owner": owner})) == typed


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
@pytest.mark.parametrize("holder", [None, ANN])
async def test_the_overview_s_title_fits_and_follows_each_look(
    size: tuple[int, int], holder: Lock | None
) -> None:
    app = app_on(FakeSession(snapshot(), snapshot(lock=holder)))
    async with app.run_test(size=size) as pilot:
        await until_text(pilot, "7 of 21 images", "lock: free" if size[0] > 60 else "Deis v1.13.4")
        await pilot.press("r")
        wanted = "lock: free" if holder is None else "lock: ann@laptop 3 min"
        if size[0] == 60 and holder is not None:
            wanted = "lock: held"
        await until_text(pilot, wanted if size[0] > 60 or holder else "Deis v1.13.4")
        first = painted(app).splitlines()[0]
        assert len(first) == size[0] and "Deis v1.13.4" in first
        assert holder is None or first.rstrip().endswith(wanted)


async def test_a_lock_that_could_not_be_read_is_not_called_free() -> None:
    app = app_on(FakeSession(snapshot(lock_read=False)))
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "lock: not known")


async def test_the_lock_of_our_own_ended_run_is_free_again() -> None:
    """The run looks at the cluster once more while it still holds the lock."""
    mine = ANN.model_copy(update={"owner": whoami(), "run": "20261122-223104"})
    session = FakeSession(snapshot(), snapshot(lock=mine), events=finished)
    app = app_on(session, open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await until_text(pilot, "Hosts at a time")
        await pilot.press("enter")
        await until_text(pilot, "● Preview")
        await pilot.press("enter")
        await until_text(pilot, "● Verify")
        await pilot.press("enter", "r")
        await until(
            pilot,
            lambda: app.snapshot is not None and app.snapshot.lock == mine,
            lambda: "there was no new look",
        )
        await until_text(pilot, "lock: free")


async def test_while_our_own_run_holds_it_the_title_says_so() -> None:
    def events(plan: Plan) -> Sequence[e.Event]:
        return [e.LockAcquired(at=NOW, lock=ANN), *halfway(plan)]

    app = app_on(FakeSession(events=events), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(pilot, "● Run")
        await pilot.press("escape", "down", "enter")
        await until_text(pilot, "lock: this run")


async def to_run(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Choose", "next: Preview")
    await pilot.press("enter")
    await until_text(pilot, "● Preview")
    await pilot.press("enter")


async def test_a_held_lock_stands_in_the_way_and_back_leaves_all_as_it_was() -> None:
    session = FakeSession(holders=[ANN])
    app = app_on(session, open_first="registration")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(
            pilot, "Another run holds the lock", "ann@laptop", "3 min", "Registration mode: Set",
            "Watch it until it is free", "Break it", "Back to the preview",
        )  # fmt: skip
        await pilot.press("escape")
        await until_text(pilot, "● Preview", "enter run")
        assert "Another run" not in painted(app)
    assert session.runs == []


async def test_breaking_needs_the_owner_s_name_and_breaks_what_was_shown() -> None:
    session = FakeSession(holders=[ANN], events=halfway)
    app = app_on(session, open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(pilot, "Break it")
        await pilot.press("down", "enter")
        await until_text(pilot, "Break the lock of ann@laptop", "two runs change the cluster")
        await pilot.press(*"ann", "enter")
        await until_text(pilot, "type exactly: ann@laptop")
        assert session.runs == []
        await pilot.press(*"@laptop", "enter")
        await until_text(pilot, "● Run")
    assert session.broken == ["t1"]


async def test_breaking_can_be_thought_better_of() -> None:
    session = FakeSession(holders=[ANN])
    app = app_on(session, open_first="registration")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(pilot, "Break it")
        await pilot.press("down", "enter")
        await until_text(pilot, "Type to confirm")
        await pilot.press("escape")
        await until_text(pilot, "Another run holds the lock")
        await pilot.press("escape")
        await until_text(pilot, "● Preview")
    assert session.runs == []


async def test_watching_follows_the_holder_until_it_is_free_then_runs_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LockDialog, "POLL_SECONDS", 0.0)
    later = ANN.model_copy(update={"doing": "Registration mode: Verify"})
    holders: list[Lock | WizardError | None] = [ANN]
    session = FakeSession(holders=holders, events=halfway)
    app = app_on(session, open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(pilot, "Watch it until it is free")
        await pilot.press("enter")
        await until_text(pilot, "Watching the lock", "Registration mode: Set")
        session.holders = [later]
        await until_text(pilot, "Registration mode: Verify")
        session.holders = [ServiceError("etcd did not answer")]
        await until_text(pilot, "No answer: etcd did not answer", "Registration mode: Verify")
        session.holders = [None]
        await until_text(pilot, "The lock is free", "Run now")
        assert session.runs == []
        await pilot.press("down", "enter")
        await until_text(pilot, "● Run")
    assert session.broken == [""]


async def test_without_an_answer_the_run_itself_says_what_is_wrong() -> None:
    session = FakeSession(holders=[ServiceError("etcd did not answer")], events=halfway)
    app = app_on(session, open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(pilot, "● Run")
    assert session.broken == [""]


async def test_a_run_that_was_refused_after_all_says_for_whom() -> None:
    def refused(plan: Plan) -> list[e.Event]:
        said = "another run holds the lock of this cluster: ann@laptop, for 3 min"
        return [
            e.LockRefused(at=NOW, holder=ANN),
            e.RunFinished(at=NOW, status=RunStatus.REFUSED, said=said),
        ]

    app = app_on(FakeSession(events=refused), open_first="registration")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(pilot, "refused: another run holds the lock of this cluster: ann@laptop")


async def test_a_lost_lock_is_told_while_the_run_ends() -> None:
    def events(plan: Plan) -> list[e.Event]:
        return [*halfway(plan), e.LockLost(at=NOW + 9, said="the lock was broken by bob@desk")]

    app = app_on(FakeSession(events=events), open_first="preseed")
    async with app.run_test(size=SIZE) as pilot:
        await to_run(pilot)
        await until_text(pilot, "the lock was broken by bob@desk: stopping after what is going on")
        await pilot.press("l")
        await until_text(pilot, "the lock was broken by bob@desk: no other step begins")


def test_the_headline_of_a_lost_lock_goes_before_a_stop() -> None:
    from tests.unit.memory_cluster import command, plan_of, stage

    run = StillRun(
        plan_of(stage(command("one"))),
        [e.StopRequested(at=NOW), e.LockLost(at=NOW, said="the lock was broken by bob@desk")],
    )
    assert headline(run.hub.state, NOW).startswith("the lock was broken by bob@desk")


async def test_on_a_real_lock_the_dialog_breaks_it_and_the_run_goes_through() -> None:
    """Real SSH and etcd of the pretend cluster, nothing in place of the engine."""
    with PretendCluster.start("three", speed=50) as cluster:
        cluster.store.put(KEY, value_of(ANN), ttl=60)
        app = WizardApp(
            start=lambda address, asker, tell: Session.open(cluster.target, asker, tell),
            address=cluster.target.text,
            demo="three",
            open_first="registration",
        )
        async with app.run_test(size=SIZE) as pilot:
            await to_run(pilot)
            await until_text(pilot, "Another run holds the lock", "ann@laptop", "within")
            await pilot.press("down", "enter")
            await until_text(pilot, "Type to confirm: ann@laptop")
            await pilot.press(*"ann@laptop", "enter")
            await until_text(pilot, "● Verify", "the live controller answers as admin_only")
            await pilot.press("enter")
            await until_text(pilot, "lock: free")
        assert cluster.store.value(KEY) is None
