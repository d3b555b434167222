"""The routers of both clusters, asked as clients would: real TLS, redirects, lists, the firewall."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deiswizard.cluster.web import OK, WebAnswer, WebRequest
from deiswizard.commands.opening import TerminalAsker
from deiswizard.session import Session
from tests.certificates import certificate
from tests.flows.clusters import Cluster

ROUTER = "/deis/router"
DOMAIN = "demo.example.com"
DEIS, SHOP = f"deis.{DOMAIN}", f"shop.{DOMAIN}"
HOST = "deis-1"
NGINX_T = "docker exec deis-router /opt/nginx/sbin/nginx -t"
SECONDS = 30.0

ROOT = certificate("root", is_authority=True)
LEAF = certificate("leaf", f"*.{DOMAIN}", issuer=ROOT)
OTHER = certificate("other", f"*.{DOMAIN}", issuer=ROOT)


@pytest.fixture
def session(cluster: Cluster) -> Iterator[Session]:
    opened = Session.open(cluster.target(), TerminalAsker())
    yield opened
    opened.close()


def ask(session: Session, name: str = DEIS, **more: Any) -> WebAnswer:
    if more.get("tls"):
        more = {"port": 443, "roots": ROOT.pem, **more}
    fields = {"host": HOST, "name": name, "path": "/v1/", **more}
    return session.access.host(HOST).web(WebRequest.model_validate(fields))


def until(look: Callable[[], WebAnswer], holds: Callable[[WebAnswer], bool]) -> WebAnswer:
    """Wait for an answer: settings become live some seconds late."""
    deadline = time.monotonic() + SECONDS
    while not holds(answer := look()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def says(session: Session) -> tuple[int | None, str]:
    result = session.access.host(HOST).run(NGINX_T)
    return result.code, result.err + result.out


def seal(cluster: Cluster, session: Session) -> None:
    cluster.put(f"{ROUTER}/sslKey", LEAF.key_pem)
    cluster.put(f"{ROUTER}/sslCert", LEAF.pem)
    until(lambda: ask(session, tls=True), lambda answer: answer.status == 401)


def test_it_serves_the_controller_and_apps_and_nobody_else(session: Session) -> None:
    until(lambda: ask(session), lambda answer: answer.status == 401)
    assert ask(session, path="/healthz").status == 200
    assert ask(session, SHOP).status == 200
    assert ask(session, "www.shop.example.com").status == 200
    assert ask(session, f"nobody.{DOMAIN}").status == 404
    assert ask(session, "x", port=9090, path="/health-check").status == 200
    assert ask(session, tls=True).status is None
    code, words = says(session)
    assert code == 0 and "test is successful" in words


def test_a_certificate_is_served_and_https_enforced(cluster: Cluster, session: Session) -> None:
    seal(cluster, session)
    served = ask(session, tls=True)
    assert (served.leaf, served.trust) == (LEAF.fingerprint, OK)
    assert ask(session, tls=True, name=SHOP).status == 200
    cluster.put(f"{ROUTER}/enforceHTTPS", "true")
    cluster.put(f"{ROUTER}/hsts/enabled", "true")
    moved = until(lambda: ask(session), lambda answer: answer.status == 301)
    assert moved.header("Location") == f"https://{DEIS}/v1/"
    assert moved.header("Strict-Transport-Security") == ""
    sealed = until(
        lambda: ask(session, tls=True), lambda a: bool(a.header("Strict-Transport-Security"))
    )
    assert sealed.header("Strict-Transport-Security") == "max-age=10886400"
    offloaded = ask(session, headers=(("X-Forwarded-Proto", "https"),))
    assert offloaded.status == 401
    assert ask(session, f"deis-store.{DOMAIN}").status == 200


def test_a_wrong_pair_freezes_everything_until_it_is_mended(
    cluster: Cluster, session: Session
) -> None:
    seal(cluster, session)
    # what stood there before this test must not be what is frozen
    until(lambda: ask(session), lambda answer: answer.status == 401)
    cluster.put(f"{ROUTER}/sslKey", OTHER.key_pem)
    deadline = time.monotonic() + SECONDS
    while says(session)[0] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "key values mismatch" in says(session)[1]
    cluster.put(f"{ROUTER}/enforceHTTPS", "true")
    cluster.put(f"{ROUTER}/controller/whitelist", "198.51.100.7:nobody here")
    time.sleep(2.5)  # nothing is to happen: there is no state to wait for
    assert ask(session).status == 401
    assert ask(session, tls=True).leaf == LEAF.fingerprint
    cluster.put(f"{ROUTER}/sslCert", OTHER.pem)
    until(lambda: ask(session), lambda answer: answer.status == 301)
    until(lambda: ask(session, tls=True), lambda answer: answer.leaf == OTHER.fingerprint)
    until(lambda: ask(session, tls=True), lambda answer: answer.status == 403)


def test_lists_keep_out_whoever_is_not_on_them(cluster: Cluster, session: Session) -> None:
    until(lambda: ask(session), lambda answer: answer.status == 401)
    cluster.put(f"{ROUTER}/controller/whitelist", "198.51.100.7:office")
    until(lambda: ask(session), lambda answer: answer.status == 403)
    assert ask(session, SHOP).status == 200
    cluster.put(f"{ROUTER}/enforceWhitelist", "true")
    until(lambda: ask(session, SHOP), lambda answer: answer.status == 403)
    cluster.put("/deis/config/shop/deis_whitelist", "0.0.0.0/0:all")
    until(lambda: ask(session, SHOP), lambda answer: answer.status == 200)
    # a bad list is not even put in place, so that nginx finds nothing wrong with what it has
    cluster.put(f"{ROUTER}/controller/whitelist", "0.0.0.0/0:all,")
    time.sleep(2.5)  # as above
    assert ask(session).status == 403 and says(session)[0] == 0


def test_the_firewall_turns_attacks_away(cluster: Cluster, session: Session) -> None:
    attack: dict[str, Any] = {"headers": (("User-Agent", "() { :;}; /bin/true"),)}
    until(lambda: ask(session, **attack), lambda answer: answer.status == 401)
    cluster.put(f"{ROUTER}/firewall/enabled", "true")
    until(lambda: ask(session, **attack), lambda answer: answer.status == 400)
    assert ask(session).status == 401
    assert ask(session, SHOP, path="/?q=%3Cscript%3E").status == 400
    cluster.put(f"{ROUTER}/firewall/errorCode", "418")
    until(lambda: ask(session, **attack), lambda answer: answer.status == 418)


def test_behind_a_load_balancer_only_its_clients_are_answered(
    cluster: Cluster, session: Session
) -> None:
    seal(cluster, session)
    assert ask(session, proxy_from="198.51.100.7").status == 400
    cluster.put(f"{ROUTER}/proxyProtocol", "0")
    claims: dict[str, Any] = {"proxy_from": "198.51.100.7"}
    until(lambda: ask(session, **claims), lambda answer: answer.status == 401)
    assert ask(session, tls=True, **claims).leaf == LEAF.fingerprint
    assert ask(session).status is None and ask(session, tls=True).status is None
    assert ask(session, "x", port=9090, path="/health-check").status == 200
