"""Whether apps answer through the routers, before the planes are isolated and after (deis-facts 1, Verify)."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Answer, Question, Snapshot, web_question
from deiswizard.recommendations.security.facts import (
    app_list,
    apps_of,
    is_served,
    router_hosts,
    site_of,
)
from deiswizard.recommendations.security.lists import guest_of
from deiswizard.recommendations.security.requests import request
from deiswizard.run.events import Check
from deiswizard.wording import counted, few

PREFIX = "planes.app."
MANY = 60
"""Requests; with more apps and routers than that, only the first router is asked, and no more apps."""

NOBODY = (502, 503, 504)
"""What a router says itself when no container of an app is there, or none answers it."""


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Each app that has a container's address, through each router that can be asked."""
    routers = router_hosts(snapshot)
    apps = [app for app in apps_of(snapshot) if is_served(snapshot, app) and site_of(snapshot, app)]
    if len(apps) * len(routers) > MANY:
        routers, apps = routers[:1], apps[:MANY]
    return tuple(
        web_question(
            f"{PREFIX}{app}",
            request(
                snapshot,
                host,
                site_of(snapshot, app),
                guest_of(app_list(snapshot, app) or "") or host.address,
                "/",
            ),
        )
        for app in apps
        for host in routers
    )


def _asked(snapshot: Snapshot) -> dict[str, list[Answer]]:
    """What was said for each app, router by router."""
    found: dict[str, list[Answer]] = {}
    for answer in snapshot.answers:
        if answer.id.startswith(PREFIX):
            found.setdefault(answer.id.removeprefix(PREFIX), []).append(answer)
    return found


def _is_good(answer: Answer) -> bool:
    """The app itself has answered, whatever it said."""
    web = answer.web
    return web is not None and web.status is not None and web.status not in NOBODY


def _said(answers: list[Answer]) -> str:
    """What each router said that the app did not say."""
    words = [
        f"{one.host}: {one.web.summary if one.web else 'no answer'}"
        for one in answers
        if not _is_good(one)
    ]
    return few(words)


def checks(before: Snapshot, after: Snapshot) -> Iterator[Check]:
    """An app that answered through a router before answers through every router now.

    One that did not before is told, and is no failure of this.
    """
    was, now = _asked(before), _asked(after)
    silent = [app for app, answers in was.items() if not any(map(_is_good, answers))]
    good = []
    for app in (app for app in was if app not in silent):
        answers = now.get(app, [])
        if answers and all(map(_is_good, answers)):
            good.append(app)
            continue
        yield Check(
            title=f"{app} answers through every router",
            ok=False,
            evidence=_said(answers) or "no container of it is published, or no router runs",
        )
    if was:
        routers = counted(len({one.host for one in after.answers if one.id.startswith(PREFIX)}), "router")  # fmt: skip
        told = f"; no answer before either: {few(silent)}" if silent else ""
        yield Check(
            title="apps answer through the routers as before",
            ok=len(good) + len(silent) == len(was),
            evidence=f"{counted(len(good), 'app')} through {routers}: {few(good) or 'none'}{told}",
        )
