"""What Deis' router makes of its keys: each trap of the templates by itself."""

from __future__ import annotations

from typing import Any

import pytest

from deiswizard.demo.router_rules import (
    Request,
    Verdict,
    client_of,
    fault_of_main,
    fault_of_protocols,
    judge,
    main,
    sealing,
)

BASE = {
    "/deis/controller/host": "10.21.2.11",
    "/deis/store/gateway/host": "10.21.2.12",
    "/deis/services/shop/shop_v2.web.1": "10.21.2.11:49153",
    "/deis/services/idle/": "",
    "/deis/domains/www.shop.com": "shop",
}
DEIS, SHOP, STORE = "deis.example.com", "shop.example.com", "deis-store.example.com"
INSIDE, OUTSIDE = "10.21.2.99", "198.51.100.7"


REQUESTS: list[tuple[dict[str, str], str, dict[str, Any], int]] = [
    ({}, DEIS, {}, 0),
    ({}, SHOP, {}, 0),
    ({}, "www.shop.com", {}, 0),
    ({}, "idle.example.com", {}, 503),
    ({}, "nobody.example.com", {}, 404),
    ({}, "nobody.example.com", {"path": "/health-check"}, 200),
    ({}, "nobody.example.com", {"tls": True}, 0),
    ({"enforceHTTPS": "true"}, DEIS, {}, 301),
    ({"enforceHTTPS": "true"}, SHOP, {}, 301),
    ({"enforceHTTPS": "true"}, STORE, {}, 0),
    ({"enforceHTTPS": "True"}, DEIS, {}, 0),
    ({"hsts/enabled": "true"}, DEIS, {}, 301),
    ({"hsts/enabled": "true", "enforceHTTPS": "false"}, DEIS, {}, 0),
    ({"enforceHTTPS": "true"}, DEIS, {"tls": True}, 0),
    ({"enforceHTTPS": "true"}, DEIS, {"headers": {"X-Forwarded-Proto": "http, https"}}, 0),
    ({"enforceHTTPS": "true"}, DEIS, {"headers": {"x-forwarded-proto": "https, http"}}, 301),
    ({"enforceWhitelist": "true"}, DEIS, {}, 403),
    ({"enforceWhitelist": "true"}, SHOP, {}, 403),
    ({"enforceWhitelist": "true"}, STORE, {}, 0),
    ({"enforceWhitelist": "yes"}, SHOP, {}, 0),
    ({"controller/whitelist": "10.21.2.99:me"}, DEIS, {"peer": INSIDE}, 0),
    ({"controller/whitelist": "10.21.2.99:me"}, SHOP, {"peer": OUTSIDE}, 0),
    ({"controller/whitelist": "0.0.0.0:all"}, DEIS, {"peer": OUTSIDE}, 403),
    ({"controller/whitelist": "0.0.0.0/0:all"}, DEIS, {"peer": OUTSIDE}, 0),
    ({"/deis/config/shop/deis_whitelist": "10.0.0.0/8"}, SHOP, {"peer": OUTSIDE}, 403),
    ({"/deis/config/shop/deis_whitelist": "10.0.0.0/8"}, "www.shop.com", {"peer": INSIDE}, 0),
    ({"firewall/enabled": "true"}, DEIS, {"path": "/?q=<script>"}, 400),
    ({"firewall/enabled": "true"}, SHOP, {"headers": {"User-Agent": "() { :;}; x"}}, 400),
    ({"firewall/enabled": "true", "firewall/errorCode": "444"}, SHOP,
     {"path": "/?id=1+union+select+2"}, 444),
    ({"firewall/enabled": "true"}, STORE, {"path": "/?q=<script>"}, 404),
    ({"firewall/enabled": "1"}, SHOP, {"path": "/?q=<script>"}, 0),
    ({"firewall/enabled": "true", "enforceWhitelist": "true"}, SHOP, {"path": "/?q=<script>"}, 400),
    ({"enforceHTTPS": "true", "enforceWhitelist": "true"}, SHOP, {"peer": OUTSIDE}, 301),
]  # fmt: skip

BAD_SETTINGS = [
    ("controller/whitelist", "10.0.0.1:me,", 'invalid number of arguments in "allow"'),
    ("controller/whitelist", "me", 'invalid parameter "me"'),
    ("controller/whitelist", "10.0.0.1; permit all", 'unknown directive "permit"'),
    ("proxyRealIpCidr", "10.0.0.0/99", 'invalid parameter "10.0.0.0/99"'),
    ("controller/whitelist", "::1", 'invalid number of arguments in "allow"'),
]


def settings(keys: dict[str, str]) -> dict[str, str]:
    """Keys below /deis/router by their names, others by their paths, over what is always there."""
    return BASE | {k if k[0] == "/" else f"/deis/router/{k}": v for k, v in keys.items()}


def answer(keys: dict[str, str], name: str = DEIS, **request: Any) -> Verdict:
    return judge(main(settings(keys)), Request(name, **request))


@pytest.mark.parametrize(("keys", "name", "request_", "status"), REQUESTS)
def test_a_request_is_answered_as_the_templates_do(
    keys: dict[str, str], name: str, request_: dict[str, Any], status: int
) -> None:
    assert answer(keys, name, **request_).status == status


def test_hsts_is_told_only_over_tls_and_with_its_options() -> None:
    keys = {"hsts/enabled": "true", "hsts/includeSubDomains": "true", "hsts/preload": "yes"}
    told = (("Strict-Transport-Security", "max-age=10886400; includeSubDomains"),)
    assert answer(keys, tls=True).headers == told
    assert answer(keys).headers == (("Location", f"https://{DEIS}/"),)
    assert answer(keys, STORE, tls=True).headers == ()


@pytest.mark.parametrize(
    ("keys", "request_", "client"),
    [
        ({}, {"peer": INSIDE, "headers": {"X-Forwarded-For": f"1.1.1.1, {OUTSIDE}"}}, OUTSIDE),
        ({}, {"peer": OUTSIDE, "headers": {"X-Forwarded-For": INSIDE}}, OUTSIDE),
        ({}, {"peer": "172.16.0.9", "headers": {"X-Forwarded-For": OUTSIDE}}, "172.16.0.9"),
        ({"proxyRealIpCidr": "172.16.0.0/12"},
         {"peer": "172.16.0.9", "headers": {"X-Forwarded-For": OUTSIDE}}, OUTSIDE),
        ({"proxyProtocol": "1"}, {"peer": INSIDE, "claimed": OUTSIDE}, OUTSIDE),
        ({"proxyProtocol": "0"},
         {"peer": INSIDE, "headers": {"X-Forwarded-For": OUTSIDE}}, INSIDE),
        ({"proxyProtocol": "false"},
         {"peer": INSIDE, "headers": {"X-Forwarded-For": OUTSIDE}}, OUTSIDE),
        ({}, {"peer": INSIDE, "headers": {"X-Forwarded-For": "10.0.0.0/8"}}, INSIDE),
    ],
)  # fmt: skip
def test_only_trusted_peers_are_believed(
    keys: dict[str, str], request_: dict[str, Any], client: str
) -> None:
    config = main({f"/deis/router/{key}": value for key, value in keys.items()})
    assert client_of(config, Request(DEIS, **request_)) == client


@pytest.mark.parametrize(("key", "value", "words"), BAD_SETTINGS)
def test_what_nginx_does_not_understand_is_said_in_its_words(
    key: str, value: str, words: str
) -> None:
    assert fault_of_main(main({**BASE, f"/deis/router/{key}": value})).startswith(words)
    assert fault_of_main(main(BASE)) == ""


def test_a_code_is_looked_at_only_with_the_firewall_and_protocols_only_with_tls() -> None:
    code = {"/deis/router/firewall/errorCode": "no"}
    assert fault_of_main(main(code)) == ""
    on = {**code, "/deis/router/firewall/enabled": "true"}
    assert fault_of_main(main(on)).startswith('invalid return code "no"')
    protocols = {"/deis/router/sslProtocols": "TLSv1.2 TLSv1.3"}
    assert fault_of_protocols(sealing(protocols)) == ""
    tls = {**protocols, "/deis/router/sslCert": "x"}
    assert fault_of_protocols(sealing(tls)).startswith('invalid value "TLSv1.3"')
