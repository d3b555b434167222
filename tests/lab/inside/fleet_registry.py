"""fleet's registry in etcd, as fleet 0.11 keeps it below ``/_coreos.com/fleet``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.inside.etcd_v2 import Etcd
from tests.lab.inside.fleet_units import Unit

PREFIX = "/_coreos.com/fleet"
VERSION = "0.11.7"
TTL = 30
"""Seconds that a machine, or a unit's state, is believed without news."""


@dataclass(frozen=True)
class Machine:
    """A machine whose fleetd has spoken in the last 30 s."""

    id: str
    address: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class State:
    """What a machine says of a unit."""

    unit: str
    machine: str
    load: str
    active: str
    sub: str
    hash: str


@dataclass(frozen=True)
class Registry:
    """All of it at one moment."""

    machines: Mapping[str, Machine]
    units: Mapping[str, Unit]
    states: tuple[State, ...]

    def eligible(self, unit: Unit) -> list[Machine]:
        """The machines on which a unit may run."""
        return [m for m in self.machines.values() if unit.may_run_on(m.id, m.metadata)]


def read(etcd: Etcd) -> Registry:
    """Raises EtcdDownError."""
    machines, units, states = {}, {}, []
    keys = etcd.tree(PREFIX)
    for key, value in sorted(keys.items()):
        match key.removeprefix(f"{PREFIX}/").split("/"):
            case ["machines", ident, "object"]:
                said = json.loads(value)
                machines[ident] = Machine(
                    ident, said.get("PublicIP", ""), said.get("Metadata") or {}
                )
            case ["job", name, "object"]:
                digest = bytes(json.loads(value)["UnitHash"]).hex()
                job = f"{PREFIX}/job/{name}"
                file = json.loads(keys.get(f"{PREFIX}/unit/{digest}", '{"Raw": ""}'))
                units[name] = Unit(
                    name,
                    file["Raw"],
                    keys.get(f"{job}/target-state", "inactive"),
                    keys.get(f"{job}/target", ""),
                )
            case ["states", name, ident]:
                said = json.loads(value)
                states.append(
                    State(
                        name, ident, said["loadState"], said["activeState"], said["subState"],
                        said["unitHash"],
                    )
                )  # fmt: skip
    return Registry(machines, units, tuple(states))


def create(etcd: Etcd, unit: Unit) -> None:
    """Submit a unit that is not there."""
    etcd.put(f"{PREFIX}/unit/{unit.hash.hex()}", json.dumps({"Raw": unit.raw}))
    body = {"Name": unit.name, "UnitHash": [*unit.hash]}
    etcd.put(f"{PREFIX}/job/{unit.name}/object", json.dumps(body))
    set_desired(etcd, unit.name, unit.desired)


def set_desired(etcd: Etcd, name: str, state: str) -> None:
    """``inactive``, ``loaded`` or ``launched``."""
    etcd.put(f"{PREFIX}/job/{name}/target-state", state)


def set_target(etcd: Etcd, name: str, machine: str) -> None:
    """Where a unit is to run; empty: nowhere."""
    if machine:
        etcd.put(f"{PREFIX}/job/{name}/target", machine)
    else:
        etcd.remove(f"{PREFIX}/job/{name}/target")


def destroy(etcd: Etcd, name: str) -> None:
    """Forget a unit; machines that have it stop it."""
    etcd.remove(f"{PREFIX}/job/{name}")


def announce(etcd: Etcd, machine: Machine) -> None:
    """The machine is there for another 30 s."""
    body: dict[str, Any] = {
        "ID": machine.id,
        "PublicIP": machine.address,
        "Metadata": dict(machine.metadata),
        "Capabilities": {"GRPC": False},
        "Version": VERSION,
    }
    etcd.put(f"{PREFIX}/machines/{machine.id}/object", json.dumps(body), ttl=TTL)


def withdraw(etcd: Etcd, machine_id: str) -> None:
    """The machine is gone."""
    etcd.remove(f"{PREFIX}/machines/{machine_id}")


def publish(etcd: Etcd, state: State) -> None:
    """What this machine says of a unit, for another 30 s."""
    body = {
        "loadState": state.load,
        "activeState": state.active,
        "subState": state.sub,
        "machineState": {"ID": state.machine},
        "unitHash": state.hash,
    }
    etcd.put(f"{PREFIX}/states/{state.unit}/{state.machine}", json.dumps(body), ttl=TTL)


def retract(etcd: Etcd, unit: str, machine_id: str) -> None:
    """This machine has the unit no longer."""
    etcd.remove(f"{PREFIX}/states/{unit}/{machine_id}")
