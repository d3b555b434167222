"""The judgement of TLS: what is set, what each router serves, how long it is valid."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Evidence, Snapshot
from deiswizard.leaf import covers
from deiswizard.recommendations.base import Assessment, Finding
from deiswizard.recommendations.tls import balancer
from deiswizard.recommendations.tls.choices import DAY, SOON_DAYS, day
from deiswizard.recommendations.tls.facts import (
    CERT,
    CIPHERS,
    DEFAULT_PROTOCOLS,
    HSTS,
    HTTPS,
    NGINX,
    PROTOCOLS,
    REDIRECT,
    Current,
    answers,
    current,
    domain,
    is_true,
    redirects,
    site,
)
from deiswizard.vocabulary import Status

WORST_FIRST = (Status.AT_RISK, Status.SOON, Status.PARTLY, Status.TO_DO)


def assess(snapshot: Snapshot) -> Assessment:
    """At risk without TLS or with a broken one; soon when it ends; partly when http stays open."""
    if not snapshot.keys_read:
        return _result(Status.UNKNOWN, "could not be read", "etcd did not answer.")
    if not domain(snapshot):
        finding = Finding(
            status=Status.TO_DO,
            what="the platform has no domain",
            evidence=(Evidence(source="/deis/platform/domain", said="absent"),),
            do="deisctl config platform set domain=...",
        )
        return _result(Status.TO_DO, "no domain", "First the platform needs a domain.", finding)
    now = current(snapshot)
    if now is None:
        if redirects(snapshot) or balancer.shows_tls(snapshot):
            return _before_the_routers(snapshot)
        finding = Finding(
            status=Status.AT_RISK,
            what="passwords and keys cross the network in clear text",
            evidence=(Evidence(source=CERT, said="absent"),),
            do="choose a certificate; a self-signed one is made for trying out",
        )
        return _result(
            Status.AT_RISK,
            "no certificate on the routers",
            "Everything is spoken in clear text, the login of the deis client too.",
            finding,
        )
    found = [*_certificate(snapshot, now), *_routers(snapshot, now), *_settings(snapshot)]
    status = next((s for s in WORST_FIRST if any(f.status is s for f in found)), Status.OK)
    words, explanation = _words(snapshot, now, status, found)
    return _result(status, words, explanation, *found)


def _before_the_routers(snapshot: Snapshot) -> Assessment:
    """A load balancer ends TLS; it is judged by what it shows, if it shows anything to us."""
    found = [] if redirects(snapshot) else [_stays_on_http(snapshot)]
    seen = balancer.seen(snapshot)
    if seen is None or seen.leaf is None:
        why = seen.why_unseen if seen else "nobody could ask it"
        unseen = Finding(
            status=Status.BY_CHOICE,
            what=f"the load balancer's own certificate could not be looked at: {why}",
            evidence=(
                seen.evidence if seen else Evidence(source=site(snapshot), said="not asked"),
            ),
            do=f"ask it yourself: curl -v https://{site(snapshot)}/",
        )
        return _result(
            Status.BY_CHOICE,
            "ends at the load balancer",
            "The routers have no certificate and redirect to HTTPS by X-Forwarded-Proto, so TLS ends "
            "before them.",
            *found,
            unseen,
        )
    found += [
        Finding(
            status=status,
            what=what,
            evidence=(seen.evidence,),
            do="this is set at the load balancer, not here",
        )
        for status, what in balancer.faults(snapshot)
    ]
    status = next((s for s in WORST_FIRST if any(f.status is s for f in found)), Status.OK)
    worst = next((f.what for f in found if f.status is status), "")
    return _result(
        status,
        worst if status is Status.AT_RISK else f"at the load balancer until {day(seen.leaf.ends)}",
        f"TLS ends before the routers: {seen.name} shows a certificate for "
        f"{', '.join(seen.leaf.names) or seen.leaf.subject}.",
        *found,
    )


def _stays_on_http(snapshot: Snapshot) -> Finding:
    return Finding(
        status=Status.PARTLY,
        what="whoever comes by http stays on http",
        evidence=(Evidence(source=REDIRECT, said=snapshot.value(REDIRECT, "absent")),),
        do="choose Redirect once https is proven",
    )


def _result(status: Status, now: str, explanation: str, *findings: Finding) -> Assessment:
    return Assessment(
        recommendation="tls", status=status, now=now, explanation=explanation, findings=findings
    )


def _words(
    snapshot: Snapshot, now: Current, status: Status, found: list[Finding]
) -> tuple[str, str]:
    if now.leaf is None:
        return "no usable certificate", "What is set is no certificate: the routers freeze."
    left = (now.leaf.ends - snapshot.taken_at) / DAY
    until = f"The certificate is valid until {day(now.leaf.ends)}, for {', '.join(now.leaf.names)}."
    if left <= 0:
        return f"certificate ended on {day(now.leaf.ends)}", "Every client refuses it."
    if status is Status.AT_RISK:
        return next(f.what for f in found if f.status is Status.AT_RISK), until
    if status is Status.SOON:
        return f"certificate ends in {left:.0f} days", until
    http = "http redirected" if redirects(snapshot) else "http still open"
    if status is Status.OK and is_true(snapshot, HSTS):
        http = "http redirected, HSTS"
    return f"until {day(now.leaf.ends)}, {http}", until


def _certificate(snapshot: Snapshot, now: Current) -> list[Finding]:
    evidence = (Evidence(source=CERT, said=now.leaf.subject if now.leaf else now.problem),)
    found = []
    if now.problem:
        found.append(
            Finding(
                status=Status.AT_RISK,
                what=now.problem,
                evidence=evidence,
                do="set a certificate and its key: no router that starts now gets a configuration",
            )
        )
    if now.leaf is None:
        return found
    left, names, own = now.leaf.ends - snapshot.taken_at, now.leaf.names, domain(snapshot)
    if left <= 0:
        found.append(
            Finding(
                status=Status.AT_RISK,
                what=f"the certificate has ended on {day(now.leaf.ends)}",
                evidence=evidence,
                do="choose a new one",
            )
        )
    elif left < SOON_DAYS * DAY:
        found.append(
            Finding(
                status=Status.SOON,
                what=f"the certificate ends in {left / DAY:.0f} days, on {day(now.leaf.ends)}",
                evidence=evidence,
                do="choose a new one in time",
            )
        )
    missing = [
        name for name in (f"deis.{own}", f"*.{own}", f"deis-store.{own}") if not covers(names, name)
    ]
    if missing:
        found.append(
            Finding(
                status=Status.PARTLY,
                what=f"the certificate is not valid for {', '.join(missing)}",
                evidence=(Evidence(source=CERT, said=", ".join(names) or "no names"),),
                do=f"choose one for *.{own}",
            )
        )
    return found


def _routers(snapshot: Snapshot, now: Current) -> list[Finding]:
    found = []
    for answer in answers(snapshot, NGINX):
        if answer.code:
            found.append(
                Finding(
                    status=Status.AT_RISK,
                    what=f"the router on {answer.host} refuses its configuration",
                    evidence=(answer.evidence,),
                    do="mend what nginx -t names: until then no router takes any new setting or app",
                )
            )
    for answer in answers(snapshot, HTTPS):
        web = answer.web
        if web is None or web.status is None:
            what, status = f"nothing answers on 443 of {answer.host}", Status.AT_RISK
        elif now.leaf is not None and web.leaf != now.leaf.sha256:
            what, status = f"{answer.host} serves another certificate", Status.AT_RISK
        elif web.trust != "ok" or (now.leaf is not None and now.leaf.is_self_signed):
            why = "it signed itself" if web.trust == "ok" else web.trust
            what, status = f"clients do not trust what {answer.host} serves: {why}", Status.PARTLY
        else:
            continue
        found.append(Finding(status=status, what=what, evidence=(answer.evidence,)))
    return found


def _settings(snapshot: Snapshot) -> list[Finding]:
    found = []
    if not redirects(snapshot):
        found.append(_stays_on_http(snapshot))
    protocols = snapshot.value(PROTOCOLS, DEFAULT_PROTOCOLS)
    old = [word for word in protocols.split() if word != "TLSv1.2"]
    if old or not snapshot.value(CIPHERS):
        found.append(
            Finding(
                status=Status.PARTLY,
                what=f"old protocols or ciphers are allowed: {', '.join(old) or 'the default ciphers'}",
                evidence=(Evidence(source=PROTOCOLS, said=protocols),),
                do="choose the modern protocols and ciphers",
            )
        )
    return found
