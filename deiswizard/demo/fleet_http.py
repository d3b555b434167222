"""fleet's v1 API on ``/var/run/fleet.sock``: machines, units and states, read from the registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deiswizard.demo.http_base import Handler

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster


class FleetHandler(Handler):
    """Read only, as the wizard needs it."""

    def __init__(self, cluster: PretendCluster, *args: Any) -> None:
        self._cluster = cluster
        super().__init__(*args)

    def respond(self) -> None:
        """One request."""
        self.body()
        path = urlsplit(self.path).path
        if path == "/fleet/v1/machines":
            self.send(
                200,
                {
                    "machines": [
                        {
                            "id": h.machine_id,
                            "primaryIP": h.address,
                            "metadata": self._cluster.metadata,
                        }
                        for h in self._cluster.hosts
                        if not h.is_down
                    ]
                },
            )
        elif path == "/fleet/v1/state":
            self.send(
                200,
                {
                    "states": [
                        {
                            "name": unit,
                            "machineID": host.machine_id,
                            "systemdLoadState": "loaded",
                            "systemdActiveState": "active",
                            "systemdSubState": "running",
                            "hash": self._cluster.unit_hash(unit),
                        }
                        for unit, hosts in self._cluster.placement.items()
                        for host in hosts
                    ]
                },
            )
        elif path == "/fleet/v1/units":
            self.send(
                200,
                {
                    "units": [
                        {"name": unit, "currentState": "launched", "desiredState": "launched"}
                        for unit in self._cluster.placement
                    ]
                },
            )
        else:
            self.send(404, json.dumps({"error": {"code": 404, "message": "not found"}}).encode())
