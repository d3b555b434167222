"""fleet's API, version 1, on a unix socket."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.lab.inside import fleet_registry
from tests.lab.inside.etcd_v2 import Etcd, EtcdDownError
from tests.lab.inside.fleet_registry import Registry
from tests.lab.inside.fleet_units import Unit, parse, serialise

PAGE = 100


class Refusal(Exception):
    """An HTTP status other than success, and fleet's words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def machines(registry: Registry) -> list[dict[str, Any]]:
    """As the API shows them."""
    return [
        {"id": m.id, "metadata": dict(m.metadata), "primaryIP": m.address}
        for m in registry.machines.values()
    ]


def shown_unit(registry: Registry, unit: Unit) -> dict[str, Any]:
    """As the API shows it; a global one has no machine and no state of its own."""
    body: dict[str, Any] = {
        "desiredState": unit.desired,
        "name": unit.name,
        "options": [
            {"section": section, "name": name, "value": value}
            for section, name, value in parse(unit.raw)
        ],
    }
    if not unit.is_global:
        has_state = any(s.unit == unit.name and s.machine == unit.target for s in registry.states)
        body["currentState"] = unit.desired if has_state else "inactive"
        if unit.target:
            body["machineID"] = unit.target
    return body


def states(registry: Registry, query: dict[str, str]) -> list[dict[str, Any]]:
    """As the API shows them, of one unit or one machine if so asked."""
    return [
        {
            "hash": s.hash,
            "machineID": s.machine,
            "name": s.unit,
            "systemdActiveState": s.active,
            "systemdLoadState": s.load,
            "systemdSubState": s.sub,
        }
        for s in registry.states
        if query.get("unitName", s.unit) == s.unit
        and query.get("machineID", s.machine) == s.machine
    ]


def page(kind: str, items: Sequence[dict[str, Any]], token: str) -> dict[str, Any]:
    """A hundred of them, and how to ask for the next."""
    number = json.loads(base64.urlsafe_b64decode(token))["Page"] if token else 1
    body: dict[str, Any] = {kind: list(items[(number - 1) * PAGE : number * PAGE])}
    if len(items) > number * PAGE:
        following = json.dumps({"Limit": PAGE, "Page": number + 1})
        body["nextPageToken"] = base64.urlsafe_b64encode(following.encode()).decode()
    return body


def put(etcd: Etcd, registry: Registry, name: str, content: bytes) -> int:
    """Create a unit, or change what is desired of one; options of one that exists are passed over."""
    try:
        body = json.loads(content)
    except ValueError:
        raise Refusal(400, "unable to decode body") from None
    if body.get("name") not in (None, "", name):
        raise Refusal(400, "name in URL differs from unit name in request body")
    options, desired = body.get("options") or [], body.get("desiredState") or ""
    if name in registry.units:
        if not desired:
            raise Refusal(409, "must provide DesiredState to update existing unit")
        fleet_registry.set_desired(etcd, name, desired)
        return 204
    if not options:
        raise Refusal(409, "unit does not exist and options field empty")
    raw = serialise((o["section"], o["name"], o["value"]) for o in options)
    fleet_registry.create(etcd, Unit(name, raw, desired or "inactive"))
    return 201


def delete(etcd: Etcd, registry: Registry, name: str) -> int:
    """Destroy a unit."""
    if name not in registry.units:
        raise Refusal(404, "unit does not exist")
    fleet_registry.destroy(etcd, name)
    return 204


def answer(
    etcd: Etcd, method: str, target: str, content: bytes
) -> tuple[int, dict[str, Any] | None]:
    """Status and body. Raises Refusal, EtcdDownError."""
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    token = query.get("nextPageToken", "")
    registry = fleet_registry.read(etcd)
    match method, url.path.removeprefix("/fleet/v1/").split("/"):
        case "GET", ["machines"]:
            return 200, page("machines", machines(registry), token)
        case "GET", ["state"]:
            return 200, page("states", states(registry, query), token)
        case "GET", ["units"]:
            shown = [shown_unit(registry, unit) for unit in registry.units.values()]
            return 200, page("units", shown, token)
        case "GET", ["units", name]:
            if unquote(name) not in registry.units:
                raise Refusal(404, "unit does not exist")
            return 200, shown_unit(registry, registry.units[unquote(name)])
        case "PUT", ["units", name]:
            return put(etcd, registry, unquote(name), content), None
        case "DELETE", ["units", name]:
            return delete(etcd, registry, unquote(name)), None
        case _, ["machines"] | ["state"]:
            raise Refusal(405, "only HTTP GET supported against this resource")
    raise Refusal(404, "")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"fleetd/{fleet_registry.VERSION}", ""

    def _respond(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body: dict[str, Any] | None
        try:
            status, body = answer(Etcd(), self.command, self.path, content)
        except Refusal as refusal:
            status, body = refusal.status, _error(refusal.status, str(refusal))
        except EtcdDownError:
            status, body = 503, _error(503, "fleet server unable to communicate with etcd")
        text = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        self.send_response(status)
        if text:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_DELETE = do_POST = _respond

    def address_string(self) -> str:
        """A unix socket's other side has none."""
        return "-"

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message}}


class Server(ThreadingMixIn, UnixStreamServer):
    """On a socket that systemd has opened."""

    daemon_threads = True

    def __init__(self, opened: socket.socket) -> None:
        super().__init__("", Handler, bind_and_activate=False)
        self.socket = opened
