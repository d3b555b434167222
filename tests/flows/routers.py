"""A cluster's routers, asked as clients would, and waited for.

Settings become live some seconds late, and for a moment after a reload nginx' old workers answer beside
the new ones: so every answer after a change is waited for, not only the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from deiswizard.cluster.web import WebAnswer, WebRequest
from deiswizard.session import Session
from tests.flows.clusters import HOSTS

T = TypeVar("T")
NGINX_T = "docker exec deis-router /opt/nginx/sbin/nginx -t"
SECONDS = 30.0


def until(look: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """What is seen when it is as it shall be."""
    deadline = time.monotonic() + SECONDS
    while not holds(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


def ask(session: Session, host: str, name: str, **more: Any) -> WebAnswer:
    """One request to the router of that host."""
    fields = {"host": host, "name": name, **more}
    return session.access.host(host).web(WebRequest.model_validate(fields))


def says(session: Session, status: int | None, host: str, name: str, **more: Any) -> WebAnswer:
    """Wait until the router of that host answers with that status; None: not at all."""
    return until(lambda: ask(session, host, name, **more), lambda answer: answer.status == status)


def all_say(session: Session, status: int | None, name: str, **more: Any) -> None:
    """Wait until every router answers with that status; None: not at all."""
    for host in HOSTS:
        says(session, status, host, name, **more)


def refuses_its_files(session: Session, host: str) -> str:
    """Wait until ``nginx -t`` finds something wrong; its words."""
    return until(lambda: nginx_says(session, host), lambda said: said[0] not in (0, None))[1]


def nginx_says(session: Session, host: str) -> tuple[int | None, str]:
    """``nginx -t`` of the router of that host."""
    result = session.access.host(host).run(NGINX_T)
    return result.code, result.err + result.out
