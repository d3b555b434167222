"""A wildcard certificate that signed itself, for trying out: made once, kept on this machine."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from deiswizard.run.folders import config_folder
from deiswizard.whole_file import write_whole

DAYS = 365


def folder() -> Path:
    """Where they are kept."""
    return config_folder() / "certificates"


def self_signed(domain: str) -> tuple[str, bytes]:
    """The certificate of ``*.domain`` and its key, PEM; made if there is none or it has ended.

    Raises:
        OSError: it cannot be written.
    """
    path = folder() / f"{domain}.pem"
    now = datetime.datetime.now(datetime.UTC)
    if path.is_file():
        both = path.read_bytes()
        if x509.load_pem_x509_certificate(both).not_valid_after_utc > now:
            return _split(both)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"*.{domain}"[:64])])
    names = x509.SubjectAlternativeName([x509.DNSName(f"*.{domain}"), x509.DNSName(domain)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    both = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, both)
    return _split(both)


def _split(both: bytes) -> tuple[str, bytes]:
    certificate, mark, key = both.partition(b"-----BEGIN PRIVATE KEY")
    return certificate.decode(), mark + key
