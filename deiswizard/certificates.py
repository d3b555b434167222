"""Certificates, chains and keys: what a PEM text holds and what is wrong with it. Pure.

Made for routers that put whatever they are given into nginx's configuration, unchecked, and freeze
when nginx does not take it (deis-facts 9): so everything is looked at here first.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from pydantic import SecretStr

from deiswizard.leaf import Leaf

SMALLEST_RSA, SMALLEST_EC = 2048, 256
BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
DH = "DH PARAMETERS"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class PemError(Exception):
    """What is wrong with a text, in a sentence; ``allowed`` is what would do."""

    def __init__(self, what: str, allowed: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.allowed = allowed


def certificates(text: str) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order. Raises PemError."""
    kinds = [match[1] for match in BLOCK.finditer(text)]
    if "CERTIFICATE" not in kinds:
        other = f" (it holds {', '.join(dict.fromkeys(kinds)).lower()})" if kinds else ""
        raise PemError(f"holds no certificate{other}", "PEM text: -----BEGIN CERTIFICATE-----")
    blocks = [match[0] for match in BLOCK.finditer(text) if match[1] == "CERTIFICATE"]
    try:
        return tuple(x509.load_pem_x509_certificate(block.encode()) for block in blocks)
    except ValueError as error:
        raise PemError("holds a certificate that cannot be read", "whole PEM text") from error


def pem(found: Iterable[x509.Certificate]) -> str:
    """As PEM text, one after the other."""
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in found)


def leaf_of(certificate: x509.Certificate) -> Leaf:
    """What matters of it."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(name.lower() for name in alternative.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Leaf(
        subject=certificate.subject.rfc4514_string(),
        names=names,
        begins=certificate.not_valid_before_utc.timestamp(),
        ends=certificate.not_valid_after_utc.timestamp(),
        sha256=hashlib.sha256(der).hexdigest(),
        key_sha256=_key_hash(certificate.public_key()),
        is_self_signed=certificate.issuer == certificate.subject,
    )


def _key_hash(public: object) -> str:
    assert hasattr(public, "public_bytes")
    data: bytes = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(data).hexdigest()


def private_key(text: bytes, passphrase: str = "") -> PrivateKey:
    """The key of a PEM text, in clear. Raises PemError."""
    if b"PRIVATE KEY" not in text:
        raise PemError("holds no private key", "PEM text: -----BEGIN PRIVATE KEY-----")
    is_encrypted = b"ENCRYPTED" in text
    if is_encrypted and not passphrase:
        raise PemError("is encrypted: the routers could not read it", "its passphrase, below")
    try:
        key: PrivateKeyTypes = serialization.load_pem_private_key(
            text, passphrase.encode() if is_encrypted else None
        )
    except (ValueError, TypeError) as error:
        why = "the passphrase does not open it" if is_encrypted else "holds a key that is damaged"
        raise PemError(why, "the right passphrase" if is_encrypted else "whole PEM text") from error
    except UnsupportedAlgorithm as error:
        raise PemError("holds a kind of key that is not known", "an RSA or EC key") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise PemError("holds a kind of key that nginx 1.10 does not take", "an RSA or EC key")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < SMALLEST_RSA:
        raise PemError(
            f"is too weak: RSA with {key.key_size} bits", f"at least {SMALLEST_RSA} bits"
        )
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size < SMALLEST_EC:
        raise PemError(f"is too weak: {key.curve.name}", f"at least {SMALLEST_EC} bits")
    return key


def clear_pem(key: PrivateKey) -> SecretStr:
    """The key as PEM text without a passphrase, as nginx needs it."""
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return SecretStr(data.decode())


def fits(key: PrivateKey, leaf: Leaf) -> bool:
    """Whether it is the key of that certificate."""
    return _key_hash(key.public_key()) == leaf.key_sha256


def _issued(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def in_order(
    found: Sequence[x509.Certificate], key: PrivateKey | None = None
) -> tuple[x509.Certificate, ...]:
    """The chain from the leaf up, without what does not belong to it or stands there twice.

    The leaf is the certificate of ``key``, else the first that has issued none of the others.
    """
    left = list(dict.fromkeys(found))
    own = [c for c in left if key is not None and fits(key, leaf_of(c))]
    issuing = {
        parent for parent in left for child in left if child != parent and _issued(child, parent)
    }
    start = next(iter(own), None) or next((c for c in left if c not in issuing), left[0])
    chain = [start]
    left.remove(start)
    while parent := next((c for c in left if _issued(chain[-1], c)), None):
        chain.append(parent)
        left.remove(parent)
    return tuple(chain)


def is_complete(chain: Sequence[x509.Certificate]) -> bool:
    """Whether an intermediate that clients need is there: a leaf alone only if it signed itself.

    Roots may be left out; whether the top leads to one that clients know, only a client can tell.
    """
    return len(chain) > 1 or chain[0].issuer == chain[0].subject


def check_dhparam(text: str) -> str:
    """The DH parameters of a PEM text. Raises PemError."""
    block = next((match[0] for match in BLOCK.finditer(text) if match[1] == DH), "")
    if not block:
        raise PemError("holds no DH parameters", f"PEM text: -----BEGIN {DH}-----")
    try:
        bits = _prime(
            base64.b64decode("".join(block.splitlines()[1:-1]), validate=True)
        ).bit_length()
    except (ValueError, IndexError) as error:
        raise PemError("holds DH parameters that cannot be read", "whole PEM text") from error
    if bits < SMALLEST_RSA:
        raise PemError(f"is too weak: {bits} bits", f"at least {SMALLEST_RSA} bits")
    return block + "\n"


def _prime(der: bytes) -> int:
    """The first number of DHParameter ::= SEQUENCE { prime, base, ... } (PKCS #3). Raises ValueError.

    By hand, because cryptography gives up Diffie-Hellman over finite fields.
    """

    def enter(at: int, tag: int) -> tuple[int, int]:
        """Where the content of an element begins and ends."""
        if der[at] != tag:
            raise ValueError("no such element")
        size, at = der[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(der[at : at + count]), at + count
        if at + size > len(der):
            raise ValueError("cut off")
        return at, at + size

    begin, end = enter(enter(0, 0x30)[0], 0x02)
    return int.from_bytes(der[begin:end], signed=True)
