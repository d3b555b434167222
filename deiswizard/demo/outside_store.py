"""A store beyond the pretend cluster: as Amazon's S3 (TLS, the bucket in the name) and as any other (plain HTTP).

It checks who asks, by the signature of version 2 that Deis's registry makes, and how.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import hmac
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deiswizard.demo.http_base import LoopbackServer
from deiswizard.demo.s3 import PretendStore, S3Handler

AMAZON, OTHER = "s3.amazonaws.com", "s3.example.com:80"
BUCKET = "demo-registry"
ACCESS, SECRET = "AKIADEMO", "outside-secret"
SUBRESOURCES = ("acl", "location", "uploads", "uploadId", "partNumber", "delete", "versioning")
VERBS = {"PUT": "put", "POST": "put", "DELETE": "delete"}


class OutsideStore:
    """``demands_v4``: it takes no signature of version 2. ``forbids`` are actions: list, get, put, delete.

    ``answers``: with that code, whatever is asked; ``cuts`` so many times an object is cut off in its middle.
    """

    def __init__(self, folder: Path, speed: float) -> None:
        self.content = PretendStore(is_new=True)
        self.content.buckets[BUCKET] = {}
        self.demands_v4 = False
        self.forbids: set[str] = set()
        self.answers = ""
        self.cuts = 0
        self.ca_file = folder / "outside-ca.pem"
        make = functools.partial(OutsideHandler, self, speed)
        self._plain = LoopbackServer(make)
        self._secure = LoopbackServer(make, certified(folder, self.ca_file))

    def addresses(self) -> dict[str, tuple[str, int]]:
        """``name:port`` to where that is on this machine; Amazon's names for the bucket that is there."""
        secure, plain = ("127.0.0.1", self._secure.port), ("127.0.0.1", self._plain.port)
        names = (AMAZON, *(f"{bucket}.{AMAZON}" for bucket in self.content.buckets))
        return {OTHER: plain, **{f"{name}:443": secure for name in names}}

    def why_not(self, where: str, bucket: str, access: str | None, secret: str | None) -> str:
        """Why a registry with these settings does not serve; empty: it does."""
        if where not in ("s3", OTHER):
            return f"{where} is not reached"
        if (access, secret) != (ACCESS, SECRET):
            return "the store does not know these keys"
        if self.demands_v4:
            return "the store takes signature version 4 only"
        return "" if bucket in self.content.buckets else f"there is no bucket {bucket}"

    def close(self) -> None:
        """Stop listening."""
        self.content.gate.open()
        self._plain.close()
        self._secure.close()


class OutsideHandler(S3Handler):
    """One request to the store outside."""

    def __init__(self, outside: OutsideStore, speed: float, *args: object) -> None:
        self._outside = outside
        super().__init__(outside.content, speed, *args)

    def _bucket_of_name(self) -> str:
        host = self.headers.get("Host", "").partition(":")[0]
        return host.removesuffix(AMAZON).rstrip(".") if host.endswith(AMAZON) else ""

    def named(self, path: str) -> tuple[str, str]:
        """Also with the bucket in the host's name."""
        bucket = self._bucket_of_name()
        return (bucket, path.lstrip("/")) if bucket else super().named(path)

    def refusal(self, bucket: str, key: str) -> str:
        """By the whole signature, as S3 does (its developer guide, "Signing and authenticating")."""
        if self._outside.demands_v4:
            return "InvalidRequest"
        if self._outside.answers:
            return self._outside.answers
        access, _, signature = (
            self.headers.get("Authorization", "").removeprefix("AWS ").partition(":")
        )
        if access != ACCESS:
            return "InvalidAccessKeyId"
        if not hmac.compare_digest(signature, self._signature()):
            return "SignatureDoesNotMatch"
        if bucket and bucket not in self._outside.content.buckets:
            return "NoSuchBucket"
        action = VERBS.get(self.command, "get" if key else "list")
        return "AccessDenied" if action in self._outside.forbids else ""

    def give(self, data: bytes) -> None:
        """Half of it only, and then no connection, as often as that is wished."""
        if self.command != "GET" or not self._outside.cuts:
            super().give(data)
            return
        self._outside.cuts -= 1
        self.begin(data)
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True

    def _signature(self) -> str:
        url = urlsplit(self.path)
        amz = sorted(
            (name.lower(), " ".join(value.split()))
            for name, value in self.headers.items()
            if name.lower().startswith("x-amz-")
        )
        date = "" if any(name == "x-amz-date" for name, _ in amz) else self.headers.get("Date", "")
        query = [
            f"{name}={value}" if value else name
            for name, value in sorted(parse_qsl(url.query, keep_blank_values=True))
            if name in SUBRESOURCES
        ]
        bucket = self._bucket_of_name()
        # a bucket's own path is signed with a slash at its end, whether it is asked with one or not
        path = url.path if bucket or url.path.count("/") > 1 else f"{url.path.rstrip('/')}/"
        resource = (
            (f"/{bucket}" if bucket else "") + path + (f"?{'&'.join(query)}" if query else "")
        )
        lines = [
            self.command,
            self.headers.get("Content-MD5", ""),
            self.headers.get("Content-Type", ""),
            date,
            *(f"{name}:{value}" for name, value in amz),
            resource,
        ]
        digest = hmac.new(SECRET.encode(), "\n".join(lines).encode(), hashlib.sha1).digest()
        return base64.b64encode(digest).decode()


def certified(folder: Path, ca_file: Path) -> ssl.SSLContext:
    """A certificate for Amazon's names by an authority of its own, whose certificate goes to ``ca_file``."""
    ca_key, ca = _certificate("deiswizard's pretend authority", None, None)
    names = [AMAZON, f"*.{AMAZON}"]
    key, leaf = _certificate(AMAZON, names, (ca_key, ca))
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    both = folder / "outside.pem"
    both.write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


def _certificate(name: str, names: list[str] | None, by: tuple[Any, x509.Certificate] | None) -> tuple[Any, x509.Certificate]:  # fmt: skip
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[1].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
        builder = builder.add_extension(alternatives, critical=False)
    return key, builder.sign(by[0] if by else key, hashes.SHA256())
