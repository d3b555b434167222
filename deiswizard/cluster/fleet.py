"""fleet's registry as fleet 0.11 keeps it in etcd below ``/_coreos.com/fleet``.

machines/ID/object, job/UNIT/object and /target-state, unit/HASH, states/UNIT/ID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from deiswizard.cluster.snapshot import KeyFact, Unit, UnitState
from deiswizard.cluster.unit_files import options_of
from deiswizard.frozen import Frozen

PREFIX = "/_coreos.com/fleet"
OWN = "deiswizard-"
"""What the names of units begin with that this wizard submits."""


PLATFORM = re.compile(
    r"deis-(store-(monitor|daemon|metadata|volume|admin|gateway@\d+)|registry@\d+|router@\d+|database"
    r"|controller|builder|logger|logspout|publisher)\.service"
)
"""Every unit that Deis 1.13.4 itself submits (deis-facts 0.3)."""

LOOKS_SECRET = re.compile(
    r"(?i)\b([a-z_]*(?:api_?key|token|passw(?:or)?d|secret|license_?key|access_?key))[\"']?\s*[=:]\s*"
    r"[\"']?(?!\$|%|[\"'\s]|$)\S+"
)
"""``API_KEY=abc``, but not ``API_KEY=$API_KEY`` nor a bare ``-e API_KEY``."""


class Machine(Frozen):
    """A machine that fleet knows now (its key expires after 30 s without a heartbeat)."""

    id: str
    address: str
    metadata: tuple[tuple[str, str], ...] = ()
    version: str = ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def machines(keys: Iterable[KeyFact]) -> tuple[Machine, ...]:
    """The machines, by address."""
    found = []
    for fact in keys:
        match = re.fullmatch(rf"{PREFIX}/machines/([^/]+)/object", fact.key)
        said = _object(fact.text) if match else {}
        if match and said.get("ID"):
            found.append(
                Machine(
                    id=str(said["ID"]),
                    address=str(said.get("PublicIP") or ""),
                    metadata=tuple(sorted((said.get("Metadata") or {}).items())),
                    version=str(said.get("Version") or ""),
                )
            )
    return tuple(sorted(found, key=lambda m: [part.zfill(3) for part in m.address.split(".")]))


def unit_options(raw: str) -> dict[str, list[str]]:
    """The ``[X-Fleet]`` section of a unit file: option to values, in order."""
    options: dict[str, list[str]] = {}
    for option in options_of(raw):
        if option.section == "X-Fleet":
            options.setdefault(option.name, []).append(option.value)
    return options


def job_key(unit: str) -> str:
    """The etcd key that a unit's submission writes."""
    return f"{PREFIX}/job/{unit}/object"


def units(keys: Iterable[KeyFact]) -> tuple[Unit, ...]:
    """The units that were submitted, with what decides where they may run."""
    facts = {fact.key: fact for fact in keys}
    by_key = {key: fact.text for key, fact in facts.items()}
    found = []
    for key, text in by_key.items():
        match = re.fullmatch(rf"{PREFIX}/job/([^/]+)/object", key)
        if not match:
            continue
        hashed = _object(text).get("UnitHash") or []
        name = "".join(f"{byte:02x}" for byte in hashed if isinstance(byte, int))
        raw = str(_object(by_key.get(f"{PREFIX}/unit/{name}", "")).get("Raw", ""))
        options = unit_options(raw)
        found.append(
            Unit(
                name=match[1],
                is_global=options.get("Global", [""])[-1].lower() == "true",
                desired=by_key.get(f"{PREFIX}/job/{match[1]}/target-state", ""),
                machine_metadata=tuple(options.get("MachineMetadata", ())),
                conflicts=tuple(options.get("Conflicts", ())),
                index=facts[key].index,
                content=raw if _is_read(match[1], raw) else "",
            )
        )
    return tuple(sorted(found, key=lambda unit: unit.name))


def _is_read(name: str, raw: str) -> bool:
    """Whether a unit's file belongs into a snapshot: this wizard's own, and Deis's without secrets."""
    return name.startswith(OWN) or (
        PLATFORM.fullmatch(name) is not None and not LOOKS_SECRET.search(raw)
    )


def unit_states(keys: Iterable[KeyFact]) -> tuple[UnitState, ...]:
    """What each machine reports of each unit."""
    found = []
    for fact in keys:
        match = re.fullmatch(rf"{PREFIX}/states/([^/]+)/([^/]+)", fact.key)
        said = _object(fact.text) if match else {}
        if match and said:
            found.append(
                UnitState(
                    unit=match[1],
                    machine_id=match[2],
                    load=str(said.get("loadState", "")),
                    active=str(said.get("activeState", "")),
                    sub=str(said.get("subState", "")),
                )
            )
    return tuple(sorted(found, key=lambda state: (state.unit, state.machine_id)))
