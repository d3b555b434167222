"""What is decided about TLS, and what is read for it on this machine."""

from __future__ import annotations

import datetime
import re
import ssl
import time
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from deiswizard.frozen import Frozen
from deiswizard.leaf import Leaf
from deiswizard.local_files import absolute, read_file
from deiswizard.recommendations.base import Choices, Problem

KEY_SECRET, DH_SECRET = "router-key", "router-dhparam"
DAY = 86_400.0
SOON_DAYS = 30
YEAR = 31_536_000
PROTOCOLS = ("TLSv1", "TLSv1.1", "TLSv1.2")
"""What nginx 1.10 of the routers knows and is still fit for use (deis-facts 9)."""

MODERN_PROTOCOLS = "TLSv1.2"
MODERN_CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
        "DHE-RSA-AES256-GCM-SHA384",
    )
)


class Material(Frozen):
    """A certificate with its chain, leaf first, and its key: read, checked, put into order.

    ``roots`` are those of the chain that signed themselves. Never part of a plan.
    """

    chain: str
    key: SecretStr
    leaf: Leaf
    roots: str = ""


class TlsChoices(Choices):
    """``domain`` is the platform's; the other fields are asked.

    ``certificate``, ``key``, ``chain`` and ``dhparam`` are paths on this machine; ``material`` and
    ``dh_text`` are what was read there.
    """

    domain: str = ""
    ends_at: Literal["routers", "load-balancer"] = "routers"
    source: Literal["files", "self-signed", "keep"] = "files"
    certificate: str = ""
    key: str = ""
    passphrase: SecretStr = SecretStr("")
    chain: str = ""
    dhparam: str = ""
    policy: Literal["modern", "keep", "custom"] = "modern"
    protocols: tuple[str, ...] = (MODERN_PROTOCOLS,)
    ciphers: str = MODERN_CIPHERS
    redirect: bool = False
    hsts: bool = False
    hsts_max_age: Annotated[int, Field(ge=1, le=2 * YEAR)] = 300
    hsts_subdomains: bool = False
    hsts_preload: bool = False
    proxy_protocol: Literal["keep", "on", "off"] = "keep"
    material: Material | None = Field(default=None, exclude=True, repr=False)
    dh_text: SecretStr | None = Field(default=None, exclude=True, repr=False)

    @model_validator(mode="after")
    def _domain_is_a_name(self) -> TlsChoices:
        if self.domain and not re.fullmatch(
            r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", self.domain
        ):
            raise ValueError(f"'{self.domain}' is no domain")
        return self

    @property
    def sets_certificate(self) -> bool:
        """A certificate is put on the routers."""
        return self.ends_at == "routers" and self.source != "keep"


def read(choices: TlsChoices) -> tuple[TlsChoices, tuple[Problem, ...]]:
    """The files that the choices name, read and judged."""
    problems: list[Problem] = []
    if choices.ends_at == "routers":
        problems += _policy_problems(choices)
    filled: dict[str, object] = {
        name: absolute(getattr(choices, name))
        for name in ("certificate", "key", "chain", "dhparam")
    }
    if choices.sets_certificate:
        made, found = _self_signed(choices) if choices.source == "self-signed" else _given(choices)
        filled["material"] = made
        problems += found
    if choices.ends_at == "routers" and choices.dhparam:
        text, found_dh = _dhparam(choices)
        filled["dh_text"] = text
        problems += found_dh
    return choices.model_copy(update=filled), tuple(problems)


def _self_signed(choices: TlsChoices) -> tuple[Material | None, list[Problem]]:
    from deiswizard.recommendations.tls.self_signed import self_signed

    if not choices.domain:
        what = "the platform has no domain yet"
        return None, [
            Problem(field="source", what=what, allowed="deisctl config platform set domain")
        ]
    try:
        chain, key = self_signed(choices.domain)
    except OSError as error:
        return None, [Problem(field="source", what=f"cannot be made: {error.strerror or error}")]
    return examine(chain, key, "", "", time.time())


def _given(choices: TlsChoices) -> tuple[Material | None, list[Problem]]:
    texts: dict[str, bytes] = {}
    problems: list[Problem] = []
    for name in ("certificate", "key", "chain"):
        path = getattr(choices, name)
        if not path:
            if name != "chain":
                problems.append(Problem(field=name, what="no file is named", allowed="a PEM file"))
            continue
        content, problem = read_file(name, path)
        if problem:
            problems.append(problem)
        texts[name] = content or b""
    if problems:
        return None, problems
    return examine(
        texts["certificate"].decode("utf-8", "replace"),
        texts["key"],
        texts.get("chain", b"").decode("utf-8", "replace"),
        choices.passphrase.get_secret_value(),
        time.time(),
    )


def examine(
    certificate: str, key: bytes, chain: str, passphrase: str, now: float
) -> tuple[Material | None, list[Problem]]:
    """Certificate, key and chain as the routers shall get them, or what is wrong with each."""
    from deiswizard import certificates as pki  # late: the first frame waits for no cryptography

    field = "certificate"
    try:
        given = list(pki.certificates(certificate))
        field = "key"
        opened = pki.private_key(key, passphrase)
        field = "chain"
        given += pki.certificates(chain) if chain else []
    except pki.PemError as error:
        return None, [Problem(field=field, what=error.what, allowed=error.allowed)]
    ordered = pki.in_order(given, opened)
    leaf = pki.leaf_of(ordered[0])
    if not pki.fits(opened, leaf):
        what = f"is not the key of the certificate ({leaf.subject})"
        return None, [Problem(field="key", what=what, allowed="the key that it was asked for with")]
    roots = pki.pem(one for one in ordered if one.issuer == one.subject)
    made = Material(chain=pki.pem(ordered), key=pki.clear_pem(opened), leaf=leaf, roots=roots)
    problems = [*_date_problems(leaf, now)]
    if [*ordered] != given:
        problems.append(
            Problem(
                field="chain" if chain else "certificate",
                what="is not in the order that clients need; it will be written as: "
                + ", ".join(_name(one.subject.rfc4514_string()) for one in ordered),
                blocks=False,
            )
        )
    if not pki.is_complete(ordered):
        problems.append(
            Problem(
                field="chain",
                what="the certificate of its issuer is missing: many clients will refuse it "
                f"({_name(ordered[0].issuer.rfc4514_string())})",
                blocks=False,
            )
        )
    return made, problems


def _name(subject: str) -> str:
    """``CN=x,O=y`` -> ``x``."""
    return next((part[3:] for part in subject.split(",") if part.startswith("CN=")), subject)


def day(at: float) -> str:
    """``2027-02-01``."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d")


def _date_problems(leaf: Leaf, now: float) -> list[Problem]:
    if leaf.ends <= now:
        return [
            Problem(field="certificate", what=f"has ended on {day(leaf.ends)}", allowed="a new one")
        ]
    if leaf.begins > now:
        what = f"is not valid before {day(leaf.begins)}"
        return [Problem(field="certificate", what=what, allowed="one that is valid now")]
    if leaf.ends - now < SOON_DAYS * DAY:
        what = f"ends on {day(leaf.ends)}, in {(leaf.ends - now) / DAY:.0f} days"
        return [Problem(field="certificate", what=what, blocks=False)]
    return []


def _policy_problems(choices: TlsChoices) -> list[Problem]:
    if choices.policy != "custom":
        return []
    problems = []
    for protocol in choices.protocols:
        if protocol == "TLSv1.3":
            what = "nginx 1.10 of the routers does not know TLSv1.3, and would refuse every setting"
            problems.append(Problem(field="protocols", what=what, allowed=", ".join(PROTOCOLS)))
        elif protocol not in PROTOCOLS:
            what = f"'{protocol}' is not allowed"
            problems.append(Problem(field="protocols", what=what, allowed=", ".join(PROTOCOLS)))
    if not choices.protocols:
        problems.append(
            Problem(field="protocols", what="none is named", allowed=", ".join(PROTOCOLS))
        )
    if why := _cipher_problem(choices.ciphers):
        problems.append(
            Problem(field="ciphers", what=why, allowed="OpenSSL names, separated by colons")
        )
    return problems


def _cipher_problem(ciphers: str) -> str:
    """OpenSSL's own judgement; a list that it refuses would freeze the routers' settings."""
    if not re.fullmatch(r"[A-Za-z0-9:+!@_-]+", ciphers):
        return f"'{ciphers}' is no list of ciphers"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(ciphers)
    except ssl.SSLError:
        return "OpenSSL knows none of these ciphers"
    return ""


def _dhparam(choices: TlsChoices) -> tuple[SecretStr | None, list[Problem]]:
    from deiswizard import certificates as pki

    content, problem = read_file("dhparam", choices.dhparam)
    if content is None:
        return None, [problem] if problem else []
    try:
        return SecretStr(pki.check_dhparam(content.decode("utf-8", "replace"))), []
    except pki.PemError as error:
        return None, [Problem(field="dhparam", what=error.what, allowed=error.allowed)]


def secrets(choices: TlsChoices) -> Mapping[str, SecretStr]:
    """What the steps need: the key, and the DH parameters."""
    found: dict[str, SecretStr] = {}
    if choices.material is not None:
        found[KEY_SECRET] = choices.material.key
    if choices.dh_text is not None:
        found[DH_SECRET] = choices.dh_text
    return found


def fingerprints(choices: TlsChoices) -> Mapping[str, str]:
    """What tells the files from others: their public halves."""
    if choices.material is None:
        return {}
    return {"the certificate": choices.material.leaf.sha256}
