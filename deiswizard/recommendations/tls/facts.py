"""What is known of TLS on a cluster: the routers' keys, and what each router says to a client."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deiswizard.cluster.snapshot import Answer, HostFacts, Question, Snapshot, web_question
from deiswizard.cluster.web import WebRequest
from deiswizard.leaf import Leaf, covers
from deiswizard.recommendations.deis_units import ROUTERS

ROUTER = "/deis/router"
CERT, KEY, DHPARAM = f"{ROUTER}/sslCert", f"{ROUTER}/sslKey", f"{ROUTER}/sslDhparam"
PROTOCOLS, CIPHERS = f"{ROUTER}/sslProtocols", f"{ROUTER}/sslCiphers"
REDIRECT, PROXY = f"{ROUTER}/enforceHTTPS", f"{ROUTER}/proxyProtocol"
HSTS = f"{ROUTER}/hsts/enabled"
HSTS_AGE, HSTS_SUB, HSTS_PRELOAD = (
    f"{ROUTER}/hsts/{name}" for name in ("maxAge", "includeSubDomains", "preload")
)
DOMAIN = "/deis/platform/domain"
DOMAINS, OWN_CERTS = "/deis/domains/", "/deis/certs/"
GATEWAY = "/deis/store/gateway/host"
DEFAULT_PROTOCOLS = "TLSv1 TLSv1.1 TLSv1.2"
NGINX_TEST = "docker exec deis-router /opt/nginx/sbin/nginx -t"
HTTPS, HTTP, HEALTH, NGINX = "tls.https", "tls.http", "tls.health", "tls.nginx"
FORWARDED = "tls.forwarded"
"""Http as a load balancer passes it on that has ended TLS."""

STORE = "tls.store"
"""The store's gateway, which is never redirected and has the platform's certificate, too."""

CAME_BY_HTTPS = (("X-Forwarded-Proto", "https"),)
CLAIMED = "127.0.0.1"
"""The client that the PROXY line names, where the routers want one."""

SECONDS_TO_LIVE = 60.0
"""confd looks every 5 s, then nginx reloads (deis-facts 9)."""


def domain(snapshot: Snapshot) -> str:
    """The platform's domain; empty when there is none that could be a name."""
    value = snapshot.value(DOMAIN).lower()
    return value if re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", value) else ""


def site(snapshot: Snapshot) -> str:
    """The controller's name, by which the routers are asked."""
    return f"deis.{domain(snapshot)}"


def routers(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Hosts that answer and on which a router runs."""
    return tuple(host for host in snapshot.where_any(ROUTERS) if host.reachable)


def wants_proxy_line(snapshot: Snapshot) -> bool:
    """Anything but ``false`` switches the PROXY protocol on (deis-facts 9)."""
    fact = snapshot.key(PROXY)
    return fact is not None and (fact.value or "false") != "false"


def is_true(snapshot: Snapshot, key: str) -> bool:
    """Only exactly ``true`` is."""
    return snapshot.value(key) == "true"


def redirects(snapshot: Snapshot) -> bool:
    """HSTS switches the redirect on unless ``enforceHTTPS`` says otherwise."""
    return snapshot.value(REDIRECT, snapshot.value(HSTS)) == "true"


@dataclass(frozen=True)
class Current:
    """The certificate in etcd. ``problem``: why it is none, or why its key is not its key."""

    leaf: Leaf | None = None
    roots: str = ""
    problem: str = ""


def current(snapshot: Snapshot) -> Current | None:
    """What is set now; None: no certificate."""
    fact = snapshot.key(CERT)
    if fact is None:
        return None
    from deiswizard import certificates as pki  # late: the first frame waits for no cryptography

    try:
        found = pki.certificates(fact.text)
    except pki.PemError as error:
        return Current(problem=f"{CERT} {error.what}")
    leaf = pki.leaf_of(found[0])
    roots = pki.pem(one for one in found if one.issuer == one.subject)
    key = snapshot.key(KEY)
    problem = ""
    if key is None:
        problem = f"{KEY} is missing"
    elif key.text:  # a snapshot that was read from a file holds no secrets
        try:
            if not pki.fits(pki.private_key(key.text.encode()), leaf):
                problem = f"{KEY} is not the key of {CERT}"
        except pki.PemError as error:
            problem = f"{KEY} {error.what}"
    return Current(leaf, roots, problem)


def request(
    host: str,
    name: str,
    *,
    tls: bool,
    proxied: bool,
    roots: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> WebRequest:
    """What a client asks a router for."""
    return WebRequest(
        host=host,
        name=name,
        port=443 if tls else 80,
        tls=tls,
        proxy_from=CLAIMED if proxied else "",
        roots=roots,
        headers=headers,
    )


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Every router: its configuration, its health, and what it says to a client."""
    if not domain(snapshot):
        return ()
    now, proxied, name = current(snapshot), wants_proxy_line(snapshot), site(snapshot)
    found = []
    for host in routers(snapshot):
        found += [
            Question(id=NGINX, host=host.name, command=NGINX_TEST),
            web_question(
                HEALTH, WebRequest(host=host.name, name=name, port=9090, path="/health-check")
            ),
            web_question(HTTP, request(host.name, name, tls=False, proxied=proxied)),
            web_question(
                FORWARDED,
                request(host.name, name, tls=False, proxied=proxied, headers=CAME_BY_HTTPS),
            ),
        ]
        if snapshot.key(GATEWAY) is not None:
            tls, roots = now is not None, now.roots if now else ""
            store = f"deis-store.{domain(snapshot)}"
            asked = request(host.name, store, tls=tls, proxied=proxied, roots=roots)
            found.append(web_question(STORE, asked))
        if now is not None:
            asked = request(host.name, name, tls=True, proxied=proxied, roots=now.roots)
            found.append(web_question(HTTPS, asked))
    return tuple(found)


def bare_domains(snapshot: Snapshot, names: tuple[str, ...]) -> tuple[str, ...]:
    """Custom domains without a certificate of their own that one with these names is not valid for."""
    customs = (fact.key[len(DOMAINS) :] for fact in snapshot.keys if fact.key.startswith(DOMAINS))
    return tuple(
        name
        for name in customs
        if snapshot.key(f"{OWN_CERTS}{name}/cert") is None and not covers(names, name)
    )


def answers(snapshot: Snapshot, question: str) -> tuple[Answer, ...]:
    """What all routers answered."""
    return tuple(answer for answer in snapshot.answers if answer.id == question)
