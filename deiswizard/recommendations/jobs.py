"""What every plan with jobs says of them in its preview."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.snapshot import HostFacts
from deiswizard.vocabulary import JobWay

UNITS = (
    "runs on the hosts as units of systemd (deiswizard-RUN-STEP-TRY): goes on when the connection or "
    "this program ends"
)


def job_notes(hosts: Sequence[HostFacts]) -> tuple[str, ...]:
    """How jobs are kept going on these hosts, the exceptions by name."""
    units = [host.name for host in hosts if host.job_way is JobWay.UNIT]
    others = [host.name for host in hosts if host.job_way is JobWay.SETSID]
    notes = (UNITS,) if units else ()
    if not others:
        return notes
    return (
        *notes,
        f"{', '.join(others)}: no usable systemd-run or sudo there, so by setsid instead: goes on "
        "too, but a logout rule of the host may end it (KillUserProcesses)",
    )
