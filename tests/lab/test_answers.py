"""What the stand-ins on a host say is what the real programs were recorded to say."""

from __future__ import annotations

import pytest

from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.recordings import DEISCTL, FLEET, recording

ALIKE = [
    (DEISCTL, "ver-deisctl"), (DEISCTL, "ver-fleetctl"), (DEISCTL, "ver-fleetd"),
    (DEISCTL, "deisctl-no-args"), (DEISCTL, "deisctl-unknown-command"),
    (DEISCTL, "deisctl-config-usage-badverb"), (DEISCTL, "deisctl-config-usage-noargs"),
    (DEISCTL, "deisctl-config-set-noargs"), (DEISCTL, "deisctl-config-set-noequals"),
    (DEISCTL, "deisctl-config-set-emptyvalue"), (DEISCTL, "deisctl-config-set-multi"),
    (DEISCTL, "deisctl-config-set-multi-one-bad"), (DEISCTL, "deisctl-config-set-slashkey"),
    (DEISCTL, "deisctl-config-set-sshPrivateKey-nofile"), (DEISCTL, "deisctl-config-set-badvalue"),
    (DEISCTL, "deisctl-config-get-nokey"), (DEISCTL, "deisctl-config-rm-nokey"),
    (DEISCTL, "get_image-default"),
    (FLEET, "deisctl-badendpoint"), (FLEET, "deisctl-scale-bad"), (FLEET, "deisctl-scale-controller"),
    (FLEET, "deisctl-install-unknown"), (FLEET, "deisctl-start-unknown"),
    (FLEET, "deisctl-start-logger"), (FLEET, "deisctl-start-logspout-global"),
    (FLEET, "fleetctl-unknown-cmd"), (FLEET, "fleetctl-start-unknown"),
    (FLEET, "fleetctl-status-unknown"), (FLEET, "fleetctl-nosocket"),
    (FLEET, "fleetctl-list-machines-badfield"),
]  # fmt: skip
WITHOUT_ETCD = [
    "etcddown-deisctl-config-set", "etcddown-fleetctl-list-machines-l", "etcddown-get_image",
]  # fmt: skip


def assert_alike(host: LabHost, folder: str, name: str) -> None:
    recorded = recording(folder, name)
    said = host.run("bash", "-c", recorded.command, check=False)
    expected = (recorded.status, recorded.out.rstrip(), recorded.err.rstrip())
    assert (said.returncode, said.stdout.rstrip(), said.stderr.rstrip()) == expected, name


def test_answers_and_exit_codes_are_those_of_the_recordings(lab: Lab) -> None:
    for folder, name in ALIKE:
        assert_alike(lab.hosts[0], folder, name)


@pytest.mark.parametrize("name", ["fleetctl-list-machines-l", "fleetctl-list-machines"])
def test_a_list_of_machines_has_the_columns_of_the_recording(lab: Lab, name: str) -> None:
    recorded = recording(FLEET, name)
    said = lab.hosts[0].run("bash", "-c", recorded.command).stdout
    legend, *lines = said.splitlines()
    assert legend.split() == recorded.out.splitlines()[0].split()
    assert [line.split("\t")[0][:8] for line in lines] == [h.machine_id[:8] for h in lab.hosts]
    metadata = {line.split("\t")[-1] for line in recorded.out.splitlines()[1:]}
    assert {line.split("\t")[-1] for line in lines} == metadata


def test_a_host_whose_etcd_is_down_answers_as_recorded(lab: Lab) -> None:
    host = lab.hosts[1]
    host.stop_etcd()
    for name in WITHOUT_ETCD:
        assert_alike(host, FLEET, name)


def test_a_unit_is_stopped_uninstalled_and_installed_again_by_deisctl(lab: Lab) -> None:
    host = lab.hosts[0]
    for verb, end in (("stop", "inactive/dead"), ("uninstall", "destroyed"), ("install", "loaded")):
        said = host.run("deisctl", verb, "router@1").stdout
        assert said.startswith("\x1b[0;33mdeis-router@1.service:\x1b[0m") and end in said
    listed = host.run("deisctl", "list").stdout
    assert "deis-router@1.service" in listed
    assert "active/running" in host.run("deisctl", "start", "router@1").stdout
