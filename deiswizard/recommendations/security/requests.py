"""Requests that tell whether the routers guard as they should: for the probe, the proofs and the checks.

A router is asked from its own host, at the host's address, so that it is known whom the router is
connected to. For whom the request is stands in a PROXY line where the routers expect one, and else in
X-Forwarded-For; the routers believe it only of ``proxyRealIpCidr`` (deis-facts 5c).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deiswizard.cluster.snapshot import Answer, HostFacts, Question, Snapshot, web_question
from deiswizard.cluster.web import WebRequest
from deiswizard.plan.conditions import WebSays
from deiswizard.recommendations.security.facts import (
    Settings,
    app_list,
    apps_of,
    controller_site,
    enforces_https,
    has_proxy_protocol,
    is_served,
    router_hosts,
    seen_as,
    site_of,
)
from deiswizard.recommendations.security.lists import (
    STRANGERS,
    guest_of,
    lets_in,
    only_in,
    stranger_to,
)

ATTACK = "() { :;}; /bin/true"
"""A User-Agent as shellshock's had: harmless, and found by the firewall's core rules (deis-facts 5b)."""

HEALTH = "/healthz"
LET_IN, REFUSED = "200|401", "403"
NOT_REFUSED = r"[1235]\d\d|40[0-24-9]|4[1-9]\d"
MANY = 60
"""Requests for apps; with more of them, only the first router is asked."""


@dataclass(frozen=True)
class Expected:
    """What a router says to a request when its settings are live. ``group``: firewall, list or app."""

    id: str
    group: str
    host: str
    title: str
    condition: WebSays

    @property
    def question(self) -> Question:
        """The same for the probe."""
        return web_question(self.id, self.condition.request)

    def why_not(self, answer: Answer | None) -> str | None:
        """What is not as it should be, empty when all is; None: nobody answered."""
        if answer is None or answer.web is None or answer.web.status is None:
            return None
        return self.condition.why_not(answer.web)


def request(
    snapshot: Snapshot, host: HostFacts, name: str, claimed: str, path: str, agent: str = ""
) -> WebRequest:
    """As a client at ``claimed`` would ask, past the redirect to HTTPS where there is one."""
    has_tls = snapshot.key("/deis/router/sslCert") is not None and enforces_https(snapshot)
    headers = []
    if not has_proxy_protocol(snapshot):
        headers.append(("X-Forwarded-For", claimed))
    if enforces_https(snapshot) and not has_tls:
        headers.append(("X-Forwarded-Proto", "https"))
    if agent:
        headers.append(("User-Agent", agent))
    return WebRequest(
        host=host.name,
        name=name,
        address=host.address,
        port=443 if has_tls else 80,
        tls=has_tls,
        path=path,
        proxy_from=claimed if has_proxy_protocol(snapshot) else "",
        headers=tuple(headers),
    )


def expected(
    snapshot: Snapshot, settings: Settings, operator: str = "", was: str = ""
) -> tuple[Expected, ...]:
    """Everything that the routers should say, by router. Nothing where the domain is not known.

    First comes, for each router, what it said otherwise before: ``was`` is the list of before. Only
    then does the rest show what the new settings do.
    """
    name = controller_site(snapshot)
    routers = router_hosts(snapshot) if name else ()
    found: list[Expected] = []
    for host in routers:
        found += _of_firewall(snapshot, host, name, settings, operator)
        found += _of_list(snapshot, host, name, settings, operator, was)
    guarded = [app for app in apps_of(snapshot) if is_served(snapshot, app)]
    guarded = [app for app in guarded if app_list(snapshot, app)]
    few = len(guarded) * len(routers) * 2 <= MANY
    for host in routers if few else routers[:1]:
        for app in guarded:
            found += _of_app(snapshot, host, app)
    return tuple(found)


def _of_firewall(
    snapshot: Snapshot, host: HostFacts, name: str, settings: Settings, operator: str
) -> Iterator[Expected]:
    """An attack is answered before anybody looks at a list."""
    if not settings.firewall:
        return
    claimed = operator or guest_of(settings.listed) or STRANGERS[0]
    code = str(settings.error_code)
    asked = request(snapshot, host, name, claimed, HEALTH, ATTACK)
    yield Expected(
        id="security.attack",
        group="firewall",
        host=host.name,
        title=f"{host.name} answers a request like an attack with {code}",
        condition=WebSays(request=asked, status=code),
    )


def without_firewall(
    snapshot: Snapshot, settings: Settings, operator: str = ""
) -> tuple[Expected, ...]:
    """What looks like an attack is answered as anything else."""
    name, claimed = controller_site(snapshot), operator or guest_of(settings.listed) or STRANGERS[0]
    return tuple(
        Expected(
            id="security.attack",
            group="firewall",
            host=host.name,
            title=f"{host.name} answers a request like an attack as any other",
            condition=WebSays(
                request=request(snapshot, host, name, claimed, HEALTH, ATTACK),
                status=f"{LET_IN}|{REFUSED}",
            ),
        )
        for host in (router_hosts(snapshot) if name else ())
    )


def _of_list(
    snapshot: Snapshot, host: HostFacts, name: str, settings: Settings, operator: str, was: str
) -> Iterator[Expected]:
    """Who is on the controller's list, and who is not; without a list all are let in."""
    listed = settings.listed
    is_closed = bool(listed) or settings.enforced
    guest = operator if lets_in(listed, operator) else guest_of(listed)
    asked = [
        ("security.gone", only_in(was, listed) if was and listed else ""),
        ("security.new", only_in(listed, was) if was and listed else ""),
        ("security.stranger", stranger_to(listed) if is_closed else STRANGERS[0]),
        ("security.allowed", guest),
    ]
    told: set[str] = set()
    for id, claimed in asked:
        seen = seen_as(snapshot, host, claimed) if claimed else ""
        if not seen or seen in told:
            continue
        told.add(seen)
        enters = not is_closed or lets_in(listed, seen)
        words = f"{host.name} lets {seen} in" if enters else f"{host.name} refuses {seen}"
        yield Expected(
            id=id,
            group="list",
            host=host.name,
            title=f"{words} {'to' if enters else 'at'} the controller",
            condition=WebSays(
                request=request(snapshot, host, name, claimed, HEALTH),
                status=LET_IN if enters else REFUSED,
            ),
        )


def _of_app(snapshot: Snapshot, host: HostFacts, app: str) -> Iterator[Expected]:
    """An app that has a list refuses strangers, enforced or not. It may say anything to its guests."""
    listed = app_list(snapshot, app) or ""
    told: set[str] = set()
    for kind, claimed in (("stranger", stranger_to(listed)), ("allowed", guest_of(listed))):
        seen = seen_as(snapshot, host, claimed) if claimed else ""
        if not seen or seen in told:
            continue
        told.add(seen)
        enters = lets_in(listed, seen)
        words = f"{host.name} lets {seen} in" if enters else f"{host.name} refuses {seen}"
        yield Expected(
            id=f"security.app.{app}.{kind}",
            group="app",
            host=host.name,
            title=f"{words} {'to' if enters else 'at'} {app}",
            condition=WebSays(
                request=request(snapshot, host, site_of(snapshot, app), claimed, "/"),
                status=NOT_REFUSED if enters else REFUSED,
            ),
        )
