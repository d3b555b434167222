"""What may go wrong on a connection to a real OpenSSH server, and what must not be left behind."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_EOF

from deiswizard.cluster.channels import MAX_LINE, LineSplitter
from deiswizard.cluster.host import HostLink
from deiswizard.cluster.transport import BufferingPacketizer, Transport
from deiswizard.cluster.web import WebRequest
from deiswizard.errors import CancelledError, LinkError, StepError
from tests.ssh.helpers import open_link
from tests.sshd import Sshd, sshd, why_no_sshd
from tests.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if why := why_no_sshd():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, ("127.0.79.1", "127.0.79.2", "127.0.79.3")) as running:
        yield running


@pytest.fixture
def link(server: Sshd) -> Iterator[HostLink]:
    opened = open_link(server.target())
    yield opened
    opened.close()


def in_thread(work: threading.Thread) -> threading.Thread:
    work.start()
    return work


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_lines_do_not_depend_on_where_the_bytes_were_cut(data: bytes, cuts: list[int]) -> None:
    whole = LineSplitter()
    expected = [*whole.feed(data), *whole.feed(b"", final=True)]
    pieces = LineSplitter()
    lines: list[str] = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        lines += pieces.feed(data[start:end])
    lines += pieces.feed(b"", final=True)
    assert lines == expected
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    assert lines == (text.removesuffix("\n").split("\n") if text else [])


def test_a_line_without_an_end_is_handed_on_in_pieces() -> None:
    splitter = LineSplitter()
    lines = splitter.feed(b"x" * (MAX_LINE * 2 + 5))
    assert [len(line) for line in lines] == [MAX_LINE, MAX_LINE]
    assert splitter.feed(b"\n") == ["x" * 5]


def test_without_paramikos_private_attributes_the_original_reading_is_used() -> None:
    ours, theirs = socket.socketpair()
    packetizer = BufferingPacketizer(ours)
    assert packetizer.is_buffering, "paramiko has renamed what the buffer stands on"
    theirs.sendall(b"abcdef")
    assert packetizer.read_all(2) == b"ab"
    packetizer.is_buffering = False
    assert packetizer.read_all(4) == b"cdef"
    theirs.sendall(b"gh")
    assert packetizer.read_all(2) == b"gh"
    theirs.close()
    with pytest.raises(EOFError):
        packetizer.read_all(1)
    ours.close()


def test_a_command_that_leaves_its_input_unread_is_no_broken_link(link: HostLink) -> None:
    result = link.run("exec <&-; echo done; exit 3", stdin=b"x" * 5_000_000, timeout=30)
    assert (result.code, result.out) == (3, "done\n")


def test_the_signal_that_ended_a_command_is_named(link: HostLink) -> None:
    result = link.run("kill -TERM $$")
    assert result.code is None
    assert result.why == "it was ended by the signal TERM"


def test_output_without_a_reader_is_bounded(
    link: HostLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deiswizard.cluster.channels.MAX_KEPT", 1_000_000)
    result = link.run("yes", timeout=60)
    assert result.code is None
    assert "printed more than" in result.why


def test_a_slow_reader_of_one_command_does_not_hold_up_another(link: HostLink) -> None:
    release = threading.Event()
    entered = threading.Event()

    def slow(*_: object) -> None:
        entered.set()
        release.wait(60)

    thread = in_thread(
        threading.Thread(target=lambda: link.run("yes | head -c 5000000", on_lines=slow))
    )
    assert entered.wait(30)
    assert link.run("echo quick").out == "quick\n"
    release.set()
    thread.join(60)


def test_a_fifth_command_waits_only_so_long_and_is_not_started(
    link: HostLink, tmp_path: Path
) -> None:
    stop = threading.Event()

    def hold() -> None:
        with pytest.raises(CancelledError):
            link.run(f"echo >> {tmp_path}/begun; sleep 60", timeout=90, cancel=stop)

    threads = [in_thread(threading.Thread(target=hold)) for _ in range(4)]
    begun = tmp_path / "begun"
    until(lambda: begun.exists() and begun.read_text() == "\n" * 4)
    with pytest.raises(LinkError, match="4 commands are running") as caught:
        link.run(f"touch {tmp_path}/fifth", timeout=0.3)
    assert caught.value.state == "the command was not started"
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not (tmp_path / "fifth").exists()
    assert link.run("true").ok


def test_a_silent_peer_behind_a_bastion_is_found_dead(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deiswizard.cluster.transport.KEEPALIVE", 1)
    monkeypatch.setattr("deiswizard.cluster.transport.PEER_SILENCE", 6.0)
    before = set(server.connections())
    first = open_link(server.target())
    bastion = set(server.connections()) - before
    second = open_link(server.target("127.0.79.2"), through=first)
    (inner,) = set(server.connections()) - before - bastion
    os.kill(inner, signal.SIGSTOP)
    try:
        result = second.run("echo never", timeout=60)
        assert result.code is None
    except LinkError as error:
        assert "lost" in error.what
    finally:
        os.kill(inner, signal.SIGKILL)
    assert not second.is_connected
    assert first.run("echo well").ok
    assert second.run("echo back").out == "back\n"
    second.close()
    first.close()


def test_an_idle_link_stays_up(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deiswizard.cluster.transport.KEEPALIVE", 1)
    monkeypatch.setattr("deiswizard.cluster.transport.PEER_SILENCE", 8.0)
    link = open_link(server.target())
    assert link.run("sleep 10", timeout=60).ok
    assert link.is_connected
    link.close()


def test_three_hosts_in_a_row(server: Sshd) -> None:
    first = open_link(server.target())
    second = open_link(server.target("127.0.79.2"), through=first)
    third = open_link(server.target("127.0.79.3"), through=second)
    assert third.run("echo $SSH_CONNECTION").out.split()[2] == "127.0.79.3"
    assert third.run("head -c 3000000 /dev/zero", timeout=60).out == "\0" * 3_000_000
    for link in (third, second, first):
        link.close()


def test_a_closed_link_stays_closed(server: Sshd) -> None:
    link = open_link(server.target())
    link.close()
    with pytest.raises(LinkError, match="was closed"):
        link.run("true")


@pytest.mark.skipif(shutil.which("sudo") is None, reason="sudo is not installed")
def test_an_upload_as_root_through_sudo(link: HostLink, tmp_path: Path) -> None:
    path = tmp_path / "10 drop-in.conf"
    content = os.urandom(300_000)
    checksum = link.upload(str(path), content, mode=0o600, sudo=True)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert link.checksum(str(path), sudo=True) == checksum
    assert list(tmp_path.iterdir()) == [path]


def test_an_upload_that_breaks_half_way_leaves_the_old_file_and_nothing_else(
    server: Sshd, tmp_path: Path
) -> None:
    before = set(server.connections())
    link = open_link(server.target())
    (mine,) = set(server.connections()) - before
    path = tmp_path / "file"
    path.write_text("old")
    errors: list[LinkError] = []

    def upload() -> None:
        try:
            link.upload(str(path), b"x" * 60_000_000)
        except LinkError as error:
            errors.append(error)

    thread = in_thread(threading.Thread(target=upload))
    until(lambda: any(entry.stat().st_size > 100_000 for entry in tmp_path.iterdir()))
    os.kill(mine, signal.SIGKILL)
    thread.join(60)
    assert errors and "not known" in errors[0].what
    until(lambda: list(tmp_path.iterdir()) == [path])
    assert path.read_text() == "old"
    link.close()


def test_a_folder_in_the_way_is_not_filled(link: HostLink, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StepError):
        link.upload(str(tmp_path / "folder"), b"x")
    assert list((tmp_path / "folder").iterdir()) == []


def transports() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if isinstance(thread, paramiko.Transport)}


def test_a_failed_login_leaves_no_thread_behind(server: Sshd) -> None:
    target = server.target(user="nobody-at-all")
    before = transports()
    for _ in range(3):
        with pytest.raises(Exception, match="accepted no key"):
            open_link(target)
    until(lambda: not transports() - before)


def test_small_commands_are_not_held_up_by_nagle(server: Sshd) -> None:
    first = open_link(server.target())
    sock = first._transport.sock if first._transport else None
    assert isinstance(sock, socket.socket)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    transport = first._transport
    assert transport is not None and not transport.has_had_session
    open_link(server.target("127.0.79.2"), through=first).close()
    assert transport.has_had_session
    first.close()


def test_a_checksum_tells_a_missing_file_from_one_that_cannot_be_read(
    link: HostLink, tmp_path: Path
) -> None:
    assert link.checksum(str(tmp_path / "none")) is None
    with pytest.raises(StepError, match="cannot be read"):
        link.checksum(str(tmp_path))


def test_keys_are_exchanged_again_in_the_middle_of_a_stream(tmp_path: Path) -> None:
    with sshd(tmp_path / "rekey", ("127.0.79.4",), "RekeyLimit 1M") as often:
        link = open_link(often.target())
        sent = os.urandom(6_000_000)
        result = link.run("sha256sum; head -c 6000000 /dev/zero | tr '\\0' x", stdin=sent)
        checksum, _, rest = result.out.partition("\n")
        assert checksum.split()[0] == hashlib.sha256(sent).hexdigest()
        assert rest == "x" * 6_000_000
        link.close()


def test_what_is_refused_to_one_is_told_to_that_one_in_the_hosts_words(link: HostLink) -> None:
    """paramiko keeps one refusal for all who wait: the second of two was told of a lost connection."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        said: list[LinkError] = []

        def ask() -> None:
            for _ in range(20):
                with pytest.raises(LinkError) as refused:
                    link.open_tcp("127.0.0.1", port)
                said.append(refused.value)

        threads = [in_thread(threading.Thread(target=ask)) for _ in range(8)]
        for thread in threads:
            thread.join(60)
    assert len(said) == 160
    assert {(error.said, error.is_transient) for error in said} == {("Connection refused", False)}
    with pytest.raises(LinkError) as unknown:
        link.open_tcp("nobody.invalid", 80)
    assert "not known" in unknown.value.said or "resolution" in unknown.value.said


def test_a_service_that_closes_at_once_is_told_from_a_lost_connection(link: HostLink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def slam() -> None:
            for _ in range(20):
                listener.accept()[0].close()

        thread = in_thread(threading.Thread(target=slam))
        port = listener.getsockname()[1]
        asked = WebRequest(host="h", name="deis.example.com", port=port, tls=True)
        for _ in range(10):
            assert link.open_tcp("127.0.0.1", port).recv(1) == b""
            web = link.web(asked.model_copy(update={"tls": False}))
            assert web.status is None and "clos" in web.said, web.said
        thread.join(30)
    assert link.is_connected


def test_a_connection_that_breaks_under_a_question_is_no_answer_of_the_service(
    server: Sshd,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = open_link(server.target())

        def cut() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)  # the question has come
                server.cut_connections()

        thread = in_thread(threading.Thread(target=cut))
        with pytest.raises(LinkError, match=r"was lost while deis\.example\.com was asked") as lost:
            link.web(WebRequest(host="h", name="deis.example.com", port=listener.getsockname()[1]))
        thread.join(30)
    assert lost.value.is_transient
    link.close()


def test_a_peer_is_not_called_dead_before_it_was_asked_and_heard_again() -> None:
    """This machine was asleep, or too busy: the answer may lie in the socket, unread."""
    ours, theirs = socket.socketpair()
    transport = Transport(ours)
    packetizer = transport.packetizer
    assert isinstance(packetizer, BufferingPacketizer)
    for _ in range(2):  # heard in between, it begins anew
        packetizer.heard_at = time.monotonic()
        for _ in range(2):
            transport._ask_for_life()
        assert not transport.is_presumed_dead
    packetizer.heard_at -= 1000
    transport._asked_at -= 1000
    transport._ask_for_life()
    assert transport.is_presumed_dead
    theirs.close()


def test_nothing_is_said_of_a_channel_after_its_end(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sshd ends a connection on which a closed channel is spoken of. A command that was over at once
    closed its channel between the moment when its input's end was to be sent and when it was.
    """
    link = open_link(server.target())
    transport: Any = link._transport
    send, over = transport._send_user_message, threading.Event()

    def late(message: paramiko.Message) -> None:
        kind = message.asbytes()[:1]
        if kind == cMSG_CHANNEL_EOF:
            assert over.wait(30), "the host never closed it"
        send(message)
        if kind == cMSG_CHANNEL_CLOSE:
            over.set()

    monkeypatch.setattr(transport, "_send_user_message", late)
    assert link.run("true").ok
    monkeypatch.undo()
    for number in range(3):
        assert link.run(f"echo {number}").out == f"{number}\n"
    assert link._transport is transport, "it is another connection"
    link.close()
