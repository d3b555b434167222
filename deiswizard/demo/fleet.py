"""A pretend fleet: its registry in the pretend etcd, and global one-shot units that really run.

Deis's own units are placed by the engine (``fleet_engine.py``); of others only global ones are scheduled.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import threading
from typing import TYPE_CHECKING, Any

from deiswizard.cluster.unit_files import UnitOption, options_of, text_of
from deiswizard.demo import platform
from deiswizard.demo.etcd_store import StoreError
from deiswizard.demo.fleet_engine import FleetEngine, is_placed
from deiswizard.demo.shell import Write
from deiswizard.demo.systemd import Service, exec_words

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

PREFIX = "/_coreos.com/fleet"
SLOWEST_START = 1.5
"""Seconds until the last host has begun what was submitted; they follow one after the other."""


class PretendFleet:
    """All machines' fleetd at once."""

    def __init__(self, cluster: PretendCluster) -> None:
        self._cluster = cluster
        self._store = cluster.store
        self._lock = threading.RLock()
        self.engine = FleetEngine(cluster)

    def _text(self, path: str) -> str:
        return self._store.value(f"{PREFIX}/{path}") or ""

    def _nodes(self, path: str) -> list[dict[str, Any]]:
        """What is below a directory of the registry; nothing when there is none."""
        try:
            found: dict[str, Any] = self._store.get(f"{PREFIX}/{path}", recursive=True)["node"]
        except StoreError:
            return []
        return list(found.get("nodes", []))

    def names(self) -> list[str]:
        """Every unit that was submitted."""
        jobs = (node["key"].rpartition("/")[2] for node in self._nodes("job"))
        return [name for name in jobs if self._text(f"job/{name}/object")]

    def file(self, name: str) -> str | None:
        """A unit's file, None when there is no such unit."""
        job = self._text(f"job/{name}/object")
        if not job:
            return None
        digest = bytes(json.loads(job)["UnitHash"]).hex()
        return str(json.loads(self._text(f"unit/{digest}"))["Raw"])

    def desired(self, name: str) -> str:
        """The state that a unit shall have."""
        return self._text(f"job/{name}/target-state") or "inactive"

    def submit(self, name: str, options: list[UnitOption], desired: str) -> None:
        """A new unit."""
        raw = text_of(options)
        digest = hashlib.sha1(raw.encode()).digest()
        with self._lock:
            self._store.put(f"{PREFIX}/unit/{digest.hex()}", json.dumps({"Raw": raw}))
            job = {"Name": name, "UnitHash": [*digest]}
            self._store.put(f"{PREFIX}/job/{name}/object", json.dumps(job))
            self.aim(name, desired)

    def aim(self, name: str, desired: str) -> None:
        """Say what state a unit shall have; a global one is started or stopped everywhere."""
        with self._lock:
            self._store.put(f"{PREFIX}/job/{name}/target-state", desired)
            if is_placed(name):
                self._cluster.placement.setdefault(name, [])
                self.engine.settle()
                return
            for host in self._cluster.hosts:
                if desired == "launched":
                    self._begin(host, name)
                else:
                    self._end(host, name)

    def destroy(self, name: str) -> None:
        """The unit is gone at once, its instances a moment later."""
        with self._lock:
            self._store.delete(f"{PREFIX}/job/{name}", recursive=True)
            if is_placed(name):
                self.engine.settle()
                return
            for host in self._cluster.hosts:
                self._end(host, name)

    def joined(self, host: PretendHost) -> None:
        """A machine that has just come (back): it gets every global unit."""
        with self._lock:
            self.engine.settle()
            for name in self.names():
                if self.desired(name) == "launched":
                    self._begin(host, name)

    def machine_leaves(self, host: PretendHost) -> None:
        """Its fleetd was told to end: every unit of its host ends, and goes elsewhere if it may."""
        with self._lock:
            self.engine.away.add(host.name)
            self.engine.settle()
            for name in self.names():
                if not is_placed(name):
                    self._end(host, name)

    def machine_is_back(self, host: PretendHost) -> None:
        """Its fleetd tells of its machine: with other metadata, other units may run there."""
        with self._lock:
            self.engine.away.discard(host.name)
            platform.register(self._cluster, host)
            self.engine.settle()
        self.joined(host)

    def _begin(self, host: PretendHost, name: str) -> None:
        """Start an instance, unless the machine has one, or the engine decides where the unit runs."""
        found: dict[str, list[str]] = {}
        for option in options_of(self.file(name) or ""):
            found.setdefault(option.name, []).append(option.value)
        is_global = found.get("Global", [""])[-1].lower() == "true"
        if host.is_down or not is_global or is_placed(name):
            return
        words = exec_words(found.get("ExecStart", ["/bin/true"])[-1])
        needed = [path for path in found.get("EnvironmentFile", []) if not path.startswith("-")]
        always = found.get("Restart", [""])[-1] == "always"
        pause = float(found.get("RestartSec", ["0.1"])[-1]) / self._cluster.speed

        def work(out: Write, stop: threading.Event) -> int:
            if any(host.read_file(path) is None for path in needed):
                out("Failed to load environment files: No such file or directory\n")
                return 1
            return host.execute(shlex.join(words), out, out, b"", stop)

        def tell() -> None:
            self._tell(host, name)

        share = self._cluster.hosts.index(host) / len(self._cluster.hosts)
        timer = threading.Timer(
            share * SLOWEST_START / self._cluster.speed,
            lambda: self._launch(
                host,
                name,
                Service(
                    work,
                    tell,
                    is_oneshot=found.get("Type", [""])[-1] == "oneshot",
                    pause=pause if always else None,
                ),
            ),
        )
        timer.daemon = True
        timer.start()

    def _launch(self, host: PretendHost, name: str, service: Service) -> None:
        with self._lock:
            if self.desired(name) == "launched":
                host.systemd.start(name, service.work, service)

    def _end(self, host: PretendHost, name: str) -> None:
        """Stop an instance without waiting for it."""

        def stop() -> None:
            host.systemd.stop(name)
            self._tell(host, name)

        if not is_placed(name):
            threading.Thread(target=stop, name=f"stop {name}", daemon=True).start()

    def _tell(self, host: PretendHost, name: str) -> None:
        """What a machine reports of a unit; nothing of one that is not loaded there."""
        path = f"{PREFIX}/states/{name}/{host.machine_id}"
        with self._lock:
            now = host.systemd.show(name)
            if now["LoadState"] != "loaded":
                if self._store.value(path) is not None:
                    self._store.delete(path)
                return
            state = {
                "loadState": "loaded",
                "activeState": now["ActiveState"],
                "subState": now["SubState"],
                "machineState": {"ID": host.machine_id},
                "unitHash": hashlib.sha1((self.file(name) or "").encode()).hexdigest(),
            }
            self._store.put(path, json.dumps(state))

    def states(self, name: str = "") -> list[dict[str, str]]:
        """A row for each unit and machine, as the API tells them."""
        rows = []
        for unit in self._nodes("states"):
            for node in unit.get("nodes", []):
                row = json.loads(node["value"])
                rows.append(
                    {
                        "name": unit["key"].rpartition("/")[2],
                        "machineID": row["machineState"]["ID"],
                        "hash": row["unitHash"],
                        "systemdLoadState": row["loadState"],
                        "systemdActiveState": row["activeState"],
                        "systemdSubState": row["subState"],
                    }
                )
        return [row for row in rows if name in ("", row["name"])]
