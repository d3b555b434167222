"""A stand-in for deisctl 1.13.4: it speaks to etcd itself, and believes every unit that is there.

Single components only; ``platform`` and ``stateless-platform`` are not known to it. As with the real one,
exit status 0 proves nothing, and it waits for ever where nothing comes.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab.inside import fleet_registry
from tests.lab.inside.deisctl_config import ConfigError, config
from tests.lab.inside.etcd_v2 import Etcd, EtcdDownError
from tests.lab.inside.fleet_registry import State
from tests.lab.inside.fleet_units import Unit
from tests.lab.inside.table import short, table

TEMPLATES = Path("/var/lib/deis/units")
YELLOW, RED, PLAIN = "\x1b[0;33m", "\x1b[0;31m", "\x1b[0m"
WIDTH = 70
TRUE, FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def unit_name(word: str) -> str:
    """``router@1`` -> ``deis-router@1.service``."""
    return f"deis-{word.removeprefix('deis-').removesuffix('.service')}.service"


class Components:
    """install, uninstall, start and stop."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd

    def _until(self, name: str, is_reached: Callable[[list[State]], bool]) -> list[State]:
        """Wait, without an end, for what the machines say of a unit."""
        while True:
            states = [s for s in fleet_registry.read(self._etcd).states if s.unit == name]
            if is_reached(states):
                return states
            time.sleep(0.25)

    def _exists(self, name: str) -> bool:
        if name in fleet_registry.read(self._etcd).units:
            return True
        print(f"Could not find unit: {name}", file=sys.stderr)
        return False

    def install(self, word: str) -> None:
        """Of a unit that is there nothing is replaced, but it is stopped."""
        name = unit_name(word)
        template = TEMPLATES / f"{name.removesuffix('.service').partition('@')[0]}.service"
        if not template.is_file():
            words = f"Error creating: Could not find unit template for {word}"
            print(words, file=sys.stderr)
            return
        raw = template.read_text()
        flag = self._etcd.value("/deis/platform/enablePlacementOptions") or "false"
        if flag not in (*TRUE, *FALSE):
            words = f'Error creating: strconv.ParseBool: parsing "{flag}": invalid syntax'
            print(words, file=sys.stderr)
            return
        decorator = TEMPLATES / "decorators" / f"{template.name}.decorator"
        if flag in TRUE and decorator.is_file():
            raw += decorator.read_text()
        if name not in fleet_registry.read(self._etcd).units:
            fleet_registry.create(self._etcd, Unit(name, raw, "loaded"))
        fleet_registry.set_desired(self._etcd, name, "loaded")
        self._until(name, lambda states: any(s.load == "loaded" for s in states))
        print(f"{YELLOW}{name}:{PLAIN} loaded")

    def uninstall(self, word: str) -> None:
        """Destroy it."""
        name = unit_name(word)
        if self._exists(name):
            fleet_registry.destroy(self._etcd, name)
            self._until(name, lambda states: not states)
            print(f"{YELLOW}{name}:{PLAIN} destroyed")

    def start(self, word: str) -> None:
        """Until one machine says that it runs, or has failed."""
        self._drive(word, "launched", "starting", ("running", "exited", "failed"))

    def stop(self, word: str) -> None:
        """Until one machine says that it is dead, or has failed."""
        self._drive(word, "loaded", "stopping", ("dead", "failed"))

    def _drive(self, word: str, desired: str, doing: str, ends: Sequence[str]) -> None:
        name = unit_name(word)
        if not self._exists(name):
            return
        fleet_registry.set_desired(self._etcd, name, desired)

        def has_ended(states: list[State]) -> bool:
            return any(s.sub in ends for s in states)

        state = next(s for s in self._until(name, has_ended) if s.sub in ends)
        text = f"{name}: {state.active}/{state.sub}".ljust(WIDTH - 1)[len(name) + 1 :]
        if state.sub != "failed":
            print(f"{YELLOW}{name}:{PLAIN}{text}\r")
            return
        print(f"{YELLOW}{name}:{PLAIN}{text}\r", end="")
        words = f"The service '{name.removesuffix('.service')}' failed while {doing}."
        print(f"{RED}{words}{PLAIN}", file=sys.stderr)

    def restart(self, word: str) -> None:
        """Both."""
        self.stop(word)
        self.start(word)


def show_units(etcd: Etcd) -> None:
    """What machines say of units; one that is nowhere is absent."""
    registry = fleet_registry.read(etcd)
    rows = [["UNIT", "MACHINE", "LOAD", "ACTIVE", "SUB"]]
    for s in sorted(registry.states, key=lambda s: (s.unit, s.machine)):
        machine = registry.machines.get(s.machine)
        if s.unit.startswith("deis-") and machine:
            where = f"{short(machine.id)}/{machine.address}"
            rows.append([s.unit, where, s.load, s.active, s.sub])
    print(table(rows), end="")


def show_machines(etcd: Etcd) -> None:
    """Every machine."""
    rows = [["MACHINE", "IP", "METADATA"]]
    for m in fleet_registry.read(etcd).machines.values():
        metadata = ",".join(f"{k}={v}" for k, v in sorted(m.metadata.items()))
        rows.append([short(m.id), m.address or "-", metadata or "-"])
    print(table(rows), end="")


def main() -> int:
    """The exit status."""
    etcd, words = Etcd(), []
    for word in sys.argv[1:]:
        name, _, value = word.partition("=")
        if name == "--endpoint" and not value.startswith("http"):
            print("Error: unable to use endpoint scheme , http/https only")
            return 1
        if name == "--endpoint":
            etcd = Etcd(value)
        elif not word.startswith("--"):
            words.append(word)
    components = Components(etcd)
    drive = {
        "install": components.install, "uninstall": components.uninstall,
        "start": components.start, "stop": components.stop, "restart": components.restart,
    }  # fmt: skip
    try:
        match words:
            case []:
                print("Usage: deisctl [options] <command> [<args>...]")
            case ["config", *rest]:
                config(etcd, rest)
            case ["list"]:
                show_units(etcd)
            case ["machines"]:
                show_machines(etcd)
            case ["scale", pair] if not re.fullmatch(r"[\w-]+=\d+", pair):
                raise ConfigError(f"Error: Could not parse: {pair}")
            case ["scale", pair] if not re.search("router|registry|store-gateway", pair):
                raise ConfigError(f"Error: cannot scale {pair.partition('=')[0]} component")
            case [verb, *names] if verb in drive and names:
                for name in names:
                    drive[verb](name)
            case _:
                raise ConfigError(
                    'Found no matching command, try "deisctl help"\n'
                    "Usage: deisctl <command> [<args>...] [options]"
                )
    except ConfigError as error:
        print(error)
        return 1
    except EtcdDownError as error:
        if words[0] != "config":
            print("Error: timeout reached")
            return 1
        print(
            "Error: 501: All the given peers are not reachable (failed to propose on members "
            f"[{etcd.url}] twice [last error: {error}]) [0]"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
