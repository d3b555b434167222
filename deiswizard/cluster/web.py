"""One HTTP request to a service of a host, as a client of the platform would send it, over a channel.

The routers are asked this way: over TLS or not, with the name of an app or of the controller, and
with the PROXY line that a load balancer puts in front (deis-facts 9).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from deiswizard.frozen import Frozen
from deiswizard.leaf import Leaf

TIMEOUT = 10.0
"""Seconds for the whole of an exchange."""

OK = "ok"

OpenTcp = Callable[[str, int], Any]
"""Opens a socket-like channel to an address and port, as seen from a host. Raises LinkError."""


class WebRequest(Frozen):
    """A GET without a body.

    ``host`` is the host from which ``address`` (there, a name too) and ``port`` are reached; ``name``
    is what the client calls the site (Host header and SNI). ``proxy_from`` is the client's address that a
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
            words += ["--haproxy-clientip", self.proxy_from]
        if self.address != self.name:
            words += ["--resolve", f"{self.name}:{self.port}:{self.address}"]
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}"]
        return shlex.join([*words, f"{scheme}://{self.name}:{self.port}{self.path}"])


class WebAnswer(Frozen):
    """What came back. ``status`` None: nothing did, and ``said`` is why.

    ``certificate`` is what was shown; None: none, or one that cannot be read. ``trust`` is "ok" or
    why a client of this machine would refuse its chain or name.
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    certificate: Leaf | None = None
    trust: str = ""
    said: str = ""

    @property
    def leaf(self) -> str:
        """The sha256 of the certificate that was shown (hex), empty when there was none."""
        return self.certificate.sha256 if self.certificate else ""

    def header(self, name: str) -> str:
        """A header's value, empty when there is none."""
        return next((value for have, value in self.headers if have.lower() == name.lower()), "")

    @property
    def summary(self) -> str:
        """In a few words: the status, and where it redirects to or why there was no answer."""
        if self.status is None:
            return self.said or "no answer"
        target = self.header("Location")
        words = f"HTTP {self.status}" + (f" to {target}" if target else "")
        return words + (f"; not trusted: {self.trust}" if self.trust not in ("", OK) else "")


def ask_web(request: WebRequest, open_tcp: OpenTcp, seconds: float = TIMEOUT) -> WebAnswer:
    """Ask, and tell what came back. No answer is an answer without a status.

    ``seconds`` for each of the two connections that TLS takes, one to judge and one to ask.
    """
    from deiswizard.cluster.web_client import answer_to  # TLS is no part of the first frame

    return answer_to(request, open_tcp, seconds)
