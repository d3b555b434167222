"""Does a condition hold now? Asked by guards once, by waits again and again."""

from __future__ import annotations

import re
import time

from deiswizard.cluster.image_names import normalised
from deiswizard.cluster.probe_script import parse_df
from deiswizard.errors import NeverHoldsError, WizardError
from deiswizard.plan.conditions import (
    CommandSays,
    Condition,
    DiskRoom,
    ImagePresent,
    KeyIs,
    MemberListed,
    NoMember,
    UnitDone,
    UnitGone,
    UnitRunning,
    WebSays,
)
from deiswizard.plan.etcd_stands import EtcdStands
from deiswizard.plan.fleet_conditions import (
    MachinesCarry,
    MetadataIs,
    UnitRunsOn,
    UnitsElsewhere,
    UnitsStay,
    UnitStopped,
)
from deiswizard.plan.reach_conditions import ReachCondition
from deiswizard.run.context import Context
from deiswizard.run.fleet_machines import machines_carry, metadata_is
from deiswizard.run.fleet_units import (
    unit_done,
    unit_gone,
    unit_running,
    unit_runs_on,
    unit_stopped,
    units_elsewhere,
    units_stay,
)
from deiswizard.run.membership import etcd_stands, no_member
from deiswizard.run.reaching import reach_holds

ASK_SECONDS = 30.0
"""How long a wait's question may take; a guard's has the time of its step."""

BETWEEN = 0.1
"""Seconds between two questions to a service that shall answer the same for a while."""


def holds_now(
    condition: Condition,
    context: Context,
    timeout: float = ASK_SECONDS,
) -> tuple[bool | None, str]:
    """Whether a condition holds (None: it could not be asked), and what was seen.

    Raises:
        NeverHoldsError: it will not, however long one waits.
    """
    try:
        match condition:
            case KeyIs():
                fact = context.access.etcd().get(condition.key)
                if fact is not None and fact.is_secret:
                    return fact.text == condition.value, ""
                seen = "absent" if fact is None else f"'{fact.value}'"
                return (
                    fact.value if fact else None
                ) == condition.value, f"{condition.key} is {seen}"
            case ImagePresent():
                found = context.access.docker(condition.host).inspect(condition.image)
                return found is not None, "" if found else f"{condition.image} is not there"
            case DiskRoom():
                answer = context.access.host(condition.host).run(f"df -P -k {condition.path}")
                disk = parse_df(answer.out)
                if disk is None:
                    return None, answer.why or answer.err.strip() or "df said nothing"
                needed = condition.needed - _there_already(condition, context)
                return disk.free >= needed, f"{disk.free / 1e9:.1f} GB free"
            case CommandSays():
                result = context.access.host(condition.host).run(
                    condition.command, sudo=condition.sudo, timeout=timeout, cancel=context.cancel
                )
                saw = ((result.ok and result.out) or result.err or result.out).strip()
                if result.code is None:
                    return None, result.why
                holds = result.ok and re.search(condition.pattern, result.out) is not None
                return holds, " / ".join(saw.splitlines()[-3:])
            case UnitDone():
                return unit_done(condition, context)
            case UnitRunning():
                return unit_running(condition, context)
            case UnitGone():
                return unit_gone(condition, context)
            case UnitStopped():
                return unit_stopped(condition, context)
            case UnitRunsOn():
                return unit_runs_on(condition, context)
            case UnitsStay():
                return units_stay(condition, context)
            case UnitsElsewhere():
                return units_elsewhere(condition, context)
            case MachinesCarry():
                return machines_carry(condition, context)
            case MetadataIs():
                return metadata_is(condition, context)
            case WebSays():
                return _web_says(condition, context)
            case ReachCondition():
                return reach_holds(condition, context)
            case EtcdStands():
                return etcd_stands(condition, context)
            case MemberListed():
                members = context.access.etcd().members()
                listed = any(member.id == condition.id for member in members)
                return listed, f"{condition.id} is {'still' if listed else 'not'} listed"
            case NoMember():
                return no_member(condition, context)
    except NeverHoldsError:
        raise
    except WizardError as error:
        return None, str(error)


def _web_says(condition: WebSays, context: Context) -> tuple[bool, str]:
    """Asked until it has held for as long as it shall, or does not."""
    host = context.access.host(condition.request.host)
    until = time.monotonic() + condition.steady
    while True:
        web = host.web(condition.request)
        if why_not := condition.why_not(web):
            return False, why_not
        if time.monotonic() >= until:
            return True, web.summary
        if context.interrupted.wait(BETWEEN):
            return False, web.summary


def _there_already(condition: DiskRoom, context: Context) -> int:
    """Bytes of the images that need no room because the engine has them; 0 when it is not asked."""
    if not condition.images:
        return 0
    try:
        found = context.access.docker(condition.host).images()
    except WizardError:
        return 0
    there = {normalised(tag) for image in found for tag in image.tags}
    return sum(size for name, size in condition.images if normalised(name) in there)
