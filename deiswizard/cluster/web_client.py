"""The client that asks for ``web.ask_web``: HTTP and TLS over a channel."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ssl
import time
from typing import Any

import paramiko

from deiswizard.cluster.tls import Timed, Tls
from deiswizard.cluster.web import OK, OpenTcp, WebAnswer, WebRequest
from deiswizard.errors import WizardError
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
    except WizardError as error:
        return _nothing(str(error), trust)
    except ssl.SSLError as error:
        return _nothing(f"no TLS: {_reason(error)}", trust)
    except http.client.HTTPException as error:
        said = str(error) or type(error).__name__
        is_gone = isinstance(error, http.client.RemoteDisconnected)
        return _nothing(said if is_gone else f"no HTTP: {said}", trust)
    except (OSError, EOFError, ValueError, paramiko.SSHException) as error:
        return _nothing(str(error) or type(error).__name__, trust)


def _nothing(said: str, trust: str) -> WebAnswer:
    return WebAnswer(said=_kept(said), trust=trust)


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
    leaf = ""
    with _connected(request, open_tcp, seconds) as channel:
        stream: Timed | Tls = channel
        if request.tls:
            stream = Tls(channel, _lenient(), server_hostname=request.name)
            leaf = hashlib.sha256(stream.certificate).hexdigest()
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
        return WebAnswer(status=answer.status, headers=kept, leaf=leaf, trust=trust)


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
