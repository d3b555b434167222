"""What proves TLS on each router: nginx's own test, a real handshake, the redirect, the HSTS header."""

from __future__ import annotations

import re

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.conditions import RELOADED, CommandSays, WebSays
from deiswizard.plan.step import GuardStep, Step, WaitStep
from deiswizard.recommendations.deis_units import ROUTERS
from deiswizard.recommendations.tls import balancer
from deiswizard.recommendations.tls.checks import is_proxied
from deiswizard.recommendations.tls.choices import TlsChoices
from deiswizard.recommendations.tls.facts import (
    CAME_BY_HTTPS,
    NGINX_TEST,
    SECONDS_TO_LIVE,
    current,
    request,
    routers,
    site,
)

ANY_STATUS = r"[2345]\d\d"


def nginx_test(snapshot: Snapshot, when: str) -> list[Step]:
    """Nginx's own judgement of the configuration, on each router."""
    steps: list[Step] = []
    for host in routers(snapshot):
        condition = CommandSays(host=host.name, command=NGINX_TEST, pattern="")
        if when == "before":
            steps.append(
                GuardStep(
                    id=f"nginx-before:{host.name}",
                    title="nginx takes its configuration as it is",
                    host=host.name,
                    condition=condition,
                    otherwise=f"the router on {host.name} refuses its configuration already, so it would "
                    "take no new setting: mend what nginx -t names first",
                )
            )
        else:
            steps.append(
                WaitStep(
                    id=f"nginx-{when}:{host.name}",
                    title="nginx takes the new configuration",
                    host=host.name,
                    condition=condition,
                    waiting_for="nginx -t to accept it",
                    asks=ROUTERS,
                    timeout=SECONDS_TO_LIVE,
                    on_timeout="take it back (u): the router goes on with what it had until it is "
                    "restarted, and would then not come up again",
                )
            )
    return steps


def _says(
    name: str,
    title: str,
    waiting_for: str,
    condition_of: dict[str, WebSays],
    why: str,
) -> list[Step]:
    """A wait for what each router shall say, and until no worker of before says anything else."""
    return [
        WaitStep(
            id=f"{name}:{host}",
            title=title,
            host=host,
            condition=condition.model_copy(update={"steady": RELOADED}),
            waiting_for=waiting_for,
            timeout=SECONDS_TO_LIVE,
            on_timeout=why,
        )
        for host, condition in condition_of.items()
    ]


def served(snapshot: Snapshot, choices: TlsChoices) -> list[Step]:
    """A real handshake with each router: this certificate, and a chain that clients can follow."""
    accepted = nginx_test(snapshot, "after")
    if choices.ends_at != "routers":
        return accepted
    now, made = current(snapshot), choices.material
    leaf = made.leaf if made else (now.leaf if now else None)
    roots = made.roots if made else (now.roots if now else "")
    if leaf is None:
        return accepted
    proxied = is_proxied(snapshot, choices)
    asked = {
        host.name: WebSays(
            request=request(host.name, site(snapshot), tls=True, proxied=proxied, roots=roots),
            status=ANY_STATUS,
            leaf=leaf.sha256,
        )
        for host in routers(snapshot)
    }
    return [
        *_says(
            "served",
            "the certificate is served on 443",
            "the router to serve it",
            asked,
            "look at the router: journalctl -u 'deis-router@*' on that host",
        ),
        *accepted,
    ]


def redirected(snapshot: Snapshot, choices: TlsChoices) -> list[Step]:
    """Http leads to https; behind a load balancer, only what it says came by http does."""
    if not choices.redirect:
        return []
    proxied, name = is_proxied(snapshot, choices), site(snapshot)
    headers = (("X-Forwarded-Proto", "http"),) if choices.ends_at != "routers" else ()
    asked = {
        host.name: WebSays(
            request=request(host.name, name, tls=False, proxied=proxied, headers=headers),
            status="30[18]",
            header=("Location", rf"^https://{re.escape(name)}"),
        )
        for host in routers(snapshot)
    }
    steps = _says(
        "redirects",
        "http leads to https",
        "the router to redirect",
        asked,
        "look at the router's log on that host",
    )
    if choices.ends_at == "routers":
        return steps
    secure = {
        host.name: WebSays(
            request=request(host.name, name, tls=False, proxied=proxied, headers=CAME_BY_HTTPS),
            status=balancer.NOT_ENDLESS,
        )
        for host in routers(snapshot)
    }
    why = "the load balancer's header is not understood: take it back, or nobody gets in"
    return [
        *steps,
        *_says("passes", "what came by https is let through", "an answer", secure, why),
        *_through_balancer(snapshot, "through", "https leads to an answer, not to https again"),
    ]


def _through_balancer(
    snapshot: Snapshot, name: str, title: str, header: tuple[str, str] | None = None
) -> list[Step]:
    """The same from outside, where the load balancer can be asked from a host."""
    condition = balancer.passes(snapshot, header)
    if condition is None:
        return []
    asked = condition.request
    why = (
        "take it back (u), or nobody gets in: the load balancer sends no X-Forwarded-Proto to the routers, "
        "or ends TLS with a TCP listener"
    )
    return _says(
        name,
        f"through the load balancer: {title}",
        f"{asked.name} to answer so",
        {asked.host: condition},
        why,
    )


def remembered(snapshot: Snapshot, choices: TlsChoices) -> list[Step]:
    """The header on https; a load balancer's requests carry it by X-Forwarded-Proto."""
    if not choices.hsts:
        return []
    is_here = choices.ends_at == "routers"
    made, now = choices.material, current(snapshot)
    roots = made.roots if made else (now.roots if now else "")
    proxied = is_proxied(snapshot, choices)
    header = ("Strict-Transport-Security", rf"max-age={choices.hsts_max_age}\b")
    asked = {
        host.name: WebSays(
            request=request(
                host.name,
                site(snapshot),
                tls=is_here,
                proxied=proxied,
                roots=roots if is_here else "",
                headers=() if is_here else CAME_BY_HTTPS,
            ),
            status=ANY_STATUS,
            header=header,
        )
        for host in routers(snapshot)
    }
    why = "look at the router's log on that host"
    steps = _says("hsts", "https sends the HSTS header", "the header", asked, why)
    if is_here:
        return steps
    return [
        *steps,
        *_through_balancer(snapshot, "hsts-through", "the HSTS header comes along", header),
    ]
