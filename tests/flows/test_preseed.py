"""Preseeding from to do to ok, with the images really there; and what goes wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deiswizard.cluster.image_names import normalised
from tests.flows.checks import answers, assert_status
from tests.flows.clusters import COMPONENTS_IN_USE, HOSTS, Cluster
from tests.flows.commands import deiswizard

EXTRA = "alpine:3.2"


def needed(extra: str = EXTRA) -> set[str]:
    names = (
        "builder", "controller", "database", "logger", "logspout", "publisher", "registry",
        "router", "store-daemon", "store-gateway", "store-metadata", "store-monitor",
    )  # fmt: skip
    assert len(names) == COMPONENTS_IN_USE
    return {normalised(f"deis/{name}:v1.13.4") for name in names} | {normalised(extra)}


@pytest.mark.parametrize("method", ["pull", "script"])
def test_preseeding_goes_from_to_do_to_ok_and_the_images_are_there(
    cluster: Cluster, method: str, tmp_path: Path
) -> None:
    assert_status(cluster, "preseed", "to do", "partly")
    chosen = answers(tmp_path, f"preseed:\n  method: {method}\n  extra_images: [{EXTRA}]\n")
    done = deiswizard("apply", "preseed", "-a", chosen, "--yes", *cluster.flags())
    assert done.code == 0, done.err
    assert "verify   ok" in done.err and ": done" in done.out
    for host in HOSTS:
        assert needed() <= {normalised(name) for name in cluster.images(host)}
    assert_status(cluster, "preseed", "ok")
    again = deiswizard("apply", "preseed", "-a", chosen, "--yes", *cluster.flags())
    assert again.code == 0 and "pull deis/" not in again.err


def test_only_the_chosen_hosts_are_touched(cluster: Cluster, tmp_path: Path) -> None:
    before = {host: cluster.images(host) for host in HOSTS}
    chosen = answers(tmp_path, "preseed:\n  hosts: [deis-2]\n  extra_images: []\n")
    done = deiswizard("apply", "preseed", "-a", chosen, "--yes", *cluster.flags())
    assert done.code == 0, done.err
    assert needed("deis/router:v1.13.4") <= {normalised(n) for n in cluster.images("deis-2")}
    for host in ("deis-1", "deis-3"):
        assert cluster.images(host) == before[host]


def test_an_image_that_no_registry_has_is_told_for_each_host_in_the_engine_s_words(
    cluster: Cluster, tmp_path: Path
) -> None:
    unknown = cluster.unknown_image
    chosen = answers(tmp_path, f"preseed:\n  extra_images: ['{unknown}']\n")
    done = deiswizard("apply", "preseed", "-a", chosen, "--yes", *cluster.flags())
    assert done.code == 1
    for host in HOSTS:
        line = next(line for line in done.err.splitlines() if f"{host}: pull {unknown}" in line)
        assert line.startswith("failed") and "not" in line and unknown.rpartition("/")[0] in line
        assert needed("deis/router:v1.13.4") <= {normalised(n) for n in cluster.images(host)}
    shown = deiswizard("show", "last")
    assert shown.out.count(f"pull {unknown}") >= 3 and "failed" in shown.out


def test_a_host_that_is_down_is_a_finding_and_the_others_are_preseeded(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.take_down("deis-3")
    told = json.loads(deiswizard("check", "--json", *cluster.flags()).out)
    hosts = {host["name"]: host for host in told["hosts"]}
    reachable = [name for name, host in hosts.items() if host["reachable"]]
    assert reachable == ["deis-1", "deis-2"] and len(hosts) == 3
    chosen = answers(tmp_path, "preseed:\n  extra_images: []\n")
    done = deiswizard("apply", "preseed", "-a", chosen, "--yes", *cluster.flags())
    assert done.code == 0, done.err
    for host in reachable:
        assert needed("deis/router:v1.13.4") <= {normalised(n) for n in cluster.images(host)}


def test_an_engine_that_is_down_is_a_finding(cluster: Cluster) -> None:
    cluster.stop_engine("deis-2")
    said = deiswizard("check", *cluster.flags())
    assert said.code == 2, said.out
    assert "Docker does not answer on deis-2" in said.out
    assert "the images on deis-2 could not be read" in said.out
    assert "the images on deis-1" not in said.out


def test_everything_works_through_a_bastion(bastion: Cluster, tmp_path: Path) -> None:
    chosen = answers(tmp_path, "preseed:\n  extra_images: []\n")
    done = deiswizard("apply", "preseed", "registration", "-a", chosen, "--yes", *bastion.flags())
    assert done.code == 0, done.err
    for recommendation in ("preseed", "registration"):
        assert_status(bastion, recommendation, "ok")
    for host in HOSTS:
        assert needed("deis/router:v1.13.4") <= {normalised(n) for n in bastion.images(host)}
