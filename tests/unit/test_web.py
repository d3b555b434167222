"""A web request against real sockets and real TLS: what came back, and what would be refused."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deiswizard.cluster.snapshot import Question, web_question
from deiswizard.cluster.tls import Tls
from deiswizard.cluster.web import OK, WebAnswer, WebRequest, ask_web
from deiswizard.errors import LinkError
from deiswizard.leaf import Leaf
from deiswizard.plan.conditions import WebSays
from tests.certificates import Certificate, certificate

NAME = "deis.example.com"
ROOT = certificate("root", is_authority=True)
MIDDLE = certificate("middle", issuer=ROOT, is_authority=True)
LEAF = certificate("leaf", "*.example.com", issuer=MIDDLE)
PLAIN_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Reply = Callable[[Any, bytes], None]


def says(answer: bytes) -> Reply:
    return lambda stream, head: stream.sendall(answer)


FINE = says(PLAIN_OK)


class Server:
    """Answers every connection by ``reply``, which gets the stream and what the client sent."""

    def __init__(self, reply: Reply, context: ssl.SSLContext | None, proxied: bool) -> None:
        self._reply, self._context, self._proxied = reply, context, proxied
        self.heads: list[bytes] = []
        self.proxy_lines: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._proxied:
                line = b""
                while not line.endswith(b"\r\n"):
                    line += connection.recv(1)
                self.proxy_lines.append(line)
            stream: Any = connection
            if self._context is not None:
                stream = Tls(connection, self._context, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                data = stream.recv(4096)
                if not data:
                    return
                head += data
            self.heads.append(head)
            self._reply(stream, head)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(reply: Reply = FINE, *chain: Certificate, proxied: bool = False) -> Server:
        context = None
        if chain:
            path = tmp_path / f"chain-{len(servers)}.pem"
            path.write_text("".join(one.pem for one in chain) + chain[0].key_pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
        servers.append(Server(reply, context, proxied))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(server: Server, seconds: float = 60.0, **more: Any) -> WebAnswer:
    request = WebRequest.model_validate({"host": "a", "name": NAME, "port": server.port, **more})
    return ask_web(request, lambda *at: socket.create_connection(at), seconds)


def test_a_chain_to_a_known_root_is_trusted_and_its_leaf_is_told(serve: Serve) -> None:
    answer = ask(serve(says(PLAIN_OK), LEAF, MIDDLE), tls=True, roots=ROOT.pem)
    assert (answer.status, answer.trust, answer.leaf) == (200, OK, LEAF.fingerprint)


@pytest.mark.parametrize(
    ("chain", "name", "why"),
    [
        ((LEAF, MIDDLE), "deis.example.org", "Hostname mismatch"),
        ((LEAF,), NAME, "unable to get local issuer certificate"),
        ((certificate("alone", NAME),), NAME, "self-signed certificate"),
        (
            (certificate("old", NAME, issuer=ROOT, days=-1),),
            NAME,
            "certificate has expired",
        ),
    ],
    ids=["name", "intermediate", "self-signed", "expired"],
)
def test_a_chain_that_clients_would_refuse_is_answered_all_the_same(
    serve: Serve, chain: tuple[Certificate, ...], name: str, why: str
) -> None:
    answer = ask(serve(says(PLAIN_OK), *chain), tls=True, roots=ROOT.pem, name=name)
    assert answer.status == 200 and why in answer.trust
    assert answer.leaf == chain[0].fingerprint
    assert why in answer.summary


def test_without_its_root_nothing_is_trusted(serve: Serve) -> None:
    answer = ask(serve(says(PLAIN_OK), LEAF, MIDDLE), tls=True)
    assert answer.status == 200 and answer.trust == "unable to get local issuer certificate"


def test_a_redirect_is_told_and_not_followed(serve: Serve) -> None:
    server = serve(says(b"HTTP/1.1 301 Moved\r\nLocation: https://deis.example.com/x\r\n\r\n"))
    answer = ask(server, path="/x", headers=(("X-Forwarded-Proto", "http"),))
    assert answer.summary == "HTTP 301 to https://deis.example.com/x"
    assert server.heads[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert b"\r\nHost: deis.example.com\r\n" in server.heads[0]
    assert b"X-Forwarded-Proto: http\r\n" in server.heads[0] and len(server.heads) == 1


def test_headers_are_told_but_no_cookies(serve: Serve) -> None:
    told = b"Strict-Transport-Security: max-age=10886400\r\nSet-Cookie: session=hunter2\r\n"
    answer = ask(serve(says(b"HTTP/1.1 200 OK\r\n" + told + b"\r\n"), LEAF), tls=True)
    assert answer.header("strict-transport-security") == "max-age=10886400"
    assert "hunter2" not in answer.model_dump_json()


@pytest.mark.parametrize("chain", [(), (LEAF, MIDDLE)], ids=["plain", "tls"])
def test_the_proxy_line_comes_before_everything_else(
    serve: Serve, chain: tuple[Certificate, ...]
) -> None:
    server = serve(says(PLAIN_OK), *chain, proxied=True)
    answer = ask(server, tls=bool(chain), proxy_from="198.51.100.7", roots=ROOT.pem)
    assert answer.status == 200 and answer.trust == (OK if chain else "")
    wanted = b"PROXY TCP4 198.51.100.7 127.0.0.1 56324 %d\r\n" % server.port
    assert set(server.proxy_lines) == {wanted}


def test_a_refused_connection_is_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    request = WebRequest(host="a", name=NAME, port=port, tls=True)
    answer = ask_web(request, lambda *at: socket.create_connection(at))
    assert answer.status is None and "refused" in answer.summary.lower()


def test_a_link_that_breaks_is_an_answer() -> None:
    def broken(address: str, port: int) -> Any:
        raise LinkError("a", "a: 127.0.0.1:443 cannot be reached from there", said="refused")

    answer = ask_web(WebRequest(host="a", name=NAME), broken)
    assert answer.status is None and answer.said.endswith("from there: refused")


@pytest.mark.parametrize("junk", [b"SSH-2.0-OpenSSH\r\n\x1b[31m\r\n", b"\0\0\0", b""])
def test_what_speaks_no_http_is_told_and_harmless(serve: Serve, junk: bytes) -> None:
    answer = ask(serve(says(junk)))
    assert answer.status is None and answer.said
    assert answer.said.isprintable()


def test_a_plain_service_asked_over_tls_and_the_other_way_round(serve: Serve) -> None:
    answer = ask(serve(says(PLAIN_OK)), tls=True, seconds=0.5)
    assert answer.status is None and answer.said
    answer = ask(serve(says(PLAIN_OK), LEAF))
    assert answer.status is None and answer.said


@pytest.mark.parametrize("name", ["", "a" * 300, "a\nb"])
def test_a_name_that_is_none_is_no_bug(serve: Serve, name: str) -> None:
    answer = ask(serve(says(PLAIN_OK), LEAF), tls=True, name=name)
    assert answer.status is None and answer.said


def test_a_service_that_drips_does_not_hold_anybody_for_long(serve: Serve) -> None:
    def drip(stream: Any, head: bytes) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            stream.sendall(b"X: y\r\n")
            time.sleep(0.05)

    began = time.monotonic()
    answer = ask(serve(drip), seconds=0.4)
    assert (answer.status is None and "in time" in answer.said) or "timed out" in answer.said
    assert time.monotonic() - began < 60, "it drips for ever"


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"status": "2.."}, False),
        ({"status": "30"}, False),
        ({"header": ("location", "^https://")}, True),
        ({"header": ("Location", "^http://")}, False),
        ({"header": ("X-Other", ".")}, False),
        ({"leaf": "ab"}, True),
        ({"leaf": "cd"}, False),
        ({"trusted": True}, False),
    ],
)
def test_the_condition_looks_at_all_that_it_names(changes: dict[str, Any], holds: bool) -> None:
    asked = WebRequest(host="a", name=NAME)
    condition = WebSays.model_validate({"request": asked, "status": "30[12]", **changes})
    shown = Leaf("CN=x", (), 0.0, 1.0, sha256="ab", key_sha256="", is_self_signed=True)
    answer = WebAnswer(
        status=301, headers=(("Location", "https://x/"),), certificate=shown, trust="self-signed"
    )
    assert (not condition.why_not(answer)) is holds


def test_a_question_of_the_probe_shows_the_command_that_equals_it() -> None:
    request = WebRequest(host="deis-1", name=NAME, port=443, tls=True, proxy_from="198.51.100.7")
    question = web_question("tls", request)
    assert isinstance(question, Question) and question.web == request
    assert question.command == (
        "curl -sS -m 10 -o /dev/null -D - -k --haproxy-clientip 198.51.100.7"
        " --resolve deis.example.com:443:127.0.0.1 https://deis.example.com:443/"
    )
