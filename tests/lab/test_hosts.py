"""Lab hosts: a real systemd on each, and the misfortunes that can be brought over them."""

from __future__ import annotations

import json
import socket
import urllib.request

import pytest

from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.waiting import await_that

IMAGE = "deis/router:v1.13.4"
KEY = "/deis/lab/written-before"


def test_systemd_runs_on_each_host_with_nothing_failed(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.run("cat", "/proc/1/comm").stdout == "systemd\n"
        assert host.run("systemctl", "is-system-running", "--wait").stdout == "running\n"
        assert host.run("systemctl", "--failed", "--no-legend").stdout == ""
        assert "Started etcd2.service" in host.run("journalctl", "-b", "-u", "etcd2").stdout
        own = host.run("systemctl", "show", "-p", "MainPID", "--value", "docker").stdout.strip()
        assert host.run("cat", f"/proc/{own}/comm").stdout == "dockerd\n"


def test_the_clock_and_the_kernel_are_out_of_reach(lab: Lab) -> None:
    host = lab.hosts[0]
    said = host.run("systemd-run", "--pipe", "--wait", "-q", "date", "-s", "@0", check=False)
    assert said.returncode and "Operation not permitted" in said.stderr
    refused = host.run("sh", "-c", "echo 1 > /proc/sys/kernel/panic", check=False)
    assert refused.returncode and "Read-only" in refused.stderr


def test_a_transient_unit_runs_and_a_kill_reaches_only_this_host(lab: Lab) -> None:
    first, second = lab.hosts[:2]
    for host in (first, second):
        host.run("systemd-run", "--unit=lab-sleeper", "sleep", "infinity")
    first.run("systemctl", "kill", "-s", "KILL", "lab-sleeper")
    await_that(lambda: _state(first) == "failed", "the unit was killed")
    assert _state(second) == "active"
    second.run("systemctl", "stop", "lab-sleeper")


def _state(host: LabHost) -> str:
    return host.run("systemctl", "is-active", "lab-sleeper", check=False).stdout.strip()


def test_a_power_cycle_changes_the_boot_id_and_keeps_the_disks(lab: Lab) -> None:
    host = lab.hosts[1]
    lab.put(KEY, "yes")
    host.run("docker", "pull", IMAGE)
    host.run("touch", "/etc/kept", "/run/lost", "/tmp/lost")
    before = {one.name: one.boot_id for one in lab.hosts}
    assert len(set(before.values())) == len(lab.hosts)
    host.power_off()
    with pytest.raises(OSError):
        socket.create_connection((host.address, 22), 1)
    lab.put(f"{KEY}-meanwhile", "yes")
    host.power_on()
    assert host.boot_id not in before.values()
    assert lab.hosts[0].boot_id == before[lab.hosts[0].name]
    assert host.images() == {IMAGE}
    host.run("test", "-e", "/etc/kept")
    assert host.run("ls", "/run/lost", "/tmp/lost", check=False).returncode
    host.run("test", "-x", "/run/deis/bin/preseed")
    boots = host.run("journalctl", "--list-boots").stdout
    assert host.boot_id.replace("-", "") in boots
    assert before[host.name].replace("-", "") in boots
    for key in (KEY, f"{KEY}-meanwhile"):
        url = f"http://{host.address}:2379/v2/keys{key}"
        with urllib.request.urlopen(url, timeout=5) as said:
            assert json.load(said)["node"]["value"] == "yes"


def test_a_black_hole_answers_nothing_not_even_no(lab: Lab) -> None:
    host = lab.hosts[2]
    host.drop_packets()
    with pytest.raises(TimeoutError):
        socket.create_connection((host.address, 22), 1)
    with pytest.raises(TimeoutError):
        socket.create_connection((host.address, 1), 1)
    host.accept_packets()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host.address, 1), 1)
    host.await_services()


def test_a_full_disk_stops_a_pull_and_room_lets_it_go_on(lab: Lab) -> None:
    host = lab.hosts[0]
    host.fill_disk()
    said = host.run("docker", "pull", IMAGE, check=False)
    assert said.returncode and "no space left on device" in said.stderr
    host.free_disk()
    host.run("docker", "pull", IMAGE)
    assert host.images() == {IMAGE}


def test_sshd_engine_and_etcd_go_and_come_back(lab: Lab) -> None:
    host = lab.hosts[1]
    host.kill_sshd()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host.address, 22), 1)
    host.stop_engine()
    assert host.run("docker", "ps", check=False).returncode
    host.start_engine()
    pid = host.run("systemctl", "show", "-p", "MainPID", "docker").stdout
    host.restart_engine()
    assert host.run("systemctl", "show", "-p", "MainPID", "docker").stdout != pid
    host.stop_etcd()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host.address, 2379), 1)
    host.start_etcd()
    lab.reset()
    host.await_sshd()
