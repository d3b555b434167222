"""The lab itself: an aborted one leaves nothing that stands in the way of the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.lab import FOLDER, Lab, running


def test_a_lab_that_was_killed_is_gone_and_the_next_one_works(
    aborted_lab: set[int], lab: Lab
) -> None:
    assert len(aborted_lab) >= 3 * 8
    assert not [pid for pid in aborted_lab if Path(f"/proc/{pid}").exists()]
    for host in lab.hosts:
        assert host.run("uname", "-n").stdout.strip() == host.name
    assert lab.value("/deis/platform/domain")


def test_nothing_of_the_hosts_is_mounted_outside(lab: Lab) -> None:
    assert str(FOLDER) not in Path("/proc/mounts").read_text()
    for host in lab.hosts:
        assert "/var/lib/docker" in host.run("cat", "/proc/mounts").stdout


def test_a_second_lab_is_refused_and_harms_nothing(lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="another lab"), running():
        pass
    for host in lab.hosts:
        host.await_services()


def test_the_registry_refuses_in_docker_hubs_words_and_is_missed_when_it_is_down(lab: Lab) -> None:
    host, image = lab.hosts[0], "deis/router:v1.13.4"

    def pull() -> str:
        said = host.run("docker", "pull", image, check=False)
        return said.stderr if said.returncode else ""

    lab.registry.refuse(429)
    assert "toomanyrequests: You have reached your pull rate limit" in pull()
    lab.registry.refuse(500)
    assert "500 Internal Server Error" in pull()
    lab.registry.stop()
    assert "connection refused" in pull()
    lab.registry.start()
    assert pull() == "" and image in host.images()
