"""fleet's v1 HTTP API behind one adapter, on the unix socket of whichever host answers.

Seen live with fleet 0.11.7: PUT answers 201 for a new unit and 204 for one that is there, whose file
it does not replace; DELETE answers 204, or 404; errors are ``{"error": {"code", "message"}}``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import urllib3

from deiswizard.cluster.access import FleetUnit
from deiswizard.cluster.http_channels import BASE_URL, OpenChannel, over
from deiswizard.cluster.snapshot import UnitState
from deiswizard.cluster.unit_files import UnitOption
from deiswizard.errors import LinkError, ServiceError, WizardError

SOCKET = "/var/run/fleet.sock"
TIMEOUT = 15.0
SHARED_SECONDS = 1.0
"""How old the states of a unit may be that several who wait for it share: fleet reads its whole
registry for each answer, and learns of a new state only every few seconds."""

CHANNELS = 4
PAGES = 1000
LATER = "not known: fleet may have done it, or may do it later"
RECOVERS = "fleet recovers by itself some seconds after etcd: see whether etcd has a majority"


def parse_unit(body: dict[str, Any]) -> FleetUnit:
    """The answer of ``/units/NAME``."""
    return FleetUnit(
        name=str(body.get("name", "")),
        options=tuple(
            UnitOption(
                section=str(option.get("section", "")),
                name=str(option.get("name", "")),
                value=str(option.get("value", "")),
            )
            for option in body.get("options") or ()
        ),
        desired=str(body.get("desiredState", "")),
        current=str(body.get("currentState", "")),
    )


def parse_states(body: dict[str, Any]) -> tuple[UnitState, ...]:
    """One page of ``/state``. Without a unit fleet leaves the list out."""
    return tuple(
        UnitState(
            unit=str(row.get("name", "")),
            machine_id=str(row.get("machineID", "")),
            load=str(row.get("systemdLoadState", "")),
            active=str(row.get("systemdActiveState", "")),
            sub=str(row.get("systemdSubState", "")),
        )
        for row in body.get("states") or ()
    )


class Link(Protocol):
    """A host that may have a fleetd."""

    @property
    def name(self) -> str:
        """As the operator knows it."""
        ...

    def open_unix(self, path: str) -> Any:
        """As ``HostLink.open_unix``."""
        ...


def channel_to_any(links: Iterable[Link]) -> Any:
    """A channel to the first host's fleetd that takes one. Raises ServiceError."""
    problems = []
    for link in links:
        try:
            return link.open_unix(SOCKET)
        except LinkError as error:
            problems.append(f"{link.name}: {error}")
    raise ServiceError(
        f"fleet's socket {SOCKET} can be opened on no host",
        said="; ".join(problems[:3]),
        state="nothing was sent to fleet",
        do="look there: systemctl status fleet.socket; the user core must be able to read and "
        f"write the socket (ls -l {SOCKET}), and sshd must allow AllowStreamLocalForwarding",
    )


class FleetAdapter:
    """One fleetd, reached by ``open_channel``. Implements ``access.FleetAccess``."""

    def __init__(self, open_channel: OpenChannel) -> None:
        self._http = over(urllib3.PoolManager(maxsize=CHANNELS), open_channel)
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, tuple[UnitState, ...] | WizardError]] = {}

    def close(self) -> None:
        """Give the channels back."""
        self._http.clear()

    def unit(self, name: str) -> FleetUnit | None:
        """As ``access.FleetAccess.unit``."""
        status, body = self._ask("GET", _path(name))
        if status == 404:
            return None
        return parse_unit(_expected(status, body, 200, f"fleet did not tell of {name}"))

    def put(self, name: str, options: Sequence[UnitOption], desired: str) -> bool:
        """As ``access.FleetAccess.put``."""
        self._forget(name)
        sent = {
            "name": name,
            "desiredState": desired,
            "options": [option.model_dump() for option in options],
        }
        status, body = self._ask("PUT", _path(name), sent)
        if status == 201:
            return True
        _expected(status, body, 204, f"fleet did not take {name}", is_write=True)
        return False

    def delete(self, name: str) -> bool:
        """As ``access.FleetAccess.delete``."""
        self._forget(name)
        status, body = self._ask("DELETE", _path(name))
        if status == 404:
            return False
        _expected(status, body, 204, f"fleet did not destroy {name}", is_write=True)
        return True

    def states(self, name: str) -> tuple[UnitState, ...]:
        """As ``access.FleetAccess.states``."""
        with self._lock:
            at, seen = self._seen.get(name, (0.0, ()))
            if not at or time.monotonic() - at > SHARED_SECONDS:
                try:
                    seen = self._all_states(name)
                except WizardError as error:
                    seen = error
                self._seen[name] = (time.monotonic(), seen)
        if isinstance(seen, WizardError):
            raise seen
        return seen

    def _all_states(self, name: str) -> tuple[UnitState, ...]:
        """Every page. The token tells only how far; which unit is meant must be said again."""
        found: list[UnitState] = []
        query = {"unitName": name}
        for _ in range(PAGES):
            status, body = self._ask("GET", f"/fleet/v1/state?{urlencode(query)}")
            body = _expected(status, body, 200, f"fleet did not tell the states of {name}")
            found += [state for state in parse_states(body) if state.unit == name]
            token = str(body.get("nextPageToken") or "")
            if not token:
                return tuple(found)
            query = {"unitName": name, "nextPageToken": token}
        raise ServiceError(f"fleet's list of states for {name} has no end")

    def _forget(self, name: str) -> None:
        with self._lock:
            self._seen.pop(name, None)

    def _ask(self, method: str, path: str, sent: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and body. Raises ServiceError when no answer came."""
        try:
            answer = self._http.request(
                method,
                BASE_URL + path,
                timeout=TIMEOUT,
                retries=False,
                body=None if sent is None else json.dumps(sent),
                headers=None if sent is None else {"Content-Type": "application/json"},
            )
        except WizardError:
            raise
        except (urllib3.exceptions.HTTPError, OSError, EOFError) as error:
            raise ServiceError(
                "fleet did not answer",
                said=type(error).__name__,
                state=LATER if method != "GET" else "",
                do="look at fleet.service on the hosts: systemctl status fleet",
            ) from error
        text = answer.data.decode("utf-8", "replace")
        try:
            body = json.loads(text) if text.strip() else {}
        except ValueError:
            body = {"error": {"message": text[:200]}}
        return answer.status, body if isinstance(body, dict) else {}


def _path(name: str) -> str:
    return f"/fleet/v1/units/{quote(name, safe='')}"


def _expected(
    status: int, body: dict[str, Any], wanted: int, what: str, *, is_write: bool = False
) -> dict[str, Any]:
    """The body of the one good answer, or the error in fleet's words.

    4xx is a refusal: nothing was done. 5xx of a write leaves open whether it was.
    """
    if status == wanted:
        return body
    error = body.get("error")
    words = str(error.get("message") or "") if isinstance(error, dict) else ""
    is_away = status == 503
    trouble = ServiceError(
        what,
        said=f"{status}: {words}" if words else f"it answered {status}",
        state=LATER if status >= 500 and is_write else "nothing was changed by this",
        do=RECOVERS if is_away else "look at fleet on the hosts: journalctl -u fleet",
    )
    trouble.is_transient = is_away
    raise trouble
