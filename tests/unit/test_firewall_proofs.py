"""What must hold before a host's rules are kept, and after a way back."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Answer, Snapshot, Unit, UnitState
from deiswizard.plan.reach_conditions import FreshLogin, PortsTake
from deiswizard.plan.step import CommandStep, GuardStep, WaitStep
from deiswizard.recommendations.firewall import files
from deiswizard.recommendations.planes.facts import CEPH, CEPH_ASK
from deiswizard.recommendations.security import declaration as security
from tests.unit.firewall_judging import plan_of, world
from tests.unit.firewall_world import (
    bare_answers,
    choose,
    closed,
    replaced,
)
from tests.unit.runs import way_back_of
from tests.unit.security_world import ME


def test_a_host_is_armed_before_the_rules_and_disarmed_after_every_proof() -> None:
    stage = next(stage for stage in plan_of(world()).stages if stage.id == "on:deis-2")
    names = [step.id.removeprefix("on:deis-2:") for step in stage.steps]
    order = [
        "test",
        "arm",
        "armed",
        "in",
        "login",
        "reaches",
        "reached",
        "closed",
        "whole",
        "still",
        "keep",
        "kept",
    ]
    assert [name for name in names if not name.startswith(("file", "folder"))] == order
    by_name = dict(zip(names, stage.steps, strict=True))
    for before, after in zip(stage.steps, stage.steps[1:], strict=False):
        assert after.needs == (before.id,)
    arm, put_in, keep = by_name["arm"], by_name["in"], by_name["keep"]
    assert (
        isinstance(arm, CommandStep)
        and isinstance(put_in, CommandStep)
        and isinstance(keep, CommandStep)
    )
    assert "systemd-run --unit=deiswizard-firewall-back --on-active=180" in arm.command
    before_arming, _, _ = arm.command.partition("systemd-run")
    assert f"systemctl stop {files.DOCKER_UNIT}" in before_arming, "it would load what is kept"
    assert "-now" not in put_in.command, "only what is proven is loaded at boot"
    assert keep.command.index("mv ") < keep.command.index(
        "systemctl stop deiswizard-firewall-back.timer"
    )
    login = by_name["login"]
    assert isinstance(login, WaitStep) and isinstance(login.condition, FreshLogin)
    closed_ = by_name["closed"]
    assert isinstance(closed_, WaitStep) and isinstance(closed_.condition, PortsTake)
    assert closed_.condition.hosts == ("",) and not closed_.condition.open
    assert ("10.21.2.12", 2375) in closed_.condition.places
    reached = by_name["reached"]
    assert isinstance(reached, WaitStep) and isinstance(reached.condition, PortsTake)
    assert reached.condition.hosts == ("deis-1", "deis-3")
    assert all(isinstance(by_name[name], GuardStep) for name in ("armed", "still"))
    slow = next(s for s in plan_of(world(), rollback_seconds=600).steps if s.id == "on:deis-2:arm")
    assert isinstance(slow, CommandStep) and "--on-active=600" in slow.command


def with_ceph(now: Snapshot, said: str) -> Snapshot:
    """A monitor on the second host says how Ceph is."""
    asker = now.hosts[1]
    name = "deis-store-monitor.service"
    unit = Unit(name=name, content="", desired="launched")
    state = UnitState(unit=name, machine_id=asker.machine_id, load="loaded", active="active", sub="running")  # fmt: skip
    answer = Answer(id=CEPH, host=asker.name, command=CEPH_ASK, code=0, out=f"{said}\n")
    return now.model_copy(
        update={
            "units": (*now.units, unit),
            "unit_states": (*now.unit_states, state),
            "answers": (*now.answers, answer),
        }
    )


def test_where_there_is_ceph_it_must_be_well_before_and_after_each_host() -> None:
    plan = plan_of(with_ceph(world(), "HEALTH_OK"))
    guard = next(step for step in plan.steps if step.id == "guard:ceph")
    assert isinstance(guard, GuardStep) and guard.host == "deis-2"
    for name in ("deis-1", "deis-2", "deis-3"):
        steps = [step.id for step in plan.steps if step.host == name]
        assert steps.index(f"on:{name}:ceph") < steps.index(f"on:{name}:keep")
    for now in (with_ceph(world(), "HEALTH_WARN"), world()):
        assert not [step.id for step in plan_of(now).steps if step.id.endswith(":ceph")]


def test_the_way_back_is_not_judged_by_what_the_newer_rules_close() -> None:
    plan = plan_of(world(closed_=True), ssh_from=[ME])
    ids = [step.id for stage in plan.undo for step in stage.steps]
    assert "back:deis-1:login" in ids and "back:deis-1:closed" not in ids
    assert "the rules of before are put in again" in plan.impact.undo
    off = plan_of(world(closed_=True), host_firewall=False)
    assert "the rules that were kept are put in again" in off.impact.undo
    assert any("2375 (Docker, without a password)" in note for note in off.impact.notes)


def test_the_way_back_is_judged_by_a_new_look_at_every_host_that_it_changes() -> None:
    on = way_back_of(plan_of(world()), world(closed_=True))
    gone = security.RECOMMENDATION.taken_back(on, world())
    assert [check.title for check in gone] == [f"nothing of ours is on deis-{n}" for n in (1, 3, 2)]
    assert all(check.ok for check in gone)
    left = replaced(world(), {"deis-3": closed("deis-3")})
    assert [c.ok for c in security.RECOMMENDATION.taken_back(on, left)] == [True, False, True]
    unread = world(filters=(bare_answers()[0], bare_answers()[1]))
    assert [c.ok for c in security.RECOMMENDATION.taken_back(on, unread)] == [True, None, None]

    narrower = choose(ssh_from=[ME])
    now = world(filters=(bare_answers()[0], *(closed(f"deis-{n}", narrower) for n in (1, 2, 3))))
    back = way_back_of(security.plan(world(closed_=True), narrower), now)
    there = security.RECOMMENDATION.taken_back(back, world(closed_=True))
    assert [check.title.partition(" in place")[0] for check in there] == [
        "the rules from before are"
    ] * 3
    assert all(check.ok for check in there)
    assert not any(check.ok for check in security.RECOMMENDATION.taken_back(back, now))
