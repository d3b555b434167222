"""Commands, uploads and channels against a real OpenSSH server."""

from __future__ import annotations

import hashlib
import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.host import HostLink, UnknownHostKeyError
from deiswizard.cluster.known_hosts import KnownHosts, UnknownKey
from deiswizard.errors import CancelledError, HostKeyError, LinkError, LoginError
from deiswizard.inventory import Target
from tests.sshd import Sshd, sshd, why_no_sshd

pytestmark = pytest.mark.skipif(bool(why_no_sshd()), reason=why_no_sshd() or "-")


class NobodyAsks:
    """An operator who must not be asked."""

    def accept_host_keys(self, keys: Sequence[UnknownKey]) -> bool:
        raise AssertionError("asked for host keys")

    def passphrase(self, identity: Path) -> SecretStr | None:
        raise AssertionError("asked for a passphrase")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, ("127.0.77.1", "127.0.77.2"), "MaxStartups 200") as running:
        yield running


def open_link(target: Target, through: HostLink | None = None) -> HostLink:
    keys = KnownHosts(target.known_hosts)
    link = HostLink(target, keys=keys, credentials=Credentials(NobodyAsks()), through=through)
    return link.open()


@pytest.fixture
def link(server: Sshd) -> Iterator[HostLink]:
    opened = open_link(server.target())
    yield opened
    opened.close()


def test_a_command_brings_back_both_streams_and_its_exit_status(link: HostLink) -> None:
    result = link.run("echo out; echo err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")


def test_stdin_reaches_the_command_whole_while_its_output_flows(link: HostLink) -> None:
    sent = bytes(range(256)) * 8192
    result = link.run("tee /dev/stderr | sha256sum", stdin=sent, timeout=60)
    assert result.out.split()[0] == hashlib.sha256(sent).hexdigest()


def test_more_stderr_than_any_window_does_not_block(link: HostLink) -> None:
    result = link.run("head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; echo done", timeout=60)
    assert result.out == "done\n"
    assert len(result.err) == 3_000_000


def test_lines_arrive_in_batches_and_the_last_one_needs_no_newline(link: HostLink) -> None:
    lines: list[tuple[str, str]] = []
    result = link.run(
        "printf 'one\\ntwo\\r\\nthree\\rfour'; printf 'bad \\377' >&2",
        on_lines=lambda stream, batch: lines.extend((stream, line) for line in batch),
    )
    assert result.ok and result.out == ""
    assert [text for stream, text in lines if stream == "out"] == ["one", "two", "three", "four"]
    assert ("err", "bad \ufffd") in lines


def test_no_line_of_a_long_stream_is_lost(link: HostLink) -> None:
    lines: list[str] = []
    result = link.run("seq 1 200000", on_lines=lambda _, batch: lines.extend(batch), timeout=60)
    assert result.ok
    assert lines == [str(number) for number in range(1, 200001)]


def test_a_slow_reader_holds_the_command_up_instead_of_filling_memory(
    link: HostLink, tmp_path: Path
) -> None:
    may_read = threading.Event()
    counter = tmp_path / "count"
    seen: list[str] = []

    def slow(_: str, batch: Sequence[str]) -> None:
        may_read.wait(30)
        seen.extend(batch)

    command = f"for i in $(seq 1 400); do head -c 10000 /dev/zero | tr '\\0' x; echo; echo $i > {counter}; done"
    thread = threading.Thread(target=lambda: link.run(command, on_lines=slow, timeout=60))
    thread.start()
    last = -1
    while True:  # until the command no longer moves
        time.sleep(0.3)
        now = int(counter.read_text() or 0) if counter.exists() else 0
        if now == last and now > 0:
            break
        last = now
    assert last < 200, "4 MB should not fit into a window of 256 KiB"
    may_read.set()
    thread.join(60)
    assert len(seen) == 400


def test_a_deadline_leaves_the_outcome_unknown(link: HostLink) -> None:
    # long enough for a busy machine to begin it: what it has said until then must not be lost
    result = link.run("echo begun; sleep 60", timeout=10)
    assert result.code is None
    assert "may still be running" in result.why
    assert result.out == "begun\n"


def test_a_signal_leaves_the_outcome_unknown(link: HostLink) -> None:
    result = link.run("kill -KILL $$")
    assert result.code is None
    assert "signal" in result.why


def test_cancelling_ends_the_wait_at_once(link: HostLink) -> None:
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    with pytest.raises(CancelledError):
        link.run("sleep 60", cancel=cancel, timeout=60)


def test_a_cut_link_is_unknown_and_the_next_command_connects_again(server: Sshd) -> None:
    link = open_link(server.target())
    begun = threading.Event()
    results = []
    thread = threading.Thread(
        target=lambda: results.append(
            link.run("echo begun; sleep 60", on_lines=lambda *_: begun.set(), timeout=90)
        )
    )
    thread.start()
    assert begun.wait(60)
    server.cut_connections()
    thread.join(30)
    assert results[0].code is None
    assert "connection was lost" in results[0].why
    assert link.run("echo back").out == "back\n"
    link.close()


def test_an_upload_is_whole_has_its_mode_and_leaves_no_temporary_file(
    link: HostLink, tmp_path: Path
) -> None:
    content = b"[Service]\n" * 5000
    path = tmp_path / "it's a file.conf"
    checksum = link.upload(str(path), content, mode=0o640)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o640
    assert checksum == link.checksum(str(path)) == hashlib.sha256(content).hexdigest()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert link.checksum(str(tmp_path / "none")) is None


def test_an_upload_to_a_folder_that_is_not_there_says_so(link: HostLink) -> None:
    with pytest.raises(Exception, match="could not be written"):
        link.upload("/nowhere/at/all", b"x")


def test_a_unix_socket_on_the_host_is_reached(link: HostLink, tmp_path: Path) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"you said " + self.rfile.readline())

    path = str(tmp_path / "s")
    with socketserver.UnixStreamServer(path, Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        channel = link.open_unix(path)
        channel.sendall(b"hello\n")
        assert channel.makefile("rb").read() == b"you said hello\n"
        listener.shutdown()
    with pytest.raises(LinkError, match="cannot be opened"):
        link.open_unix(str(tmp_path / "none"))


def test_a_port_on_the_host_is_reached_and_a_closed_one_is_an_error(link: HostLink) -> None:
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        channel = link.open_tcp("127.0.0.1", web.server_port)
        channel.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"501" in channel.makefile("rb").read()
        web.shutdown()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(LinkError):
            link.open_tcp("127.0.0.1", closed.getsockname()[1])


def test_a_second_host_is_reached_through_the_first(server: Sshd) -> None:
    first = open_link(server.target())
    second = open_link(server.target("127.0.77.2"), through=first)
    assert second.run("echo $SSH_CONNECTION").out.split()[2] == "127.0.77.2"
    assert second.peer_address == "127.0.77.2"
    second.close()
    first.close()


def test_more_commands_than_sessions_wait_their_turn(link: HostLink) -> None:
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(link.run(f"echo {n}").out))
        for n in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(int, results)) == list(range(30))


def test_an_unknown_key_is_shown_and_accepted_once(server: Sshd, tmp_path: Path) -> None:
    target = server.target(known_hosts=(tmp_path / "ssh" / "known_hosts",))
    keys = KnownHosts(target.known_hosts)
    link = HostLink(target, keys=keys, credentials=Credentials(NobodyAsks()))
    with pytest.raises(UnknownHostKeyError) as caught:
        link.open()
    keys.add([caught.value.key])
    assert link.open().run("echo in").out == "in\n"
    link.close()
    again = open_link(target)
    again.close()


def test_a_changed_key_stops_the_host(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    known.write_text(f"[127.0.77.1]:{server.port} ssh-ed25519 {other}\n")
    with pytest.raises(HostKeyError, match="CHANGED"):
        open_link(server.target(known_hosts=(known,)))


def test_a_refused_key_says_which_were_tried(server: Sshd, tmp_path: Path) -> None:
    import subprocess

    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True
    )
    with pytest.raises(LoginError, match="tried"):
        open_link(server.target(identities=(tmp_path / "k",)))


def test_an_encrypted_key_asks_for_its_passphrase(server: Sshd, tmp_path: Path) -> None:
    import shutil
    import subprocess

    key = tmp_path / "locked"
    shutil.copy(server.folder / "client", key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", key], check=True)

    class Answers(NobodyAsks):
        def passphrase(self, identity: Path) -> SecretStr | None:
            assert identity == key
            return SecretStr("open sesame")

    target = server.target(identities=(key,))
    link = HostLink(target, keys=KnownHosts(target.known_hosts), credentials=Credentials(Answers()))
    assert link.open().run("echo in").ok
    link.close()


def test_a_host_that_does_not_answer_says_so_in_words() -> None:
    target = Target(host="127.0.77.9", port=1, known_hosts=(Path("/nonexistent"),))
    with pytest.raises(LinkError, match="refused the connection"):
        open_link(target)


def test_fifty_logins_at_once_survive_a_busy_sshd(tmp_path: Path) -> None:
    with sshd(tmp_path / "busy", ("127.0.77.3",), "MaxStartups 10:30:60") as busy:
        target = busy.target()
        links: list[HostLink] = []
        errors: list[Exception] = []

        def one() -> None:
            try:
                links.append(open_link(target))
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=one) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert len(links) == 50
        for link in links:
            link.close()
