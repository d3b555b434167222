"""User-data files out of the recommendations: the cluster stays as it is, to its last key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.demo import scenario
from deiswizard.demo.cluster import PretendCluster
from deiswizard.userdata.reading import read
from tests.flows.checks import answers
from tests.flows.clusters import Pretended, target_flags
from tests.flows.commands import Said, deiswizard
from tests.userdata.layouts import FILLED, URL

TOKEN = URL.rpartition("/")[2]
ETCD = "members: [deis-1, deis-2, deis-3]"
PLANES = "hosts: {deis-1: [control, router], deis-2: [control, router], deis-3: [control, router], deis-4: [data], deis-5: [data]}"


@pytest.fixture
def five() -> Iterator[PretendCluster]:
    with PretendCluster.start(scenario.load("five"), speed=Pretended.fast) as cluster:
        yield cluster


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.write_text(FILLED)
    return path


def applied(cluster: PretendCluster, own: Path, name: str, chosen: str) -> Said:
    section = f"{name}:\n  way: files\n  user_data: {own}\n  user_data_folder: {own.parent}/roles\n  {chosen}\n"
    file = answers(own.parent, section)
    return deiswizard("apply", name, "-a", file, "--yes", *target_flags(cluster.target))


def state(cluster: PretendCluster) -> tuple[object, ...]:
    """What a run would have changed: the lock that it leaves behind, members, where units are."""
    voters = [member.id for member in cluster.etcd.members.listed()]
    return cluster.store.value("/deiswizard/last-lock"), voters, cluster.placement


@pytest.mark.parametrize(
    ("name", "chosen", "roles"),
    [
        ("etcd", ETCD, {"member", "proxy"}),
        ("planes", PLANES, {"control-router", "data"}),
        ("stateless", "", {"stateless"}),
        ("security", "part: hosts\n  new_hosts: [10.21.2.0/24]", {"firewall"}),
    ],
)
def test_files_are_written_verified_and_taken_back(
    five: PretendCluster, own: Path, name: str, chosen: str, roles: set[str]
) -> None:
    before = state(five)
    assert before[0] is None
    done = applied(five, own, name, chosen)
    assert done.code == 0, done.err
    folder = own.parent / "roles"
    assert {path.name for path in folder.iterdir()} == {f"user-data-{role}" for role in roles}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert done.err.count("verify   ok:") == len(roles)
    assert state(five) == before
    if name == "etcd":
        assert len(read((folder / "user-data-proxy").read_text()).members) == 3
    kept = [path for path in (own.parent / "state").rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if TOKEN in path.read_text(errors="replace")]
    assert TOKEN not in done.err + done.out
    again = applied(five, own, name, chosen)
    assert again.code == 0 and "no commands" in again.err, again.err
    assert again.err.count("verify   ok:") == len(roles)


def test_a_run_is_taken_back_and_a_strangers_file_is_left_alone(
    five: PretendCluster, own: Path
) -> None:
    done = applied(five, own, "etcd", ETCD)
    assert done.code == 0, done.err
    back = deiswizard("undo", "last", "--yes", *target_flags(five.target))
    assert back.code == 0, back.err
    folder = own.parent / "roles"
    assert not list(folder.iterdir()) and "user-data-proxy is gone" in back.err
    (folder / "user-data-proxy").write_text("mine\n")
    refused = applied(five, own, "etcd", ETCD)
    assert refused.code == 2 and "user-data-proxy is there already" in refused.err
    assert (folder / "user-data-proxy").read_text() == "mine\n"
