"""Certificates, keys and chains as operators bring them: each fault is one sentence beside its field."""

from __future__ import annotations

import base64
import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import SecretStr

from deiswizard import certificates as pki
from deiswizard.answers import build
from deiswizard.recommendations.tls.choices import TlsChoices
from deiswizard.recommendations.tls.declaration import RECOMMENDATION
from deiswizard.recommendations.tls.self_signed import folder, self_signed
from tests.certificates import Certificate, certificate

DOMAIN = "example.com"
ROOT = certificate("root", is_authority=True)
MIDDLE = certificate("middle", issuer=ROOT, is_authority=True)
LEAF = certificate("leaf", f"*.{DOMAIN}", issuer=MIDDLE)
OTHER = certificate("other", f"*.{DOMAIN}", issuer=MIDDLE)
CHAIN = MIDDLE.pem + ROOT.pem


def told(folder: Path, **texts: str) -> tuple[TlsChoices | None, list[str]]:
    """Choices whose files hold these texts; each problem as it stands beside its field."""
    raw: dict[str, object] = {"domain": DOMAIN}
    for name in ("certificate", "key", "chain", "dhparam"):
        if name in texts:
            path = folder / name
            path.write_text(texts[name])
            raw[name] = str(path)
    if "passphrase" in texts:
        raw["passphrase"] = SecretStr(texts["passphrase"])
    choices, problems = build(RECOMMENDATION, raw)
    assert choices is None or isinstance(choices, TlsChoices)
    return choices, [f"{p.field}: {p.what}; {p.allowed}" for p in problems]


def sealed(certificate: Certificate, passphrase: str) -> str:
    return certificate.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    ).decode()


def pem_of(key: object) -> str:
    assert hasattr(key, "private_bytes")
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    ).decode()


def test_a_whole_chain_in_order_has_nothing_to_say(tmp_path: Path) -> None:
    choices, problems = told(tmp_path, certificate=LEAF.pem, key=LEAF.key_pem, chain=CHAIN)
    assert choices is not None and problems == []
    assert choices.material is not None
    assert choices.material.chain == LEAF.pem + CHAIN
    assert choices.material.leaf.sha256 == LEAF.fingerprint
    assert choices.material.roots == ROOT.pem


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"key": LEAF.key_pem}, "certificate: no file is named; a PEM file"),
        ({"certificate": LEAF.pem}, "key: no file is named; a PEM file"),
        (
            {"certificate": "hello", "key": LEAF.key_pem},
            "certificate: holds no certificate; PEM text: -----BEGIN CERTIFICATE-----",
        ),
        (
            {"certificate": LEAF.key_pem, "key": LEAF.key_pem},
            "certificate: holds no certificate (it holds private key); PEM text: "
            "-----BEGIN CERTIFICATE-----",
        ),
        (
            {"certificate": LEAF.pem.replace("\nMII", "\nAAA"), "key": LEAF.key_pem},
            "certificate: holds a certificate that cannot be read; whole PEM text",
        ),
        (
            {"certificate": LEAF.pem, "key": LEAF.pem},
            "key: holds no private key; PEM text: -----BEGIN PRIVATE KEY-----",
        ),
        (
            {"certificate": LEAF.pem, "key": OTHER.key_pem},
            "key: is not the key of the certificate (CN=leaf); the key that it was asked for with",
        ),
        (
            {"certificate": LEAF.pem, "key": sealed(LEAF, "sesame-77")},
            "key: is encrypted: the routers could not read it; its passphrase, below",
        ),
        (
            {"certificate": LEAF.pem, "key": sealed(LEAF, "sesame-77"), "passphrase": "shut"},
            "key: the passphrase does not open it; the right passphrase",
        ),
        (
            {"certificate": LEAF.pem, "key": LEAF.key_pem.replace("MIG", "AAA")},
            "key: holds a key that is damaged; whole PEM text",
        ),
        (
            {"certificate": LEAF.pem, "key": pem_of(rsa.generate_private_key(65537, 1024))},
            "key: is too weak: RSA with 1024 bits; at least 2048 bits",
        ),
        (
            {"certificate": LEAF.pem, "key": pem_of(ec.generate_private_key(ec.SECP192R1()))},
            "key: is too weak: secp192r1; at least 256 bits",
        ),
        (
            {"certificate": LEAF.pem, "key": pem_of(ed25519.Ed25519PrivateKey.generate())},
            "key: holds a kind of key that nginx 1.10 does not take; an RSA or EC key",
        ),
        (
            {"certificate": LEAF.pem, "key": LEAF.key_pem, "chain": "nothing"},
            "chain: holds no certificate; PEM text: -----BEGIN CERTIFICATE-----",
        ),
        (
            {"certificate": LEAF.pem, "key": LEAF.key_pem, "chain": CHAIN, "dhparam": "x"},
            "dhparam: holds no DH parameters; PEM text: -----BEGIN DH PARAMETERS-----",
        ),
    ],
)
def test_what_blocks_is_told_beside_its_field(
    tmp_path: Path, texts: dict[str, str], said: str
) -> None:
    choices, problems = told(tmp_path, **texts)
    assert choices is None
    assert said in problems


def test_a_key_with_a_passphrase_is_written_without_it(tmp_path: Path) -> None:
    choices, problems = told(
        tmp_path,
        certificate=LEAF.pem,
        key=sealed(LEAF, "sesame-77"),
        passphrase="sesame-77",
        chain=CHAIN,
    )
    assert choices is not None and problems == []
    clear = RECOMMENDATION.secrets(choices)["router-key"].get_secret_value()
    assert "ENCRYPTED" not in clear
    assert pki.fits(pki.private_key(clear.encode()), pki.leaf_of(LEAF.certificate))
    assert (
        "sesame-77" not in choices.model_dump_json() and "KEY-----" not in choices.model_dump_json()
    )


def test_a_chain_out_of_order_is_put_right_and_told(tmp_path: Path) -> None:
    choices, problems = told(tmp_path, certificate=CHAIN + LEAF.pem, key=LEAF.key_pem)
    assert choices is not None and choices.material is not None
    assert choices.material.chain == LEAF.pem + CHAIN
    assert problems == [
        "certificate: is not in the order that clients need; it will be written as: "
        "leaf, middle, root; "
    ]


def test_strangers_in_the_chain_are_left_out(tmp_path: Path) -> None:
    choices, problems = told(
        tmp_path, certificate=LEAF.pem, key=LEAF.key_pem, chain=OTHER.pem + CHAIN
    )
    assert choices is not None and choices.material is not None
    assert choices.material.chain == LEAF.pem + CHAIN and len(problems) == 1


def test_a_missing_intermediate_is_told(tmp_path: Path) -> None:
    choices, problems = told(tmp_path, certificate=LEAF.pem, key=LEAF.key_pem)
    assert choices is not None
    assert problems == [
        "chain: the certificate of its issuer is missing: many clients will refuse it (middle); "
    ]


@pytest.mark.parametrize(
    ("days", "said", "blocks"), [(-1, "has ended on", True), (12, "in 12 days", False)]
)
def test_dates_are_told(tmp_path: Path, days: int, said: str, blocks: bool) -> None:
    old = certificate("old", f"*.{DOMAIN}", issuer=MIDDLE, days=days)
    choices, problems = told(tmp_path, certificate=old.pem, key=old.key_pem, chain=CHAIN)
    assert len(problems) == 1 and said in problems[0]
    assert (choices is None) is blocks


def test_dh_parameters_are_judged(tmp_path: Path) -> None:
    def judged(bits: int) -> list[str]:
        made = subprocess.run(
            ["openssl", "asn1parse", "-genconf", "/dev/stdin", "-noout", "-out", "/dev/stdout"],
            input=f"asn1=SEQUENCE:dh\n[dh]\np=INTEGER:{2**bits - 1}\ng=INTEGER:2\n".encode(),
            capture_output=True,
            check=True,
        ).stdout
        text = base64.encodebytes(made).decode()
        block = f"-----BEGIN DH PARAMETERS-----\n{text}-----END DH PARAMETERS-----\n"
        return told(tmp_path, certificate=LEAF.pem, key=LEAF.key_pem, chain=CHAIN, dhparam=block)[1]

    assert judged(512) == ["dhparam: is too weak: 512 bits; at least 2048 bits"]
    assert judged(2048) == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"protocols": ["TLSv1.3"]}, "nginx 1.10 of the routers does not know TLSv1.3"),
        ({"protocols": ["SSLv3"]}, "'SSLv3' is not allowed"),
        ({"protocols": []}, "none is named"),
        ({"ciphers": "HIGH; return 200"}, "is no list of ciphers"),
        ({"ciphers": "NO-SUCH-CIPHER"}, "OpenSSL knows none of these ciphers"),
    ],
)
def test_protocols_and_ciphers_that_would_freeze_the_routers_are_refused(
    raw: dict[str, object], said: str
) -> None:
    choices, problems = build(
        RECOMMENDATION, {"domain": DOMAIN, "source": "keep", "policy": "custom", **raw}
    )
    assert choices is None and said in problems[0].what and problems[0].allowed


def test_a_self_signed_certificate_is_made_once_and_readable_by_its_owner_alone() -> None:
    first, second = self_signed(DOMAIN), self_signed(DOMAIN)
    assert first == second
    path = folder() / f"{DOMAIN}.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    made = x509.load_pem_x509_certificate(first[0].encode())
    left = made.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert left.days >= 360
    choices, problems = build(RECOMMENDATION, {"domain": DOMAIN, "source": "self-signed"})
    assert isinstance(choices, TlsChoices) and choices.material and not problems
    assert choices.material.leaf.names == (f"*.{DOMAIN}", DOMAIN)
