"""9. TLS: the certificate on the routers, the redirect, HSTS."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Answer, Snapshot
from deiswizard.recommendations.base import Recommendation
from deiswizard.recommendations.tls import balancer
from deiswizard.recommendations.tls.assess import assess
from deiswizard.recommendations.tls.checks import check_choices
from deiswizard.recommendations.tls.choices import TlsChoices, day, fingerprints, read, secrets
from deiswizard.recommendations.tls.facts import (
    FORWARDED,
    HEALTH,
    HSTS,
    HSTS_AGE,
    HSTS_PRELOAD,
    HSTS_SUB,
    HTTP,
    HTTPS,
    NGINX,
    STORE,
    answers,
    current,
    domain,
    is_true,
    questions,
    redirects,
)
from deiswizard.recommendations.tls.form import FIELDS
from deiswizard.recommendations.tls.plan import plan
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status


def defaults(snapshot: Snapshot) -> TlsChoices:
    """What is set stays; without a certificate its files are asked for."""
    now = current(snapshot)
    age = snapshot.value(HSTS_AGE)
    is_before = redirects(snapshot) or balancer.shows_tls(snapshot)
    return TlsChoices.model_validate(
        {
            "domain": domain(snapshot),
            "ends_at": "load-balancer" if now is None and is_before else "routers",
            "source": "keep" if now and not now.problem else "files",
            "redirect": redirects(snapshot),
            "hsts": is_true(snapshot, HSTS),
            "hsts_max_age": int(age) if age.isdecimal() and 0 < int(age) < 6e7 else 300,
            "hsts_subdomains": is_true(snapshot, HSTS_SUB),
            "hsts_preload": is_true(snapshot, HSTS_PRELOAD),
        }
    )


def verify(_before: Snapshot, after: Snapshot, choices: TlsChoices) -> tuple[Check, ...]:
    """What every router says to a client now, and what a load balancer does that ends TLS."""
    checks = [
        Check(
            title=f"{answer.host}: nginx takes its configuration",
            ok=answer.code == 0 if answer.code is not None else None,
            evidence="nginx -t"
            if answer.code == 0
            else ((answer.err or answer.out).strip().splitlines() or ["no answer"])[-1],
        )
        for answer in answers(after, NGINX)
    ]
    if choices.ends_at == "routers":
        checks += _served(after, choices)
    else:
        checks += _forwarded(after, choices)
    for answer in answers(after, HTTP):
        web = answer.web
        is_redirected = web is not None and web.status in (301, 308)
        checks.append(
            Check(
                title=f"{answer.host}: http is {'' if choices.redirect else 'not '}redirected",
                ok=is_redirected == choices.redirect if web and web.status else None,
                evidence=web.summary if web else "no answer",
            )
        )
    for answer in answers(after, STORE):
        web = answer.web
        status = web.status if web else None
        is_served = status is not None and status < 500 and status not in balancer.MOVED
        told = web.summary if web else "no answer"
        checks.append(
            Check(title=f"{answer.host}: deis-store answers", ok=is_served, evidence=told)
        )
    for answer in answers(after, HEALTH):
        checks.append(
            Check(
                title=f"{answer.host}: the load balancer's health check answers",
                ok=answer.web is not None and answer.web.status == 200,
                evidence=answer.web.summary if answer.web else "no answer",
            )
        )
    return tuple(checks)


def _served(after: Snapshot, choices: TlsChoices) -> list[Check]:
    """The certificate, and HSTS with it, on every router."""
    now = current(after)
    wanted = choices.material.leaf if choices.material else (now.leaf if now else None)
    served = answers(after, HTTPS)
    if not served:
        return [Check(title="a certificate is served", ok=False, evidence="none is set")]
    checks = []
    for answer in served:
        web = answer.web
        is_it = web is not None and wanted is not None and web.leaf == wanted.sha256
        told = f"{web.leaf[:16] or 'no certificate'}, {web.summary}" if web else "no answer"
        checks.append(Check(title=f"{answer.host} serves the certificate", ok=is_it, evidence=told))
        checks += _remembered(answer, choices)
    return checks


def _remembered(answer: Answer, choices: TlsChoices) -> list[Check]:
    if not choices.hsts:
        return []
    header = answer.web.header("Strict-Transport-Security") if answer.web else ""
    is_sent = f"max-age={choices.hsts_max_age}" in header
    return [Check(title=f"{answer.host} sends HSTS", ok=is_sent, evidence=header or "no header")]


def _forwarded(after: Snapshot, choices: TlsChoices) -> list[Check]:
    """What a load balancer passes on is answered; and what the load balancer itself shows."""
    checks = []
    for answer in answers(after, FORWARDED):
        web = answer.web
        is_through = web is not None and web.status is not None and web.status not in balancer.MOVED
        told = web.summary if web else "no answer"
        title = f"{answer.host} lets through what came by https"
        checks.append(Check(title=title, ok=is_through, evidence=told))
        checks += _remembered(answer, choices)
    seen = balancer.seen(after)
    if seen is None or seen.leaf is None:
        why = seen.why_unseen if seen else "nobody could ask it"
        title = "the load balancer itself is NOT PROVEN: it could not be asked from here"
        return [*checks, Check(title=title, ok=True, evidence=why)]
    faults = list(balancer.faults(after))
    is_broken = any(status is Status.AT_RISK for status, _ in faults)
    told = "; ".join(what for _, what in faults) or seen.web.summary
    until = f"{', '.join(seen.leaf.names) or seen.leaf.subject} until {day(seen.leaf.ends)}"
    title = f"{seen.name} shows a certificate for {until} and is answered through the routers"
    return [*checks, Check(title=title, ok=not is_broken, evidence=told)]


RECOMMENDATION = Recommendation(
    id="tls",
    number=9,
    title="TLS",
    why="Encrypts what clients and the platform say to each other, passwords and keys among it.",
    doc="Production deployments, Enable TLS",
    choices=TlsChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    questions=lambda snapshot: (*questions(snapshot), *balancer.questions(snapshot)),
    read=read,
    secrets=secrets,
    fingerprints=fingerprints,
)
