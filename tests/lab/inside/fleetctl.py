"""A stand-in for fleetctl 0.11.7: it asks fleetd's API, as the real one does."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.lab.inside.fleet_units import Unit, parse, serialise
from tests.lab.inside.table import short, table

SOCKET = "/var/run/fleet.sock"
Row = dict[str, str]


class Failed(Exception):
    """Its words go to stderr; the exit status is 1."""


class Connection(http.client.HTTPConnection):
    """HTTP over fleet's socket, or whatever the endpoint says."""

    def __init__(self, endpoint: str) -> None:
        self._path = endpoint.removeprefix("unix://")
        super().__init__("domain-sock", timeout=30)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Api:
    """fleet's."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer, None when there is nothing of that name. Raises Failed."""
        content = None if body is None else json.dumps(body)
        connection = Connection(self._endpoint)
        try:
            connection.request(method, f"/fleet/v1/{path}", content)
            said = connection.getresponse()
            text = said.read()
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            raise Failed(
                f'{method.title()} "http://domain-sock/fleet/v1/{path}?alt=json": '
                f"dial unix {self._endpoint.removeprefix('unix://')}: connect: {words}"
            ) from None
        if said.status == 404:
            return None
        if said.status >= 400:
            error_body = json.loads(text)["error"]
            raise Failed(f"googleapi: Error {said.status}: {error_body['message']}")
        return json.loads(text) if text else {}

    def all(self, kind: str, path: str) -> list[dict[str, Any]]:
        """Every page."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            body = self.ask("GET", f"{path}?nextPageToken={token}" if token else path)
            found += body.get(kind) or []
            token = body.get("nextPageToken", "")
            if not token:
                return found


def machine_rows(api: Api, full: bool) -> list[Row]:
    """For list-machines."""
    try:
        found = api.all("machines", "machines")
    except Failed as error:
        raise Failed(f"Error retrieving list of active machines: {error}") from None
    return [
        {
            "machine": m["id"] if full else short(m["id"]),
            "ip": m.get("primaryIP") or "-",
            "metadata": ",".join(f"{k}={v}" for k, v in sorted((m.get("metadata") or {}).items()))
            or "-",
        }
        for m in found
    ]


def _where(api: Api, full: bool) -> dict[str, str]:
    return {
        m["id"]: f"{m['id'] if full else short(m['id'])}/{m.get('primaryIP') or '-'}"
        for m in api.all("machines", "machines")
    }


def unit_rows(api: Api, full: bool) -> list[Row]:
    """For list-units: what machines say of units."""
    try:
        states, where = api.all("states", "state"), _where(api, full)
    except Failed as error:
        raise Failed(f"Error retrieving list of units from repository: {error}") from None
    rows = [
        {
            "unit": s["name"],
            "machine": where.get(s["machineID"], short(s["machineID"])),
            "load": s["systemdLoadState"],
            "active": s["systemdActiveState"],
            "sub": s["systemdSubState"],
            "hash": s["hash"] if full else s["hash"][:7],
        }
        for s in states
    ]
    return sorted(rows, key=lambda row: (row["unit"], row["machine"]))


def file_rows(api: Api, full: bool) -> list[Row]:
    """For list-unit-files: what was submitted."""
    try:
        units, where = api.all("units", "units"), _where(api, full)
    except Failed as error:
        raise Failed(f"Error retrieving list of units from repository: {error}") from None
    rows = []
    for u in sorted(units, key=lambda u: str(u["name"])):
        unit = Unit(
            u["name"], serialise((o["section"], o["name"], o["value"]) for o in u["options"]), ""
        )
        described = [v for s, n, v in parse(unit.raw) if (s, n) == ("Unit", "Description")]
        rows.append(
            {
                "unit": unit.name,
                "hash": unit.hash.hex() if full else unit.hash.hex()[:7],
                "dstate": u["desiredState"],
                "state": "-" if unit.is_global else u.get("currentState", "-"),
                "target": "global" if unit.is_global else where.get(u.get("machineID", ""), "-"),
                "global": str(unit.is_global).lower(),
                "desc": (described or ["-"])[-1],
            }
        )
    return rows


LISTS: dict[str, tuple[Callable[[Api, bool], list[Row]], str]] = {
    "list-machines": (machine_rows, "machine,ip,metadata"),
    "list-units": (unit_rows, "unit,machine,active,sub"),
    "list-unit-files": (file_rows, "unit,hash,dstate,state,target"),
}
STATES = {"start": "launched", "load": "loaded", "stop": "loaded", "unload": "inactive"}


def show_list(api: Api, command: str, flags: dict[str, str]) -> None:
    """One of the three lists."""
    make, usual = LISTS[command]
    fields = flags.get("fields", usual).split(",")
    full = "l" in flags or "full" in flags
    rows = make(api, full)
    for field in fields:
        if rows and field not in rows[0]:
            raise Failed(f'Invalid key in output format: "{field}"')
    lines = [] if "no-legend" in flags else [[field.upper() for field in fields]]
    print(table([*lines, *([row[field] for field in fields] for row in rows)]), end="")


def change(api: Api, command: str, names: Sequence[str]) -> None:
    """start, load, stop, unload, destroy, submit, cat: units by name, or files that are not there yet."""
    for word in names:
        name = Path(word).name
        known = api.ask("GET", f"units/{quote(name)}")
        if command == "cat":
            if known is None:
                raise Failed(f"Unit {name} not found.")
            raw = serialise((o["section"], o["name"], o["value"]) for o in known["options"])
            print(raw, end="")
            continue
        if command == "destroy":
            if known is None:
                raise Failed(f"Error destroying units: unit {name} does not exist")
            api.ask("DELETE", f"units/{quote(name)}")
            print(f"Destroyed {name}")
            continue
        if known is None and command in ("start", "load", "submit"):
            if not Path(word).is_file():
                raise Failed(
                    f"Error creating units: unable to find Unit({name}) in Registry or on filesystem"
                )
            options = [
                {"section": s, "name": n, "value": v} for s, n, v in parse(Path(word).read_text())
            ]
            body = {"name": name, "desiredState": "inactive", "options": options}
            api.ask("PUT", f"units/{quote(name)}", body)
        elif known is None:
            raise Failed(f"Unit {name} does not exist.")
        if command in STATES:
            api.ask("PUT", f"units/{quote(name)}", {"name": name, "desiredState": STATES[command]})
            print(f"Triggered unit {name} {command}")


def main() -> int:
    """The exit status."""
    flags: dict[str, str] = {}
    words = []
    for word in sys.argv[1:]:
        if word.startswith("-"):
            name, _, value = word.lstrip("-").partition("=")
            flags[name] = value
        else:
            words.append(word)
    api = Api(flags.get("endpoint", SOCKET))
    command = words[0] if words else "help"
    try:
        if command in LISTS:
            show_list(api, command, flags)
        elif command in (*STATES, "submit", "destroy", "cat"):
            change(api, command, words[1:])
        elif command == "status":
            raise Failed(f"Unit {words[1]} does not exist.")
        else:
            print(f'fleetctl: unknown subcommand: "{command}"', file=sys.stderr)
            print("Run 'fleetctl help' for usage.", file=sys.stderr)
            return 2
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
