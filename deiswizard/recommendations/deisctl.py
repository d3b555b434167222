"""deisctl as a job of a host: it may take as long as the images do, and its end is not believed (deis-facts 0.5)."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.snapshot import HostFacts
from deiswizard.plan.step import JobStep
from deiswizard.vocabulary import Danger


def deisctl_job(
    step: str,
    title: str,
    host: HostFacts,
    command: str,
    timeout: float,
    *,
    needs: Sequence[str] = (),
    undo: str = "",
) -> JobStep:
    """The command on that host, going on whatever becomes of the connection. ``timeout`` as in ``JobStep``."""
    return JobStep(
        id=step,
        title=title,
        host=host.name,
        command=command,
        way=host.job_way,
        danger=Danger.RESTART,
        needs=tuple(needs),
        timeout=timeout,
        undo=undo,
    )
