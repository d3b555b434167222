"""Does a condition hold now? Asked by guards once, by waits again and again."""

from __future__ import annotations

import re

from deiswizard.cluster.image_names import normalised
from deiswizard.cluster.probe_script import parse_df
from deiswizard.errors import NeverHoldsError, WizardError
from deiswizard.plan.conditions import (
    CommandSays,
    Condition,
    DiskRoom,
    ImagePresent,
    KeyIs,
    UnitDone,
    UnitGone,
    WebSays,
)
from deiswizard.run.context import Context
from deiswizard.run.fleet_units import unit_done, unit_gone

ASK_SECONDS = 30.0
"""How long a wait's question may take; a guard's has the time of its step."""


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
                saw = (result.out or result.err).strip()
                if result.code is None:
                    return None, result.why
                holds = result.ok and re.search(condition.pattern, result.out) is not None
                return holds, " / ".join(saw.splitlines()[-3:])
            case UnitDone():
                return unit_done(condition, context)
            case UnitGone():
                return unit_gone(condition, context)
            case WebSays():
                web = context.access.host(condition.request.host).web(condition.request)
                why_not = condition.why_not(web)
                return not why_not, why_not or web.summary
    except NeverHoldsError:
        raise
    except WizardError as error:
        return None, str(error)


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
