"""Conditions about fleet's machines and units, as data."""

from __future__ import annotations

from typing import Literal

from deiswizard.frozen import Frozen

BUSY = ("active", "activating", "deactivating", "reloading")
"""What systemd calls a unit that runs, or is about to, or not yet ended."""


class MachinesCarry(Frozen):
    """At least ``least`` machines that fleet knows now carry ``pair`` (``routerMesh=true``).

    ``but`` is the id of a machine that is not counted, because it is about to lose it; empty: none.
    """

    kind: Literal["machines-carry"] = "machines-carry"
    pair: str
    least: int
    but: str = ""


class MetadataIs(Frozen):
    """A machine's metadata, as fleet knows it, is one of ``either``: sorted pairs, comma between them."""

    kind: Literal["metadata-is"] = "metadata-is"
    host: str
    machine: str
    either: tuple[str, ...]


class UnitStopped(Frozen):
    """No machine reports a unit as active, nor on its way there or from there."""

    kind: Literal["unit-stopped"] = "unit-stopped"
    unit: str


class UnitRunsOn(Frozen):
    """A unit runs on one of these machines (whole ids), with ``every`` on each, and nowhere else.

    It never will once it has failed on one of them.
    """

    kind: Literal["unit-runs-on"] = "unit-runs-on"
    unit: str
    machines: tuple[str, ...]
    every: bool = False


class UnitsStay(Frozen):
    """All of these units run where they may, and still do ``steady`` seconds later. Never as in UnitRunsOn."""

    kind: Literal["units-stay"] = "units-stay"
    units: tuple[UnitRunsOn, ...]
    steady: float


class UnitsElsewhere(Frozen):
    """None of these units is on a machine (its whole id) any more, and each that fleet is still to run runs.

    Units of apps: whoever deploys meanwhile makes new ones, and these are gone.
    """

    kind: Literal["units-elsewhere"] = "units-elsewhere"
    units: tuple[str, ...]
    machine: str


FleetCondition = MachinesCarry | MetadataIs | UnitStopped | UnitRunsOn | UnitsStay | UnitsElsewhere
