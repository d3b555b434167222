"""fleet units: submitted once, destroyed once, and watched host by host while they run."""

from __future__ import annotations

from collections.abc import Callable

from deiswizard.cluster.access import FleetAccess, FleetUnit
from deiswizard.cluster.unit_files import digest, options_of, text_of
from deiswizard.errors import NeverHoldsError, PlanStaleError, WizardError
from deiswizard.plan.conditions import UnitDone, UnitGone, UnitRunning
from deiswizard.plan.fleet_conditions import (
    BUSY,
    UnitRunsOn,
    UnitsElsewhere,
    UnitsStay,
    UnitStopped,
)
from deiswizard.plan.fleet_steps import (
    DestroyUnitStep,
    StartUnitStep,
    StopUnitStep,
    SubmitUnitStep,
)
from deiswizard.plan.step import WaitStep
from deiswizard.run.context import Context, Result
from deiswizard.run.events import ImageChecked
from deiswizard.run.settling import settled
from deiswizard.run.state import StepState
from deiswizard.wording import counted, few

LAUNCHED, LOADED = "launched", "loaded"
LATE_SECONDS = 20.0
"""How late fleet may tell a unit's new state: an older failure is not believed meanwhile."""


def submit(step: SubmitUnitStep, context: Context, before: StepState) -> Result:
    """Submit and launch a unit of which there is none yet. Raises as ``settled``.

    On the way back one that is there as it was is as good: the run may have been cut off before its
    own request went out.
    """
    half_done = False  # submitted by an earlier request, but not launched

    def is_applied(fleet: FleetAccess) -> bool:
        now = fleet.unit(step.unit)
        return now is not None and _is(now, step.content) and now.desired == LAUNCHED

    def check(fleet: FleetAccess) -> None:
        nonlocal half_done
        now = fleet.unit(step.unit)
        half_done = now is not None and _is(now, step.content) and now.desired != LAUNCHED
        if now is not None and not half_done:
            raise PlanStaleError((f"a fleet unit {step.unit} was made since",))

    def send(fleet: FleetAccess) -> None:
        is_new = fleet.put(step.unit, options_of(step.content), LAUNCHED)
        if not is_new and not half_done:
            raise PlanStaleError((f"somebody else submitted {step.unit} at the same moment",))

    return settled(
        context,
        step.id,
        f"whether {step.unit} was submitted",
        context.access.fleet,
        is_applied=is_applied,
        send=send,
        check=check,
        is_sent=before.attempt > 0 or bool(step.undoes),
    )


def set_going(step: StopUnitStep | StartUnitStep, context: Context, before: StepState) -> Result:
    """Stop a unit everywhere, so that it stays loaded, or start it again.

    Of one that is not there nothing can be started; stopped it is as good. Raises as ``settled``.
    """
    is_start = isinstance(step, StartUnitStep)

    def is_applied(fleet: FleetAccess) -> bool:
        now = fleet.unit(step.unit)
        return not is_start if now is None else (now.desired == LAUNCHED) is is_start

    def check(fleet: FleetAccess) -> None:
        if is_start:
            _refuse_destroyed(step.unit, fleet)

    def send(fleet: FleetAccess) -> None:
        if fleet.unit(step.unit) is not None:
            fleet.put(step.unit, (), LAUNCHED if is_start else LOADED)

    return settled(
        context,
        step.id,
        f"whether {step.unit} was {'started' if is_start else 'stopped'}",
        context.access.fleet,
        is_applied=is_applied,
        send=send,
        check=check,
        is_sent=before.attempt > 0,
    )


def destroy(step: DestroyUnitStep, context: Context, before: StepState) -> Result:
    """Destroy a unit, if it is one of those expected. One that is gone is as good."""

    def check(fleet: FleetAccess) -> None:
        now = fleet.unit(step.unit)
        if now is not None and digest(text_of(now.options)) not in step.expect:
            raise PlanStaleError((f"the fleet unit {step.unit} has another file now",))

    return settled(
        context,
        step.id,
        f"whether {step.unit} was destroyed",
        context.access.fleet,
        is_applied=lambda fleet: fleet.unit(step.unit) is None,
        send=lambda fleet: fleet.delete(step.unit),
        check=check,
        is_sent=before.attempt > 0,
    )


def _is(unit: FleetUnit, content: str) -> bool:
    return digest(text_of(unit.options)) == digest(content)


def unit_gone(condition: UnitGone, context: Context) -> tuple[bool, str]:
    """Whether nothing is left of a unit, and what is."""
    fleet = context.access.fleet()
    if fleet.unit(condition.unit) is not None:
        return False, f"fleet still has {condition.unit}"
    left = len(fleet.states(condition.unit))
    return not left, f"it is still there on {left} hosts" if left else ""


def unit_stopped(condition: UnitStopped, context: Context) -> tuple[bool, str]:
    """Whether a unit is active nowhere, and where it still is."""
    states = context.access.fleet().states(condition.unit)
    busy = [state for state in states if state.active in BUSY]
    seen = ", ".join(sorted({f"{state.active}/{state.sub}" for state in busy}))
    return not busy, f"{seen} on {counted(len(busy), 'host')}" if busy else ""


def unit_runs_on(condition: UnitRunsOn, context: Context) -> tuple[bool, str]:
    """Whether a unit runs on one or each of the machines and on no other. Raises as ``unit_done``."""
    fleet = context.access.fleet()
    states = fleet.states(condition.unit)
    if not states:
        _refuse_destroyed(condition.unit, fleet)
        return False, "fleet has not put it anywhere"
    there = [state for state in states if state.machine_id in condition.machines]
    if failed := [state for state in there if state.active == "failed"]:
        raise NeverHoldsError(
            f"{condition.unit} has failed on machine {failed[0].machine_id[:8]}",
            do=f"read why there: journalctl -u {condition.unit}",
        )
    running = [state for state in there if (state.active, state.sub) == ("active", "running")]
    wanted = len(condition.machines) if condition.every else 1
    elsewhere = len(states) - len(there)
    how = f"running on {len(running)} of {counted(wanted, 'host')}"
    how += f", still on {counted(elsewhere, 'other host')}" if elsewhere else ""
    return len(running) >= wanted and len(running) == len(states), how


def units_stay(condition: UnitsStay, context: Context) -> tuple[bool, str]:
    """Whether units run where they may and go on doing so. Raises as ``unit_done``."""

    def look() -> tuple[bool, str]:
        for unit in condition.units:
            holds, how = unit_runs_on(unit, context)
            if not holds:
                return False, f"{unit.unit} {how}"
        return True, f"{counted(len(condition.units), 'unit')} running"

    return _steadily(look, condition.steady, context)


def units_elsewhere(condition: UnitsElsewhere, context: Context) -> tuple[bool, str]:
    """Whether units have left a machine and run on others, and which have not. Raises ServiceError."""
    fleet = context.access.fleet()
    here, away = [], []
    for name in condition.units:
        states = fleet.states(name)
        if any(s.machine_id == condition.machine and s.active in BUSY for s in states):
            here.append(name)
        elif not any(s.is_running for s in states if s.machine_id != condition.machine):
            unit = fleet.unit(name)
            away += [name] if unit is not None and unit.desired == LAUNCHED else []
    seen = [f"still there: {few(here)}"] if here else []
    seen += [f"not running yet: {few(away)}"] if away else []
    return not seen, "; ".join(seen)


def _steadily(
    look: Callable[[], tuple[bool, str]], seconds: float, context: Context
) -> tuple[bool, str]:
    """Whether it holds and still does that many seconds later; 0: once is enough."""
    holds, how = look()
    if not holds or not seconds:
        return holds, how
    if context.interrupted.wait(seconds):
        return False, how
    holds, later = look()
    return holds, later if holds else f"{how}, then {later}"


def _refuse_destroyed(unit: str, fleet: FleetAccess) -> None:
    """Raises NeverHoldsError where fleet has no such unit any more."""
    if fleet.unit(unit) is None:
        raise NeverHoldsError(
            f"there is no fleet unit {unit} any more",
            do="somebody destroyed it: look again and make a new plan",
        )


def unit_done(condition: UnitDone, context: Context) -> tuple[bool, str]:
    """Whether a unit has ended well on a machine, and how it stands there.

    Raises:
        NeverHoldsError: it has failed there, or there is no such unit any more.
        ServiceError: fleet does not tell.
    """
    return _is_on_machine(condition, context, ("active", "exited"))


def unit_running(condition: UnitRunning, context: Context) -> tuple[bool, str]:
    """Whether a unit runs on a machine and goes on doing so. Raises as ``unit_done``."""
    running = ("active", "running")
    return _steadily(lambda: _is_on_machine(condition, context, running), condition.steady, context)


def _is_on_machine(
    condition: UnitDone | UnitRunning, context: Context, wanted: tuple[str, str]
) -> tuple[bool, str]:
    fleet = context.access.fleet()
    states = fleet.states(condition.unit)
    state = next((s for s in states if s.machine_id == condition.machine), None)
    if state is None:
        if not states:
            _refuse_destroyed(condition.unit, fleet)
        return False, "fleet has not begun there"
    how = f"{state.active}/{state.sub}"
    if state.active == "failed":
        raise NeverHoldsError(
            f"{condition.unit} is {how} on {condition.host}",
            state="what it fetched is kept there",
            do=f"read why on {condition.host}: journalctl -u {condition.unit}",
        )
    return (state.active, state.sub) == wanted, how


class ImageWatch:
    """Tells which images have come to a host while something there fetches them in order.

    A progress for the eye: an engine that does not answer is asked again at the next look.
    """

    def __init__(self, step: WaitStep, context: Context) -> None:
        self._step = step
        self._context = context
        self._images = tuple(context.images.get(step.host, ()))
        self._left: list[str] | None = None

    def look(self) -> str:
        """Ask for the images that come next, and tell how far it got in words."""
        if not self._images:
            return ""
        try:
            if self._left is None:
                self._begin()
            assert self._left is not None
            engine = self._context.access.docker(self._step.host)
            while self._left and engine.inspect(self._left[0]) is not None:
                self._tell(self._left.pop(0), is_there=True)
        except WizardError:
            return ""
        have = len(self._images) - len(self._left)
        at = f", at {self._left[0]}" if self._left else ""
        return f"{have} of {len(self._images)} images{at}"

    def _begin(self) -> None:
        """What is there already, by one question."""
        engine = self._context.access.docker(self._step.host)
        there = {name for name in self._images if engine.inspect(name) is not None}
        for name in self._images:
            self._tell(name, is_there=name in there)
        self._left = [name for name in self._images if name not in there]

    def _tell(self, image: str, *, is_there: bool) -> None:
        self._context.emit(
            ImageChecked(
                at=self._context.clock(), step=self._step.id, image=image, present=is_there
            )
        )
