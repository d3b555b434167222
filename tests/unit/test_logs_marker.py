"""The marker's scripts in a real shell: what they keep, what they leave, and how they end."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deiswizard.recommendations.logs.drain import drain_digest, parse_drain
from deiswizard.recommendations.logs.marker import (
    hear_command,
    heard_value,
    is_word_of,
    parse_sent,
    reach_command,
    say_command,
    takes_command,
)
from tests.flows.receiver import MARKER
from tests.unit.logging_world import DRAIN, world

LISTEN = """\
import os, socket, sys
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind((sys.argv[-2], int(sys.argv[-1])))
open(os.environ["LISTENS"], "w").close()
while True:
    print(listener.recv(65535).decode(), flush=True)
    open(os.environ["HEARD"], "w").close()
"""
SEND = """\
import os, socket, sys, time

def wait_for(name):
    deadline = time.monotonic() + 60
    while not os.path.exists(os.environ[name]) and time.monotonic() < deadline:
        time.sleep(0.01)

for line in sys.stdin:
    line = f"2016-07-01T10:00:00UTC deiswizard-marker[1]: {line}"
    open(os.environ["SAID"], "a").write(line)
    if os.environ.get("TO"):
        wait_for("LISTENS")
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(line.encode(), ("127.0.0.1", int(os.environ["TO"])))
        wait_for("HEARD")
"""
STUBS = {
    "docker": 'echo "docker $1" >> "$CALLS"\ncase $1 in\ninspect) echo deis/logspout:v1;;\n'
    'run) for last; do :; done; "$PYTHON" -c "$SEND" <<END\n$(sh -c "$last")\nEND\n;;\nesac\n',
    "ncat": 'exec "$PYTHON" -c "$LISTEN" "$@"\n',
    "etcdctl": 'echo "$2 $3" >> "$KEPT"\n',
    "curl": 'echo "curl $*" >> "$CALLS"\n',
    "sleep": "exec /bin/sleep 0.2\n",
}


class Host:
    """A folder of programs in front of the real ones, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in STUBS.items():
            path = folder / name
            path.write_text(f"#!/bin/sh\n{text}")
            path.chmod(0o755)

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        environ = {
            **os.environ,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "TMPDIR": str(self.folder),
            "PYTHON": sys.executable,
            "LISTEN": LISTEN,
            "SEND": SEND,
            **{
                name: str(self.folder / name)
                for name in ("CALLS", "KEPT", "SAID", "LISTENS", "HEARD")
            },
            **more,
        }
        return subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, env=environ, timeout=60
        )

    def text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_marker_is_said_and_only_its_checksum_is_kept(host: Host) -> None:
    done = host.run(say_command(world(), DRAIN))
    assert done.returncode == 0 and done.stdout == "", done.stderr
    said = re.findall(
        r"deiswizard-marker\[1\]: deiswizard-marker (\w{8})$", host.text("SAID"), re.M
    )
    (word,) = set(said)
    assert len(said) == 3, "one may be lost on its way"
    key, _, value = host.text("KEPT").strip().partition(" ")
    assert key == "/deiswizard/logging/marker"
    assert value == f"{drain_digest(DRAIN)} {hashlib.sha256(word.encode()).hexdigest()}"
    assert is_word_of(word.upper(), parse_sent(value)) and not is_word_of(
        "00000000", parse_sent(value)
    )
    assert "curl" in host.text("CALLS") and "DELETE http://" in host.text("CALLS")
    assert host.text("CALLS").splitlines()[:3] == ["docker inspect", "docker rm", "docker run"]


def test_each_marker_has_a_word_of_its_own(host: Host) -> None:
    for _ in range(2):
        assert host.run(say_command(world(), DRAIN)).returncode == 0
    assert len(set(re.findall(r"marker (\w{8})$", host.text("SAID"), re.M))) == 2


@pytest.mark.parametrize("arrives", [True, False])
def test_a_listener_hears_a_marker_or_not_and_nothing_is_left(host: Host, arrives: bool) -> None:
    port = free_port()
    trial = parse_drain(f"udp://127.0.0.1:{port}")
    assert trial is not None
    done = host.run(hear_command(world(), trial, DRAIN), **({"TO": str(port)} if arrives else {}))
    assert done.returncode == 0, done.stderr
    assert (
        f"the marker {'arrived' if arrives else 'did not arrive'} at 127.0.0.1:{port}"
        in done.stdout
    )
    value = heard_value(DRAIN) if arrives else heard_value(DRAIN).replace("yes", "no")
    assert host.text("KEPT") == f"/deiswizard/logging/heard {value}\n"
    assert not list(host.folder.glob("tmp.*"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", port))


def test_a_host_without_logspout_ends_well_and_says_that_nothing_was_heard(host: Host) -> None:
    (host.folder / "docker").write_text("#!/bin/sh\nexit 1\n")
    trial = parse_drain(f"udp://127.0.0.1:{free_port()}")
    assert trial is not None
    done = host.run(hear_command(world(), trial, DRAIN))
    assert done.returncode == 0 and "no marker could be said" in done.stdout
    assert host.text("KEPT").endswith(" no\n")
    assert host.run(say_command(world(), DRAIN)).returncode == 3


@pytest.mark.parametrize(
    ("said", "drain", "count"),
    [
        (f"Activated new drain: {DRAIN}", DRAIN, "1"),
        (f"Activated new drain: {DRAIN}0", DRAIN, "0"),
        (f"Activated new drain: {DRAIN}\nDeactivated drain", DRAIN, "0"),
        ("Activated new drain: udp://logsXexample.com:514", DRAIN, "0"),
        ("Activated new drain: udp://[::1]:514", "udp://[::1]:514", "1"),
        ("deis-logger running", "", "0"),
        (f"Activated new drain: {DRAIN}", "", "1"),
    ],
)
def test_what_logger_has_taken_is_counted_but_not_told(
    host: Host, said: str, drain: str, count: str
) -> None:
    (host.folder / "docker").write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    assert host.run(takes_command(drain)).stdout == f"{count}\n"


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_hosts_line_is_looked_for_where_logger_keeps_it(host: Host, is_kept: bool) -> None:
    if is_kept:
        (host.folder / "curl").write_text('#!/bin/sh\necho "curl $*" >> "$CALLS"\ncat "$SAID"\n')
    done = host.run(reach_command(world(drain=DRAIN)))
    assert done.returncode == (0 if is_kept else 6), done.stderr
    assert f"logger has got {'a' if is_kept else 'no'} line of this host" in done.stdout
    said = host.text("SAID").splitlines()
    assert len(said) == 3 and len(set(said)) == 1
    assert f"the lines of {os.uname().nodename} come through " in said[0]
    assert "/deiswizard-marker?log_lines=1000" in host.text("CALLS")
    assert not MARKER.search(said[0]), "taken for the word"
