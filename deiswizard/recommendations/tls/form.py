"""How TLS is asked: the fields, their words, and which of them there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option
from deiswizard.recommendations.tls.choices import MODERN_CIPHERS, PROTOCOLS, day
from deiswizard.recommendations.tls.facts import current, domain, wants_proxy_line


def _ends(_snapshot: Snapshot) -> Sequence[Option]:
    return (
        Option(
            "routers",
            "at the routers",
            recommended=True,
            explain="The routers serve the certificate on port 443. A load balancer in front passes TCP "
            "through (on AWS with the PROXY protocol, as Deis sets it up).",
        ),
        Option(
            "load-balancer",
            "at the load balancer",
            explain="The load balancer has the certificate and speaks HTTP to port 80 of the routers. "
            "Redirect and HSTS are set here, and go by X-Forwarded-Proto; it is asked itself at 443.",
        ),
    )


def _sources(snapshot: Snapshot) -> Sequence[Option]:
    now = current(snapshot)
    there = now is not None and not now.problem
    until = f"until {day(now.leaf.ends)}" if now and now.leaf else ""
    own = domain(snapshot) or "the domain"
    return (
        Option(
            "files",
            "from files",
            recommended=not there,
            explain=f"PEM files on this machine. The certificate must be valid for *.{own}; custom "
            "domains get their own by deis certs.",
        ),
        Option(
            "self-signed",
            "made here, for trying out",
            explain=f"A certificate for *.{own} that signed itself is made and kept in deiswizard's "
            "config folder. No client trusts it.",
        ),
        Option(
            "keep",
            "the one that is set",
            note=until,
            recommended=there,
            enabled=there,
            warning="" if there else "none is set",
            explain="Leaves certificate and key as they are, to change the rest.",
        ),
    )


def _policies(_snapshot: Snapshot) -> Sequence[Option]:
    return (
        Option(
            "modern",
            "modern",
            recommended=True,
            explain="TLS 1.2 with forward secrecy: every client since 2014. The routers' nginx 1.10 "
            "knows no TLS 1.3.",
        ),
        Option("keep", "as they are", explain="Without keys of its own the routers allow TLS 1.0."),
        Option("custom", "my own", explain="Name protocols and ciphers below."),
    )


def _proxy(snapshot: Snapshot) -> Sequence[Option]:
    now = "on" if wants_proxy_line(snapshot) else "off"
    return (
        Option(
            "keep",
            "as it is",
            note=now,
            recommended=True,
            explain="The PROXY protocol tells the routers the client's address where a load balancer "
            "passes TCP through. Deis on AWS sets it.",
        ),
        Option("on", "on", explain="Every request must then begin with a PROXY line."),
        Option("off", "off", explain="For load balancers that speak HTTP, and for none."),
    )


def _at_routers(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return raw.get("ends_at") == "routers"


def _from_files(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return _at_routers(snapshot, raw) and raw.get("source") == "files"


def _custom(snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return _at_routers(snapshot, raw) and raw.get("policy") == "custom"


def _hsts(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return raw.get("hsts") is True


FIELDS = (
    FormField(
        "domain",
        "Domain",
        "text",
        "The platform's own; known from etcd, so it is not asked.",
        shown=lambda _snapshot, _raw: False,
    ),
    FormField("ends_at", "Where TLS ends", "one", options=_ends),
    FormField("source", "Certificate", "one", options=_sources, shown=_at_routers),
    FormField(
        "certificate",
        "Certificate file",
        "path",
        "PEM. It may hold the chain as well, in any order: it is put right.",
        shown=_from_files,
        placeholder="wildcard.crt",
    ),
    FormField(
        "key",
        "Key file",
        "path",
        "PEM, RSA from 2048 bits or EC. It must be the key of the certificate. It goes over SSH into "
        "etcd and into no file of the wizard.",
        shown=_from_files,
        placeholder="wildcard.key",
    ),
    FormField(
        "passphrase",
        "Passphrase of the key",
        "secret",
        "Only where the key file is encrypted. The routers get the key in clear: they cannot ask.",
        shown=_from_files,
    ),
    FormField(
        "chain",
        "Chain file",
        "path",
        "The certificates of the issuers, where the certificate file does not hold them.",
        shown=_from_files,
    ),
    FormField("policy", "Protocols and ciphers", "one", options=_policies, shown=_at_routers),
    FormField("protocols", "Protocols", "list", f"From {', '.join(PROTOCOLS)}.", shown=_custom),
    FormField(
        "ciphers",
        "Ciphers",
        "text",
        f"OpenSSL names. The modern list is {MODERN_CIPHERS}",
        shown=_custom,
    ),
    FormField(
        "dhparam",
        "DH parameters",
        "path",
        "Optional, PEM, from 2048 bits: openssl dhparam -out dhparam.pem 2048",
        shown=_custom,
    ),
    FormField(
        "redirect",
        "Redirect http to https",
        "flag",
        "Set only after every router has proven that it serves the certificate. Clients that logged in "
        "by http log in again.",
    ),
    FormField(
        "hsts",
        "HSTS",
        "flag",
        "Browsers then use https by themselves, and refuse a broken certificate. Set last, after the "
        "redirect is proven. It cannot be taken back from browsers before its time.",
    ),
    FormField(
        "hsts_max_age",
        "Seconds browsers remember it",
        "number",
        "Begin with 300; a year (31536000) when all is well.",
        shown=_hsts,
    ),
    FormField(
        "hsts_subdomains",
        "Subdomains too",
        "flag",
        "Every site below the names, those that Deis does not serve, too.",
        shown=_hsts,
    ),
    FormField(
        "hsts_preload",
        "Preload",
        "flag",
        "Allows browsers to ship with it. As good as never taken back.",
        shown=_hsts,
    ),
    FormField("proxy_protocol", "PROXY protocol", "one", options=_proxy),
)
