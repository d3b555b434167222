"""What Deis leaves in etcd and on the hosts once it is installed: keys, units, unit templates.

The pretend cluster says what and where. Here every unit is a real one that fleet's stand-in runs: five say
in etcd where they are, as Deis's do, the routers are an nginx each, the database is a PostgreSQL, the others sleep.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from deiswizard.demo import platform
from deiswizard.demo.cluster import PretendCluster
from tests.lab.keys import FLEET, leaves

SELF_KEPT = {
    f"/deis/{name}/{key}" for name in platform.COMPONENTS.values() for key in ("host", "port")
}


@dataclass(frozen=True)
class Platform:
    """``keys`` are those that nobody writes by himself, ``announced`` those in which components say where they
    are; ``templates`` are unit files by name; ``places`` are the machines of each unit."""

    keys: dict[str, str]
    announced: dict[str, str]
    templates: dict[str, str]
    places: dict[str, tuple[str, ...]]


def unit_file(unit: str, store: str) -> str:
    """The unit as the pretend cluster has it, but with something that runs."""
    name = unit.removesuffix(".service").partition("@")[0]
    command = "/bin/sleep infinity"
    if name == "deis-router":
        command = "/usr/lib/lab/component router 80"
    if folder := platform.COMPONENTS.get(unit):
        command = f"/usr/lib/lab/component {folder} {platform.PORTS[folder]}"
    if name == "deis-store-gateway":
        command += f" {store}"
    if name == "deis-logspout":
        command = "/usr/lib/lab/component logspout 0"
    # mixed: a component ends what it has started, and is the only one that is told to end
    lines = [
        "EnvironmentFile=/etc/environment",
        f"ExecStart={command}",
        "Restart=on-failure",
        "KillMode=mixed",
    ]
    return platform.unit_file(unit).replace("ExecStart=/bin/true", "\n".join(lines))


def of(pretend: PretendCluster, ours: Callable[[str], str], store: str) -> Platform:
    """The pretend cluster's platform; ``ours`` puts the lab's addresses into a text, ``store`` is where
    the store gateway leads to (``address:port``).
    """
    kept = leaves(pretend.store.get("/deis", recursive=True)["node"])
    keys = {key: ours(value) for key, value in kept if key not in SELF_KEPT}
    announced = {}
    for unit, folder in platform.COMPONENTS.items():
        [at] = pretend.placement[unit]
        announced[f"/deis/{folder}/host"] = ours(at.address)
        announced[f"/deis/{folder}/port"] = str(platform.PORTS[folder])
    templates = {
        f"decorators/{path.rpartition('/')[2]}": text
        for path, text in platform.decorators().items()
    }
    places = {unit: tuple(h.machine_id for h in where) for unit, where in pretend.placement.items()}
    for unit, where in places.items():
        raw = unit_file(unit, store)
        templates[f"{unit.removesuffix('.service').partition('@')[0]}.service"] = raw
        digest = hashlib.sha1(raw.encode()).digest()
        job = f"{FLEET}/job/{unit}"
        keys[f"{FLEET}/unit/{digest.hex()}"] = json.dumps({"Raw": raw})
        keys[f"{job}/object"] = json.dumps({"Name": unit, "UnitHash": [*digest]})
        keys[f"{job}/target-state"] = "launched"
        if "Global=true" not in raw:
            keys[f"{job}/target"] = where[0]
    return Platform(keys, announced, templates, places)


def is_kept_by_hosts(key: str) -> bool:
    """Whether a key is written by the hosts themselves, over and over."""
    return key in SELF_KEPT or (
        key.startswith(FLEET) and not key.startswith((f"{FLEET}/job/", f"{FLEET}/unit/"))
    )
