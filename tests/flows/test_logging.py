"""Logging and monitoring from to do to ok and back: a real receiver gets what the cluster sends."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.demo.cluster import PretendCluster
from deiswizard.run.folders import config_folder, state_folder
from tests.certificates import certificate
from tests.flows.checks import answers, assert_status, told_of
from tests.flows.clusters import HOSTS, Cluster, Pretended
from tests.flows.commands import LIMIT, Said, deiswizard
from tests.flows.receiver import Receiver, receiver

DRAIN, STORAGE = "/deis/logs/drain", "/deis/logs/storageAdapterType"
FORWARDER = "deiswizard-log-forwarder.service"
CADVISOR, DATADOG = "deiswizard-cadvisor.service", "deiswizard-datadog.service"
KEY_FILE = "/etc/deiswizard/datadog.env"
API_KEY = "hunter2-of-the-agent"
OWN = """\
[Service]
ExecStart=/bin/sleep infinity
Restart=always

[X-Fleet]
Global=true
"""


@pytest.fixture
def logs(cluster: Cluster) -> Iterator[Receiver]:
    with receiver(cluster.receiver_address()) as made:
        cluster.let_reach(made.port)
        cluster.put(STORAGE, "memory:500")  # the lab has no CephFS
        yield made


def apply(cluster: Cluster, folder: Path, **fields: object) -> Said:
    """Logging with these answers."""
    lines = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in fields.items())
    chosen = answers(folder, f"logging:\n{lines}")
    return deiswizard("apply", "logging", "-a", chosen, "--yes", *cluster.flags())


def run_of(said: Said) -> str:
    (run,) = re.findall(r"^run (\S+): .*: done$", said.out, re.MULTILINE)
    return str(run)


def undo(cluster: Cluster, said: Said) -> Said:
    return deiswizard("undo", run_of(said), "--yes", *cluster.flags())


def findings(cluster: Cluster) -> str:
    return json.dumps(told_of(cluster, "logging"))


def test_a_drain_is_set_heard_proven_by_its_word_and_taken_back(
    cluster: Cluster, logs: Receiver, tmp_path: Path
) -> None:
    assert_status(cluster, "logging", "to do")
    own = tmp_path / "watcher.service"
    own.write_text(OWN)
    to = f"udp://{cluster.receiver_name}:{logs.port}"
    wanted = {"drain": "send", "drain_to": to, "agents": ["own"], "own_unit": str(own)}
    first = apply(cluster, tmp_path, proof="listen", storage="memory", memory_lines=2000, **wanted)
    assert first.code == 0, first.err
    assert (
        "verify   ok: a marker left the cluster and reached a listener on a host (heard)"
        in first.err
    )
    assert "that it arrived is NOT PROVEN yet" in first.err
    for host in HOSTS:
        assert f"done     {host}: a line of {host} reaches logger" in first.err
        assert logs.until(f"the lines of {host} come through")
    assert cluster.value(DRAIN) == to and cluster.value(STORAGE) == "memory:2000"
    for host in HOSTS:
        assert f"verify   ok: deiswizard-agent-watcher.service runs on {host}" in first.err
    line = logs.until("deiswizard-marker[1]: deiswizard-marker ")
    (word,) = set(logs.words())
    assert word not in first.out + first.err and word in line
    assert_status(cluster, "logging", "partly")
    assert "the drain is not proven: lines leave the cluster" in findings(cluster)

    wrong = apply(cluster, tmp_path, word="00000000", **wanted)
    assert wrong.code == 2 and "this is not the word of the last marker" in wrong.err
    proven = apply(cluster, tmp_path, word=word, **wanted)
    assert proven.code == 0 and "verify   ok: the drain is proven" in proven.err, proven.err
    assert_status(cluster, "logging", "ok")

    back = undo(cluster, first)
    assert back.code == 0, back.err
    assert cluster.value(DRAIN) in ("", None) and cluster.value(STORAGE) == "memory:500"
    assert cluster.unit_file("deiswizard-agent-watcher.service") == ""
    assert_status(cluster, "logging", "to do")


def test_the_former_drain_comes_back_and_is_shown_nowhere(
    cluster: Cluster, logs: Receiver, tmp_path: Path
) -> None:
    former = "udp://hunter2@former.example.com:514"
    cluster.put(DRAIN, former)
    assert_status(cluster, "logging", "at risk")
    to = f"tcp://{cluster.receiver_name}:{logs.port}"
    done = apply(cluster, tmp_path, drain="send", drain_to=to)
    assert done.code == 0, done.err
    logs.until("deiswizard-marker")
    back = undo(cluster, done)
    assert back.code == 0, back.err
    assert cluster.value(DRAIN) == former
    kept = [path for folder in (state_folder(), config_folder()) for path in folder.rglob("*")]
    texts = [path.read_text(errors="replace") for path in kept if path.is_file()]
    assert texts and not any("hunter2" in text for text in (*texts, done.out, done.err, back.err))


def test_a_host_whose_logspout_passes_nothing_on_is_named(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    cluster = Pretended(pretend)
    pretend.silent.add("deis-3")
    with receiver("127.0.0.1") as logs:
        cluster.let_reach(logs.port)
        to = f"udp://{cluster.receiver_name}:{logs.port}"
        said = apply(cluster, tmp_path, drain="send", drain_to=to, storage="memory")
        assert said.code == 1, said.err
        assert "done     deis-2: a line of deis-2 reaches logger" in said.err
        (failed,) = re.findall(r"^failed +(.*)$", said.err, re.MULTILINE)
        assert failed.startswith("deis-3: a line of deis-3 reaches logger: logger has got no line")
        assert logs.until("deiswizard-marker[1]: deiswizard-marker "), (
            "the drain works all the same"
        )


def test_journals_are_forwarded_readable_where_that_is_chosen(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    cluster = Pretended(pretend)
    with receiver("127.0.0.1") as logs:
        cluster.let_reach(logs.port)
        to = f"{cluster.receiver_name}:{logs.port}"
        done = apply(cluster, tmp_path, forward="plain", forward_to=to)
        assert done.code == 0, done.err
        assert "--ssl" not in cluster.unit_file(FORWARDER)
        for host in HOSTS:
            logs.until(f"{host} ")
        assert undo(cluster, done).code == 0


def test_a_forwarder_speaks_tls_and_comes_back_when_its_receiver_was_away(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.put(STORAGE, "memory:500")  # the lab has no CephFS
    shown = certificate("logs", cluster.receiver_name)

    def arrives(at: Receiver, text: str) -> None:
        """A line of every host; what is said while nobody receives is lost."""
        deadline = time.monotonic() + LIMIT
        for host in HOSTS:
            while not any(f" {host} " in line for line in list(at.lines)):
                assert time.monotonic() < deadline, (host, at.lines)
                cluster.journal(host, text)
                time.sleep(0.2)

    with receiver(cluster.receiver_address(), shown=shown) as first:
        cluster.let_reach(first.port)
        to = f"{cluster.receiver_name}:{first.port}"
        done = apply(cluster, tmp_path, forward="tls", forward_to=to)
        assert done.code == 0, done.err
        assert "ncat --ssl" in cluster.unit_file(FORWARDER)
        for host in HOSTS:
            assert f"verify   ok: {FORWARDER} runs on {host} (active/running)" in done.err
        arrives(first, "sealed")
        assert_status(cluster, "logging", "partly")
        assert "no agent watches the hosts" in findings(cluster)
    with receiver(cluster.receiver_address(), first.port, shown) as second:
        arrives(second, "back again")
        assert undo(cluster, done).code == 0
    assert cluster.unit_file(FORWARDER) == ""
    assert_status(cluster, "logging", "to do")


def test_a_receiver_that_nobody_reaches_stops_the_run_before_anything_is_changed(
    cluster: Cluster, tmp_path: Path
) -> None:
    to = f"{cluster.receiver_name}:9"
    said = apply(
        cluster, tmp_path, drain="send", drain_to=f"tcp://{to}", forward="plain", forward_to=to
    )
    assert said.code == 1 and f"cannot connect to {to}" in said.err
    assert cluster.value(DRAIN) in ("", None) and cluster.unit_file(FORWARDER) == ""


def test_an_agent_gets_its_key_by_a_file_and_a_host_that_joins_later_is_named(
    pretend: PretendCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the pretend cluster alone: no registry of the lab has an agent."""
    cluster = Pretended(pretend)
    images = {
        "cadvisor_image": "registry.example.com/cadvisor:v0.24.1",
        "datadog_image": "registry.example.com/dd-agent:v5",
    }
    lacking = apply(cluster, tmp_path, agents=["cadvisor", "datadog"], **images)
    assert lacking.code == 2 and "the key is not on deis-1, deis-2, deis-3" in lacking.err
    monkeypatch.setenv("DEISWIZARD_SECRET_DATADOG_KEY", API_KEY)
    done = apply(cluster, tmp_path, agents=["cadvisor", "datadog"], **images)
    assert done.code == 0, done.err
    for number, host in enumerate(HOSTS):
        assert cluster.file(host, KEY_FILE) == f"API_KEY={API_KEY}\nDD_API_KEY={API_KEY}\n"
        assert pretend.hosts[number].modes[KEY_FILE] == "600"
        assert {"deiswizard-cadvisor", "deiswizard-datadog"} <= pretend.hosts[number].containers
    files = [p for f in (state_folder(), config_folder()) for p in f.rglob("*") if p.is_file()]
    told = [path.read_text(errors="replace") for path in files] + [done.out, done.err]
    assert not any(API_KEY in text for text in (*told, cluster.unit_file(DATADOG)))

    new = pretend.add_host()
    told_later = findings(cluster)
    assert f"{new.name} has no {KEY_FILE}: Datadog cannot start there" in told_later
    assert f"{DATADOG} runs on 3 of 4 hosts" in told_later
    again = apply(cluster, tmp_path, agents=["cadvisor", "datadog"], **images)
    assert again.code == 0 and f"verify   ok: {DATADOG} runs on {new.name}" in again.err, again.err

    monkeypatch.setenv("DEISWIZARD_SECRET_DATADOG_KEY", f"{API_KEY}-2")
    turned = apply(cluster, tmp_path, agents=["datadog"], **images)
    assert turned.code == 0, turned.err
    assert f"{API_KEY}-2\n" in cluster.file("deis-1", KEY_FILE)
    assert cluster.unit_file(CADVISOR) == ""
    back = undo(cluster, turned)
    assert back.code == 0, back.err
    assert cluster.file("deis-1", KEY_FILE) == f"API_KEY={API_KEY}\nDD_API_KEY={API_KEY}\n"
    assert cluster.unit_file(CADVISOR) != ""


def test_a_retired_image_is_told_and_no_unit_is_submitted(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    cluster = Pretended(pretend)
    said = apply(cluster, tmp_path, agents=["cadvisor"], cadvisor_image="google/cadvisor:latest")
    assert said.code == 1 and "google/cadvisor:latest not found" in said.err
    assert cluster.unit_file(CADVISOR) == ""


def test_a_container_that_logger_cannot_read_stops_it_and_that_is_seen(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    cluster = Pretended(pretend)
    pretend.hosts[1].containers.add("My.Agent")
    assert "the next line of the container My.Agent on deis-2 stops all logging" in findings(
        cluster
    )
    pretend.logger.take("My.Agent", "hello")
    assert "a line without an app's tag has stopped logger" in findings(cluster)
    with receiver("127.0.0.1") as made:
        cluster.let_reach(made.port)
        to = f"udp://{cluster.receiver_name}:{made.port}"
        said = apply(cluster, tmp_path, drain="send", drain_to=to, proof="listen")
    assert said.code == 1 and "the marker did not leave the cluster" in said.err
    assert cluster.value(DRAIN) == to, "not left at the listener"
    assert made.words() == []


def test_a_receiver_that_refuses_mutes_logger_and_that_is_seen(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    cluster = Pretended(pretend)
    with receiver("127.0.0.1") as made:
        cluster.let_reach(made.port)
        to = f"tcp://{cluster.receiver_name}:{made.port}"
        assert apply(cluster, tmp_path, drain="send", drain_to=to, proof="none").code == 0
    pretend.logger.take("go", "nobody hears this")
    assert "sent nothing for 5 minutes" in findings(cluster)
