"""fleet's v1 API on ``/var/run/fleet.sock``: machines, units and states, as fleet 0.11.7 answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from deiswizard.cluster.unit_files import UnitOption, options_of
from deiswizard.demo.http_base import Handler

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster

PAGE = 100
DESIRED = ("inactive", "loaded", "launched")
SUFFIXES = (".service", ".socket", ".timer", ".mount", ".path", ".target")


class FleetHandler(Handler):
    """Answers for whichever machine's fleetd."""

    def __init__(self, cluster: PretendCluster, *args: Any) -> None:
        self._cluster = cluster
        self._fleet = cluster.fleet
        super().__init__(*args)

    def respond(self) -> None:
        """One request."""
        body = self.body()
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        lists: dict[str, tuple[str, Callable[[], list[Any]]]] = {
            "/fleet/v1/machines": ("machines", self._machines),
            "/fleet/v1/state": ("states", lambda: self._states(query)),
            "/fleet/v1/units": ("units", lambda: [self._unit(n) for n in self._fleet.names()]),
        }
        if self._cluster.fleet_is_away:
            self._fail(503, "fleet server unable to communicate with etcd")
        elif self.command == "GET" and url.path in lists:
            key, rows = lists[url.path]
            self._page(key, rows(), query.get("nextPageToken", ""))
        elif url.path.startswith("/fleet/v1/units/"):
            self._one(unquote(url.path.removeprefix("/fleet/v1/units/")), body)
        elif url.path in lists:
            self._fail(405, "only HTTP GET supported against this resource")
        else:
            self._fail(404, "not found")

    def _fail(self, code: int, message: str) -> None:
        self.send(code, {"error": {"code": code, "message": message}})

    def _page(self, key: str, rows: list[Any], token: str) -> None:
        """A hundred rows; an empty list is left out, as Go's omitempty does."""
        try:
            start = int(base64.urlsafe_b64decode(token)) if token else 0
        except ValueError:
            self._fail(400, "invalid nextPageToken")
            return
        found: dict[str, Any] = {key: rows[start : start + PAGE]} if rows[start:] else {}
        if len(rows) > start + PAGE:
            found["nextPageToken"] = base64.urlsafe_b64encode(b"%d" % (start + PAGE)).decode()
        self.send(200, found)

    def _machines(self) -> list[Any]:
        return [
            {"id": host.machine_id, "primaryIP": host.address, "metadata": host.metadata}
            for host in self._cluster.hosts
            if not host.is_down
        ]

    def _states(self, query: dict[str, str]) -> list[Any]:
        rows = self._fleet.states(query.get("unitName", ""))
        machine = query.get("machineID", "")
        return [row for row in rows if machine in ("", row["machineID"])]

    def _unit(self, name: str) -> dict[str, Any]:
        options = [option.model_dump() for option in options_of(self._fleet.file(name) or "")]
        return {"name": name, "desiredState": self._fleet.desired(name), "options": options}

    def _one(self, name: str, body: bytes) -> None:
        """``/units/NAME``."""
        is_there = self._fleet.file(name) is not None
        if self.command == "PUT":
            self._put(name, body, is_there)
        elif not is_there:
            self._fail(404, "unit does not exist")
        elif self.command == "DELETE":
            self._fleet.destroy(name)
            self.send(204, b"")
        else:
            self.send(200, self._unit(name))

    def _put(self, name: str, body: bytes, is_there: bool) -> None:
        """201 for a new unit; 204 for one that is there, whose options are not looked at."""
        if self.headers.get("Content-Type") != "application/json":
            self._fail(415, "unsupported media type")
            return
        try:
            said = json.loads(body)
            options = [UnitOption.model_validate(option) for option in said.get("options") or ()]
        except (ValueError, AttributeError) as error:
            self._fail(400, f"unable to decode body: {type(error).__name__}")
            return
        desired = str(said.get("desiredState") or "")
        if said.get("name") not in (None, "", name):
            words = f'name in URL "{name}" differs from unit name in request body "{said["name"]}"'
            self._fail(400, words)
        elif not name.endswith(SUFFIXES) or "/" in name:
            self._fail(400, f'invalid unit name "{name}"')
        elif not is_there and not options:
            self._fail(409, "unit does not exist and options field empty")
        elif is_there and not desired:
            self._fail(409, "must provide DesiredState to update existing unit")
        elif desired not in ("", *DESIRED):
            self._fail(400, f'invalid value "{desired}" for desiredState')
        elif is_there:
            self._fleet.aim(name, desired)
            self.send(204, b"")
        else:
            self._fleet.submit(name, options, desired or "inactive")
            self.send(201, b"")
