"""Unit files as fleet sees them: options, a hash, and what decides where a unit may run."""

from __future__ import annotations

import fnmatch
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Option = tuple[str, str, str]
"""Section, name, value."""


def parse(raw: str) -> list[Option]:
    """Every option of a unit file, in order."""
    found, section, open_value = [], "", ""
    for line in raw.splitlines():
        text = open_value + line.strip()
        open_value = ""
        if text.startswith(("#", ";")) or not text:
            continue
        if text.endswith("\\"):
            open_value = text[:-1] + " "
        elif text.startswith("["):
            section = text.strip("[]")
        elif "=" in text:
            name, _, value = text.partition("=")
            found.append((section, name.strip(), value.strip()))
    return found


def serialise(options: Iterable[Option]) -> str:
    """A unit file with these options, its sections in the order in which they are met first."""
    sections: dict[str, list[str]] = {}
    for section, name, value in options:
        sections.setdefault(section, []).append(f"{name}={value}\n")
    return "\n".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())


@dataclass(frozen=True)
class Unit:
    """A unit in the registry. ``target`` is the machine that the engine has chosen."""

    name: str
    raw: str
    desired: str
    target: str = ""

    @property
    def hash(self) -> bytes:
        """SHA-1 of the unit file."""
        return hashlib.sha1(self.raw.encode()).digest()

    def fleet_options(self, name: str) -> list[str]:
        """The values of an option of its [X-Fleet] section."""
        return [v for section, n, v in parse(self.raw) if section == "X-Fleet" and n == name]

    @property
    def is_global(self) -> bool:
        """Whether it runs on every machine that is eligible."""
        return self.fleet_options("Global")[-1:] == ["true"]

    def may_run_on(self, machine_id: str, metadata: Mapping[str, str]) -> bool:
        """Every key of MachineMetadata must have one of its values; MachineID must be that one."""
        wanted: dict[str, set[str]] = {}
        for line in self.fleet_options("MachineMetadata"):
            for pair in shlex.split(line):
                key, _, value = pair.partition("=")
                wanted.setdefault(key.strip(), set()).add(value.strip())
        ids = self.fleet_options("MachineID")
        return all(metadata.get(key) in values for key, values in wanted.items()) and (
            not ids or machine_id in ids
        )

    def bars(self, other: str) -> bool:
        """Whether it may not stand beside another unit."""
        return other != self.name and any(
            fnmatch.fnmatchcase(other, pattern)
            for line in self.fleet_options("Conflicts")
            for pattern in line.split()
        )
