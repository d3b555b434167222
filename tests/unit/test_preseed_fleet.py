"""Preseeding by a fleet unit: its text, its judgement, its plan, its checks, its way back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.cluster.fleet import job_key
from deiswizard.cluster.snapshot import EtcdFacts, HostFacts, Member, Snapshot, Unit, UnitState
from deiswizard.cluster.unit_files import digest, options_of
from deiswizard.demo.systemd import exec_words
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import UnitDone
from deiswizard.plan.fleet_steps import DestroyUnitStep, SubmitUnitStep
from deiswizard.plan.plan import KeyBasis, Plan
from deiswizard.plan.preview import as_text
from deiswizard.plan.step import WaitStep
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed.choices import IMAGE_NAME, PreseedChoices
from deiswizard.recommendations.preseed.fleet import UNIT, departed, is_safe, listed, unit_file
from deiswizard.recommendations.preseed.plan import plan
from deiswizard.run import events as e
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState
from deiswizard.run.undo import undo_plan, verify_undo
from deiswizard.vocabulary import RunStatus, Status, StepStatus
from tests.builders import all_images, host, snapshot

IMAGES = all_images()
CHOICES = PreseedChoices(hosts=(), method="fleet")
HOSTILE = (
    "x'; reboot; '",
    "deis/x:1; reboot",
    "deis/x:$(id)",
    "deis/x:`id`",
    "deis/x:1\nExecStart=/bin/false",
    "deis/x:%H",
    "deis/x:1 \\",
    "-v:1",
    "deis/é:1",
    "a" * 256,
    "",
)


def with_unit(
    *hosts: HostFacts,
    images: tuple[str, ...] = IMAGES,
    desired: str = "launched",
    rows: Mapping[str, str] | None = None,
) -> Snapshot:
    """A cluster whose unit fetches ``images``; ``rows`` tell how it stands on hosts."""
    now = snapshot(*hosts)
    unit = Unit(name=UNIT, is_global=True, desired=desired, index=77, content=unit_file(images))
    states = []
    for name, how in (rows or {}).items():
        found = now.host(name)
        assert found is not None
        active, _, sub = how.partition("/")
        states.append(
            UnitState(unit=UNIT, machine_id=found.machine_id, load="loaded", active=active, sub=sub)
        )
    more = {"units": (*now.units, unit), "unit_states": (*now.unit_states, *states)}
    return now.model_copy(update=more)


def full() -> tuple[HostFacts, ...]:
    return tuple(host(n, *IMAGES) for n in (1, 2, 3))


EVERYWHERE = {f"deis-{n}": "active/exited" for n in (1, 2, 3)}


def kinds(found: Plan) -> list[str]:
    return [step.kind for step in found.steps if step.kind != "guard"]


# the unit's text


def run_unit(folder: Path, docker: str, images: tuple[str, ...]) -> tuple[int, str]:
    """The unit's own command, run by the real sh with a docker that is this script."""
    tool = folder / "docker"
    tool.write_text(f"#!/bin/sh\n{docker}\n")
    tool.chmod(0o755)
    pauses = folder / "sleep"
    pauses.write_text(f'#!/bin/sh\necho "$1" >> {folder}/pauses\n')
    pauses.chmod(0o755)
    (value,) = (o.value for o in options_of(unit_file(images)) if o.name == "ExecStart")
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        exec_words(value), capture_output=True, text=True, env={"PATH": path}, timeout=30
    )
    return done.returncode, done.stdout


STORE = 'test "$1" = history && exec test -e "{0}/$(echo "$2" | tr / _)"; echo "$2" >> {0}/asked; '


def test_a_real_shell_pulls_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deis_a:1").touch()
    docker = STORE.format(tmp_path) + f'touch "{tmp_path}/$(echo "$2" | tr / _)"'
    assert run_unit(tmp_path, docker, ("deis/a:1", "deis/b:1", "reg:5000/c:1")) == (0, "lacking:\n")
    assert (tmp_path / "asked").read_text().split() == ["deis/b:1", "reg:5000/c:1"]
    assert not (tmp_path / "pauses").exists()


def test_a_real_shell_tries_three_times_and_goes_on_with_the_others(tmp_path: Path) -> None:
    docker = STORE.format(tmp_path) + f'test "$2" = deis/b:1 && touch "{tmp_path}/deis_b:1"'
    code, said = run_unit(tmp_path, docker, ("deis/a:1", "deis/b:1"))
    assert (code, said) == (1, "lacking: deis/a:1\n")
    assert (tmp_path / "asked").read_text().split() == ["deis/a:1"] * 3 + ["deis/b:1"]
    assert (tmp_path / "pauses").read_text().split() == ["20", "60", "0"]


def test_a_real_shell_is_content_when_a_later_try_goes_well(tmp_path: Path) -> None:
    flaky = f'test -e {tmp_path}/pauses && touch "{tmp_path}/deis_a:1"'
    assert run_unit(tmp_path, STORE.format(tmp_path) + flaky, ("deis/a:1",))[0] == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_image_name_never_comes_into_a_unit(name: str) -> None:
    with pytest.raises(PreconditionError, match="not an image name"):
        unit_file(("deis/router:v1", name))


@given(st.one_of(st.text(), st.from_regex(IMAGE_NAME)))
def test_a_safe_name_is_one_plain_word_for_shell_and_systemd(name: str) -> None:
    if is_safe(name):
        assert not set(name) & set(" \t\n'\"\\$%`;&|<>(){}*?#~!=") and name.isascii()


def test_a_unit_tells_its_images_again_and_no_line_is_too_long_for_systemd() -> None:
    many = tuple(f"registry.local:5000/team/image-{n}:v{n}" for n in range(200))
    content = unit_file(many)
    assert listed(content) == many
    assert max(map(len, content.split("\n"))) < 2048
    assert listed("[Service]\nExecStart=/bin/true\n") == ()


# which method is offered


@pytest.mark.parametrize(("count", "method"), [(3, "pull"), (19, "pull"), (20, "fleet")])
def test_fleet_is_offered_from_twenty_hosts_on(count: int, method: str) -> None:
    now = snapshot(*(host(n + 1, *IMAGES) for n in range(count)))
    assert preseed.defaults(now).model_dump()["method"] == method
    field = next(f for f in preseed.RECOMMENDATION.fields if f.name == "method")
    assert field.options is not None
    (best,) = [o for o in field.options(now) if o.recommended]
    assert best.value == method


def test_fleet_is_offered_where_its_unit_is_and_keeps_the_unit_s_extras() -> None:
    now = with_unit(*full(), images=(*IMAGES, "deis/router:v1.12.0", "team/agent:3"))
    found = preseed.defaults(now)
    assert isinstance(found, PreseedChoices) and found.method == "fleet"
    assert "team/agent:3" in found.extra_images
    assert not any("builder" in name for name in found.extra_images)


def test_hosts_that_left_traces_show_that_hosts_come_and_go() -> None:
    stays, gone = "10.21.2.11", "10.21.2.99"
    assert departed(snapshot(keys={f"/deis/store/hosts/{stays}": "up"})) == ()
    now = snapshot(keys={f"/deis/store/osds/{ip}": "1" for ip in (stays, gone)})
    assert departed(now) == (gone,)
    assert preseed.defaults(now).model_dump()["method"] == "fleet"
    assert departed(snapshot(keys={f"/deis/store/osds/{gone}": "1"})) == ()
    left = "f" * 32
    names = [h.machine_id for h in now.hosts] + [left, "by-hand"]
    etcd = EtcdFacts(members=tuple(Member(id=f"{n}", name=name) for n, name in enumerate(names)))
    assert departed(snapshot(etcd=etcd)) == (f"{left[:8]}...",)


def test_fleet_asks_for_no_hosts() -> None:
    shown = {f.name: f.shown for f in preseed.RECOMMENDATION.fields if f.shown}
    for name in ("hosts", "hosts_at_a_time"):
        assert not shown[name](snapshot(), {"method": "fleet"})
        assert shown[name](snapshot(), {"method": "pull"})


# assessment


def words(now: Snapshot) -> str:
    return " / ".join(finding.what for finding in preseed.assess(now).findings)


def test_with_the_unit_there_later_hosts_are_covered_and_it_is_said() -> None:
    found = preseed.assess(with_unit(*full(), rows=EVERYWHERE))
    assert found.status is Status.OK and "join later are preseeded" in found.explanation
    assert "join later" not in preseed.assess(snapshot(*full())).explanation


def test_an_old_list_of_images_is_told_even_where_every_image_is_there() -> None:
    now = with_unit(*full(), images=IMAGES[1:], rows=EVERYWHERE)
    found = preseed.assess(now)
    assert found.status is Status.PARTLY and "join later are" not in found.explanation
    assert f"does not fetch {IMAGES[0]}" in words(now)


def test_a_failed_host_and_a_unit_that_is_not_launched_are_told() -> None:
    now = with_unit(*full(), rows={**EVERYWHERE, "deis-2": "failed/failed"})
    assert f"{UNIT} failed on deis-2" in words(now)
    assert "deis-1" not in words(now)
    assert "not launched" in words(with_unit(*full(), desired="loaded"))


# choices


def problems(now: Snapshot, **changes: Any) -> list[tuple[str, bool]]:
    choices = CHOICES.model_copy(update=changes)
    return [(p.what, p.blocks) for p in preseed.check_choices(now, choices)]


def test_no_host_need_be_chosen_and_unreadable_ones_are_told() -> None:
    assert problems(snapshot()) == []
    down = host(3, images=None, reachable=False)
    ((what, blocks),) = problems(snapshot(host(1, *IMAGES), host(2), down))
    assert "deis-3" in what and not blocks


def test_a_hostile_name_in_etcd_blocks() -> None:
    now = snapshot(keys={"/deis/builder/image": "x'; reboot; '"})
    assert [blocks for _, blocks in problems(now)] == [True]
    with pytest.raises(PreconditionError, match="not an image name"):
        plan(now, CHOICES)


# the plan


def test_a_new_unit_is_submitted_and_each_host_is_waited_for() -> None:
    now = snapshot()
    found = plan(now, CHOICES)
    assert kinds(found) == ["submit-unit", "wait", "wait", "wait"]
    (submit,) = (s for s in found.steps if isinstance(s, SubmitUnitStep))
    assert listed(submit.content) == IMAGES
    waits = [s for s in found.steps if isinstance(s, WaitStep)]
    machines = [s.condition.machine for s in waits if isinstance(s.condition, UnitDone)]
    assert machines == [h.machine_id for h in now.hosts]
    stage = next(s for s in found.stages if s.id == "wait")
    assert stage.hosts_at_a_time == 3
    assert KeyBasis(key=job_key(UNIT), index=0) in found.basis.keys
    text = as_text(found, "commands")
    assert all(line in text for line in submit.content.split("\n"))
    assert "all 3 hosts pull at the same time" in as_text(found, "impact")
    assert Plan.model_validate_json(found.model_dump_json()) == found


def test_guards_come_before_the_unit_on_every_host_that_lacks_images() -> None:
    found = plan(snapshot(), CHOICES)
    assert [stage.id for stage in found.stages] == ["guards", "unit", "wait", "look"]
    assert {s.host for s in found.stages[0].steps} == {"deis-2", "deis-3"}


def test_a_unit_that_has_done_its_work_needs_nothing() -> None:
    found = plan(with_unit(*full(), rows=EVERYWHERE), CHOICES)
    assert found.is_empty and kinds(found) == [] and found.changes == () and found.undo == ()
    assert KeyBasis(key=job_key(UNIT), index=77) in found.basis.keys


def test_a_unit_that_still_runs_is_only_waited_for() -> None:
    now = with_unit(host(1, *IMAGES), host(2), host(3), rows={"deis-1": "active/exited"})
    found = plan(now, CHOICES)
    assert kinds(found) == ["wait", "wait"] and found.is_empty


@pytest.mark.parametrize(
    "now",
    [
        with_unit(*full(), images=IMAGES[1:], rows=EVERYWHERE),
        with_unit(*full(), desired="loaded", rows=EVERYWHERE),
        with_unit(*full(), rows={**EVERYWHERE, "deis-3": "failed/failed"}),
        with_unit(host(1, *IMAGES), host(2), host(3), rows=EVERYWHERE),
    ],
    ids=["other images", "not launched", "failed", "images gone"],
)
def test_a_unit_that_cannot_do_its_work_is_made_anew(now: Snapshot) -> None:
    found = plan(now, CHOICES)
    assert kinds(found)[:3] == ["destroy-unit", "wait", "submit-unit"]
    unit = now.unit(UNIT)
    (destroy,) = (s for s in found.steps if isinstance(s, DestroyUnitStep))
    assert unit is not None and destroy.expect == (digest(unit.content),)
    assert found.changes[0].note


def test_the_other_methods_leave_the_unit_and_say_so() -> None:
    now = with_unit(host(1, *IMAGES), host(2), host(3), rows=EVERYWHERE)
    found = plan(now, PreseedChoices(hosts=("deis-2",), method="pull"))
    assert "pull" in kinds(found) and "submit-unit" not in kinds(found)
    assert any(f"{UNIT} stays" in note for note in found.impact.notes)


# verifying and taking back


def checked(after: Snapshot) -> dict[str, bool | None]:
    return {c.title: c.ok for c in preseed.verify(snapshot(), after, CHOICES)}


def test_verified_are_the_unit_its_rows_and_every_image() -> None:
    good = checked(with_unit(*full(), rows=EVERYWHERE))
    assert len(good) == 7 and all(good.values())
    failed = checked(with_unit(*full(), rows={**EVERYWHERE, "deis-2": "failed/failed"}))
    assert [title for title, ok in failed.items() if not ok] == [f"{UNIT} is done on deis-2"]
    gone = checked(snapshot(*full()))
    assert [ok for title, ok in gone.items() if UNIT in title] == [False] * 4
    old = checked(with_unit(*full(), images=IMAGES[1:], rows=EVERYWHERE))
    assert old[f"fleet has {UNIT} for every host"] is False


def after_run(found: Plan, *steps: str) -> RunState:
    """A run that has ended after these steps, or after all."""
    state = reduce(RunState(), e.RunStarted(at=0, run="r", plan=found))
    for step in found.steps:
        if not steps or step.id in steps:
            state = reduce(state, e.StepStarted(at=1, step=step.id))
            state = reduce(state, e.StepFinished(at=1, step=step.id, status=StepStatus.DONE))
    return reduce(state, e.RunFinished(at=2, status=RunStatus.DONE))


def test_undo_destroys_the_unit_and_leaves_the_images() -> None:
    done = with_unit(*full(), rows=EVERYWHERE)
    back = undo_plan(after_run(plan(snapshot(), CHOICES)), done)
    assert kinds(back) == ["destroy-unit", "wait"]
    assert [(c.sign, c.where) for c in back.changes] == [("-", f"fleet unit {UNIT}")]
    assert [c.ok for c in verify_undo(back, snapshot(*full()))] == [True]
    assert [c.ok for c in verify_undo(back, done)] == [False]


def test_undo_puts_the_unit_of_before_back() -> None:
    before = with_unit(*full(), images=IMAGES[1:], rows=EVERYWHERE)
    found = plan(before, CHOICES)
    back = undo_plan(after_run(found), with_unit(*full(), rows=EVERYWHERE))
    assert kinds(back) == ["destroy-unit", "wait", "submit-unit"]
    (destroy,) = (s for s in back.steps if isinstance(s, DestroyUnitStep))
    (submit,) = (s for s in back.steps if isinstance(s, SubmitUnitStep))
    assert listed(submit.content) == IMAGES[1:] and len(destroy.expect) == 2
    assert [c.ok for c in verify_undo(back, before)] == [True]
    assert [c.ok for c in verify_undo(back, with_unit(*full()))] == [False]
    assert [c.ok for c in verify_undo(back, snapshot(*full()))] == [False]


def test_a_run_that_was_cut_off_before_the_new_unit_gets_the_old_one_back() -> None:
    found = plan(with_unit(*full(), images=IMAGES[1:], rows=EVERYWHERE), CHOICES)
    back = undo_plan(after_run(found, "unit:destroy"), snapshot(*full()))
    assert kinds(back) == ["destroy-unit", "wait", "submit-unit"]
    with pytest.raises(PreconditionError, match="changed nothing"):
        undo_plan(after_run(found, "look:deis-1:alpine:3.2"), snapshot(*full()))
