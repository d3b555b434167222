"""Preseeding and registration mode: judgements, choices, plans and checks are pure functions."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deiswizard.cluster.snapshot import Disk, EtcdFacts, Evidence, Snapshot, Trouble, Unit
from deiswizard.errors import AnswersError, PreconditionError
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.preview import as_text, changes, commands, impact
from deiswizard.plan.step import (
    CommandStep,
    GuardStep,
    JobStep,
    PullStep,
    RemoveKeyStep,
    WaitStep,
    WriteKeyStep,
    deisctl_can_say,
    shown,
    shown_key_write,
)
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Recommendation
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed import plan as preseed_plan
from deiswizard.recommendations.preseed.choices import PreseedChoices
from deiswizard.recommendations.preseed.images import components_in_use, needed_images
from deiswizard.recommendations.registration import declaration as registration
from deiswizard.recommendations.registration import plan as registration_plan
from deiswizard.recommendations.registration.facts import CONFIRM, RegistrationChoices
from deiswizard.run.events import RunFinished, RunStarted, StepFinished
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState
from deiswizard.run.undo import undo_plan, verify_undo
from deiswizard.vocabulary import Danger, RunStatus, Status, StepStatus
from tests.builders import RELEASE, all_images, answered, host, key, snapshot
from tests.unit import stateless_world
from tests.unit.planes_world import with_fleetds
from tests.unit.test_tls import look


def choose(**changes: Any) -> PreseedChoices:
    return PreseedChoices.model_validate({"hosts": ("deis-1", "deis-2"), **changes})


def test_a_snapshot_survives_json_without_its_secrets() -> None:
    from pydantic import SecretStr

    from deiswizard.cluster.snapshot import KeyFact

    secret = KeyFact(key="/deis/controller/secretKey", secret=SecretStr("sesame99"), is_secret=True)
    before = snapshot()
    before = before.model_copy(update={"keys": (*before.keys, secret)})
    text = before.model_dump_json()
    assert "sesame99" not in text and "sesame99" not in repr(before)
    after = Snapshot.model_validate_json(text)
    assert after.model_dump_json() == text
    kept = after.key("/deis/controller/secretKey")
    assert kept is not None and kept.is_secret and kept.text == ""
    assert before.age(before.taken_at + 12) == 12


def test_each_recommendation_has_the_same_shape() -> None:
    for recommendation in catalogue.ALL:
        now = snapshot() if recommendation.id == "etcd" else look()  # it needs three hosts
        now = with_fleetds(now)
        if recommendation.id == "stateless":
            now = stateless_world.cluster("stateless")  # nobody can leave Ceph by defaults alone
        defaults = recommendation.defaults(now)
        model = type(defaults).model_fields
        asked = {name for name, field in model.items() if not field.exclude}
        assert {field.name for field in recommendation.fields} == asked
        assert recommendation.assess(now).recommendation == recommendation.id
        plan = recommendation.plan(now, defaults)
        assert type(plan).model_validate_json(plan.model_dump_json()) == plan
        ids = [step.id for step in plan.steps]
        assert len(ids) == len(set(ids))
    with pytest.raises(AnswersError, match="no recommendation 'nine'"):
        catalogue.named("nine")


def test_preseeding_counts_what_is_where_and_says_which_host_said_so() -> None:
    found = preseed.assess(snapshot())
    assert (found.status, found.now) == (Status.PARTLY, "7 of 21 images")
    lacking = [f for f in found.findings if "lacks" in f.what]
    assert [f.evidence[0].host for f in lacking] == ["deis-2", "deis-3"]
    full = snapshot(*(host(n, *all_images()) for n in (1, 2, 3)))
    assert preseed.assess(full).status is Status.OK


def test_a_host_whose_images_cannot_be_read_is_never_ok() -> None:
    down = host(
        2, images=None, reachable=False,
        trouble=Trouble(what="it is down", evidence=Evidence(source="ssh", host="deis-2")),
    )  # fmt: skip
    found = preseed.assess(snapshot(host(1, *all_images()), down))
    assert found.status is not Status.OK
    assert any("deis-2 could not be read" in f.what for f in found.findings)
    assert preseed.assess(snapshot(down)).status is Status.UNKNOWN


def test_a_stateless_cluster_needs_no_store_and_no_database() -> None:
    units = tuple(Unit(name=f"deis-{n}.service") for n in ("controller", "builder", "router@1"))
    now = snapshot(units=units)
    assert components_in_use(now) == ("builder", "controller", "router")
    assert len(components_in_use(snapshot(units=()))) == 12


def test_an_image_key_beats_version_key_beats_release_file() -> None:
    now = snapshot(
        keys={"/deis/router/image": "reg:5000/mine:1"},
        units=(Unit(name="deis-router@1.service"), Unit(name="deis-logger.service")),
    )
    names = {image.component: image for image in needed_images(now)}
    assert (
        names["router"].name == "reg:5000/mine:1" and names["router"].source == "/deis/router/image"
    )
    assert names["logger"].source == "/deis/platform/version"
    only_file = snapshot(host(1), keys={"/deis/platform/version": ""})
    assert needed_images(only_file)[0].name.endswith(RELEASE)
    assert "/etc/deis-release on deis-1" in needed_images(only_file)[0].source


def test_a_script_that_fell_back_to_a_wrong_name_is_told() -> None:
    wrong = host(2, script_images=(("router", "deis/router:v1.12.0"),))
    now = snapshot(host(1), wrong, units=(Unit(name="deis-router@1.service"),))
    said = [f.what for f in preseed.assess(now).findings if "preseed script" in f.what]
    assert len(said) == 1 and "deis-2" in said[0] and "v1.12.0" in said[0]
    problems = preseed.check_choices(now, choose(method="script"))
    assert any("other images" in p.what and not p.blocks for p in problems)


def test_a_short_disk_warns_and_the_guard_repeats_it() -> None:
    short = host(2, disk=Disk(path="/", size=10**9, free=10**8))
    now = snapshot(host(1, *all_images()), short)
    (problem,) = preseed.check_choices(now, choose(hosts=("deis-2",)))
    assert "free, about" in problem.what and not problem.blocks
    plan = preseed_plan.plan(now, choose(hosts=("deis-2",)))
    guards = [s for s in plan.stages[0].steps if isinstance(s, GuardStep)]
    assert shown(guards[0]) == "df -P -k /var/lib/docker"


def test_no_host_is_left_out_in_silence() -> None:
    now = snapshot(host(1), host(2, images=None), host(3))
    notes = " / ".join(preseed_plan.plan(now, choose(hosts=("deis-1",))).impact.notes)
    assert "not on deis-2: the images there could not be read" in notes
    assert "not on deis-3: not chosen" in notes


def test_the_guard_of_a_registry_takes_any_answer_of_either_protocol() -> None:
    plan = preseed_plan.plan(snapshot(), choose())
    guard = next(s for s in plan.steps if s.id.startswith("registry:"))
    assert isinstance(guard, GuardStep) and isinstance(guard.condition, CommandSays)
    for out, good in (("401", True), ("000\n200", True), ("000\n000", False), ("", False)):
        assert bool(re.search(guard.condition.pattern, out)) is good


def test_choices_that_cannot_work_are_refused_in_words() -> None:
    now = snapshot(host(1, has_preseed_script=False), host(2, images=None))
    said = {
        p.what: p
        for p in preseed.check_choices(
            now, choose(hosts=("deis-2", "deis-9", "deis-1"), method="script")
        )
    }
    assert any("deis-2 cannot be used" in what for what in said)
    assert any("no host deis-9" in what for what in said)
    assert any("deis-1 has no /run/deis/bin/preseed" in what for what in said)
    assert preseed.check_choices(now, choose(hosts=()))[0].what == "no host is chosen"
    for bad in ({"hosts_at_a_time": 0}, {"method": "scp"}, {"extra_images": ("UPPER/case",)}):
        with pytest.raises(ValidationError):
            choose(**bad)


@pytest.mark.parametrize(
    "name", ["alpine:3.2", "localhost/a", "reg:5000/deis/x:v1", "a.example/b/c", "a/b"]
)
def test_image_names_of_every_form_are_taken(name: str) -> None:
    assert choose(extra_images=(name, name)).extra_images == (name,)


def test_only_missing_images_are_pulled_and_every_image_is_looked_at() -> None:
    plan = preseed_plan.plan(snapshot(), choose(extra_images=("alpine:3.2",)))
    pulls = [(s.host, s.image) for s in plan.steps if isinstance(s, PullStep)]
    assert [image for name, image in pulls if name == "deis-1"] == ["alpine:3.2"]
    assert len([1 for name, _ in pulls if name == "deis-2"]) == 8
    assert len(plan.stages[-1].steps) == 16
    assert plan.impact.danger is Danger.WRITE and not plan.is_empty
    assert all(line.startswith("+ ") for line in changes(plan))


def test_the_script_is_run_as_documented_and_the_rest_is_pulled() -> None:
    plan = preseed_plan.plan(
        snapshot(), choose(method="script", extra_images=("alpine:3.2",), hosts_at_a_time=2)
    )
    scripts = [s for s in plan.steps if isinstance(s, JobStep)]
    assert [s.host for s in scripts] == ["deis-1", "deis-2"]
    assert scripts[0].command.startswith("/run/deis/bin/preseed")
    assert {s.image for s in plan.steps if isinstance(s, PullStep)} == {"alpine:3.2"}
    assert plan.stages[1].hosts_at_a_time == 2


def test_nothing_missing_makes_a_plan_that_only_looks() -> None:
    full = snapshot(host(1, *all_images()), host(2, *all_images()))
    plan = preseed_plan.plan(full, choose())
    assert plan.is_empty and plan.impact.danger is Danger.READ
    assert "nothing to do" in as_text(plan, "changes")


def test_verify_believes_only_the_new_look() -> None:
    before, now = snapshot(), snapshot(host(1, *all_images()), host(2, *all_images()[:-1]))
    checks = preseed.verify(before, now, choose())
    assert [c.ok for c in checks] == [True, False]
    assert all_images()[-1] in checks[1].evidence
    assert preseed.verify(before, snapshot(host(1)), choose())[1].ok is None


@pytest.mark.parametrize(
    ("mode", "live", "admins", "status"),
    [
        ("enabled", "400", "1", Status.TO_DO),
        ("enabled", "400", "0", Status.AT_RISK),
        ("disabled", "403", "1", Status.OK),
        ("admin_only", "403", "1", Status.OK),
        ("admin_only", "401", "1", Status.OK),
        ("disabled", "400", "1", Status.AT_RISK),
        ("disabled", "000", "1", Status.PARTLY),
        ("adminOnly", "500", "1", Status.AT_RISK),
    ],
)
def test_registration_is_judged_by_key_and_live_controller(
    mode: str, live: str, admins: str, status: Status
) -> None:
    now = snapshot(keys={"/deis/controller/registrationMode": mode}, answers=answered(admins, live))
    assert registration.assess(now).status is status


def test_an_absent_key_means_open() -> None:
    now = snapshot()
    now = now.model_copy(
        update={"keys": tuple(k for k in now.keys if "registrationMode" not in k.key)}
    )
    assert registration.assess(now).now.startswith("enabled")
    plan = registration_plan.plan(now, RegistrationChoices(mode="disabled"))
    assert any(isinstance(s, RemoveKeyStep) for stage in plan.undo for s in stage.steps)
    write = next(s for s in plan.steps if isinstance(s, WriteKeyStep))
    assert write.expect == 0


def test_missing_keys_explain_why_the_controller_lags() -> None:
    now = snapshot(
        keys={"/deis/controller/registrationMode": "disabled"}, answers=answered("1", "400")
    )
    said = " ".join(f.do for f in registration.assess(now).findings)
    assert "/deis/registry/host" in said and "/deis/database/host" in said


def test_nobody_is_locked_out() -> None:
    none = snapshot(answers=answered("0"))
    (problem,) = registration.check_choices(none, RegistrationChoices(mode="disabled"))
    assert problem.blocks and "nobody could ever register again" in problem.what
    assert registration.check_choices(none, RegistrationChoices(mode="enabled")) == ()
    external = snapshot(answers=())
    (problem,) = registration.check_choices(external, RegistrationChoices(mode="disabled"))
    assert problem.field == "confirm" and CONFIRM in problem.allowed
    said = RegistrationChoices(mode="disabled", confirm=CONFIRM)
    assert registration.check_choices(external, said) == ()
    assert not any(isinstance(s, GuardStep) for s in registration_plan.plan(external, said).steps)


def test_the_mode_is_guarded_written_and_awaited() -> None:
    plan = registration_plan.plan(snapshot(), RegistrationChoices(mode="admin_only"))
    kinds = [type(step) for step in plan.steps]
    assert kinds == [GuardStep, WriteKeyStep, WaitStep, WaitStep]
    texts = [line.text for group in commands(plan) for line in group.commands]
    assert "deisctl config controller set registrationMode=admin_only" in texts
    assert any("psql -d deis" in text for text in texts)
    assert any(text.startswith("curl") and "/v1/auth/register" in text for text in texts)
    assert changes(plan)[0].startswith("~ ") and "enabled  ->  admin_only" in changes(plan)[0]
    assert dict(impact(plan))["Guards"] == ("an active admin exists",)


def test_hostile_discovery_keys_never_reach_a_command() -> None:
    now = snapshot(
        keys={"/deis/controller/host": "10.0.0.1; rm -rf /", "/deis/database/name": "deis; reboot"}
    )
    plan = registration_plan.plan(now, RegistrationChoices(mode="disabled"))
    text = as_text(plan, "commands")
    assert "rm -rf" not in text and "; reboot" not in text


def test_undo_is_a_plan_of_its_own() -> None:
    plan = registration_plan.plan(snapshot(), RegistrationChoices(mode="disabled"))
    state = reduce(RunState(), RunStarted(at=0, run="r", plan=plan))
    ended = RunFinished(at=2, status=RunStatus.DONE)
    with pytest.raises(PreconditionError, match="changed nothing"):
        undo_plan(reduce(state, ended), snapshot())
    state = reduce(state, StepFinished(at=1, step="write:mode", status=StepStatus.DONE))
    now = snapshot(keys={"/deis/controller/registrationMode": "disabled"})
    undone = undo_plan(reduce(state, ended), now)
    assert undone.is_undo and undone.basis.keys[0].index == 7
    assert [step.undoes for step in undone.steps] == [("write:mode",)] * 3
    assert undone.changes[0].current == "disabled" and undone.changes[0].desired == "enabled"
    assert verify_undo(undone, snapshot())[0].ok is True
    assert verify_undo(undone, now)[0].ok is False
    pulled = reduce(
        RunState(), RunStarted(at=0, run="r", plan=preseed_plan.plan(snapshot(), choose()))
    )
    with pytest.raises(PreconditionError, match="not needed"):
        undo_plan(reduce(pulled, ended), snapshot())


def test_without_etcd_there_is_no_judgement_and_no_plan() -> None:
    blind = snapshot(keys_read=False, etcd=EtcdFacts())
    assert registration.assess(blind).status is Status.UNKNOWN
    assert preseed.assess(blind).status is Status.UNKNOWN
    with pytest.raises(PreconditionError):
        registration_plan.plan(blind, RegistrationChoices())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("v1", True),
        ("", False),
        ("a=b", False),
        ("abc=", True),
        ("abc==", False),
        ("abc=def==", False),
    ],
)
def test_what_deisctl_cannot_say_is_shown_as_etcdctl(value: str, says: bool) -> None:
    """deis-facts 0.4, seen live: a value with an inner "=" is written to a wrong key."""
    assert deisctl_can_say(value) is says
    text = shown_key_write("/deis/registry/s3path", value)
    assert text.startswith("deisctl config registry set" if says else "etcdctl set")


@given(st.text(min_size=1).filter(lambda text: "${" not in text))
def test_the_shown_write_is_one_shell_word_for_the_value(value: str) -> None:
    import shlex

    words = shlex.split(shown_key_write("/deis/x/y", value))
    assert words[-1].endswith(value)


def test_a_secret_in_a_step_is_masked_and_never_in_a_command() -> None:
    step = WriteKeyStep(id="w", title="w", key="/deis/x/y", value="${secret:pw}")
    assert shown(step) == "deisctl config x set y='<secret: pw>'"
    with pytest.raises(ValidationError, match="a secret may not stand in a command"):
        CommandStep(id="c", title="c", command="login ${secret:pw}")
    typed = CommandStep(id="c", title="c", command="login", stdin="${secret:pw}", sudo=True)
    assert shown(typed) == "sudo -n sh -c login <<< '<secret: pw>'"


def test_every_field_can_be_asked() -> None:
    now = snapshot(host(1, *all_images()), host(2, images=None))
    for recommendation in catalogue.ALL:
        check_fields(recommendation, now)


def check_fields(recommendation: Recommendation, now: Snapshot) -> None:
    raw = recommendation.defaults(now).model_dump(mode="json")
    for field in recommendation.fields:
        options = field.options(now) if field.options else ()
        is_shown = field.shown is None or field.shown(now, raw)
        if field.kind in ("one", "many"):
            assert (options or not is_shown) and len({o.value for o in options}) == len(options)
        if field.kind == "one":
            assert sum(option.recommended for option in options) == 1 and options[0].recommended
        if field.shown is not None:
            assert field.shown(now, raw) in (True, False)


def test_a_key_that_is_written_elsewhere_makes_the_plan_old() -> None:
    plan = registration_plan.plan(snapshot(), RegistrationChoices(mode="disabled"))
    assert plan.basis.keys[0].key == "/deis/controller/registrationMode"
    assert plan.basis.keys[0].index == key("x", "y").index
    assert len(plan.basis.machines) == 3
