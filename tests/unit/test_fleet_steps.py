"""fleet units as steps: submitted once, destroyed once, waited for until they can no longer come."""

from __future__ import annotations

import pytest

from deiswizard.cluster.access import CommandResult, FleetUnit
from deiswizard.cluster.fleet import job_key
from deiswizard.cluster.unit_files import digest, options_of
from deiswizard.errors import ServiceError
from deiswizard.plan.conditions import UnitDone, UnitGone, UnitRunning
from deiswizard.plan.fleet_steps import DestroyUnitStep, SubmitUnitStep
from deiswizard.plan.plan import Basis, KeyBasis
from deiswizard.plan.preview import place_of
from deiswizard.plan.step import WaitStep, shown
from deiswizard.run import events as e
from deiswizard.run import execute as module
from deiswizard.run.basis import differences, own_changes
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState, StepState
from deiswizard.vocabulary import StepStatus
from tests.unit.doing import IMAGE, Doing
from tests.unit.memory_cluster import plan_of, stage
from tests.unit.memory_fleet import row

UNIT = "job.service"
CONTENT = "[Service]\nType=oneshot\nExecStart=/bin/true\n\n[X-Fleet]\nGlobal=true\n"
OTHER = CONTENT.replace("true\n", "false\n", 1)
SUBMIT = SubmitUnitStep(id="s", title="submit", unit=UNIT, content=CONTENT)
DESTROY = DestroyUnitStep(id="d", title="destroy", unit=UNIT, expect=(digest(CONTENT),))
LATER = ServiceError("fleet did not answer", state="not known: fleet may do it later")
AGAIN = StepState(attempt=1)


def away() -> ServiceError:
    error = ServiceError("fleet did not tell", state="nothing was changed by this")
    error.is_transient = True
    return error


def unit(content: str, desired: str = "launched") -> FleetUnit:
    return FleetUnit(name=UNIT, options=options_of(content), desired=desired)


def wait(**more: object) -> WaitStep:
    return WaitStep.model_validate(
        {
            "id": "w",
            "title": "wait",
            "host": "a",
            "condition": UnitDone(unit=UNIT, host="a", machine="a-machine"),
            "waiting_for": "the unit",
            "interval": 0.01,
            "timeout": 30,
            **more,
        }
    )


def test_a_unit_is_submitted_with_its_options_and_launched(doing: Doing) -> None:
    assert doing.do(SUBMIT).status is StepStatus.DONE
    assert doing.cluster.fleetd.units[UNIT] == unit(CONTENT)


@pytest.mark.parametrize("content", [CONTENT, OTHER])
def test_a_unit_that_somebody_else_made_is_left_alone(doing: Doing, content: str) -> None:
    doing.cluster.fleetd.units[UNIT] = unit(content)
    result = doing.do(SUBMIT)
    assert result.status is StepStatus.FAILED and "was made since" in result.said
    assert doing.cluster.fleetd.asked == []


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_submission_without_an_answer_is_sent_again_only_when_it_was_not_done(
    doing: Doing, is_applied: bool
) -> None:
    fleet = doing.cluster.fleetd
    fleet.late, fleet.applies_late = [LATER], is_applied
    assert doing.do(SUBMIT).status is StepStatus.DONE
    assert len(fleet.asked) == (1 if is_applied else 2)
    assert fleet.units[UNIT] == unit(CONTENT)


def test_what_an_earlier_attempt_submitted_is_found_and_a_half_done_one_is_launched(
    doing: Doing,
) -> None:
    fleet = doing.cluster.fleetd
    fleet.units[UNIT] = unit(CONTENT)
    assert doing.do(SUBMIT, AGAIN).status is StepStatus.DONE
    assert fleet.asked == []
    fleet.units[UNIT] = unit(CONTENT, "inactive")
    assert doing.do(SUBMIT, AGAIN).status is StepStatus.DONE
    assert fleet.units[UNIT].desired == "launched"


def test_on_the_way_back_a_unit_that_is_there_as_it_was_is_as_good(doing: Doing) -> None:
    back = SUBMIT.model_copy(update={"undoes": ("d",)})
    doing.cluster.fleetd.units[UNIT] = unit(CONTENT)
    assert doing.do(back).status is StepStatus.DONE
    doing.cluster.fleetd.units[UNIT] = unit(OTHER)
    assert "was made since" in doing.do(back).said


def test_fleet_without_etcd_is_asked_again(doing: Doing) -> None:
    doing.cluster.fleetd.trouble = [away(), away()]
    assert doing.do(SUBMIT).status is StepStatus.DONE
    assert len(doing.told("wait-polled")) == 2


def test_a_refusal_is_a_failure_at_once(doing: Doing) -> None:
    words = "fleet did not take job.service"
    doing.cluster.fleetd.late = [ServiceError(words, state="nothing was changed by this")]
    result = doing.do(SUBMIT)
    assert (result.status, result.said) == (StepStatus.FAILED, words)


def test_only_an_expected_unit_is_destroyed_and_a_gone_one_is_as_good(doing: Doing) -> None:
    fleet = doing.cluster.fleetd
    fleet.units[UNIT] = unit(OTHER)
    result = doing.do(DESTROY)
    assert result.status is StepStatus.FAILED and "another file" in result.said
    fleet.units[UNIT] = unit(CONTENT)
    assert doing.do(DESTROY).status is StepStatus.DONE
    assert fleet.units == {} and doing.do(DESTROY).status is StepStatus.DONE


def test_a_unit_is_gone_when_no_host_tells_of_it(doing: Doing) -> None:
    doing.cluster.fleetd.rows = [[row("a-machine", "active/exited")], []]
    step = wait(condition=UnitGone(unit=UNIT))
    assert doing.do(step).status is StepStatus.DONE
    (polled,) = doing.told("wait-polled")
    assert "on 1 hosts" in polled.model_dump_json()


def test_a_wait_tells_the_images_that_come_and_ends_when_the_unit_has(doing: Doing) -> None:
    fleet, engine = doing.cluster.fleetd, doing.cluster.dockers["a"]
    fleet.units[UNIT] = unit(CONTENT)
    fleet.rows = [[], [row("a-machine", "activating/start")], [row("a-machine", "active/exited")]]

    def hear(event: object) -> None:
        if len(doing.told("wait-polled")) == 2:
            engine.store.add(IMAGE)

    doing.listener = hear
    result = doing.do(wait())
    assert result.status is StepStatus.DONE and "1 of 1 images" in result.said
    said = [event.model_dump()["said"] for event in doing.told("wait-polled")]
    assert said == [
        f"fleet has not begun there: 0 of 1 images, at {IMAGE}",
        f"activating/start: 0 of 1 images, at {IMAGE}",
    ]
    present = [event.model_dump()["present"] for event in doing.told("image-checked")]
    assert present == [False, True]


def test_a_failed_unit_ends_the_wait_at_once_with_its_host(doing: Doing) -> None:
    doing.cluster.fleetd.rows = [
        [row("b-machine", "active/exited"), row("a-machine", "failed/failed")]
    ]
    result = doing.do(wait(on_retry="systemctl restart job"))
    assert result.status is StepStatus.FAILED
    assert result.said == "job.service is failed/failed on a" and "journalctl" in result.do
    assert doing.cluster.commands() == []


def test_another_host_s_row_is_never_taken_for_this_one_s(doing: Doing) -> None:
    doing.cluster.fleetd.rows = [[row("aa-machine", "failed/failed")]]
    result = doing.do(wait(timeout=0.0))
    assert "in vain" in result.said and "not begun" in result.said


def running(steady: float) -> WaitStep:
    """Of a unit that is to go on."""
    condition = UnitRunning(unit=UNIT, host="a", machine="a-machine", steady=steady)
    return wait(condition=condition, timeout=0.0)


@pytest.mark.parametrize(
    "sub", ["active/exited", "activating/start-pre", "activating/auto-restart"]
)
def test_a_unit_that_has_ended_or_is_about_to_start_does_not_run(doing: Doing, sub: str) -> None:
    doing.cluster.fleetd.rows = [[row("a-machine", sub)]]
    result = doing.do(running(0.0))
    assert result.status is StepStatus.FAILED and f"last seen: {sub}" in result.said


def test_a_unit_that_ends_again_and_again_is_not_taken_for_a_running_one(doing: Doing) -> None:
    now, later = row("a-machine", "active/running"), row("a-machine", "activating/auto-restart")
    doing.cluster.fleetd.rows = [[now], [later]]
    result = doing.do(running(0.01))
    assert "active/running, then activating/auto-restart" in result.said
    doing.cluster.fleetd.rows = [[now]]
    assert doing.do(running(0.01)).status is StepStatus.DONE


def test_a_unit_that_somebody_destroyed_is_not_waited_for(doing: Doing) -> None:
    result = doing.do(wait())
    assert result.status is StepStatus.FAILED and "any more" in result.said


def test_a_retry_starts_the_failed_unit_again_on_its_host_once(doing: Doing) -> None:
    failed, going = row("a-machine", "failed/failed"), row("a-machine", "activating/start")
    doing.cluster.fleetd.rows = [[failed], [failed], [going], [row("a-machine", "active/exited")]]
    result = doing.do(wait(on_retry="again"), AGAIN)
    assert result.status is StepStatus.DONE
    (call,) = doing.cluster.calls
    assert (call.command, call.sudo) == ("again", True)


def test_a_retry_that_fails_again_is_told(doing: Doing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_SECONDS", 0.0)
    doing.cluster.fleetd.rows = [[row("a-machine", "failed/failed")]]
    doing.cluster.hosts["a"].answers["again"] = [CommandResult(0)]
    assert doing.do(wait(on_retry="again"), AGAIN).status is StepStatus.FAILED
    assert doing.cluster.commands() == ["a: again"]


def test_fleet_that_does_not_answer_is_waited_for(doing: Doing) -> None:
    doing.cluster.fleetd.trouble = [away()]
    doing.cluster.fleetd.rows = [[row("a-machine", "active/exited")]]
    assert doing.do(wait()).status is StepStatus.DONE


def test_what_is_shown_can_be_typed() -> None:
    lines = shown(SUBMIT).split("\n")
    assert lines[0] == "cat > job.service <<'END_OF_FILE'"
    assert "\n".join(lines[1:-2]) + "\n" == CONTENT
    assert lines[-2:] == ["END_OF_FILE", "fleetctl start job.service"]
    assert shown(DESTROY) == "fleetctl destroy job.service"
    assert "a retry first: sudo -n sh -c again" in shown(wait(on_retry="again"))
    gone = wait(host="", condition=UnitGone(unit=UNIT))
    assert [place_of(s) for s in (SUBMIT, DESTROY, gone, wait())] == ["fleet"] * 3 + ["a"]


def test_a_secret_may_not_stand_in_a_unit() -> None:
    with pytest.raises(ValueError, match="secret"):
        SubmitUnitStep(id="s", title="s", unit=UNIT, content="[X]\nA=${secret:x}\n")


def test_a_run_taken_up_again_knows_the_unit_that_it_submitted_itself(doing: Doing) -> None:
    key = job_key(UNIT)
    basis = Basis(taken_at=0.0, keys=(KeyBasis(key=key, index=0),))
    plan = plan_of(stage(SUBMIT), basis=basis)
    state = reduce(RunState(), e.RunStarted(at=0, run="r", plan=plan))
    doing.cluster.store.put(key, "{}", expect=0)
    (told,) = differences(basis, doing.cluster, own_changes(plan, state))
    assert told == f"{key} was made: it is now another value"
    begun = reduce(state, e.StepStarted(at=1, step=SUBMIT.id))
    assert differences(basis, doing.cluster, own_changes(plan, begun)) == ()
