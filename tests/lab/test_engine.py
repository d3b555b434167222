"""What the stand-in for fleetd decides, without any host."""

from __future__ import annotations

from tests.lab.inside.fleet_engine import decisions
from tests.lab.inside.fleet_registry import Machine, Registry
from tests.lab.inside.fleet_units import Unit, parse, serialise
from tests.lab.inside.table import table
from tests.recordings import FLEET, recording

A, B = Machine("a", "10.0.0.1", {"plane": "data"}), Machine("b", "10.0.0.2", {"plane": "control"})


def registry(*units: Unit) -> Registry:
    return Registry({"a": A, "b": B}, {unit.name: unit for unit in units}, ())


def unit(name: str, options: str = "", target: str = "", desired: str = "launched") -> Unit:
    return Unit(name, f"[X-Fleet]\n{options}\n", desired, target)


def test_a_unit_stays_where_it_may_and_else_goes_where_it_may() -> None:
    kept = unit("kept", target="b")
    lost = unit("lost", target="gone")
    barred = unit("barred", "MachineMetadata=plane=control", target="a")
    hopeless = unit("hopeless", 'MachineMetadata="plane=data" "disk=ssd"', target="a")
    stopped = unit("stopped", target="a", desired="inactive")
    everywhere = unit("everywhere", "Global=true")
    found = decisions(registry(kept, lost, barred, hopeless, stopped, everywhere))
    assert found == {"lost": "a", "barred": "b", "hopeless": "", "stopped": ""}


def test_repeated_values_of_one_key_are_alternatives() -> None:
    either = unit("either", "MachineMetadata=plane=data\nMachineMetadata=plane=control")
    assert registry().eligible(either) == [A, B]


def test_units_that_conflict_are_kept_apart_and_one_too_many_is_nowhere() -> None:
    routers = [unit(f"router@{n}.service", "Conflicts=router@*.service") for n in (1, 2, 3)]
    found = decisions(registry(*routers))
    assert found == {"router@1.service": "a", "router@2.service": "b"}


def test_a_unit_file_is_the_same_after_it_went_through_the_api() -> None:
    raw = "[Unit]\nDescription=x\n\n[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n"
    assert serialise(parse(raw)) == raw


def test_columns_are_set_as_recorded() -> None:
    for name in ("fleetctl-list-units-mixed", "fleetctl-list-unit-files", "deisctl-list-mixed"):
        lines = recording(FLEET, name).out.splitlines()
        rows = [[cell for cell in line.split("\t") if cell] for line in lines if line]
        assert table(rows).splitlines() == [line for line in lines if line]
