"""A change sent once, whatever the answers of a service that needs a majority are worth.

A request that got no answer may still be applied later (deis-facts 14), so its outcome is read
before anything is sent again, and before a later attempt sends anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from deiswizard.errors import CancelledError, LinkError, PlanStaleError, ServiceError
from deiswizard.run.context import Context, Result
from deiswizard.run.events import WaitPolled
from deiswizard.vocabulary import StepStatus

S = TypeVar("S")

SETTLE_SECONDS = 120.0
"""How long etcd may take to have a majority again before a write that got no answer is given up."""

SETTLE_PAUSE = 2.0

DONE = Result(StepStatus.DONE)
APPLIED = Result(StepStatus.DONE, "an earlier request had been applied")


def settled(
    context: Context,
    step: str,
    changing: str,
    service: Callable[[], S],
    *,
    is_applied: Callable[[S], bool],
    send: Callable[[S], object],
    check: Callable[[S], object] = lambda service: None,
    is_sent: bool,
) -> Result:
    """Send a change, and again only when a look says that it was not applied.

    Args:
        changing: what of it is not known meanwhile: ``whether KEY was written``.
        is_applied: whether the service has it so.
        check: looks, before anything is sent, whether it may be.
        is_sent: an earlier attempt may have sent it.

    Raises:
        PlanStaleError: it does not stand as the plan expected.
        ServiceError, LinkError: it was refused, or nothing was sent.
        CancelledError: stopped before it was known.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        is_sending = False
        try:
            now = service()
            if is_sent and is_applied(now):
                return APPLIED
            check(now)
            is_sending = True
            send(now)
            return DONE
        except PlanStaleError:
            if is_sent and is_applied(service()):
                return APPLIED
            raise
        except (LinkError, ServiceError) as error:
            is_open = error.is_outcome_unknown or isinstance(error, LinkError)
            is_passing = isinstance(error, ServiceError) and error.is_transient
            if not (is_open if is_sending else is_sent or is_passing):
                raise
            is_sent = is_sent or is_sending
            if time.monotonic() > deadline:
                if not is_sent:
                    raise
                return Result(StepStatus.UNKNOWN, str(error), error.do)
            doubt = f"; {changing} is not known" if is_sent else ""
            said = f"{error}{doubt}, looking again"
            context.emit(WaitPolled(at=context.clock(), step=step, said=said))
        if context.interrupted.wait(SETTLE_PAUSE):
            if not is_sent:
                raise CancelledError("stopped before anything was sent")
            raise CancelledError(
                f"stopped before it was known {changing}", state="it may still be applied"
            )
