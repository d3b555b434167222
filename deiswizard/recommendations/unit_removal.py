"""A fleet unit that is taken away: destroyed, and seen to be gone from every host.

A new one of the same name could meet the old one's instances.
"""

from __future__ import annotations

from deiswizard.plan.conditions import UnitGone
from deiswizard.plan.fleet_steps import DestroyUnitStep
from deiswizard.plan.step import WaitStep
from deiswizard.vocabulary import Danger

GONE_TIMEOUT = 120.0


def removal(
    name: str,
    destroy: str,
    gone: str,
    expect: tuple[str, ...],
    *,
    called: str = "",
    waiting_for: str = "the unit to be gone",
    danger: Danger = Danger.WRITE,
    undo: str = "the unit is submitted again",
) -> tuple[DestroyUnitStep, WaitStep]:
    """``destroy`` and ``gone`` are the steps' ids; ``called`` is what titles call the unit, its name without.

    ``expect`` as in ``DestroyUnitStep``.
    """
    return (
        DestroyUnitStep(
            id=destroy,
            title=f"destroy {called or name}",
            unit=name,
            expect=expect,
            danger=danger,
            undo=undo,
        ),
        WaitStep(
            id=gone,
            title=f"{called or name} is gone from every host",
            needs=(destroy,),
            condition=UnitGone(unit=name),
            waiting_for=waiting_for,
            timeout=GONE_TIMEOUT,
            interval=1.0,
            on_timeout="see which host still has it: fleetctl list-units; look at fleet there",
        ),
    )
