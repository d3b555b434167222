"""The address of a drain: what logger 1.13 can dial, and why it cannot dial the rest (deis-facts 8).

logger takes three schemes by their exact letters, joins host and path, and ignores user names and
queries. So anything but ``scheme://host:port`` is refused here, before it is written.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Literal, NamedTuple

KEY = "/deis/logs/drain"
FORM = "udp://host:port, syslog://host:port or tcp://host:port"
SCHEMES = ("udp", "syslog", "tcp")
ENCRYPTED = ("tls", "ssl", "tcps", "udps", "dtls", "relp", "syslogs")
NAME = re.compile(
    r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*"
)
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
LAST_PORT = 65535


class Receiver(NamedTuple):
    """Where lines go: a host name or an address, without brackets, and a port."""

    host: str
    port: int

    @property
    def shown(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Drain(NamedTuple):
    """A drain that logger can dial."""

    scheme: Literal["udp", "syslog", "tcp"]
    to: Receiver

    @property
    def url(self) -> str:
        """As it stands in the key."""
        return f"{self.scheme}://{self.to.shown}"

    @property
    def protocol(self) -> Literal["udp", "tcp"]:
        """What is dialled: ``syslog`` is udp."""
        return "tcp" if self.scheme == "tcp" else "udp"

    @property
    def shown(self) -> str:
        """In words: where it goes, but not the key's value, which may be kept out of texts."""
        return f"{self.scheme} to {self.to.shown}"


def why_no_receiver(text: str) -> str:
    """Why ``host:port`` is none, as one sentence; empty when it is one. Never repeats the text."""
    if not text:
        return "the receiver's host and port are missing"
    if not text.isascii() or not text.isprintable() or " " in text:
        return "the receiver holds a space or a character that no address has"
    if "@" in text:
        return (
            "a user name or a token before '@' is ignored by logger, so the receiver never gets it"
        )
    if "?" in text or "#" in text:
        return "what follows '?' or '#' is ignored by logger, so the receiver never gets it"
    if "/" in text:
        return "a path, or a '/' at the end, becomes part of the host, and dialling it fails"
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        end = text.find("]")
        if end < 0:
            return "the bracket of the IPv6 address is not closed"
        host, colon, port = text[1:end], text[end + 1 : end + 2], text[end + 2 :]
        if not _is_ipv6(host):
            return "there is no IPv6 address in the brackets"
    elif ":" in host or (not colon and _is_ipv6(text)) or _is_ipv6(text):
        return "an IPv6 address must stand in brackets: [2001:db8::1]:514"
    if not colon or not port:
        return "the port is missing: there is none that logger would take by itself"
    if not port.isdecimal() or not 1 <= int(port) <= LAST_PORT:
        return f"the port must be a number from 1 to {LAST_PORT}"
    if not text.startswith("[") and not NAME.fullmatch(host):
        return "the host is neither a name nor an address"
    return ""


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def why_no_drain(text: str) -> str:
    """Why logger cannot use this drain, as one sentence; empty when it can. Never repeats the text."""
    if not text:
        return "the receiver is missing"
    found = SCHEME.fullmatch(text)
    if found is None:
        return (
            "the scheme is missing: logger would only write a line into its own log and keep the "
            "drain it has"
        )
    scheme, rest = found.groups()
    if scheme not in SCHEMES:
        return _why_not(scheme)
    return why_no_receiver(rest)


def _why_not(scheme: str) -> str:
    plain = scheme.lower()
    if plain in SCHEMES:
        return f"logger takes the scheme in small letters only: {plain}"
    if plain in ("http", "https"):
        return f"logger has no {plain} drain: it only writes a line into its own log"
    if plain in ENCRYPTED or set(re.split(r"[+.-]", plain)) & {*ENCRYPTED, "tls"}:
        return (
            "logger speaks no TLS: lines leave the cluster readable. The host journal can be "
            "forwarded with TLS instead"
        )
    return "logger does not know this scheme, so the drain it has stays"


def parse_receiver(text: str) -> Receiver | None:
    """``host:port``; None where ``why_no_receiver`` has a reason."""
    if why_no_receiver(text):
        return None
    host, _, port = text.rpartition(":")
    return Receiver(host.strip("[]"), int(port))


def parse_drain(text: str) -> Drain | None:
    """A drain's URL; None where ``why_no_drain`` has a reason."""
    if why_no_drain(text):
        return None
    scheme, _, rest = text.partition("://")
    to = parse_receiver(rest)
    assert to is not None
    known: dict[str, Literal["udp", "syslog", "tcp"]] = {
        "udp": "udp",
        "syslog": "syslog",
        "tcp": "tcp",
    }
    return Drain(known[scheme], to)


def shown_drain(text: str) -> str:
    """A drain's value for screens: where it goes. What logger cannot use may hold a token: hidden."""
    if not text:
        return "off"
    drain = parse_drain(text)
    return drain.shown if drain else "a value that logger cannot use (not shown)"


def drain_digest(text: str) -> str:
    """What a proof is tied to, so that another drain is not taken for proven."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
