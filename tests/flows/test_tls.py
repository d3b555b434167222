"""TLS from at risk to ok and back, on routers that really take the keys."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deiswizard.session import Session
from tests.certificates import certificate
from tests.flows.balancer import Balancer, balancer
from tests.flows.checks import answers, assert_status
from tests.flows.clusters import HOSTS, Cluster
from tests.flows.commands import Said, deiswizard
from tests.flows.routers import all_say, refuses_its_files

DOMAIN = "demo.example.com"
DEIS = f"deis.{DOMAIN}"
ROUTER = "/deis/router"
ROOT = certificate("root", is_authority=True)
LEAF = certificate("leaf", f"*.{DOMAIN}", issuer=ROOT)
NEXT = certificate("next", f"*.{DOMAIN}", issuer=ROOT)


def choose(folder: Path, **fields: object) -> str:
    lines = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    return answers(folder, f"tls:\n{lines}")


def with_files(folder: Path, leaf: object = LEAF, **fields: object) -> str:
    """Answers that name a certificate, its key and its chain."""
    assert leaf is LEAF or leaf is NEXT
    for name, text in (("crt", leaf.pem), ("key", leaf.key_pem), ("chain", ROOT.pem)):
        (folder / name).write_text(text)
    paths = {
        "source": "files", "certificate": folder / "crt", "key": folder / "key",
        "chain": folder / "chain",
    }  # fmt: skip
    return choose(folder, **paths, **fields)


def applied(cluster: Cluster, chosen: str) -> Said:
    return deiswizard("apply", "tls", "-a", chosen, "--yes", *cluster.flags())


def test_it_is_sealed_enforced_renewed_and_taken_back(cluster: Cluster, tmp_path: Path) -> None:
    assert_status(cluster, "tls", "at risk")
    done = applied(cluster, with_files(tmp_path, redirect="false"))
    assert done.code == 0, done.err
    for host in HOSTS:
        assert f"ok: {host} serves the certificate" in done.err
    assert_status(cluster, "tls", "partly")

    done = applied(cluster, with_files(tmp_path, redirect="true", hsts="true", hsts_max_age=300))
    assert done.code == 0, done.err
    assert "HTTP 301 to https://deis.demo.example.com" in done.err
    assert "deis-1 sends HSTS (max-age=300" in done.err
    assert "set sslCert" not in done.err, "it was set before"
    assert_status(cluster, "tls", "ok")

    done = applied(
        cluster, with_files(tmp_path, NEXT, redirect="true", hsts="true", hsts_max_age=300)
    )
    assert done.code == 0, done.err
    assert cluster.value(f"{ROUTER}/sslCert") == NEXT.pem + ROOT.pem
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    assert cluster.value(f"{ROUTER}/sslCert") == LEAF.pem + ROOT.pem
    assert_status(cluster, "tls", "ok")
    for leaf in (LEAF, NEXT):
        secret = leaf.key_pem.splitlines()[1]
        written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "key"]
        assert written and not [path for path in written if secret.encode() in path.read_bytes()]


def test_from_nothing_and_back_to_nothing(cluster: Cluster, tmp_path: Path) -> None:
    done = applied(cluster, choose(tmp_path, source="self-signed", redirect="true"))
    assert done.code == 0, done.err
    assert_status(cluster, "tls", "partly")
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    for name in ("sslCert", "sslKey", "enforceHTTPS", "sslProtocols", "sslCiphers"):
        assert cluster.value(f"{ROUTER}/{name}") is None, name
    assert_status(cluster, "tls", "at risk")


def test_a_key_that_is_not_the_certificates_never_reaches_a_router(
    cluster: Cluster, tmp_path: Path
) -> None:
    chosen = with_files(tmp_path)
    (tmp_path / "key").write_text(NEXT.key_pem)
    said = applied(cluster, chosen)
    assert said.code == 2
    assert "tls.key: is not the key of the certificate (CN=leaf)" in said.err
    assert cluster.value(f"{ROUTER}/sslKey") is None


def test_routers_that_are_frozen_already_stop_the_run_at_its_guard(
    cluster: Cluster, session: Session, tmp_path: Path
) -> None:
    cluster.put(f"{ROUTER}/sslKey", NEXT.key_pem)
    cluster.put(f"{ROUTER}/sslCert", LEAF.pem)
    for host in HOSTS:
        refuses_its_files(session, host)
    assert_status(cluster, "tls", "at risk")
    said = applied(cluster, with_files(tmp_path))
    assert said.code == 1
    assert "refuses its configuration already" in said.err
    assert cluster.value(f"{ROUTER}/sslCert") == LEAF.pem


@pytest.fixture
def before(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Balancer]:
    """A load balancer before the cluster that ends TLS; this machine trusts who signed its certificate."""
    (tmp_path / "trusted").write_text(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted"))
    where, dial = cluster.balancer_address(), partial(cluster.dial_router, "deis-1")
    with balancer(where, LEAF, "", dial) as made:
        cluster.name_leads_to(DEIS, made.port)
        yield made
        cluster.forget_name(DEIS)


def test_a_load_balancer_that_ends_tls_is_asked_itself(
    cluster: Cluster, before: Balancer, session: Session, tmp_path: Path
) -> None:
    assert_status(cluster, "tls", "partly")  # TLS ends before the routers, and http stays open
    fields = {"ends_at": "load-balancer", "redirect": "true", "hsts": "true", "hsts_max_age": 300}
    done = applied(cluster, choose(tmp_path, **fields))
    assert done.code == 0, done.err
    assert "what came by https is let through" in done.err
    assert "through the load balancer: https leads to an answer" in done.err
    assert "through the load balancer: the HSTS header comes along" in done.err
    for host in HOSTS:
        assert f"verify   ok: {host} sends HSTS (max-age=300)" in done.err
    assert f"verify   ok: {DEIS} shows a certificate for *.{DOMAIN} until" in done.err
    assert_status(cluster, "tls", "ok")

    before.says_scheme = False  # as a TCP listener
    told = deiswizard("check", "--json", *cluster.flags()).out
    assert f"{DEIS} sends https to https for ever" in told
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    all_say(session, 401, DEIS, path="/v1/")
    assert_status(cluster, "tls", "partly")


def test_a_load_balancer_that_cannot_be_asked_is_told_and_no_failure(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = applied(cluster, choose(tmp_path, ends_at="load-balancer", redirect="true"))
    assert done.code == 0, done.err
    assert "what came by https is let through" in done.err
    assert "the load balancer itself is NOT PROVEN" in done.err
    assert f"{DEIS} is not known on deis-" in done.err
    assert_status(cluster, "tls", "by choice")
