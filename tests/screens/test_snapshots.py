"""Pictures of every screen, at the sizes and in the looks that are promised."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from deiswizard.cluster.snapshot import Evidence, Snapshot, Trouble
from deiswizard.plan.plan import Plan
from deiswizard.recommendations.logs.units import AGENTS, agent_unit
from deiswizard.recommendations.security import declaration as security
from deiswizard.recommendations.security.facts import SecurityChoices
from deiswizard.run import events as e
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.builders import ANN, NOW, host, snapshot
from tests.screens import etcds, firewalls, stores
from tests.screens.backups import copying, data_session, verified
from tests.screens.fakes import FakeSession, app_on, finished, halfway
from tests.screens.waiting import painted, until_still, until_text
from tests.unit import logging_world, planes_world, security_world
from tests.unit.test_tls import look as at_routers
from tests.userdata.layouts import FILLED

View = tuple[str, tuple[int, int]]
VIEWS: dict[str, View] = {
    "dark-80x24": ("dark", (80, 24)),
    "dark-120x40": ("dark", (120, 40)),
    "plain-80x24": ("plain", (80, 24)),
}
"""plain: NO_COLOR and ASCII, at the size at which they have least room."""


@pytest.fixture(params=list(VIEWS.values()), ids=list(VIEWS))
def view(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> View:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr("deiswizard.screens.verify.counts", lambda state: "3 done")
    monkeypatch.setattr("textual.widgets.Input.cursor_blink", False, raising=False)
    look, size = request.param
    if look == "plain":
        monkeypatch.setenv("NO_COLOR", "1")
    return look, size


def troubled() -> FakeSession:
    down = host(
        3, images=None, reachable=False,
        trouble=Trouble(what="the key of 10.21.2.13 has CHANGED", evidence=Evidence(source="ssh", host="deis-3")),
    )  # fmt: skip
    return FakeSession(snapshot(host(1), host(2), down))


def watched() -> Snapshot:
    """A drain to which a marker was sent, and an agent that does not run everywhere."""
    name = AGENTS["cadvisor"].unit
    content = agent_unit(
        AGENTS["cadvisor"], logging_world.choose(cadvisor_image="example/cadvisor:1")
    )
    return logging_world.world(
        drain=logging_world.DRAIN,
        markers=(logging_world.sent(), "", ""),
        units=(logging_world.unit(name, content),),
        states=logging_world.rows(name, 1, 2),
    )


def guarded(events: Callable[[Plan], list[e.Event]] | None = None) -> FakeSession:
    """A controller with a list, one app with one, hosts that differ."""
    return FakeSession(
        security_world.world(
            {"controller/whitelist": f"{security_world.ME}:me,198.51.100.0/24:office"},
            lists={"shop": "0.0.0.0/0:everyone"},
        ),
        events=events,
    )


Steps = Callable[[Pilot[Any]], Any]


async def overview(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Registration mode", "12 s ago")


async def choose(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Choose", "next: Preview")


async def missing(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Choose", "no file is named")


async def balanced(pilot: Pilot[Any]) -> None:
    """TLS ends at the load balancer, and http leads to https."""
    await missing(pilot)
    await pilot.press("down", "tab", "space")
    await until_text(pilot, "must speak HTTP to port 80")
    await pilot.press("enter")
    await until_text(pilot, "Changes")


def proven(plan: Plan, *, ok: bool = True) -> list[e.Event]:
    """A run of Security that ended: every check of the routers, or one that did not hold."""
    chosen = SecurityChoices.model_validate(plan.choices)
    after = security_world.world(
        {"firewall/enabled": "true", "controller/whitelist": chosen.controller_whitelist},
        says={} if ok else {"security.stranger": 200},
    )
    steps = [
        e.StepFinished(at=NOW + 1, step=step.id, status=StepStatus.DONE) for step in plan.steps
    ]
    checks = security.verify(after, after, chosen)
    bad = [check.title for check in checks if not check.ok]
    status = RunStatus.FAILED if bad else RunStatus.DONE
    said = f"{len(bad)} of {len(checks)} checks did not hold" if bad else ""
    end = e.RunFinished(at=NOW + 3, status=status, said=said)
    return [*steps, e.Verified(at=NOW + 2, checks=checks), end]


async def choose_hosts(pilot: Pilot[Any]) -> None:
    """The other part of Security."""
    await choose(pilot)
    await pilot.press("down", "space")
    await until_text(pilot, "Firewall on every host", "Who may log in over ssh")


async def preview_hosts(pilot: Pilot[Any]) -> None:
    await choose_hosts(pilot)
    await pilot.press("enter")
    await until_text(pilot, "[ Changes")


async def run_ports(pilot: Pilot[Any]) -> None:
    """The table of ports while hosts are tried one after the other."""
    await preview_hosts(pilot)
    await pilot.press("enter")
    await until_text(pilot, "Ports")
    await pilot.press("tab", "tab")
    await until_text(pilot, "another host", "this machine")


async def verify_hosts(pilot: Pilot[Any]) -> None:
    await preview_hosts(pilot)
    await pilot.press("enter")
    await until_text(pilot, "a stranger", "on all 3 (by")


async def verify_security(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "nginx on deis-1 accepts what it has")


async def security_impact(pilot: Pilot[Any]) -> None:
    await security_commands(pilot)
    await pilot.press("tab")
    await until_text(pilot, "[ Impact")


async def locked_out(pilot: Pilot[Any]) -> None:
    """The list without the operator, and enforced though an app has none."""
    await choose(pilot)
    await pilot.press("tab", "tab", "tab")
    await pilot.press("home", *["delete"] * (len(security_world.ME) + 4))
    await pilot.press("tab", "tab", "tab", "space")
    await until_text(pilot, "has no list", "mend the field")


async def security_commands(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("tab")
    await until_text(pilot, "[ Commands")


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


async def choose_backup(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Choose", "with a passphrase", "mend the field")


async def preview_backup(pilot: Pilot[Any]) -> None:
    """The passphrase that is asked for is typed."""
    await choose_backup(pilot)
    await pilot.press("tab", "tab", "tab", "tab", *"correct horse battery")
    await until_text(pilot, "next: Preview")
    await pilot.press("enter")
    await until_text(pilot, "Changes")


async def run_backup(pilot: Pilot[Any]) -> None:
    await preview_backup(pilot)
    await pilot.press("enter")
    await until_text(pilot, "stage 3 of 5")


async def run_copies(pilot: Pilot[Any]) -> None:
    await run_backup(pilot)
    await pilot.press("tab", "tab")


async def verify_backup(pilot: Pilot[Any]) -> None:
    await preview_backup(pilot)
    await pilot.press("enter")
    await until_text(pilot, "a verified backup of now is there")


async def few_routers(pilot: Pilot[Any]) -> None:
    await until_text(pilot, "Planes of each host", "next: Preview")
    await pilot.press("tab", "right", "right", "space")
    await until_text(pilot, "3 routers need 3 router hosts")


async def run_etcd(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "after the next step")


async def verify_etcd(pilot: Pilot[Any]) -> None:
    await preview(pilot)
    await pilot.press("enter")
    await until_text(pilot, "every member is healthy")


async def even(pilot: Pilot[Any]) -> None:
    """One host more than advised."""
    await choose(pilot)
    await pilot.press("tab", "down", "down", "down", "space")
    await until_text(pilot, "4 can lose 1, and 3 can, too")


async def choose_files(pilot: Pilot[Any]) -> None:
    """The other way, before a file is named."""
    await choose(pilot)
    await pilot.press("down", "space")
    await until_text(pilot, "no file is named")


async def planes_files(pilot: Pilot[Any]) -> None:
    """What becomes of the operator's own file, role by role."""
    own = Path(os.environ["DEISWIZARD_STATE"]).with_name("own")
    own.write_text(FILLED)
    await choose(pilot)
    await pilot.press("down", "space")
    await until_text(pilot, "no file is named")
    pilot.app.screen.query(Input).first().value = str(own)
    await until_text(pilot, "next: Preview")
    await pilot.press("enter")
    await until_text(pilot, "user-data-control-router")


CASES: dict[str, tuple[Callable[[], FakeSession], str, Steps]] = {
    "overview": (FakeSession, "", overview),
    "overview-troubled": (troubled, "", overview),
    "help": (FakeSession, "", help_page),
    "choose-preseed": (FakeSession, "preseed", choose),
    "choose-planes": (lambda: FakeSession(planes_world.world()), "planes", choose),
    "preview-planes": (lambda: FakeSession(planes_world.world()), "planes", preview),
    "choose-planes-few-routers": (
        lambda: FakeSession(planes_world.world(ceph=True)),
        "planes",
        few_routers,
    ),
    **{name: (make, rec, steps or choose) for name, (make, rec, steps) in stores.CASES.items()},
    "choose-stateless-files": (stores.CASES["choose-stateless"][0], "stateless", choose_files),
    "choose-registration": (FakeSession, "registration", choose),
    "choose-tls": (lambda: FakeSession(at_routers(taken_at=NOW)), "tls", missing),
    "preview-tls": (lambda: FakeSession(at_routers(taken_at=NOW)), "tls", balanced),
    "choose-logging": (lambda: FakeSession(watched()), "logging", choose),
    "preview-logging": (lambda: FakeSession(watched()), "logging", preview),
    "choose-security": (guarded, "security", choose),
    "choose-security-locked-out": (guarded, "security", locked_out),
    "choose-security-hosts": (firewalls.open_hosts, "security", choose_hosts),
    "preview-security-hosts": (firewalls.open_hosts, "security", preview_hosts),
    "run-security-hosts": (
        lambda: firewalls.open_hosts(firewalls.half_filtered),
        "security",
        run_ports,
    ),
    "verify-security-hosts": (
        lambda: firewalls.open_hosts(firewalls.filtered),
        "security",
        verify_hosts,
    ),
    "preview-security": (guarded, "security", preview),
    "preview-security-commands": (guarded, "security", security_commands),
    "preview-security-impact": (guarded, "security", security_impact),
    "verify-security": (lambda: guarded(proven), "security", verify_security),
    "verify-security-not-live": (
        lambda: guarded(lambda plan: proven(plan, ok=False)),
        "security",
        verify_security,
    ),
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
    "choose-backup": (data_session, "backup", choose_backup),
    "preview-backup": (data_session, "backup", preview_backup),
    "run-backup": (lambda: data_session(copying), "backup", run_backup),
    "run-backup-copies": (lambda: data_session(copying), "backup", run_copies),
    "choose-etcd": (etcds.session, "etcd", choose),
    "choose-etcd-even": (etcds.session, "etcd", even),
    "preview-etcd": (etcds.session, "etcd", preview),
    "choose-etcd-files": (etcds.session, "etcd", choose_files),
    "preview-planes-files": (lambda: FakeSession(planes_world.world()), "planes", planes_files),
    "run-etcd": (lambda: etcds.session(etcds.midway), "etcd", run_etcd),
    "verify-etcd": (lambda: etcds.session(etcds.verified), "etcd", verify_etcd),
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
    case: str, view: View, snap_compare: Any, own_folders: Path
) -> None:
    look, size = view
    make, open_first, steps = CASES[case]
    app = app_on(make(), ascii_only=look == "plain", open_first=open_first)

    async def settled(pilot: Pilot[Any]) -> None:
        await steps(pilot)
        await until_still(pilot)
        assert look != "plain" or painted(app).isascii()

    assert snap_compare(app, terminal_size=size, run_before=settled)
