"""What guards and waits ask of fleet's machines and units; and a unit that is stopped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

import pytest

from deiswizard.cluster.access import FleetUnit
from deiswizard.cluster.snapshot import UnitState
from deiswizard.cluster.unit_files import options_of
from deiswizard.errors import ServiceError
from deiswizard.plan.conditions import Condition
from deiswizard.plan.fleet_conditions import (
    MachinesCarry,
    MetadataIs,
    UnitRunsOn,
    UnitsElsewhere,
    UnitsStay,
    UnitStopped,
)
from deiswizard.plan.fleet_steps import StartUnitStep, StopUnitStep
from deiswizard.plan.reach import Reach
from deiswizard.plan.script_asking import Asking
from deiswizard.plan.step import GuardStep, WaitStep, shown
from deiswizard.run.context import Result
from deiswizard.run.state import StepState
from deiswizard.vocabulary import StepStatus
from tests.unit.doing import Doing
from tests.unit.memory_fleet import row

UNIT = "job.service"
FILE = "[Service]\nExecStart=/bin/true\n"
LATER = ServiceError("fleet did not answer", state="not known: fleet may do it later")
A, B, C = (letter * 32 for letter in "abc")
MACHINES = {
    A: {"controlPlane": "true", "disk": "ssd"},
    B: {"controlPlane": "true"},
    C: {"controlPlane": "false", "x": "controlPlane=true"},
}


@pytest.fixture
def doing() -> Doing:
    found = Doing()
    for machine, metadata in MACHINES.items():
        body = {"ID": machine, "PublicIP": "10.0.0.1", "Metadata": metadata}
        key = f"/_coreos.com/fleet/machines/{machine}/object"
        found.cluster.store.keys[key] = (json.dumps(body), 7)
    return found


def launched(doing: Doing, *units: str) -> None:
    """Fleet is to run them."""
    for unit in units:
        doing.cluster.fleetd.units[unit] = FleetUnit(
            name=unit, options=options_of(FILE), desired="launched"
        )


def guard(doing: Doing, condition: Condition) -> Result:
    step = GuardStep(id="g", title="g", condition=condition, otherwise="too few")
    return doing.do(step)


def listed() -> str:
    """As fleetctl prints the machines."""
    return "".join(
        f"{machine}\t10.0.0.1\t{','.join(f'{k}={v}' for k, v in sorted(metadata.items()))}\n"
        for machine, metadata in MACHINES.items()
    )


def by_script(condition: Condition, printed: str) -> bool:
    """Whether the runbook's own question says yes of what fleetctl prints."""
    reach = Reach(entry="core@10.0.0.1", entry_name="a", hosts=(), options=())
    text = Asking(reach)._condition(condition)
    ssh = "cat <<'END'\n" + printed + "END\n"
    done = subprocess.run(["sh", "-c", f"SSH=answer\nanswer() {{\n{ssh}}}\n{text}"], timeout=20)
    return done.returncode == 0


@pytest.mark.parametrize(
    ("least", "but", "holds"), [(2, "", True), (3, "", False), (1, A, True), (2, A, False)]
)
def test_machines_are_counted_by_their_metadata_without_the_one_that_loses_it(
    doing: Doing, least: int, but: str, holds: bool
) -> None:
    condition = MachinesCarry(pair="controlPlane=true", least=least, but=but)
    result = guard(doing, condition)
    assert result.status is (StepStatus.DONE if holds else StepStatus.FAILED)
    assert f"{2 - bool(but)} {'other ' if but else ''}hosts carry controlPlane=true" in result.said
    printed = listed().replace("x=controlPlane=true", "x=controlPlane")
    assert by_script(condition, printed) is holds


def test_a_guard_that_cannot_ask_does_not_hold(doing: Doing) -> None:
    doing.cluster.store.trouble = ServiceError("etcd did not answer")
    result = guard(doing, MachinesCarry(pair="controlPlane=true", least=1))
    assert result.status is StepStatus.UNKNOWN


def test_metadata_is_one_of_what_is_expected(doing: Doing) -> None:
    for either, holds in (
        (("controlPlane=true,disk=ssd",), True),
        (("controlPlane=true",), False),
        (("x=y", "controlPlane=true,disk=ssd"), True),
    ):
        condition = MetadataIs(host="a", machine=A, either=either)
        assert guard(doing, condition).status is (StepStatus.DONE if holds else StepStatus.FAILED)
        assert by_script(condition, listed()) is holds
    gone = guard(doing, MetadataIs(host="a", machine="d" * 32, either=("",)))
    assert gone.status is StepStatus.FAILED and "does not know the machine" in gone.said


def both_say(doing: Doing, condition: Condition, states: Sequence[UnitState]) -> tuple[bool, bool]:
    """Whether wizard and runbook find that it holds of these rows of fleet's."""
    doing.cluster.fleetd.rows = [list(states)]
    status = guard(doing, condition).status
    assert status in (StepStatus.DONE, StepStatus.FAILED)
    rows = (f"{s.unit}\t{s.machine_id}/10.0.0.1\t{s.active}\t{s.sub}\n" for s in states)
    return status is StepStatus.DONE, by_script(condition, "".join(rows))


@pytest.mark.parametrize(
    ("states", "holds"),
    [
        ([], True),
        ([row(A, "inactive/dead")], True),
        ([row(A, "failed/failed"), row(B, "inactive/dead")], True),
        ([row(A, "deactivating/stop-sigterm")], False),
        ([row(A, "reloading/reload")], False),
        ([row(A, "inactive/dead"), row(B, "active/running")], False),
        ([row(A, "active/running", "job.service.other")], True),
    ],
)
def test_a_unit_has_stopped_when_no_machine_has_it_active(
    doing: Doing, states: list[UnitState], holds: bool
) -> None:
    condition = UnitStopped(unit=UNIT)
    assert both_say(doing, condition, states) == (holds, holds)


@pytest.mark.parametrize(
    ("every", "states", "holds"),
    [
        (False, [row(A, "active/running")], True),
        (False, [row(C, "active/running")], False),
        (False, [row(A, "active/running"), row(C, "inactive/dead")], False),
        (False, [row(A, "activating/start-pre")], False),
        (True, [row(A, "active/running")], False),
        (True, [row(A, "active/running"), row(B, "active/running")], True),
    ],
)
def test_a_unit_runs_on_one_or_on_each_of_its_machines_and_nowhere_else(
    doing: Doing, every: bool, states: list[UnitState], holds: bool
) -> None:
    condition = UnitRunsOn(unit=UNIT, machines=(A, B), every=every)
    assert both_say(doing, condition, states) == (holds, holds)


OTHER = "other.service"


@pytest.mark.parametrize(
    ("states", "holds"),
    [
        ([row(A, "active/running"), row(B, "active/running", OTHER)], True),
        ([row(A, "active/running"), row(B, "activating/start-pre", OTHER)], False),
        ([row(A, "active/running")], False),
        ([row(A, "active/running"), row(B, "active/running", OTHER), row(C, "active/running")], False),
    ],
)  # fmt: skip
def test_several_units_go_on_running_when_none_of_them_is_missing(
    doing: Doing, states: list[UnitState], holds: bool
) -> None:
    launched(doing, UNIT, OTHER)
    units = tuple(
        UnitRunsOn(unit=unit, machines=(at,), every=True) for unit, at in ((UNIT, A), (OTHER, B))
    )
    condition = UnitsStay(units=units, steady=0.01)
    assert both_say(doing, condition, states) == (holds, holds)


@pytest.mark.parametrize(
    ("states", "holds"),
    [
        ([row(B, "active/running"), row(C, "active/running", OTHER)], True),
        ([row(A, "inactive/dead"), row(B, "active/running"), row(C, "active/running", OTHER)], True),
        ([row(A, "active/running"), row(C, "active/running", OTHER)], False),
        ([row(A, "deactivating/stop-post"), row(B, "active/running"), row(C, "active/running", OTHER)], False),
        ([row(B, "activating/start-pre"), row(C, "active/running", OTHER)], False),
        ([row(C, "active/running", OTHER)], False),
    ],
)  # fmt: skip
def test_units_are_elsewhere_when_none_is_left_and_each_runs(
    doing: Doing, states: list[UnitState], holds: bool
) -> None:
    launched(doing, UNIT, OTHER)
    condition = UnitsElsewhere(units=(UNIT, OTHER), machine=A)
    assert both_say(doing, condition, states) == (holds, holds)


def test_what_a_deploy_has_replaced_meanwhile_is_not_waited_for(doing: Doing) -> None:
    condition = UnitsElsewhere(units=(UNIT,), machine=A)
    assert guard(doing, condition).status is StepStatus.DONE, "nothing of it is left"
    launched(doing, UNIT)
    result = guard(doing, condition)
    assert result.status is StepStatus.FAILED and "not running yet: job.service" in result.said


def test_a_unit_that_fails_where_it_was_put_is_not_waited_for(doing: Doing) -> None:
    doing.cluster.fleetd.rows = [[row(A, "failed/failed")]]
    step = WaitStep(
        id="w", title="w", condition=UnitRunsOn(unit=UNIT, machines=(A,)), waiting_for="it", timeout=600
    )  # fmt: skip
    result = doing.do(step)
    assert result.status is StepStatus.FAILED and "has failed on machine aaaaaaaa" in result.said
    doing.cluster.fleetd.rows = []
    assert "no fleet unit job.service any more" in doing.do(step).said


def test_one_that_runs_now_and_then_does_not_run(doing: Doing) -> None:
    doing.cluster.fleetd.rows = [[row(A, "active/running")], [row(A, "activating/auto-restart")]]
    condition = UnitsStay(units=(UnitRunsOn(unit=UNIT, machines=(A,)),), steady=0.01)
    result = guard(doing, condition)
    assert result.status is StepStatus.FAILED and "then job.service running on 0 of 1 host" in (
        result.said
    )


def stop(doing: Doing, before: StepState | None = None) -> Result:
    step = StopUnitStep(id="s", title="s", unit=UNIT)
    assert shown(step) == "fleetctl stop --no-block=true job.service"
    return doing.do(step, before or StepState())


def test_a_unit_is_stopped_once_and_one_that_is_gone_is_as_good(doing: Doing) -> None:
    fleet = doing.cluster.fleetd
    assert stop(doing).status is StepStatus.DONE and fleet.asked == []
    fleet.units[UNIT] = FleetUnit(name=UNIT, options=options_of(FILE), desired="launched")
    assert stop(doing).status is StepStatus.DONE
    assert fleet.units[UNIT].desired == "loaded" and fleet.units[UNIT].options == options_of(FILE)
    assert stop(doing, StepState(attempt=1)).status is StepStatus.DONE
    assert fleet.asked == ["put job.service loaded"]


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_stop_without_an_answer_is_looked_for(doing: Doing, is_applied: bool) -> None:
    fleet = doing.cluster.fleetd
    fleet.units[UNIT] = FleetUnit(name=UNIT, options=options_of(FILE), desired="launched")
    fleet.late, fleet.applies_late = [LATER], is_applied
    assert stop(doing).status is StepStatus.DONE
    assert len(fleet.asked) == (1 if is_applied else 2)
    assert fleet.units[UNIT].desired == "loaded"


def test_a_unit_is_started_again_and_one_that_is_gone_is_not(doing: Doing) -> None:
    fleet = doing.cluster.fleetd
    step = StartUnitStep(id="s", title="s", unit=UNIT)
    assert shown(step) == "fleetctl start --no-block=true job.service"
    gone = doing.do(step)
    assert gone.status is StepStatus.FAILED and "no fleet unit job.service any more" in gone.said
    fleet.units[UNIT] = FleetUnit(name=UNIT, options=options_of(FILE), desired="loaded")
    assert doing.do(step).status is StepStatus.DONE
    assert fleet.units[UNIT].desired == "launched"
    assert doing.do(step, StepState(attempt=1)).said == "an earlier request had been applied"
    assert fleet.asked == ["put job.service launched"]
