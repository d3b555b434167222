"""One HTTP request to a service of a host, as a client of the platform would send it, over a channel.

The routers are asked this way: over TLS or not, with the name of an app or of the controller, and
with the PROXY line that a load balancer puts in front (deis-facts 9).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import shlex
import ssl
from collections.abc import Callable
from typing import Any

import paramiko
from urllib3.util.ssltransport import SSLTransport

from deiswizard.errors import WizardError
from deiswizard.frozen import Frozen

TIMEOUT = 10.0
OK = "ok"
HIDDEN_HEADERS = frozenset(("set-cookie", "authorization", "www-authenticate"))

OpenTcp = Callable[[str, int], Any]
"""Opens a socket-like channel to an address and port, as seen from a host. Raises LinkError."""


class WebRequest(Frozen):
    """A GET without a body.

    ``host`` is the host from which ``address`` and ``port`` are reached; ``name`` is what the
    client calls the site (Host header and SNI). ``proxy_from`` is the client's address that a
    PROXY line claims; empty: no such line. ``roots`` are certificates (PEM) that are trusted
    besides this machine's own.
    """

    host: str
    name: str
    port: int = 80
    address: str = "127.0.0.1"
    path: str = "/"
    tls: bool = False
    proxy_from: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    roots: str = ""

    @property
    def shown(self) -> str:
        """The command that asks the same on the host."""
        scheme = "https" if self.tls else "http"
        words = ["curl", "-sS", "-m", f"{TIMEOUT:.0f}", "-o", "/dev/null", "-D", "-"]
        if self.tls:
            words.append("-k")
        if self.proxy_from:
            words += ["--haproxy-protocol"]
        words += ["--resolve", f"{self.name}:{self.port}:{self.address}"]
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}"]
        return shlex.join([*words, f"{scheme}://{self.name}:{self.port}{self.path}"])


class WebAnswer(Frozen):
    """What came back. ``status`` None: nothing did, and ``said`` is why.

    ``leaf`` is the sha256 of the certificate that was served (hex), ``trust`` is "ok" or why a
    client of this machine would refuse its chain or name.
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    leaf: str = ""
    trust: str = ""
    said: str = ""

    def header(self, name: str) -> str:
        """A header's value, empty when there is none."""
        return next((value for have, value in self.headers if have.lower() == name.lower()), "")

    @property
    def summary(self) -> str:
        """In a few words: the status, and where it redirects to or why there was no answer."""
        if self.status is None:
            return self.said or "no answer"
        target = self.header("Location")
        return f"HTTP {self.status}" + (f" to {target}" if target else "")


def ask_web(request: WebRequest, open_tcp: OpenTcp) -> WebAnswer:
    """Ask, and tell what came back. No answer is an answer without a status."""
    trust = ""
    try:
        if request.tls:
            trust = _trust(request, open_tcp)
        return _exchange(request, open_tcp, trust)
    except WizardError as error:
        return WebAnswer(said=str(error), trust=trust)
    except ssl.SSLError as error:
        return WebAnswer(said=f"no TLS: {_reason(error)}", trust=trust)
    except (OSError, EOFError, http.client.HTTPException, paramiko.SSHException) as error:
        return WebAnswer(said=str(error) or type(error).__name__, trust=trust)


def _connected(request: WebRequest, open_tcp: OpenTcp) -> Any:
    """A channel with the PROXY line sent, where there is to be one."""
    channel = open_tcp(request.address, request.port)
    channel.settimeout(TIMEOUT)
    if request.proxy_from:
        family = "TCP6" if ":" in request.proxy_from else "TCP4"
        line = f"PROXY {family} {request.proxy_from} {request.address} 56324 {request.port}\r\n"
        channel.sendall(line.encode())
    return channel


def _context(request: WebRequest, *, checks: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if request.roots:
        context.load_verify_locations(cadata=request.roots)
    if not checks:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trust(request: WebRequest, open_tcp: OpenTcp) -> str:
    """Whether a client that checks would go on."""
    channel = _connected(request, open_tcp)
    try:
        SSLTransport(channel, _context(request, checks=True), server_hostname=request.name)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return _reason(error)
    finally:
        _close(channel)
    return OK


def _exchange(request: WebRequest, open_tcp: OpenTcp, trust: str) -> WebAnswer:
    """The request itself; the certificate is not judged here, only remembered."""
    channel = _connected(request, open_tcp)
    leaf = ""
    try:
        connection = http.client.HTTPConnection(request.name, request.port, timeout=TIMEOUT)
        stream = channel
        if request.tls:
            stream = SSLTransport(
                channel, _context(request, checks=False), server_hostname=request.name
            )
            leaf = hashlib.sha256(stream.getpeercert(binary_form=True) or b"").hexdigest()
        connection.sock = stream
        headers = {"Host": request.name, **dict(request.headers), "Connection": "close"}
        connection.request("GET", request.path, headers=headers)
        answer = connection.getresponse()
        kept = tuple(
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in HIDDEN_HEADERS
        )
        return WebAnswer(status=answer.status, headers=kept, leaf=leaf, trust=trust)
    finally:
        _close(channel)


def _close(channel: Any) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
