"""The routers of both clusters, asked as clients would: real TLS, redirects, lists, the firewall."""

from __future__ import annotations

import time
from typing import Any

import pytest

from deiswizard.cluster.web import OK, WebAnswer
from deiswizard.session import Session
from tests.certificates import Certificate, certificate
from tests.flows import routers
from tests.flows.clusters import Cluster
from tests.flows.routers import nginx_says, refuses_its_files, until

ROUTER = "/deis/router"
DOMAIN = "demo.example.com"
DEIS, SHOP = f"deis.{DOMAIN}", f"shop.{DOMAIN}"
HOST = "deis-1"

ROOT = certificate("root", is_authority=True)
LEAF = certificate("leaf", f"*.{DOMAIN}", issuer=ROOT)
OTHER = certificate("other", f"*.{DOMAIN}", issuer=ROOT)


@pytest.fixture(autouse=True)
def settled(session: Session) -> None:
    """What an earlier test has left, the routers have let go of."""
    says(session, None, tls=True)
    says(session, 401)


def ask(session: Session, name: str = DEIS, **more: Any) -> WebAnswer:
    if more.get("tls"):
        more = {"port": 443, "roots": ROOT.pem, **more}
    return routers.ask(session, HOST, name, **{"path": "/v1/", **more})


def says(session: Session, status: int | None, name: str = DEIS, **more: Any) -> WebAnswer:
    """Wait for an answer with that status; None: there is none."""
    return until(lambda: ask(session, name, **more), lambda answer: answer.status == status)


def remembers(session: Session, **more: Any) -> WebAnswer:
    """Wait for the HSTS header."""
    return until(
        lambda: ask(session, **more),
        lambda answer: bool(answer.header("Strict-Transport-Security")),
    )


def serves(session: Session, certificate: Certificate, **more: Any) -> WebAnswer:
    """Wait for a handshake with that certificate."""
    return until(
        lambda: ask(session, tls=True, **more),
        lambda answer: answer.leaf == certificate.fingerprint,
    )


def seal(cluster: Cluster, session: Session) -> WebAnswer:
    cluster.put(f"{ROUTER}/sslKey", LEAF.key_pem)
    cluster.put(f"{ROUTER}/sslCert", LEAF.pem)
    return serves(session, LEAF)


def test_it_serves_the_controller_and_apps_and_nobody_else(session: Session) -> None:
    says(session, 200, path="/healthz")
    says(session, 200, SHOP)
    says(session, 200, "www.shop.example.com")
    says(session, 404, f"nobody.{DOMAIN}")
    says(session, 200, "x", port=9090, path="/health-check")
    code, words = nginx_says(session, HOST)
    assert code == 0 and "test is successful" in words


def test_a_certificate_is_served_and_https_enforced(cluster: Cluster, session: Session) -> None:
    served = seal(cluster, session)
    assert (served.status, served.trust) == (401, OK)
    says(session, 200, SHOP, tls=True)
    cluster.put(f"{ROUTER}/enforceHTTPS", "true")
    cluster.put(f"{ROUTER}/hsts/enabled", "true")
    moved = says(session, 301)
    assert moved.header("Location") == f"https://{DEIS}/v1/"
    assert moved.header("Strict-Transport-Security") == ""
    offloaded: dict[str, Any] = {"headers": (("X-Forwarded-Proto", "https"),)}
    for sealed in ({"tls": True}, offloaded):
        sent = remembers(session, **sealed)
        assert sent.status == 401
        assert sent.header("Strict-Transport-Security") == "max-age=10886400"
    says(session, 200, f"deis-store.{DOMAIN}")


def test_a_wrong_pair_freezes_everything_until_it_is_mended(
    cluster: Cluster, session: Session
) -> None:
    seal(cluster, session)
    cluster.put(f"{ROUTER}/sslKey", OTHER.key_pem)
    assert "key values mismatch" in refuses_its_files(session, HOST)
    cluster.put(f"{ROUTER}/enforceHTTPS", "true")
    cluster.put(f"{ROUTER}/controller/whitelist", "198.51.100.7:nobody here")
    time.sleep(2.5)  # nothing is to happen: there is no state to wait for
    assert ask(session).status == 401
    assert ask(session, tls=True).leaf == LEAF.fingerprint
    cluster.put(f"{ROUTER}/sslCert", OTHER.pem)
    serves(session, OTHER)
    says(session, 301)
    says(session, 403, tls=True)


def test_lists_keep_out_whoever_is_not_on_them(cluster: Cluster, session: Session) -> None:
    cluster.put(f"{ROUTER}/controller/whitelist", "198.51.100.7:office")
    says(session, 403)
    says(session, 200, SHOP)
    cluster.put(f"{ROUTER}/enforceWhitelist", "true")
    says(session, 403, SHOP)
    cluster.put("/deis/config/shop/deis_whitelist", "0.0.0.0/0:all")
    says(session, 200, SHOP)
    says(session, 403)
    # a bad list is not even put in place, so that nginx finds nothing wrong with what it has
    cluster.put(f"{ROUTER}/controller/whitelist", "0.0.0.0/0:all,")
    time.sleep(2.5)  # as above
    assert ask(session).status == 403 and nginx_says(session, HOST)[0] == 0


def test_the_firewall_turns_attacks_away(cluster: Cluster, session: Session) -> None:
    attack: dict[str, Any] = {"headers": (("User-Agent", "() { :;}; /bin/true"),)}
    says(session, 401, **attack)
    cluster.put(f"{ROUTER}/firewall/enabled", "true")
    says(session, 400, **attack)
    says(session, 401)
    says(session, 400, SHOP, path="/?q=%3Cscript%3E")
    cluster.put(f"{ROUTER}/firewall/errorCode", "418")
    says(session, 418, **attack)


def test_behind_a_load_balancer_only_its_clients_are_answered(
    cluster: Cluster, session: Session
) -> None:
    seal(cluster, session)
    claims: dict[str, Any] = {"proxy_from": "198.51.100.7"}
    says(session, 400, **claims)
    cluster.put(f"{ROUTER}/proxyProtocol", "0")
    says(session, 401, **claims)
    serves(session, LEAF, **claims)
    says(session, None)
    says(session, None, tls=True)
    says(session, 200, "x", port=9090, path="/health-check")
