"""A load balancer that ends TLS: what of it is told, what is proven, and that its silence is no failure."""

from __future__ import annotations

from typing import Any

import pytest

from deiswizard.certificates import leaf_of
from deiswizard.cluster.snapshot import Answer, Snapshot
from deiswizard.cluster.web import WebAnswer
from deiswizard.plan.step import WaitStep
from deiswizard.recommendations.tls.assess import assess
from deiswizard.recommendations.tls.balancer import ADDRESSES, BALANCER
from deiswizard.recommendations.tls.declaration import RECOMMENDATION, defaults, verify
from deiswizard.recommendations.tls.facts import FORWARDED, REDIRECT
from deiswizard.recommendations.tls.plan import plan
from deiswizard.vocabulary import Status
from tests.certificates import Certificate, certificate
from tests.unit.test_tls import DOMAIN, LEAF, ROOT, chosen, look, says, sealed, sentences

NAME = f"deis.{DOMAIN}"
ENDLESS = (("Location", f"https://{NAME}/"),)
ENDED = certificate("old", f"*.{DOMAIN}", issuer=ROOT, days=-1)
ENDING = certificate("ending", f"*.{DOMAIN}", issuer=ROOT, days=20)
NARROW = certificate("narrow", NAME, issuer=ROOT)
LEADS = "203.0.113.9     STREAM deis.example.com\n203.0.113.9     DGRAM\n"
CHOICES = {"ends_at": "load-balancer", "redirect": True, "hsts": True}


def shown(
    leaf: Certificate | None = LEAF, *, leads: str = LEADS, redirect: bool = True, **web: Any
) -> Snapshot:
    """A cluster behind a load balancer that was asked, and what came back."""
    fields: dict[str, Any] = {"status": 200, "trust": "ok", **web}
    if leaf is not None:
        fields["certificate"] = leaf_of(leaf.certificate)
    answers = (
        Answer(id=ADDRESSES, host="deis-1", command="getent", code=0, out=leads),
        Answer(id=BALANCER, host="deis-1", command="curl", code=0, web=WebAnswer(**fields)),
        *says(FORWARDED),
    )
    return look({REDIRECT: "true"} if redirect else None, answers=answers)


def silent(said: str = "refused", leads: str = LEADS) -> Snapshot:
    return shown(None, leads=leads, status=None, trust="", said=said)


@pytest.mark.parametrize(
    ("seen", "status", "told"),
    [
        (shown(), Status.OK, "at the load balancer until"),
        (shown(redirect=False), Status.PARTLY, "whoever comes by http stays on http"),
        (shown(ENDED, trust="expired"), Status.AT_RISK, f"that {NAME} shows has ended on"),
        (shown(ENDING), Status.SOON, f"that {NAME} shows ends in 20 days"),
        (shown(NARROW), Status.PARTLY, f"is not valid for *.{DOMAIN}, deis-store.{DOMAIN}"),
        (
            shown(trust="unable to get local issuer certificate"),
            Status.PARTLY,
            "shows: unable to get local issuer certificate",
        ),
        (shown(status=301, headers=ENDLESS), Status.AT_RISK, "sends https to https for ever"),
        (
            shown(status=301, headers=(("Location", f"https://{NAME}/v1/"),)),
            Status.OK,
            "at the load",
        ),
        (shown(status=502), Status.AT_RISK, "may not agree on the PROXY protocol"),
        (shown(status=None, said="closed"), Status.AT_RISK, "(closed)"),
        (
            silent(),
            Status.BY_CHOICE,
            f"{NAME}:443 (203.0.113.9) cannot be asked from deis-1: refused",
        ),
        (silent(leads=""), Status.BY_CHOICE, f"{NAME} is not known on deis-1"),
    ],
)
def test_what_it_shows_is_judged_and_what_is_not_seen_is_told(
    seen: Snapshot, status: Status, told: str
) -> None:
    found = assess(seen)
    assert found.status is status, found
    assert told in " ".join([found.now, *(finding.what for finding in found.findings)])
    assert all(finding.evidence for finding in found.findings)


def test_it_is_taken_for_what_ends_tls_as_soon_as_it_shows_a_certificate() -> None:
    assert defaults(shown(redirect=False)).ends_at == "load-balancer"
    assert defaults(silent()).ends_at == "load-balancer", "by the redirect"
    assert defaults(look()).ends_at == "routers"


def test_choices_are_warned_and_hsts_needs_a_certificate_that_clients_trust() -> None:
    said = sentences(silent(), chosen(None, **CHOICES), blocks=False)
    assert "ends_at: the load balancer's own certificate cannot be looked at" in said
    bad = shown(trust="self-signed certificate")
    assert "ends_at: clients do not trust" in sentences(bad, chosen(None, **CHOICES), blocks=False)
    assert f"hsts: clients do not trust what {NAME} shows" in sentences(
        bad, chosen(None, **CHOICES), blocks=True
    )


def test_a_redirect_to_a_443_that_is_closed_outside_is_warned_of() -> None:
    answers = silent("Connection refused").answers
    behind = sealed().model_copy(update={"answers": answers})
    said = sentences(behind, chosen(redirect=True), blocks=False)
    assert f"redirect: {NAME}:443 (203.0.113.9) cannot be asked from deis-1" in said
    assert "whoever is redirected finds nothing there" in said
    unknown = sealed().model_copy(update={"answers": silent(leads="").answers})
    assert "finds nothing" not in sentences(unknown, chosen(redirect=True), blocks=False)


def test_redirect_and_hsts_are_proven_by_the_header_and_through_it() -> None:
    made = plan(shown(redirect=False), chosen(None, **CHOICES, hsts_max_age=300))
    proofs = {s.id: s.condition for s in made.steps if isinstance(s, WaitStep)}
    by_https = (("X-Forwarded-Proto", "https"),)
    for name in ("passes:deis-1", "hsts:deis-2"):
        asked = proofs[name].request  # type: ignore[union-attr]
        assert (asked.port, asked.tls, asked.headers) == (80, False, by_https)
    for name in ("through:deis-1", "hsts-through:deis-1"):
        asked = proofs[name].request  # type: ignore[union-attr]
        assert (asked.address, asked.port, asked.tls, asked.headers) == (NAME, 443, True, ())
        assert "--resolve" not in asked.shown
    assert proofs["hsts-through:deis-1"].header is not None  # type: ignore[union-attr]
    order = [step.id for step in made.steps]
    assert order.index("through:deis-1") < order.index("set:/deis/router/hsts/enabled")
    unseen = plan(look(), chosen(None, **CHOICES))
    assert not [step.id for step in unseen.steps if "through" in step.id]


@pytest.mark.parametrize(
    ("seen", "ok", "title"),
    [
        (shown(), True, f"{NAME} shows a certificate for *.{DOMAIN} until"),
        (shown(status=301, headers=ENDLESS), False, "is answered through the routers"),
        (shown(ENDED, trust="expired"), False, "is answered through the routers"),
        (silent(), True, "the load balancer itself is NOT PROVEN"),
    ],
)
def test_the_last_look_asks_it_too(seen: Snapshot, ok: bool, title: str) -> None:
    checks = verify(seen, seen, chosen(None, ends_at="load-balancer", redirect=True))
    (check,) = [check for check in checks if title in check.title]
    assert check.ok is ok and check.evidence
    assert [c.ok for c in checks if "lets through what came by https" in c.title] == [True, True]


def test_it_is_asked_from_a_host_without_a_router() -> None:
    asked = {q.id: q for q in RECOMMENDATION.questions(look(routers=1))}
    assert asked[BALANCER].host == "deis-2" == asked[ADDRESSES].host
    assert RECOMMENDATION.questions(look().model_copy(update={"keys": ()})) == ()
