"""What fleetd does on its own machine: units as files and jobs of the real systemd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.lab.inside.fleet_registry import Registry, State
from tests.lab.inside.fleet_units import Unit

FILES = Path("/run/fleet/units")


def systemctl(*words: str) -> str:
    """Run it; a refusal is in systemd's journal."""
    return subprocess.run(["systemctl", *words], capture_output=True, text=True).stdout


def wanted(registry: Registry, machine_id: str) -> dict[str, Unit]:
    """The units that this machine is to have."""
    machine = registry.machines.get(machine_id)
    found = {}
    for unit in registry.units.values():
        if unit.desired not in ("loaded", "launched"):
            continue
        is_here = unit.target == machine_id
        if unit.is_global:
            is_here = machine is not None and unit.may_run_on(machine_id, machine.metadata)
        if is_here:
            found[unit.name] = unit
    return found


class Agent:
    """Brings this machine to what is wanted. It starts a unit once, and again only when told to."""

    def __init__(self) -> None:
        FILES.mkdir(parents=True, exist_ok=True)
        self._done: dict[str, str] = {}

    def reconcile(self, units: dict[str, Unit]) -> None:
        """One round; what takes longer is finished in the next ones."""
        present = {file.name: file.read_text() for file in FILES.iterdir()}
        gone = [
            name for name, raw in present.items() if name not in units or units[name].raw != raw
        ]
        self.unload(gone)
        new = [unit for unit in units.values() if unit.name not in present]
        for unit in new:
            (FILES / unit.name).write_text(unit.raw)
        if new:
            systemctl("link", "--runtime", "--force", *(str(FILES / unit.name) for unit in new))
        if new or gone:
            systemctl("daemon-reload")
        for state, verb in (("launched", "start"), ("loaded", "stop")):
            names = [
                unit.name
                for unit in units.values()
                if unit.desired == state
                and unit.name not in gone
                and self._done.get(unit.name, "loaded") != state
            ]
            if names:
                systemctl(verb, "--no-block", *names)
            self._done.update(dict.fromkeys(names, state))

    def unload(self, names: Iterable[str]) -> None:
        """Stop them and remove their files."""
        found = list(names)
        if not found:
            return
        systemctl("stop", "--no-block", *found)
        systemctl("disable", "--runtime", *found)
        for name in found:
            (FILES / name).unlink(missing_ok=True)
            self._done.pop(name, None)

    def purge(self) -> None:
        """Every unit of fleet ends: what fleetd does when it is told to end."""
        names = [file.name for file in FILES.iterdir()]
        if names:
            systemctl("stop", *names)
        self.unload(names)
        systemctl("daemon-reload")


def states(units: dict[str, Unit], machine_id: str) -> list[State] | None:
    """What systemd says of them now; None when it says nothing."""
    names = [name for name in units if (FILES / name).exists()]
    if not names:
        return []
    said = systemctl("show", "--property=Id,LoadState,ActiveState,SubState", *names)
    if not said.strip():
        return None
    found = []
    for block in said.strip().split("\n\n"):
        shown = dict(line.partition("=")[::2] for line in block.splitlines())
        if unit := units.get(shown.get("Id", "")):
            found.append(
                State(
                    unit.name, machine_id, shown["LoadState"], shown["ActiveState"], shown["SubState"],
                    unit.hash.hex(),
                )
            )  # fmt: skip
    return found
