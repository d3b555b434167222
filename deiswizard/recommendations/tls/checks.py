"""What of the choices does not go with this cluster: every trap of deis-facts 9, in a sentence."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.cluster.web import OK
from deiswizard.leaf import covers
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.tls import balancer
from deiswizard.recommendations.tls.choices import YEAR, TlsChoices
from deiswizard.recommendations.tls.facts import (
    HTTPS,
    PROXY,
    answers,
    bare_domains,
    current,
    domain,
    routers,
    wants_proxy_line,
)
from deiswizard.wording import few

PRELOAD_AGE = YEAR
"""Seconds: what the browsers' preload list asks for."""


def is_proxied(snapshot: Snapshot, choices: TlsChoices) -> bool:
    """Whether the routers will want a PROXY line."""
    if choices.proxy_protocol == "keep":
        return wants_proxy_line(snapshot)
    return choices.proxy_protocol == "on"


def check_choices(snapshot: Snapshot, choices: TlsChoices) -> tuple[Problem, ...]:
    """Beyond what the files themselves tell."""
    if not domain(snapshot):
        what = "the platform has no domain, so no name can be checked"
        return (Problem(field="", what=what, allowed="deisctl config platform set domain=..."),)
    problems: list[Problem] = []
    problems += _customs(snapshot, choices)
    if not routers(snapshot):
        what = "no router runs on a host that answers: nothing could be proven"
        problems.append(Problem(field="", what=what, allowed="deisctl start router"))
    if choices.ends_at == "routers":
        problems += _certificate(snapshot, choices)
        problems += _closed_outside(snapshot) if choices.redirect else []
    else:
        problems += _balancer(snapshot, choices)
    return tuple([*problems, *_proxy(snapshot, choices), *_hsts(snapshot, choices)])


def _customs(snapshot: Snapshot, choices: TlsChoices) -> list[Problem]:
    """Custom domains are served with the platform's certificate, unless they have one of their own."""
    now, seen = current(snapshot), balancer.seen(snapshot)
    leaf = now.leaf if now else None
    if choices.ends_at != "routers":
        leaf = seen.leaf if seen else None
    elif choices.material is not None:
        leaf = choices.material.leaf
    bare = bare_domains(snapshot, leaf.names) if leaf else ()
    if not bare:
        return []
    what = f"{few(bare, 3)}: no certificate of their own, and this one is not valid for them"
    moved = "; whoever comes by http is led to it" if choices.redirect else ""
    field = "redirect" if choices.redirect else "ends_at"
    return [Problem(field=field, what=what + moved, allowed="deis certs:add", blocks=False)]


def _certificate(snapshot: Snapshot, choices: TlsChoices) -> list[Problem]:
    if choices.source == "keep":
        now = current(snapshot)
        if now is None or now.problem:
            why = now.problem if now else "no certificate is set"
            return [
                Problem(field="source", what=f"there is nothing to keep: {why}", allowed="files")
            ]
        return []
    leaf = choices.material.leaf if choices.material else None
    if leaf is None:
        return []
    where = "certificate" if choices.source == "files" else "source"
    names, own = leaf.names, domain(snapshot)
    if not names:
        what = "names no site (subjectAltName): clients look nowhere else"
        return [Problem(field=where, what=what, allowed=f"one for *.{own}")]
    problems = []
    if not covers(names, f"deis.{own}"):
        what = f"is not valid for deis.{own}, only for {', '.join(names[:3])}"
        problems.append(Problem(field=where, what=what, allowed=f"one for *.{own}"))
    elif not covers(names, f"*.{own}"):
        missing = [] if covers(names, f"deis-store.{own}") else [f"deis-store.{own}"]
        what = f"is not valid for {' and '.join([*missing, f'the apps (*.{own})'])}: clients refuse them"
        problems.append(Problem(field=where, what=what, blocks=False))
    if choices.source == "self-signed":
        what = "no client trusts it: for trying out, with curl -k and the deis client's --ssl-verify=false"
        problems.append(Problem(field=where, what=what, blocks=False))
    return problems


def _balancer(snapshot: Snapshot, choices: TlsChoices) -> list[Problem]:
    """Redirects look at X-Forwarded-Proto, which a PROXY or TCP listener does not set."""
    problems = []
    if choices.redirect and is_proxied(snapshot, choices):
        what = (
            "with the PROXY protocol the load balancer sets no X-Forwarded-Proto: every request "
            "would be redirected for ever"
        )
        problems.append(Problem(field="redirect", what=what, allowed="off, or PROXY protocol off"))
    if current(snapshot) is not None:
        what = "the routers have a certificate, too: it stays, and 443 stays open on them"
        problems.append(Problem(field="ends_at", what=what, blocks=False))
    if choices.redirect:
        what = (
            "the load balancer must speak HTTP to port 80 and set X-Forwarded-Proto; who reaches that port past "
            "it can claim to have come by https"
        )
        problems.append(Problem(field="redirect", what=what, blocks=False))
    what = "an HTTP listener of AWS' classic load balancers passes on neither WebSockets nor HTTP/2"
    problems.append(Problem(field="ends_at", what=what, blocks=False))
    seen = balancer.seen(snapshot)
    if seen is not None and seen.leaf is None:
        what = f"the load balancer's own certificate cannot be looked at: {seen.why_unseen}"
        problems.append(Problem(field="ends_at", what=what, blocks=False))
    problems += [
        Problem(field="ends_at", what=what, blocks=False) for _, what in balancer.faults(snapshot)
    ]
    if choices.hsts and seen is not None and seen.leaf is not None and seen.web.trust != OK:
        what = f"clients do not trust what {seen.name} shows ({seen.web.trust or 'no answer'})"
        problems.append(Problem(field="hsts", what=what, allowed="off, until they do"))
    return problems


def _closed_outside(snapshot: Snapshot) -> list[Problem]:
    """The routers serve 443, but the way there may be closed: security group, load balancer, firewall."""
    seen = balancer.seen(snapshot)
    if current(snapshot) is None or seen is None or seen.leaf is not None or not seen.addresses:
        return []
    what = (
        f"{seen.why_unseen}. Open the way to 443 first: whoever is redirected finds nothing there"
    )
    return [Problem(field="redirect", what=what, blocks=False)]


def _proxy(snapshot: Snapshot, choices: TlsChoices) -> list[Problem]:
    problems = []
    raw = snapshot.value(PROXY)
    if raw not in ("", "true", "false", "1") and choices.proxy_protocol == "keep":
        what = f"is '{raw}' now, which switches it on: only 'false' is off"
        problems.append(Problem(field="proxy_protocol", what=what, blocks=False))
    if is_proxied(snapshot, choices) != wants_proxy_line(snapshot):
        what = (
            "change the load balancer at the same moment (on AWS: TCP listeners with the ProxyProtocol "
            "policy for on, HTTP and HTTPS listeners without it for off): until both agree, every "
            "request fails"
        )
        problems.append(Problem(field="proxy_protocol", what=what, blocks=False))
    return problems


def _hsts(snapshot: Snapshot, choices: TlsChoices) -> list[Problem]:
    problems = []
    if choices.redirect and choices.ends_at == "routers":
        what = (
            "clients that logged in by http break: they run deis login https://deis."
            f"{domain(snapshot)} again"
        )
        problems.append(Problem(field="redirect", what=what, blocks=False))
    if not choices.hsts:
        return problems
    if not choices.redirect:
        problems.append(
            Problem(field="hsts", what="needs the redirect to HTTPS", allowed="with Redirect on")
        )
    if choices.source == "self-signed" and choices.ends_at == "routers":
        what = "with a certificate that nobody trusts, browsers could not get in any more"
        problems.append(
            Problem(field="hsts", what=what, allowed="off, until the certificate is real")
        )
    elif choices.source == "keep" and choices.ends_at == "routers":
        bad = [a for a in answers(snapshot, HTTPS) if a.web is None or a.web.trust != "ok"]
        if bad:
            said = (bad[0].web.trust if bad[0].web else "") or "no answer"
            what = f"clients do not trust what {bad[0].host} serves ({said})"
            problems.append(Problem(field="hsts", what=what, allowed="off, until they do"))
    if choices.hsts_preload and not choices.hsts_subdomains:
        problems.append(
            Problem(field="hsts_preload", what="needs the subdomains", allowed="with Subdomains on")
        )
    if choices.hsts_preload and choices.hsts_max_age < PRELOAD_AGE:
        what = f"the browsers' list asks for {PRELOAD_AGE} seconds at least"
        problems.append(
            Problem(
                field="hsts_max_age", what=what, allowed=f"{PRELOAD_AGE} or more, or no preload"
            )
        )
    if choices.hsts_max_age > 86_400 and not any(p.blocks for p in problems):
        what = (
            f"browsers remember it for {choices.hsts_max_age / 86_400:.0f} days: it cannot be taken "
            "back from them before. Begin small"
        )
        problems.append(Problem(field="hsts_max_age", what=what, blocks=False))
    return problems
