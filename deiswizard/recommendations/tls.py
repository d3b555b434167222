"""9. TLS: the certificate on the routers, the redirect, HSTS."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import Recommendation
from deiswizard.recommendations.tls_assess import assess
from deiswizard.recommendations.tls_checks import check_choices
from deiswizard.recommendations.tls_choices import TlsChoices, fingerprints, read, secrets
from deiswizard.recommendations.tls_facts import (
    HEALTH,
    HSTS,
    HSTS_AGE,
    HSTS_PRELOAD,
    HSTS_SUB,
    HTTP,
    HTTPS,
    NGINX,
    answers,
    current,
    domain,
    is_true,
    questions,
    redirects,
)
from deiswizard.recommendations.tls_form import FIELDS
from deiswizard.recommendations.tls_plan import plan
from deiswizard.run.events import Check


def defaults(snapshot: Snapshot) -> TlsChoices:
    """What is set stays; without a certificate its files are asked for."""
    now = current(snapshot)
    age = snapshot.value(HSTS_AGE)
    return TlsChoices.model_validate(
        {
            "domain": domain(snapshot),
            "ends_at": "load-balancer" if now is None and redirects(snapshot) else "routers",
            "source": "keep" if now and not now.problem else "files",
            "redirect": redirects(snapshot),
            "hsts": is_true(snapshot, HSTS),
            "hsts_max_age": int(age) if age.isdecimal() and 0 < int(age) < 6e7 else 300,
            "hsts_subdomains": is_true(snapshot, HSTS_SUB),
            "hsts_preload": is_true(snapshot, HSTS_PRELOAD),
        }
    )


def verify(_before: Snapshot, after: Snapshot, choices: TlsChoices) -> tuple[Check, ...]:
    """What every router says to a client now."""
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
    now = current(after)
    wanted = choices.material.leaf if choices.material else (now.leaf if now else None)
    if choices.ends_at == "routers":
        served = answers(after, HTTPS)
        if not served:
            checks.append(Check(title="a certificate is served", ok=False, evidence="none is set"))
        for answer in served:
            web = answer.web
            is_it = web is not None and wanted is not None and web.leaf == wanted.sha256
            told = f"{web.leaf[:16] or 'no certificate'}, {web.summary}" if web else "no answer"
            checks.append(
                Check(title=f"{answer.host} serves the certificate", ok=is_it, evidence=told)
            )
            if choices.hsts:
                header = web.header("Strict-Transport-Security") if web else ""
                checks.append(
                    Check(
                        title=f"{answer.host} sends HSTS",
                        ok=f"max-age={choices.hsts_max_age}" in header,
                        evidence=header or "no header",
                    )
                )
    for answer in answers(after, HTTP):
        web = answer.web
        is_redirected = web is not None and web.status in (301, 308)
        if choices.ends_at == "routers":
            checks.append(
                Check(
                    title=f"{answer.host}: http is {'' if choices.redirect else 'not '}redirected",
                    ok=is_redirected == choices.redirect if web and web.status else None,
                    evidence=web.summary if web else "no answer",
                )
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
    questions=questions,
    read=read,
    secrets=secrets,
    fingerprints=fingerprints,
)
