"""Our reader of ssh config against OpenSSH's own (``ssh -G``)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deiswizard.cluster.ssh_config import jump_of_command, matches_any, settings_for
from deiswizard.errors import PreconditionError

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="openssh-client is missing")


def openssh_says(path: Path, host: str) -> dict[str, list[str]]:
    done = subprocess.run(["ssh", "-G", "-F", path, host], capture_output=True, text=True)
    assume("jumphost loop" not in done.stderr)  # which ours notices when it follows the jumps
    assert done.returncode == 0, done.stderr
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        said.setdefault(keyword, []).append(value)
    return said


names = st.sampled_from(["deis-1", "deis-2", "gate", "10.21.2.11", "prod.example.com"])
patterns = st.lists(
    st.sampled_from(["*", "deis-*", "!deis-2", "deis-?", "10.21.*", "gate", "*.example.com", "x"]),
    min_size=1,
    max_size=3,
).map(" ".join)
values = st.one_of(
    st.builds("User {}".format, st.sampled_from(["core", "root", "ubuntu"])),
    st.builds("port={}".format, st.integers(1, 65535)),
    st.builds("HostName {}".format, st.sampled_from(["10.0.0.9", "%h.inner", "a.example"])),
    st.builds("  IdentityFile {}".format, st.sampled_from(["/k/a", '"/k/with space"', "/k/%h"])),
    st.builds("ProxyJump {}".format, st.sampled_from(["gate", "u@gate:2022,b", "none"])),
    st.builds("UserKnownHostsFile {}".format, st.sampled_from(["/h/a", "/h/a /h/b"])),
    st.builds("IdentitiesOnly {}".format, st.sampled_from(["yes", "no"])),
    st.sampled_from(["# a comment", "", "ForwardAgent no", "Compression = yes"]),
)
blocks = st.one_of(
    values,
    values,
    values,
    st.builds("Host {}".format, patterns),
    st.builds("Match originalhost {}".format, st.sampled_from(["deis-*", "gate,deis-1", "!gate"])),
    st.builds("Match host {}".format, st.sampled_from(["10.0.0.9", "*.inner", "deis-2"])),
    st.just("Match all"),
    st.just("Include {folder}/more"),
)
files = st.lists(blocks, max_size=14).map("\n".join)


@needs_ssh
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(main=files, more=st.lists(blocks, max_size=5), host=names)
def test_it_says_the_same_as_openssh(main: str, more: list[str], host: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = [line for line in more if not line.startswith("Include")]
        (folder / "more").write_text("\n".join(own) + "\n")
        (folder / "config").write_text(main.format(folder=folder) + "\n")
        theirs = openssh_says(folder / "config", host)
        ours = settings_for(folder / "config", host, "root")
    assert (ours.host_name or host) == theirs["hostname"][0]
    assert (ours.port or 22) == int(theirs["port"][0])
    assert (ours.user or "root") == theirs["user"][0]
    assert ours.identities_only == (theirs["identitiesonly"][0] == "yes")
    jumps = theirs.get("proxyjump", [""])[0]
    assert ",".join(ours.proxy_jump) == jumps
    if ours.identities:
        expanded = [path.replace("%h", ours.host_name or host) for path in theirs["identityfile"]]
        assert [str(path) for path in ours.identities] == expanded
    if ours.known_hosts:
        assert " ".join(map(str, ours.known_hosts)) == theirs["userknownhostsfile"][0]


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "config"
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            settings_for(path, "deis-1")
        except PreconditionError as error:
            assert error.do


def test_an_include_stays_inside_its_block(tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("Host *\n  User inner\n")
    (tmp_path / "config").write_text(
        f"Host other\n  Include {tmp_path}/inn*\nHost deis-1\n  Port 2222\n"
    )
    found = settings_for(tmp_path / "config", "deis-1")
    assert (found.user, found.port) == (None, 2222)
    assert settings_for(tmp_path / "config", "other").user == "inner"


def test_an_include_of_itself_is_an_error_with_words(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"Include {tmp_path}/config\n")
    with pytest.raises(PreconditionError, match="nested more than"):
        settings_for(tmp_path / "config", "h")


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="does not exist"):
        settings_for(tmp_path / "none", "h")


def test_a_port_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Port 70000\n")
    with pytest.raises(PreconditionError, match="not a port"):
        settings_for(tmp_path / "config", "h")


def test_a_negated_pattern_wins() -> None:
    assert matches_any(["*", "!deis-2"], "deis-1")
    assert not matches_any(["*", "!deis-2"], "deis-2")
    assert not matches_any(["!deis-2"], "deis-1")
    assert not matches_any(["[ab]"], "a")


@pytest.mark.parametrize(
    ("command", "jump"),
    [
        ("ssh -W %h:%p gate", "gate"),
        ("ssh -q -W %h:%p core@gate -p 22", None),
        ("ssh -p 2222 -l core gate -W %h:%p", None),
        ("ssh -p 2222 -l core -W %h:%p gate", "core@gate:2222"),
        ("exec /usr/bin/ssh core@gate nc -w 5 %h %p", None),
        ("ssh core@gate nc %h %p", "core@gate"),
        ("corkscrew proxy 8080 %h %p", None),
    ],
)
def test_an_old_proxy_command_is_read_as_a_jump(command: str, jump: str | None) -> None:
    assert jump_of_command(command) == jump
