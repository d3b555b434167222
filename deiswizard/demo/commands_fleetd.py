"""What systemctl of a pretend host knows of fleetd, and of the units that fleet runs there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deiswizard.demo.fleetd import UNIT
from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

NAMES = (UNIT, UNIT.removesuffix(".service"))


def fleetd_systemctl(host: PretendHost, process: Process, words: list[str]) -> int | None:
    """The exit status; None: it is about something else."""
    match [word for word in words if word not in ("-q", "--quiet")]:
        case ["show", unit, *options] if unit in NAMES:
            for name, value in host.fleetd.properties().items():
                process.out(f"{name}={value}\n" if name in options or not options else "")
        case ["cat", unit] if unit in NAMES:
            process.out(host.fleetd.files())
        case ["kill", "-s", "KILL", unit] if unit in NAMES:
            host.fleetd.kill()
        case ["restart", unit] if unit in NAMES:
            host.fleetd.restart()
        case ["start", unit] if unit in NAMES:
            host.fleetd.start()
        case ["is-active", *units]:
            return _is_active(host, process, units, is_quiet="-q" in words)
        case _:
            return None
    return 0


def _is_active(host: PretendHost, process: Process, units: list[str], *, is_quiet: bool) -> int:
    """A word for each; 0 when any of them is."""
    states = [_state(host, unit) for unit in units]
    if not is_quiet:
        process.out("".join(f"{state}\n" for state in states))
    return 0 if "active" in states else 3


def _state(host: PretendHost, unit: str) -> str:
    if unit in NAMES:
        return host.fleetd.properties()["ActiveState"]
    if unit in host.cluster.placement:
        return "active" if host in host.cluster.placement[unit] else "inactive"
    return "active"
