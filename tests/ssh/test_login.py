"""Logging in to a real OpenSSH server: keys, agent, passphrases, old servers, host keys."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.host import HostLink, UnknownHostKeyError
from deiswizard.cluster.known_hosts import KnownHosts
from deiswizard.errors import CancelledError, HostKeyError, LinkError, LoginError
from deiswizard.inventory import Target
from tests.ssh.helpers import Answers, NobodyAsks, make_key, open_link
from tests.sshd import Sshd, sshd, why_no_sshd
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(why_no_sshd()), reason=why_no_sshd() or "-")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd"), ("127.0.78.1", "127.0.78.2")) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without keys, and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


@pytest.fixture
def agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real ssh-agent, empty."""
    path = home / "agent"
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "ssh-agent", "-D", "-a", path],
        stdout=subprocess.DEVNULL,
    )
    until(lambda: process.poll() is not None or listens(path), why="the agent does not listen")
    assert process.poll() is None
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.terminate()
    process.wait()


def listens(path: Path) -> bool:
    """Whether a program takes connections there; a socket is a file before it does."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def ssh_add(key: Path) -> None:
    subprocess.run(["ssh-add", "-q", key], check=True)


def test_a_key_in_the_agent_opens_the_door_without_a_file(server: Sshd, agent: Path) -> None:
    ssh_add(server.folder / "client")
    link = open_link(server.target(identities=(), use_agent=True))
    assert link.run("echo in").out == "in\n"
    link.close()


def test_the_named_key_is_tried_before_the_agents_many(
    server: Sshd, agent: Path, tmp_path: Path
) -> None:
    for number in range(7):
        ssh_add(make_key(tmp_path / f"other{number}"))
    link = open_link(server.target(use_agent=True))
    assert link.is_connected
    link.close()


def test_an_encrypted_key_that_the_agent_holds_is_not_asked_for(
    server: Sshd, agent: Path, tmp_path: Path
) -> None:
    key = tmp_path / "locked"
    shutil.copy(server.folder / "client", key)
    shutil.copy(server.folder / "client.pub", tmp_path / "locked.pub")
    ssh_add(key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "word", "-f", key], check=True)
    target = server.target(identities=(key,), use_agent=True, identities_only=True)
    open_link(target).close()


def test_many_links_sign_with_one_agent_at_once(server: Sshd, agent: Path) -> None:
    ssh_add(server.folder / "client")
    credentials = Credentials(NobodyAsks())
    links: list[HostLink] = []
    threads = [
        threading.Thread(
            target=lambda: links.append(
                open_link(server.target(identities=(), use_agent=True), credentials=credentials)
            )
        )
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(links) == 12
    for link in links:
        link.close()
    credentials.close()


def test_a_wrong_passphrase_is_asked_again_and_a_right_one_only_once(
    server: Sshd, home: Path
) -> None:
    key = home / "locked"
    shutil.copy(server.folder / "client", key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", key], check=True)
    asker = Answers("wrong", "open sesame")
    credentials = Credentials(asker)
    for _ in range(2):
        open_link(server.target(identities=(key,)), credentials=credentials).close()
    assert asker.asked == [key, key]


def test_a_passphrase_that_is_not_given_is_told_with_the_tried_keys(
    server: Sshd, home: Path
) -> None:
    locked, other = make_key(home / "locked", passphrase="x"), make_key(home / "other")
    (home / "broken").write_text("no key\n")
    target = server.target(identities=(locked, other, home / "broken", home / "none"))
    with pytest.raises(LoginError) as caught:
        open_link(target, credentials=Credentials(Answers(None)))
    for words in (
        f"tried {other}",
        f"{locked} is encrypted",
        f"{home / 'broken'} is no private key",
        f"{home / 'none'} does not exist",
    ):
        assert words in caught.value.said
    assert "ssh-add" in caught.value.do


def test_no_key_at_all_is_told(server: Sshd, home: Path) -> None:
    with pytest.raises(LoginError, match="there was no key to try"):
        open_link(server.target(identities=(), use_agent=True))


@pytest.mark.parametrize("from_agent", [False, True])
def test_an_rsa_key_logs_in_where_only_sha1_is_understood(
    from_agent: bool, tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a new sshd cannot be made to call itself old, but it can insist on SHA-1 as an old one does
    monkeypatch.setattr("deiswizard.cluster.transport.Transport.is_old_server", True)
    with sshd(tmp_path / "old", ("127.0.78.3",), "PubkeyAcceptedAlgorithms ssh-rsa") as old:
        key = make_key(tmp_path / "rsa", "rsa")
        shutil.copy(tmp_path / "rsa.pub", old.folder / "authorized")
        if from_agent:
            ssh_add(key)
        identities = () if from_agent else (key,)
        link = open_link(old.target(identities=identities, use_agent=from_agent))
        assert link.run("echo in").out == "in\n"
        link.close()


class AnOldServer(paramiko.ServerInterface):
    """Accepts RSA keys and nothing else."""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        is_rsa = key.get_name() == "ssh-rsa"
        return paramiko.common.AUTH_SUCCESSFUL if is_rsa else paramiko.common.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"


def test_an_sshd_before_7_2_gets_sha1_signatures_and_may_have_only_an_rsa_host_key(
    tmp_path: Path, home: Path
) -> None:
    from deiswizard.cluster.transport import LegacyRSAKey, Transport

    class OldTransport(Transport):
        _preferred_keys = ("ssh-rsa",)
        _preferred_pubkeys = ("ssh-rsa",)

        @property
        def preferred_pubkeys(self) -> tuple[str, ...]:
            return ("ssh-rsa",)

    host_key = LegacyRSAKey(key=paramiko.RSAKey.generate(2048).key)
    with socket.create_server(("127.0.78.4", 0)) as listener:
        port = listener.getsockname()[1]
        held: list[OldTransport] = []

        def serve() -> None:
            sock, _ = listener.accept()
            transport = OldTransport(sock)
            transport.local_version = "SSH-2.0-OpenSSH_7.1"
            transport.add_server_key(host_key)
            held.append(transport)
            transport.start_server(server=AnOldServer())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        known = tmp_path / "known"
        known.write_text(f"[127.0.78.4]:{port} ssh-rsa {host_key.get_base64()}\n")
        make_key(tmp_path / "rsa", "rsa")
        target = Target("127.0.78.4", port, identities=(tmp_path / "rsa",), known_hosts=(known,))
        link = open_link(target)
        assert "OpenSSH_7.1" in link.server_version
        link.close()
        held[0].close()


def test_a_revoked_key_stops_the_host(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(
        server.known_hosts_line("127.0.78.1") + server.known_hosts_line("127.0.78.1", "@revoked")
    )
    with pytest.raises(HostKeyError, match="revoked"):
        open_link(server.target(known_hosts=(known,)))


def test_the_host_behind_a_bastion_is_verified_by_its_own_address(
    server: Sshd, tmp_path: Path
) -> None:
    first = open_link(server.target())
    known = tmp_path / "known"
    known.write_text(server.known_hosts_line("127.0.78.1"))
    with pytest.raises(UnknownHostKeyError) as caught:
        open_link(server.target("127.0.78.2", known_hosts=(known,)), through=first)
    assert caught.value.key.name_in_file == f"[127.0.78.2]:{server.port}"
    first.close()


def test_a_key_of_a_known_type_is_asked_for_first(tmp_path: Path) -> None:
    make_key(tmp_path / "rsa", "rsa")
    with sshd(tmp_path / "two", ("127.0.78.5",), f"HostKey {tmp_path}/rsa") as both:
        rsa = " ".join((tmp_path / "rsa.pub").read_text().split()[:2])
        known = tmp_path / "known"
        known.write_text(f"[127.0.78.5]:{both.port} {rsa}\n")
        open_link(both.target(known_hosts=(known,))).close()


def test_connecting_to_something_silent_can_be_stopped(tmp_path: Path) -> None:
    with socket.create_server(("127.0.78.6", 0)) as silent:
        target = Target("127.0.78.6", silent.getsockname()[1], known_hosts=(tmp_path / "k",))
        link = HostLink(
            target, keys=KnownHosts(target.known_hosts), credentials=Credentials(NobodyAsks())
        )
        cancel = threading.Event()
        threading.Timer(0.3, cancel.set).start()
        with pytest.raises(CancelledError):
            link.open(cancel)


def test_something_that_is_not_sshd_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deiswizard.cluster.handshake.RETRY_SECONDS", 0.01)
    with socket.create_server(("127.0.78.6", 0)) as web:

        def hang_up() -> None:
            for _ in range(5):
                web.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        target = Target("127.0.78.6", web.getsockname()[1], known_hosts=(tmp_path / "k",))
        with pytest.raises(LinkError, match="did not speak SSH"):
            open_link(target)
