"""TLS as pure functions: traps in sentences, judgements with evidence, the order of the plan."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import SecretStr

from deiswizard.certificates import leaf_of
from deiswizard.cluster.snapshot import Answer, KeyFact, Snapshot, UnitState
from deiswizard.cluster.web import WebAnswer
from deiswizard.errors import PreconditionError
from deiswizard.plan.step import CopyKeyStep, RemoveKeyStep, WaitStep, WriteKeyStep
from deiswizard.recommendations.tls.assess import assess
from deiswizard.recommendations.tls.checks import check_choices
from deiswizard.recommendations.tls.choices import TlsChoices, examine
from deiswizard.recommendations.tls.declaration import RECOMMENDATION, defaults, verify
from deiswizard.recommendations.tls.facts import (
    CERT,
    HTTP,
    HTTPS,
    KEY,
    NGINX,
    PROXY,
    REDIRECT,
    STORE,
)
from deiswizard.recommendations.tls.plan import plan
from deiswizard.vocabulary import Status
from tests.builders import host, snapshot
from tests.certificates import Certificate, certificate

DOMAIN = "example.com"
NOW = time.time()
ROOT = certificate("root", is_authority=True)
LEAF = certificate("leaf", f"*.{DOMAIN}", issuer=ROOT)
ROUTER_KEYS = "/deis/router"
MODERN = {f"{ROUTER_KEYS}/sslProtocols": "TLSv1.2", f"{ROUTER_KEYS}/sslCiphers": "HIGH"}


def look(
    keys: dict[str, str] | None = None,
    *,
    key: str | None = None,
    routers: int = 2,
    answers: tuple[Answer, ...] = (),
    **changes: Any,
) -> Snapshot:
    hosts = (host(1), host(2))
    seen = snapshot(*hosts, keys={"/deis/platform/domain": DOMAIN, **(keys or {})}, taken_at=NOW)
    states = [
        UnitState(
            unit=f"deis-router@{n}.service", machine_id=h.machine_id, load="loaded",
            active="active", sub="running",
        )
        for n, h in enumerate(hosts[:routers], start=1)
    ]  # fmt: skip
    secret = [KeyFact(key=KEY, secret=SecretStr(key), is_secret=True, index=9)] if key else []
    more = {
        "keys": (*seen.keys, *secret),
        "unit_states": (*seen.unit_states, *states),
        "answers": answers,
    }
    return seen.model_copy(update={**more, **changes})


def sealed(leaf: Certificate = LEAF, **more: Any) -> Snapshot:
    """A cluster whose routers have a certificate, the redirect and modern ciphers."""
    keys = {CERT: leaf.pem + ROOT.pem, REDIRECT: "true", **MODERN, **more.pop("keys", {})}
    return look(keys, key=more.pop("key", leaf.key_pem), **more)


def says(
    where: str, leaf: Certificate = LEAF, trust: str = "ok", status: int | None = 200
) -> tuple[Answer, ...]:
    shown = leaf_of(leaf.certificate) if status else None
    web = WebAnswer(status=status, certificate=shown, trust=trust)
    return tuple(
        Answer(id=where, host=f"deis-{n}", command="curl", code=0, web=web) for n in (1, 2)
    )


def chosen(leaf: Certificate | None = LEAF, **fields: Any) -> TlsChoices:
    made = None
    if leaf is not None and fields.get("source", "files") != "keep":
        made, problems = examine(leaf.pem, leaf.key_pem.encode(), ROOT.pem, "", NOW)
        assert made is not None and not [p for p in problems if p.blocks]
    return TlsChoices.model_validate({"domain": DOMAIN, **fields}).model_copy(
        update={"material": made}
    )


def sentences(snapshot: Snapshot, choices: TlsChoices, *, blocks: bool) -> str:
    return "\n".join(
        f"{p.field}: {p.what}" for p in check_choices(snapshot, choices) if p.blocks is blocks
    )


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"hsts": True}, "hsts: needs the redirect to HTTPS"),
        (
            {"hsts": True, "redirect": True, "hsts_preload": True, "hsts_max_age": 31_536_000},
            "hsts_preload: needs the subdomains",
        ),
        (
            {"hsts": True, "redirect": True, "hsts_preload": True, "hsts_subdomains": True},
            "hsts_max_age: the browsers' list asks for 31536000 seconds at least",
        ),
        (
            {"hsts": True, "redirect": True, "source": "self-signed"},
            "hsts: with a certificate that nobody trusts, browsers could not get in any more",
        ),
        ({"source": "keep"}, "source: there is nothing to keep: no certificate is set"),
        (
            {"ends_at": "load-balancer", "redirect": True, "proxy_protocol": "on"},
            "redirect: with the PROXY protocol the load balancer sets no X-Forwarded-Proto: every "
            "request would be redirected for ever",
        ),
    ],
)
def test_what_cannot_go_well_blocks(choices: dict[str, Any], said: str) -> None:
    assert said in sentences(look(), chosen(**choices), blocks=True)


@pytest.mark.parametrize(
    ("keys", "choices", "said"),
    [
        ({}, {"redirect": True}, "they run deis login https://deis.example.com again"),
        ({}, {"source": "self-signed"}, "no client trusts it"),
        ({}, {"proxy_protocol": "on"}, "until both agree, every request fails"),
        ({PROXY: "0"}, {}, "is '0' now, which switches it on: only 'false' is off"),
        (
            {},
            {"hsts": True, "redirect": True, "hsts_max_age": 31_536_000},
            "browsers remember it for 365 days",
        ),
        (
            {},
            {"ends_at": "load-balancer", "redirect": True},
            "must speak HTTP to port 80 and set X-Forwarded-Proto; who reaches that port past it can "
            "claim to have come by https",
        ),
        ({}, {"ends_at": "load-balancer"}, "passes on neither WebSockets nor HTTP/2"),
        (
            {"/deis/domains/www.shop.org": "shop", "/deis/domains/shop.example.com": "shop"},
            {"redirect": True},
            "redirect: www.shop.org: no certificate of their own, and this one is not valid for them; "
            "whoever comes by http is led to it",
        ),
    ],
)
def test_what_the_operator_must_know_is_told_before(
    keys: dict[str, str], choices: dict[str, Any], said: str
) -> None:
    seen = look(keys)
    assert said in sentences(seen, chosen(**choices), blocks=False)
    assert not sentences(seen, chosen(**choices), blocks=True)


def test_a_custom_domain_with_a_certificate_of_its_own_is_no_matter_of_the_platforms() -> None:
    own = {"/deis/domains/www.shop.org": "shop", "/deis/certs/www.shop.org/cert": "pem"}
    assert "www.shop.org" not in sentences(look(own), chosen(redirect=True), blocks=False)


def test_names_that_are_not_covered_are_told() -> None:
    other = certificate("other", "*.elsewhere.org", issuer=ROOT)
    assert "is not valid for deis.example.com, only for *.elsewhere.org" in sentences(
        look(), chosen(other), blocks=True
    )
    single = certificate("single", f"deis.{DOMAIN}", issuer=ROOT)
    assert "is not valid for deis-store.example.com and the apps (*.example.com)" in sentences(
        look(), chosen(single), blocks=False
    )
    nameless = certificate("nameless", issuer=ROOT)
    assert "names no site" in sentences(look(), chosen(nameless), blocks=True)


def test_without_a_domain_or_a_router_nothing_can_be_proven() -> None:
    assert "has no domain" in sentences(
        look({"/deis/platform/domain": "no name!"}), chosen(), blocks=True
    )
    assert "no router runs" in sentences(look(routers=0), chosen(), blocks=True)
    with pytest.raises(PreconditionError, match="no router runs"):
        plan(look(routers=0), chosen())


@pytest.mark.parametrize(
    ("seen", "status", "now"),
    [
        (look(), Status.AT_RISK, "no certificate on the routers"),
        (look({REDIRECT: "true"}), Status.BY_CHOICE, "ends at the load balancer"),
        (look({"/deis/platform/domain": ""}), Status.TO_DO, "no domain"),
        (look({CERT: "nonsense"}), Status.AT_RISK, "no usable certificate"),
        (sealed(key=ROOT.key_pem), Status.AT_RISK, f"{KEY} is not the key of {CERT}"),
        (sealed(key=None), Status.AT_RISK, f"{KEY} is missing"),
        (
            sealed(answers=says(HTTPS, status=None)),
            Status.AT_RISK,
            "nothing answers on 443 of deis-1",
        ),
        (sealed(answers=says(HTTPS, ROOT)), Status.AT_RISK, "deis-1 serves another certificate"),
        (sealed(answers=says(HTTPS, trust="expired")), Status.PARTLY, "http redirected"),
        (sealed(answers=says(HTTPS)), Status.OK, "http redirected"),
        (
            sealed(keys={REDIRECT: "false"}, answers=says(HTTPS)),
            Status.PARTLY,
            "http still open",
        ),
        (
            sealed(keys={f"{ROUTER_KEYS}/sslProtocols": "TLSv1 TLSv1.2"}, answers=says(HTTPS)),
            Status.PARTLY,
            "http redirected",
        ),
        (
            sealed(keys={f"{ROUTER_KEYS}/hsts/enabled": "true"}, answers=says(HTTPS)),
            Status.OK,
            "HSTS",
        ),
    ],
)
def test_how_it_stands(seen: Snapshot, status: Status, now: str) -> None:
    found = assess(seen)
    assert (found.status, now in found.now) == (status, True), found
    assert all(finding.evidence for finding in found.findings)


@pytest.mark.parametrize(
    ("days", "status", "now"),
    [
        (19, Status.SOON, "certificate ends in 19 days"),
        (31, Status.OK, "until"),
        (-1, Status.AT_RISK, "certificate ended on"),
    ],
)
def test_its_end_is_told_in_time(days: int, status: Status, now: str) -> None:
    leaf = certificate("leaf", f"*.{DOMAIN}", issuer=ROOT, days=days)
    found = assess(sealed(leaf, answers=says(HTTPS, leaf), taken_at=time.time() - 60))
    assert found.status is status and now in found.now


def test_a_router_that_refuses_its_configuration_is_at_risk() -> None:
    broken = Answer(id=NGINX, host="deis-2", command="nginx -t", code=1, err="[emerg] bad")
    found = assess(sealed(answers=(*says(HTTPS), broken)))
    assert found.status is Status.AT_RISK
    assert found.now == "the router on deis-2 refuses its configuration"


def test_key_before_certificate_then_proof_then_redirect_then_proof_then_hsts() -> None:
    made = plan(look(), chosen(redirect=True, hsts=True, hsts_subdomains=True))
    writes = [s.key for s in made.steps if isinstance(s, WriteKeyStep)]
    assert [key.removeprefix("/deis/router/") for key in writes] == [
        "sslProtocols", "sslCiphers", "sslKey", "sslCert", "enforceHTTPS",
        "hsts/maxAge", "hsts/includeSubDomains", "hsts/enabled",
    ]  # fmt: skip
    assert [stage.id for stage in made.stages] == [
        "guards", "set", "prove", "redirect", "redirected", "hsts", "remembered",
    ]  # fmt: skip
    proofs = [s for s in made.steps if isinstance(s, WaitStep)]
    assert {s.host for s in proofs} == {"deis-1", "deis-2"} and len(proofs) == 8
    assert "PRIVATE KEY" not in made.model_dump_json()
    assert made.secrets == ("router-key",)


def test_the_way_back_begins_at_the_end_and_takes_the_certificate_before_its_key() -> None:
    made = plan(look(), chosen(redirect=True, hsts=True))
    gone = [
        s.key.removeprefix("/deis/router/")
        for stage in made.undo
        for s in stage.steps
        if isinstance(s, RemoveKeyStep)
    ]
    assert gone == [
        "hsts/enabled", "hsts/maxAge", "enforceHTTPS", "sslCert", "sslKey", "sslCiphers",
        "sslProtocols",
    ]  # fmt: skip


def test_a_former_key_is_kept_in_etcd_and_put_back() -> None:
    other = certificate("new", f"*.{DOMAIN}", issuer=ROOT)
    made = plan(sealed(), chosen(other, redirect=True))
    (kept,) = [s for s in made.steps if isinstance(s, CopyKeyStep)]
    assert kept.source == KEY and kept.key.startswith("/deiswizard/kept/")
    back = [s for stage in made.undo for s in stage.steps]
    (copied,) = [s for s in back if isinstance(s, CopyKeyStep)]
    assert (copied.source, copied.key) == (kept.key, KEY)
    assert next(s.key for s in back if isinstance(s, WriteKeyStep)) == CERT
    assert isinstance(back[-1], RemoveKeyStep) and back[-1].key == kept.key
    assert any("between the new key and the new certificate" in note for note in made.impact.notes)


def test_what_is_so_already_is_not_written_again() -> None:
    seen = sealed(keys={f"{ROUTER_KEYS}/sslCiphers": "HIGH"})
    made = plan(seen, chosen(source="keep", policy="keep", redirect=True))
    assert made.is_empty and made.undo == () and "nothing changes" in made.impact.undo


def test_behind_a_load_balancer_only_the_redirect_is_set() -> None:
    made = plan(
        look({PROXY: "1"}), chosen(ends_at="load-balancer", redirect=True, proxy_protocol="off")
    )
    assert [(s.kind, s.key) for s in made.steps if isinstance(s, WriteKeyStep | RemoveKeyStep)] == [
        ("remove-key", PROXY),
        ("write-key", REDIRECT),
    ]
    assert any("load balancer must change at the same moment" in note for note in made.impact.notes)


def test_verified_is_what_every_router_says() -> None:
    after = sealed(answers=(*says(HTTPS), *says(HTTP, status=301)))
    checks = verify(after, after, chosen(source="keep", redirect=True))
    assert checks and all(check.ok for check in checks)
    gone = sealed(answers=(*says(HTTPS), *says(HTTP, status=301), *says(STORE, status=502)))
    bad = [c.title for c in verify(after, gone, chosen(source="keep", redirect=True)) if not c.ok]
    assert bad == ["deis-1: deis-store answers", "deis-2: deis-store answers"]
    other = sealed(answers=(*says(HTTPS, ROOT), *says(HTTP)))
    assert not any(check.ok for check in verify(after, other, chosen(source="keep", redirect=True)))


def test_what_is_set_is_the_default() -> None:
    assert defaults(look()).source == "files"
    found = defaults(sealed(keys={f"{ROUTER_KEYS}/hsts/enabled": "true"}))
    assert (found.source, found.redirect, found.hsts) == ("keep", True, True)
    assert RECOMMENDATION.secrets(found) == {}


def test_the_stores_gateway_is_asked_where_there_is_one() -> None:
    asked = [q for q in RECOMMENDATION.questions(look()) if q.id == STORE]
    assert asked == []
    there = sealed(keys={"/deis/store/gateway/host": "10.21.2.11"})
    asked = [q for q in RECOMMENDATION.questions(there) if q.id == STORE]
    assert {q.web.name for q in asked if q.web} == {"deis-store.example.com"}
    assert [q.web.tls for q in asked if q.web] == [True, True]
