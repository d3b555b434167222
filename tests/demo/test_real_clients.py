"""A real ssh, a real etcdctl and a real docker client cannot tell the pretend cluster from a real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deiswizard.demo import scenario
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import AnswersError


@pytest.fixture(scope="module")
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("three", speed=50) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


def client(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run(
        words, capture_output=True, text=True, timeout=60, env={**os.environ, **environ}
    )


def ssh(pretend: PretendCluster, command: str) -> subprocess.CompletedProcess[str]:
    return client(
        "ssh", "-F", "/dev/null", "-p", str(pretend.target.port), "-i", str(pretend.key_file),
        "-o", f"UserKnownHostsFile={pretend.known_hosts}", "-o", "StrictHostKeyChecking=yes",
        "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "core@127.0.0.1", command,
    )  # fmt: skip


def test_ssh_runs_commands_and_sees_their_exit_status(pretend: PretendCluster) -> None:
    done = ssh(pretend, "cat /etc/deis-release; fleetctl list-machines --no-legend -l; cat /none")
    assert done.returncode == 1
    assert done.stdout.startswith("DEIS_RELEASE=v1.13.4\n")
    assert done.stdout.count("10.21.2.") == 3
    assert "cat: /none: No such file or directory" in done.stderr


def test_ssh_goes_on_through_the_first_host_to_another(pretend: PretendCluster) -> None:
    base = [
        "-F", "/dev/null", "-i", str(pretend.key_file), "-o", "IdentitiesOnly=yes",
        "-o", f"UserKnownHostsFile={pretend.known_hosts}", "-o", "BatchMode=yes",
    ]  # fmt: skip
    proxy = " ".join(
        ["ssh", *base, "-p", str(pretend.target.port), "-W", "%h:%p", "core@127.0.0.1"]
    )
    done = client("ssh", *base, "-o", f"ProxyCommand={proxy}", "core@10.21.2.13", "uname -n")
    assert done.stdout == "deis-3\n", done.stderr


def etcdctl(pretend: PretendCluster, *words: str) -> subprocess.CompletedProcess[str]:
    return client("etcdctl", "--no-sync", "-C", pretend.etcd_url, *words, ETCDCTL_API="2")


def test_etcdctl_lists_reads_writes_and_removes(pretend: PretendCluster) -> None:
    listed = etcdctl(pretend, "ls", "--recursive", "/deis/controller")
    assert "/deis/controller/registrationMode" in listed.stdout
    assert etcdctl(pretend, "set", "/deis/test/key", "a value").stdout == "a value\n"
    assert etcdctl(pretend, "get", "/deis/test/key").stdout == "a value\n"
    assert etcdctl(pretend, "rm", "/deis/test/key").returncode == 0
    gone = etcdctl(pretend, "get", "/deis/test/key")
    assert gone.returncode == 4 and "100: Key not found" in gone.stderr
    dir_error = etcdctl(pretend, "set", "/deis/controller", "x")
    assert "102: Not a file" in dir_error.stderr


def test_etcdctl_compares_as_the_runbook_asks_it_to(pretend: PretendCluster) -> None:
    def with_stdin(text: str, *words: str) -> int:
        if shutil.which("etcdctl") is None:
            pytest.skip("etcdctl is not installed")
        return subprocess.run(
            ["etcdctl", "--no-sync", "-C", pretend.etcd_url, *words],
            input=text.encode(), capture_output=True, env={**os.environ, "ETCDCTL_API": "2"},
        ).returncode  # fmt: skip

    assert with_stdin("-one\n", "mk", "/t/k") == 0 and with_stdin("x", "mk", "/t/k") == 4
    assert pretend.store.value("/t/k") == "-one\n"
    index = str(pretend.store.get("/t/k")["node"]["modifiedIndex"])
    assert (
        f"\nModified-Index: {index}\n" in etcdctl(pretend, "-o", "extended", "get", "/t/k").stdout
    )
    assert etcdctl(pretend, "set", "--swap-with-index", "1", "/t/k", "two").returncode == 4
    assert with_stdin("two", "set", "--swap-with-index", index, "/t/k") == 0
    assert etcdctl(pretend, "rm", "--with-index", index, "/t/k").returncode == 4
    assert pretend.store.value("/t/k") == "two"
    index = str(pretend.store.get("/t/k")["node"]["modifiedIndex"])
    assert etcdctl(pretend, "rm", "--with-index", index, "/t/k").returncode == 0
    assert pretend.store.value("/t/k") is None


def test_etcdctl_sees_three_healthy_members_and_a_leader(pretend: PretendCluster) -> None:
    members = etcdctl(pretend, "member", "list").stdout.splitlines()
    assert len(members) == 3 and sum("isLeader=true" in line for line in members) == 1


def test_etcdctl_watches_a_change(pretend: PretendCluster) -> None:
    if shutil.which("etcdctl") is None:
        pytest.skip("etcdctl is not installed")
    index = pretend.store.index
    watch = subprocess.Popen(
        [
            "etcdctl",
            "--no-sync",
            "-C",
            pretend.etcd_url,
            "watch",
            "--after-index",
            str(index),
            "/deis/w",
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "ETCDCTL_API": "2"},
    )
    pretend.store.put("/deis/w", "changed")
    assert watch.communicate(timeout=30)[0].strip().endswith(b"changed")


def docker(pretend: PretendCluster, host: str, *words: str) -> subprocess.CompletedProcess[str]:
    return client("docker", "-H", pretend.docker_urls[host], *words, DOCKER_API_VERSION="1.24")


def test_docker_lists_pulls_and_removes(pretend: PretendCluster) -> None:
    before = docker(pretend, "deis-2", "images", "--format", "{{.Repository}}:{{.Tag}}")
    if "client version" in before.stderr and "too old" in before.stderr:
        pytest.skip(f"this docker client refuses API 1.24: {before.stderr.strip()}")
    assert before.returncode == 0, before.stderr
    assert "deis/logspout:v1.13.4" in before.stdout and "alpine" not in before.stdout
    pulled = docker(pretend, "deis-2", "pull", "alpine:3.2")
    assert pulled.returncode == 0 and "Downloaded newer image" in pulled.stdout, pulled.stderr
    assert pretend.hosts[1].engine.has("alpine:3.2")
    assert docker(pretend, "deis-2", "rmi", "alpine:3.2").returncode == 0
    failed = docker(pretend, "deis-2", "pull", "deis/nothing:v0")
    assert failed.returncode == 1 and "not found" in failed.stderr


def test_a_command_that_no_host_knows_answers_127_and_is_logged() -> None:
    with PretendCluster.start("three", speed=50) as cluster:
        done = ssh(cluster, "frobnicate --now")
        assert done.returncode == 127 and "command not found" in done.stderr
        assert cluster.unknown_commands == ("frobnicate --now",)
        assert "127: frobnicate --now" in cluster.log_path.read_text()


def test_serve_prints_how_to_reach_it_and_ends_when_asked() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "deiswizard", "demo", "serve", "five", "--speed", "20"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told: dict[str, str] = {}
    for line in process.stdout:
        words = line.split()
        if (
            len(words) >= 2
            and not line.startswith("   ")
            and words[0] in ("address", "key", "known", "etcd")
        ):
            told[words[0]] = words[-1]
        if "ctrl-c" in line:
            break
    found = subprocess.run(
        [
            sys.executable, "-m", "deiswizard", "check", told["address"], "--json",
            "-i", told["key"], "--known-hosts", told["known"], "--ssh-config", "/dev/null",
        ],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert found.returncode == 2, found.stderr
    assert len(json.loads(found.stdout)["hosts"]) == 5
    process.terminate()
    assert process.wait(60) == 0


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_is_what_it_says(name: str) -> None:
    told = scenario.load(name)
    assert told.title
    names = {f"deis-{number + 1}" for number in range(told.hosts)}
    for group in (told.down, told.changed_keys, told.almost_full, told.images, told.no_etcdctl):
        assert set(group) <= names


def test_a_scenario_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(AnswersError) as caught:
        scenario.load("seven")
    assert "fifty, five, half-done, new, stateless, three, troubled" in caught.value.do
