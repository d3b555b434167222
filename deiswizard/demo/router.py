"""The pretend routers: confd puts the keys into nginx' files, and nginx answers by what it last took.

As in Deis, nothing checks certificate and key before they are in place: then nginx goes on with what
it had, and takes nothing new until the pair is mended (deis-facts 9).
"""

from __future__ import annotations

import contextlib
import io
import re
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deiswizard.cluster.tls import Tls
from deiswizard.demo import router_rules as rules
from deiswizard.demo.etcd_store import EtcdStore, StoreError
from deiswizard.demo.http_base import Handler, serve_on
from deiswizard.demo.router_rules import Main, Request, Sealing, Site

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

LAG = 5.0
"""Seconds between two looks of confd, at speed 1."""

PORTS = (80, 443, 9090)
TLS_HELLO = 0x16
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.10.1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
VERSIONS = {  # in this order
    "TLSv1": ssl.TLSVersion.MINIMUM_SUPPORTED,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
}


@dataclass(frozen=True)
class Taken:
    """What nginx' workers go by."""

    main: Main = field(default_factory=Main)
    sealing: Sealing = field(default_factory=Sealing)
    context: ssl.SSLContext | None = None
    own: Mapping[str, ssl.SSLContext] = field(default_factory=dict)


class Routers:
    """All routers of a cluster: they have the same keys, and so the same files."""

    def __init__(self, store: EtcdStore, speed: float, is_closed: Callable[[], bool]) -> None:
        self._store = store
        self._pause = LAG / speed
        self._is_closed = is_closed
        self._main = Main()
        self._sealing = Sealing()
        self.live = Taken()
        self._lock = threading.Lock()
        self.follow()

    def start(self) -> None:
        """Look at the keys every now and then, as confd does."""
        threading.Thread(target=self._watch, name="pretend-confd", daemon=True).start()

    def _watch(self) -> None:
        pause = threading.Event()
        while not self._is_closed():
            pause.wait(self._pause)
            self.follow()

    def follow(self) -> None:
        """One look: files are written, nginx.conf only when it is accepted; then a reload."""
        keys = keys_of(self._store)
        with self._lock:
            wanted, self._sealing = rules.main(keys), rules.sealing(keys)
            if self._main != wanted and not self._try(wanted)[0]:
                self._main = wanted
            if (self._main, self._sealing) != (self.live.main, self.live.sealing):
                fault, taken = self._try(self._main)
                if not fault:
                    self.live = taken

    def test(self) -> tuple[int, str]:
        """``nginx -t`` of the files that are in place: exit status, and what it prints."""
        with self._lock:
            fault, _ = self._try(self._main)
        if fault:
            return (
                1,
                f"nginx: [emerg] {fault}\nnginx: configuration file {rules.MAIN} test failed\n",
            )
        return 0, (
            f"nginx: the configuration file {rules.MAIN} syntax is ok\n"
            f"nginx: configuration file {rules.MAIN} test is successful\n"
        )

    def _try(self, main: Main) -> tuple[str, Taken]:
        """Nginx' words for what is wrong, or what it would go by."""
        sealing = self._sealing
        fault = rules.fault_of_main(main) or rules.fault_of_protocols(sealing)
        if fault:
            return fault, Taken()
        try:
            context = context_of(sealing) if sealing.has_tls else None
            own = {
                site.names[0]: context_of(Sealing(site.own[0], site.own[1]))
                for site in main.sites
                if site.own is not None
            }
        except FaultError as error:
            return str(error), Taken()
        if context is not None:
            context.sni_callback = lambda tls, name, _: _choose(tls, own.get(name or ""))
        return "", Taken(main, sealing, context, own)


def _choose(tls: Any, context: ssl.SSLContext | None) -> None:
    if context is not None:
        tls.context = context


class FaultError(Exception):
    """nginx' own words."""


def context_of(sealing: Sealing) -> ssl.SSLContext:
    """As nginx loads certificate, key, ciphers and dhparam. Raises FaultError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wanted = sealing.protocols.split()
    known = [version for name, version in VERSIONS.items() if name in wanted]
    if known:
        context.minimum_version, context.maximum_version = known[0], known[-1]
    try:
        context.set_ciphers(f"{sealing.ciphers or 'DEFAULT'}:@SECLEVEL=0")
    except ssl.SSLError:
        raise FaultError(
            f'SSL_CTX_set_cipher_list("{sealing.ciphers}") failed (SSL: error:1410D0B9:'
            "SSL routines:SSL_CTX_set_cipher_list:no cipher match)"
        ) from None
    with tempfile.TemporaryDirectory(prefix="deiswizard-router-") as folder:
        certificate, key, dhparam = (Path(folder) / name for name in ("cert", "key", "dh"))
        certificate.write_text(sealing.certificate or "")
        key.write_text(sealing.key)
        try:
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            raise FaultError(_pair_words(sealing, error)) from None
        if sealing.dhparam is not None:
            dhparam.write_text(sealing.dhparam)
            try:
                context.load_dh_params(str(dhparam))
            except ssl.SSLError:
                raise FaultError(
                    'PEM_read_bio_DHparams("/etc/ssl/dhparam.pem") failed (SSL: error:0906D06C:'
                    "PEM routines:PEM_read_bio:no start line:Expecting: DH PARAMETERS)"
                ) from None
    return context


def _pair_words(sealing: Sealing, error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return (
            'SSL_CTX_use_PrivateKey_file("/etc/ssl/deis.key") failed (SSL: error:0B080074:'
            "x509 certificate routines:X509_check_private_key:key values mismatch)"
        )
    if "BEGIN CERTIFICATE" not in (sealing.certificate or ""):
        return (
            'PEM_read_bio_X509_AUX("/etc/ssl/deis.cert") failed (SSL: error:0906D06C:'
            "PEM routines:PEM_read_bio:no start line:Expecting: TRUSTED CERTIFICATE)"
        )
    return (
        'SSL_CTX_use_PrivateKey_file("/etc/ssl/deis.key") failed (SSL: error:0906D06C:'
        "PEM routines:PEM_read_bio:no start line:Expecting: ANY PRIVATE KEY)"
    )


def keys_of(store: EtcdStore) -> dict[str, str]:
    """All that the templates look at; an empty folder by its path with a ``/``."""
    found: dict[str, str] = {}

    def walk(node: dict[str, Any]) -> None:
        if not node.get("dir"):
            found[node["key"]] = node.get("value", "")
            return
        children = node.get("nodes") or []
        if not children:
            found[f"{node['key']}/"] = ""
        for child in children:
            walk(child)

    with contextlib.suppress(StoreError):
        walk(store.get("/deis", recursive=True)["node"])
    return found


class Begun:
    """A connection of which something has been read already."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._held = b""

    def peek(self) -> bytes:
        """What is there first, empty at the end."""
        if not self._held:
            self._held = self._connection.recv(4096)
        return self._held

    def line(self) -> bytes:
        """The first line, as far as there is one."""
        while b"\n" not in self._held:
            data = self._connection.recv(4096)
            if not data:
                break
            self._held += data
        line, end, self._held = self._held.partition(b"\n")
        return line + end

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        if self._held:
            data, self._held = self._held[:size], self._held[size:]
            return data
        received: bytes = self._connection.recv(size)
        return received

    def sendall(self, data: bytes) -> None:
        """As a socket's."""
        self._connection.sendall(data)

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """For the handler, which only reads."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """The connection below."""
        self._connection.close()


class _Reader(io.RawIOBase):
    def __init__(self, stream: Begun) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def serve(host: PretendHost, port: int, connection: Any, peer: str) -> None:
    """Speak as the router of a host does, in a thread of its own."""

    def work() -> None:
        with contextlib.suppress(OSError, EOFError, ssl.SSLError):
            _speak(host, port, Begun(connection), peer)
        with contextlib.suppress(OSError, EOFError):
            connection.close()

    threading.Thread(target=work, name="pretend-router", daemon=True).start()


def _speak(host: PretendHost, port: int, connection: Begun, peer: str) -> None:
    taken = host.cluster.routers.live
    if port == 443 and taken.context is None:
        return  # docker has published the port, but nobody listens behind it
    claimed = ""
    if taken.main.proxy_protocol and port != 9090:
        match = re.fullmatch(rb"PROXY (?:TCP[46] (\S+) .*|UNKNOWN.*)\r\n", connection.line())
        if match is None:
            return  # "broken header": nginx says nothing and closes
        claimed = (match[1] or b"").decode("ascii", "replace")
    stream: Any = connection
    if not taken.main.proxy_protocol and connection.peek().startswith(b"PROXY "):
        connection.sendall(BAD_REQUEST)
        return
    if port == 443 and connection.peek()[:1] == bytes([TLS_HELLO]):
        assert taken.context is not None
        stream = Tls(connection, taken.context, server_side=True)
    is_sealed = stream is not connection
    serve_on(
        lambda *args: RouterHandler(host, port, taken, is_sealed, peer, claimed, *args),
        stream,
        waits=True,
    )


class RouterHandler(Handler):
    """nginx, the controller behind it, and apps that all answer alike."""

    server_version, sys_version = "nginx/1.10.1", ""

    def __init__(
        self,
        host: PretendHost,
        port: int,
        taken: Taken,
        is_sealed: bool,
        peer: str,
        claimed: str,
        *args: Any,
    ) -> None:
        self._host, self._port, self._taken = host, port, taken
        self._is_sealed, self._peer, self._claimed = is_sealed, peer, claimed
        super().__init__(*args)

    def version_string(self) -> str:
        """As nginx calls itself."""
        return self.server_version

    def respond(self) -> None:
        """One request."""
        sent = self.body()
        if self._port == 9090:
            self.send(200 if self.path.startswith("/health-check") else 404, b"")
            return
        if self._port == 443 and not self._is_sealed:
            self.send(400, b"The plain HTTP request was sent to HTTPS port\n")
            self.close_connection = True
            return
        name = (self.headers.get("Host") or "").partition(":")[0].lower()
        request = Request(
            name, self.path, self._is_sealed, self._peer, self._claimed, dict(self.headers.items())
        )
        verdict = rules.judge(self._taken.main, request)
        status, body = verdict.status, b""
        if not status:
            site = self._taken.main.site(name, tls=self._is_sealed)
            assert site is not None
            status, body = self._behind(site, sent)
        self.send(status, body or f"{status}\n".encode(), dict(verdict.headers))

    def _behind(self, site: Site, sent: bytes) -> tuple[int, bytes]:
        """What the controller, the gateway or an app says."""
        if site.kind == "store":
            return 200, b"<ListAllMyBucketsResult/>\n"
        if site.kind == "app":
            return 200, b"Powered by Deis\n"
        path = self.path.partition("?")[0]
        if path == "/v1/auth/register" and self.command == "POST":
            status, said = self._host.cluster.controller.register()
            return status, said.encode()
        return self._host.cluster.controller.get(path)
