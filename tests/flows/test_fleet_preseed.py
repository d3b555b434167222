"""Preseeding by a fleet unit, from to do to ok and back; and what goes wrong on the way."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deiswizard.cluster.image_names import normalised
from deiswizard.demo.cluster import PretendCluster
from deiswizard.recommendations.preseed.fleet import UNIT, listed
from tests.flows.checks import answers, assert_status, told_of
from tests.flows.clusters import HOSTS, Cluster, Pretended
from tests.flows.commands import Said, deiswizard
from tests.flows.test_preseed import EXTRA, needed


def by_fleet(cluster: Cluster, folder: Path, *extras: str) -> Said:
    """Preseed by fleet."""
    names = ", ".join(f"'{name}'" for name in extras or (EXTRA,))
    chosen = answers(folder, f"preseed:\n  method: fleet\n  extra_images: [{names}]\n")
    return deiswizard("apply", "preseed", "-a", chosen, "--yes", *cluster.flags())


def findings(cluster: Cluster) -> str:
    """Everything that a check has found about preseeding."""
    return json.dumps(told_of(cluster, "preseed"))


def test_a_fleet_unit_goes_from_to_do_to_ok_and_is_taken_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert_status(cluster, "preseed", "to do", "partly")
    done = by_fleet(cluster, tmp_path)
    assert done.code == 0, done.err
    for host in HOSTS:
        assert needed() <= {normalised(name) for name in cluster.images(host)}
        assert f"verify   ok: {UNIT} is done on {host} (active/exited)" in done.err
    assert {normalised(name) for name in listed(cluster.unit_file(UNIT))} == needed()
    assert_status(cluster, "preseed", "ok")
    assert "Hosts that join later are preseeded by fleet" in findings(cluster)

    again = by_fleet(cluster, tmp_path)
    assert again.code == 0 and "submit" not in again.err, again.err

    (run,) = re.findall(r"^run (\S+): Preseeding .*: done$", done.out, re.MULTILINE)
    back = deiswizard("undo", run, *cluster.flags(), "--yes")
    assert back.code == 0, back.err
    assert cluster.unit_file(UNIT) == ""
    for host in HOSTS:
        assert needed() <= {normalised(name) for name in cluster.images(host)}
    assert_status(cluster, "preseed", "ok")


def test_a_host_that_cannot_pull_is_named_and_the_others_are_preseeded(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    """On the pretend cluster alone: a unit's pauses between its tries would take real minutes."""
    cluster = Pretended(pretend)
    cluster.refuse_pulls("deis-2")
    done = by_fleet(cluster, tmp_path)
    assert done.code == 1
    failed = [line for line in done.err.splitlines() if line.startswith("failed")]
    assert len(failed) == 1 and "deis-2: fetch every image" in failed[0]
    assert f"{UNIT} is failed/failed on deis-2" in failed[0]
    for host in ("deis-1", "deis-3"):
        assert needed() <= {normalised(name) for name in cluster.images(host)}
    assert f"{UNIT} failed on deis-2" in findings(cluster)


def test_other_images_are_told_and_the_unit_is_made_anew(cluster: Cluster, tmp_path: Path) -> None:
    assert by_fleet(cluster, tmp_path).code == 0
    before = cluster.unit_file(UNIT)
    cluster.put("/deis/router/image", EXTRA)
    assert f"does not fetch {EXTRA}" not in findings(cluster), "it is there as an extra image"
    cluster.put("/deis/platform/version", "v1.13.3")
    assert "was made for other images: it does not fetch deis/builder:v1.13.3" in findings(cluster)
    cluster.put("/deis/platform/version", "v1.13.4")
    done = by_fleet(cluster, tmp_path, "alpine:3.2", "deis/store-admin:v1.13.4")
    assert done.code == 0, done.err
    assert "deis/store-admin:v1.13.4" in listed(cluster.unit_file(UNIT))
    back = deiswizard("undo", "last", *cluster.flags(), "--yes")
    assert back.code == 0, back.err
    assert cluster.unit_file(UNIT) == before


def test_a_name_that_is_no_image_never_reaches_a_shell(cluster: Cluster, tmp_path: Path) -> None:
    cluster.put("/deis/router/image", "x; touch /hurt")
    done = by_fleet(cluster, tmp_path)
    assert done.code in (1, 2) and "is not an image name" in done.err
    assert cluster.unit_file(UNIT) == ""
    assert all(cluster.file(host, "/hurt") == "" for host in HOSTS)
