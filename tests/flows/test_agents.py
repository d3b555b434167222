"""Agents as containers of real engines, by fleet's units, with their keys in a file for root alone."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

import pytest

from deiswizard.run.folders import config_folder, state_folder
from tests.flows.checks import assert_status
from tests.flows.clusters import HOSTS, Real
from tests.flows.commands import deiswizard
from tests.flows.test_logging import CADVISOR, DATADOG, KEY_FILE, STORAGE, apply
from tests.lab import root
from tests.lab.images import Pusher, shell_layer
from tests.lab.waiting import await_that

API_KEY = secrets.token_hex(16)
"""Another one in each run: it may not be found anywhere, and hosts of the lab see these tests."""

OWN = """\
[Service]
ExecStartPre=-/usr/bin/docker rm -f watcher
ExecStart=/usr/bin/docker run --rm --name watcher IMAGE
ExecStop=-/usr/bin/docker stop watcher
Restart=always

[X-Fleet]
Global=true
"""
RUNS = ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done")
UNITS = (CADVISOR, DATADOG, "deiswizard-agent-watcher.service")
CONTAINERS = {"deiswizard-cadvisor", "deiswizard-datadog", "watcher"}


@pytest.fixture
def images(real: Real) -> dict[str, str]:
    """In the lab's registry, by agent: each runs until it is told to end, and has nothing to say."""
    registry = real.lab.network.registry
    layer = shell_layer(root.path())
    for name in ("cadvisor", "datadog", "own"):
        Pusher(registry).push(f"agents/{name}", "v1", [layer], RUNS)
    return {name: f"{registry}/agents/{name}:v1" for name in ("cadvisor", "datadog", "own")}


def containers(real: Real, host: str) -> set[str]:
    said = real.lab.host(host).run("docker", "ps", "--format", "{{.Names}}").stdout
    return set(said.split()) & CONTAINERS


def is_clear(real: Real, host: str) -> bool:
    return not containers(real, host)


def test_agents_run_on_every_host_know_their_key_and_leave_nothing(
    real: Real, images: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEISWIZARD_SECRET_DATADOG_KEY", API_KEY)
    real.put(STORAGE, "memory:500")  # the lab has no CephFS
    own = tmp_path / "watcher.service"
    own.write_text(OWN.replace("IMAGE", images["own"]))
    done = apply(
        real,
        tmp_path,
        agents=["cadvisor", "datadog", "own"],
        cadvisor_image=images["cadvisor"],
        datadog_image=images["datadog"],
        own_unit=str(own),
    )
    assert done.code == 0, done.err
    for name in HOSTS:
        host = real.lab.host(name)
        for unit in UNITS:
            assert f"verify   ok: {unit} runs on {name} (active/running)" in done.err
        assert containers(real, name) == CONTAINERS
        ports = host.run(
            "docker", "inspect", "-f", "{{json .HostConfig.PortBindings}}", CADVISOR[:-8]
        )
        assert f'"HostIp":"{host.address}","HostPort":"8080"' in ports.stdout
        told = host.run("docker", "exec", "deiswizard-datadog", "/bin/sh", "-c", "echo $API_KEY")
        assert told.stdout == f"{API_KEY}\n"
        assert host.run("stat", "-c", "%a %U", KEY_FILE).stdout == "600 root\n"
        assert host.run("stat", "-c", "%a %U", str(Path(KEY_FILE).parent)).stdout == "700 root\n"
        places = ("/etc", "/home", "/opt", "/tmp", "/usr", "/var/log", "/var/lib/etcd2")
        found = host.run("grep", "-rls", API_KEY, *places, check=False).stdout.split()
        assert found == [KEY_FILE]
        assert API_KEY not in host.run("journalctl", "-o", "cat").stdout
        assert API_KEY not in host.run("ps", "axww", "-o", "args").stdout
    assert_status(real, "logging", "partly")  # no drain
    kept = [p for f in (state_folder(), config_folder()) for p in f.rglob("*") if p.is_file()]
    texts = [path.read_text(errors="replace") for path in kept] + [done.out, done.err]
    texts += [real.unit_file(unit) for unit in UNITS]
    assert all(texts[-3:]) and not any(API_KEY in text for text in texts)

    back = deiswizard("undo", "last", "--yes", *real.flags())
    assert back.code == 0, back.err
    for name in HOSTS:
        await_that(partial(is_clear, real, name), "fleet ends containers after it forgot units")
        assert real.file(name, KEY_FILE) == ""
    assert [real.unit_file(unit) for unit in UNITS] == ["", "", ""]
    assert_status(real, "logging", "to do")
