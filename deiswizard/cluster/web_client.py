"""The client that asks for ``web.ask_web``: HTTP and TLS over a channel."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import ssl
import time
from typing import Any

import paramiko
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from deiswizard.certificates import leaf_of
from deiswizard.cluster.tls import Timed, Tls
from deiswizard.cluster.web import OK, OpenTcp, WebAnswer, WebRequest
from deiswizard.errors import WizardError
from deiswizard.leaf import Leaf
from deiswizard.wording import harmless

HIDDEN_HEADERS = frozenset(("set-cookie", "authorization", "www-authenticate"))
LONGEST = 200
"""Characters of a stranger's words that are kept."""


def answer_to(request: WebRequest, open_tcp: OpenTcp, seconds: float) -> WebAnswer:
    """As ``web.ask_web``."""
    trust = ""
    try:
        if request.tls:
            trust = _trust(request, open_tcp, seconds)
        return _exchange(request, open_tcp, seconds, trust)
    except (
        WizardError,
        http.client.HTTPException,
        OSError,  # of ssl, too
        EOFError,
        ValueError,
        paramiko.SSHException,
    ) as error:
        return _failed(error).model_copy(update={"trust": trust})


def _failed(error: Exception) -> WebAnswer:
    """No answer, and why."""
    said = str(error) or type(error).__name__
    if isinstance(error, ssl.SSLError):
        said = f"no TLS: {_reason(error)}"
    elif isinstance(error, http.client.HTTPException) and not isinstance(
        error, http.client.RemoteDisconnected
    ):
        said = f"no HTTP: {said}"
    return WebAnswer(said=_kept(said))


def _kept(text: str) -> str:
    return harmless(" ".join(text.split()))[:LONGEST]


@contextlib.contextmanager
def _connected(request: WebRequest, open_tcp: OpenTcp, seconds: float) -> Any:
    """A channel that begins with the PROXY line, where there is to be one."""
    channel = open_tcp(request.address, request.port)
    try:
        yield Timed(channel, time.monotonic() + seconds, _proxy_line(request))
    finally:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            channel.close()


def _proxy_line(request: WebRequest) -> bytes:
    if not request.proxy_from:
        return b""
    family = "TCP6" if ":" in request.proxy_from else "TCP4"
    here = "::1" if family == "TCP6" and ":" not in request.address else request.address
    return f"PROXY {family} {request.proxy_from} {here} 56324 {request.port}\r\n".encode()


def _judging(request: WebRequest) -> ssl.SSLContext:
    """As a careful client of this machine, and of ``roots``."""
    context = ssl.create_default_context()
    if request.roots:
        context.load_verify_locations(cadata=request.roots)
    return context


def _lenient() -> ssl.SSLContext:
    """Sees what is served, however old or weak; judges nothing and sends nothing secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _trust(request: WebRequest, open_tcp: OpenTcp, seconds: float) -> str:
    """Whether a client that checks would go on; empty: there was no TLS to judge."""
    with _connected(request, open_tcp, seconds) as stream:
        try:
            Tls(stream, _judging(request), server_hostname=request.name)
        except ssl.SSLCertVerificationError as error:
            return _kept(error.verify_message)
        except ssl.SSLEOFError:
            return ""
        except ssl.SSLError as error:
            return _kept(_reason(error))
    return OK


def _exchange(request: WebRequest, open_tcp: OpenTcp, seconds: float, trust: str) -> WebAnswer:
    """The request itself; the certificate is not judged here, only remembered."""
    with _connected(request, open_tcp, seconds) as channel:
        if not request.tls:
            return _asked(request, channel)
        stream = Tls(channel, _lenient(), server_hostname=request.name)
        shown = {"certificate": _leaf(stream.certificate), "trust": trust}
        try:
            return _asked(request, stream).model_copy(update=shown)
        except (OSError, EOFError, ssl.SSLError, http.client.HTTPException) as error:
            return _failed(error).model_copy(update=shown)


def _asked(request: WebRequest, stream: Timed | Tls) -> WebAnswer:
    connection = http.client.HTTPConnection(request.name, request.port)
    connection.sock = stream
    headers = {"Host": request.name, **dict(request.headers), "Connection": "close"}
    connection.request("GET", request.path, headers=headers)
    answer = connection.getresponse()
    kept = tuple(
        (_kept(name), _kept(value))
        for name, value in answer.getheaders()
        if name.lower() not in HIDDEN_HEADERS
    )
    return WebAnswer(status=answer.status, headers=kept)


def _leaf(der: bytes) -> Leaf | None:
    try:
        leaf = leaf_of(x509.load_der_x509_certificate(der))
    except (ValueError, UnsupportedAlgorithm):  # whoever shows it may have made it anyhow
        return None
    names = tuple(_kept(name) for name in leaf.names)
    return dataclasses.replace(leaf, subject=_kept(leaf.subject), names=names)


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
