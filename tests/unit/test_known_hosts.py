"""Our reader of known_hosts, also against OpenSSH's own (``ssh-keygen -F``)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deiswizard.cluster.known_hosts import KnownHosts, UnknownKey, Verdict, name_in_file

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


def a_key(number: int) -> str:
    """A well-formed ed25519 key that nobody has."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes([number]) * 32
    return base64.b64encode(blob).decode()


def hashed(name: str) -> str:
    salt = hashlib.sha1(name.encode()).digest()
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def known(folder: Path, *lines: str) -> KnownHosts:
    (folder / "known_hosts").write_text("\n".join(lines) + "\n")
    return KnownHosts((folder / "known_hosts",))


def an_unknown(host: str = "deis-1", port: int = 22, number: int = 1) -> UnknownKey:
    return UnknownKey(host, name_in_file(host, port), "ssh-ed25519", "SHA256:x", a_key(number))


@pytest.mark.parametrize(
    ("names", "host", "port", "verdict"),
    [
        ("deis-1", "deis-1", 22, Verdict.KNOWN),
        ("deis-1", "DEIS-1", 22, Verdict.KNOWN),
        ("deis-1", "deis-1", 2222, Verdict.UNKNOWN),
        ("[deis-1]:2222", "deis-1", 2222, Verdict.KNOWN),
        ("a,deis-1,10.0.0.1", "10.0.0.1", 22, Verdict.KNOWN),
        ("deis-*", "deis-17", 22, Verdict.KNOWN),
        ("deis-?", "deis-17", 22, Verdict.UNKNOWN),
        ("deis-*,!deis-2", "deis-2", 22, Verdict.UNKNOWN),
        ("!deis-2", "deis-1", 22, Verdict.UNKNOWN),
        ("[10.0.0.*]:2222", "10.0.0.9", 2222, Verdict.KNOWN),
        (hashed("deis-1"), "deis-1", 22, Verdict.KNOWN),
        (hashed("[deis-1]:2222"), "deis-1", 2222, Verdict.KNOWN),
        (hashed("deis-1"), "deis-2", 22, Verdict.UNKNOWN),
    ],
)
def test_names_are_matched_as_openssh_does(
    names: str, host: str, port: int, verdict: Verdict, tmp_path: Path
) -> None:
    keys = known(tmp_path, f"{names} ssh-ed25519 {a_key(1)} a comment")
    assert keys.check(host, port, "ssh-ed25519", a_key(1)) is verdict
    if verdict is Verdict.KNOWN:
        assert keys.check(host, port, "ssh-ed25519", a_key(2)) is Verdict.CHANGED
        assert keys.check(host, port, "ssh-rsa", a_key(2)) is Verdict.UNKNOWN
        assert keys.key_types_for(host, port) == ("ssh-ed25519",)


def test_a_revoked_key_is_refused_even_where_it_is_also_known(tmp_path: Path) -> None:
    keys = known(tmp_path, f"deis-1 ssh-ed25519 {a_key(1)}", f"@revoked * ssh-ed25519 {a_key(1)}")
    assert keys.check("deis-1", 22, "ssh-ed25519", a_key(1)) is Verdict.REVOKED
    assert keys.check("deis-9", 22, "ssh-ed25519", a_key(1)) is Verdict.REVOKED
    assert keys.check("deis-9", 22, "ssh-ed25519", a_key(2)) is Verdict.UNKNOWN


def test_a_certificate_authority_is_passed_over_with_a_note(tmp_path: Path) -> None:
    keys = known(tmp_path, f"@cert-authority *.example ssh-ed25519 {a_key(1)}", "", "# comment")
    assert keys.check("a.example", 22, "ssh-ed25519", a_key(1)) is Verdict.UNKNOWN
    assert len(keys.notes) == 1
    assert "@cert-authority" in keys.notes[0]
    assert "known_hosts:1" in keys.notes[0]


def test_a_host_may_have_two_keys_of_one_type(tmp_path: Path) -> None:
    keys = known(tmp_path, f"h ssh-ed25519 {a_key(1)}", f"h ssh-ed25519 {a_key(2)}")
    assert keys.check("h", 22, "ssh-ed25519", a_key(2)) is Verdict.KNOWN
    assert keys.check("h", 22, "ssh-ed25519", a_key(3)) is Verdict.CHANGED


def test_a_key_of_a_new_type_comes_with_a_warning(tmp_path: Path) -> None:
    keys = known(tmp_path, f"deis-1 ssh-rsa {a_key(1)}")
    assert "ssh-rsa" in keys.with_note(an_unknown(), 22).note
    assert keys.with_note(an_unknown("deis-2"), 22).note == ""


def test_accepted_keys_are_appended_and_known_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "known_hosts"
    keys = KnownHosts((path,))
    assert keys.check("deis-1", 2222, "ssh-ed25519", a_key(1)) is Verdict.UNKNOWN
    keys.add([an_unknown(port=2222), an_unknown("deis-2")])
    assert keys.check("deis-1", 2222, "ssh-ed25519", a_key(1)) is Verdict.KNOWN
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().splitlines() == [
        f"[deis-1]:2222 ssh-ed25519 {a_key(1)}",
        f"deis-2 ssh-ed25519 {a_key(1)}",
    ]


def test_a_last_line_without_an_end_is_not_run_into(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"old ssh-ed25519 {a_key(3)}")
    KnownHosts((path,)).add([an_unknown()])
    again = KnownHosts((path,))
    assert again.check("old", 22, "ssh-ed25519", a_key(3)) is Verdict.KNOWN
    assert again.check("deis-1", 22, "ssh-ed25519", a_key(1)) is Verdict.KNOWN


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "known_hosts"
        path.write_text(text, encoding="utf-8", errors="replace")
        keys = KnownHosts((path,))
        keys.check("deis-1", 22, "ssh-ed25519", a_key(1))
        keys.key_types_for("deis-1", 22)


hosts = st.sampled_from(["deis-1", "deis-2", "10.0.0.1", "a.example"])
patterns = st.sampled_from(["deis-*", "*", "!deis-2", "deis-?", "10.*", "*.example", "[deis-1]:22"])
first_fields = st.one_of(
    st.lists(st.one_of(hosts, patterns), min_size=1, max_size=3).map(",".join),
    hosts.map(hashed),
)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="openssh-client is missing")
@settings(max_examples=40)
@given(st.lists(first_fields, min_size=1, max_size=6), hosts)
def test_the_same_lines_are_found_as_by_ssh_keygen(fields: list[str], host: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "known_hosts"
        lines = [f"{text} ssh-ed25519 {a_key(i)}" for i, text in enumerate(fields)]
        path.write_text("\n".join(lines) + "\n")
        done = subprocess.run(
            ["ssh-keygen", "-F", host, "-f", path], capture_output=True, text=True, check=False
        )
        theirs = {line.split()[2] for line in done.stdout.splitlines() if not line.startswith("#")}
        keys = KnownHosts((path,))
        ours = {
            a_key(i)
            for i in range(len(fields))
            if keys.check(host, 22, "ssh-ed25519", a_key(i)) is Verdict.KNOWN
        }
    assert ours == theirs
