"""What is known of registration on a cluster: the key, the admins, the live controller."""

from __future__ import annotations

import re
from typing import Literal

from deiswizard.cluster.snapshot import Answer, HostFacts, Question, Snapshot
from deiswizard.recommendations.base import Choices
from deiswizard.recommendations.deis_units import told_address

CONTROLLER = "/deis/controller"
KEY = f"{CONTROLLER}/registrationMode"
MODES = ("enabled", "disabled", "admin_only")
ADMINS, LIVE = "registration.admins", "registration.live"
CONFIRM = "an admin exists"
"""What the operator types when the database cannot be asked."""

SECONDS_TO_LIVE = 60.0
"""confd looks every 5 s and gunicorn reloads (deis-facts 7): about 10 s, with room to spare."""

NEEDED_KEYS = (
    "/deis/registry/protocol",
    "/deis/registry/host",
    "/deis/registry/port",
    "/deis/database/host",
    "/deis/logs/host",
    "/deis/platform/domain",
)
"""Without these confd writes no new settings for the controller (deis-facts 0.4)."""

LIVE_CODES = {"enabled": "400", "disabled": "403", "admin_only": "40[13]"}


class RegistrationChoices(Choices):
    """The mode, and the words typed when no admin could be found by asking the database."""

    mode: Literal["enabled", "disabled", "admin_only"] = "admin_only"
    confirm: str = ""


def database_host(snapshot: Snapshot) -> HostFacts | None:
    """Where the in-cluster database runs; None: external, or not running."""
    return next(iter(snapshot.where("deis-database.service")), None)


def admins_command(snapshot: Snapshot) -> str:
    """Count active superusers; the AnonymousUser row is none."""
    name = snapshot.value("/deis/database/name") or "deis"
    query = "select count(*) from auth_user where is_superuser and is_active"
    database = re.sub(r"[^A-Za-z0-9_-]", "", name)
    return f'docker exec deis-database sudo -u postgres psql -d {database} -tAc "{query}"'


def live_command(snapshot: Snapshot) -> str:
    """Asks the controller to register nobody: permission is judged before the empty form is."""
    host, port = (snapshot.value(f"{CONTROLLER}/{name}") for name in ("host", "port"))
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host) or not port.isdecimal():
        return ""
    return (
        "curl -s -m 5 -w '\\n%{http_code}\\n' -X POST -H 'Content-Type: application/json' "
        f"-d '{{}}' http://{told_address(CONTROLLER)}/v1/auth/register"
    )


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Ask whether there is an admin, and what the live controller says."""
    found = []
    if (host := database_host(snapshot)) and host.reachable:
        found.append(Question(id=ADMINS, host=host.name, command=admins_command(snapshot)))
    asker = asker_of(snapshot)
    if asker and live_command(snapshot):
        found.append(Question(id=LIVE, host=asker.name, command=live_command(snapshot)))
    return tuple(found)


def asker_of(snapshot: Snapshot) -> HostFacts | None:
    """The host to ask the controller from: its own, else any that answers."""
    own = [host for host in snapshot.where("deis-controller.service") if host.reachable]
    return next(iter([*own, *snapshot.reachable_hosts]), None)


def admin_count(answer: Answer | None) -> int | None:
    """How many admins there are; None when that is not known."""
    if answer is None or answer.code != 0 or not answer.out.strip().isdecimal():
        return None
    return int(answer.out.strip())


def live_code(answer: Answer | None) -> str:
    """The HTTP status of the live controller, empty when it did not answer."""
    lines = answer.out.strip().splitlines() if answer else []
    return lines[-1] if lines and re.fullmatch(r"[1-5]\d\d", lines[-1]) else ""


def missing_keys(snapshot: Snapshot) -> tuple[str, ...]:
    """Keys without which the controller picks up no setting."""
    return tuple(key for key in NEEDED_KEYS if snapshot.key(key) is None)


def why_not_live(snapshot: Snapshot) -> str:
    """Why the live controller may lag behind the key, and what to do."""
    if missing := missing_keys(snapshot):
        return (
            f"confd in the controller writes no settings while {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing: start that component first"
        )
    return "look at the controller: journalctl -u deis-controller on its host"


def needs_words(snapshot: Snapshot, mode: str) -> bool:
    """The operator must confirm in words that an admin exists: nobody could be asked."""
    return mode != "enabled" and admin_count(snapshot.answer(ADMINS)) is None
