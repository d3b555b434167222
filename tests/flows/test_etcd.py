"""Isolating etcd by commands: to do, ok and undone; killed and resumed or taken back; a saved plan."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cluster import etcd_host
from deiswizard.demo.cluster import PretendCluster
from deiswizard.inventory import save_target
from tests.flows.checks import answers, assert_status
from tests.flows.clusters import Pretended
from tests.flows.commands import deiswizard, said_by

HOSTS = tuple(f"deis-{n}" for n in range(1, 6))
THREE = {"deis-1", "deis-2", "deis-3"}


@pytest.fixture
def five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    monkeypatch.setenv("HOME", str(tmp_path))  # where the copy of etcd goes
    with PretendCluster.start("five", speed=Pretended.fast) as cluster:
        yield Pretended(cluster)
        assert cluster.unknown_commands == ()


def members(five: Pretended) -> set[str]:
    """The hosts that really run a member that is listed."""
    five.cluster.etcd.settle()
    voters = five.cluster.etcd.members.voters
    return {
        host.name
        for host in five.cluster.hosts
        if host.etcd.mode == "member" and host.etcd.member in voters
    }


def is_whole(five: Pretended, expected: set[str]) -> bool:
    """Exactly these are members and alive, all others are proxies."""
    state = five.cluster.etcd.members
    roles = {host.name: host.etcd.mode for host in five.cluster.hosts}
    wanted = {name: "member" if name in expected else "proxy" for name in roles}
    return members(five) == expected and len(state.voters) == len(expected) and roles == wanted


def killed(five: Pretended, folder: Path, step: str, moment: str, way: str = "there") -> None:
    target = folder / "target.json"
    save_target(target, five.target())
    done = said_by("tests.flows.etcd_killed_at", step, moment, str(target), way)
    assert done.code == -signal.SIGKILL, done.err


def test_from_to_do_to_ok_and_back(five: Pretended, tmp_path: Path) -> None:
    assert_status(five, "etcd", "to do")
    chosen = answers(tmp_path, "etcd:\n  members: [deis-1, deis-2, deis-3]\n")
    done = deiswizard("apply", "etcd", "-a", chosen, "--yes", *five.flags())
    assert done.code == 0, done.err
    assert "every member is healthy by its own host" in done.err
    assert is_whole(five, THREE)
    assert_status(five, "etcd", "ok")
    assert list(tmp_path.glob("deiswizard-backups/*/etcd.jsonl")), "the copy came first"
    back = deiswizard("undo", "last", "--yes", *five.flags())
    assert back.code == 0, back.err
    assert is_whole(five, set(HOSTS))
    assert_status(five, "etcd", "to do")


def test_a_member_that_blinks_is_asked_again_and_one_that_is_not_healthy_is_told(
    five: Pretended,
) -> None:
    """A busy disk makes /health false for a moment; both who ask for it ask once more, each by itself."""
    etcd = five.cluster.hosts[4].etcd
    etcd.blinks = 1
    assert_status(five, "etcd", "to do")
    assert not etcd.blinks, "it was asked in that moment"
    etcd.blinks = 1
    out: list[str] = []
    asked = etcd_host.command()
    five.cluster.hosts[4].execute(asked, out.append, out.append, b"", threading.Event())
    assert etcd_host.parse("deis-5", asked, "".join(out)).is_healthy and not etcd.blinks
    etcd.blinks = 1000
    assert_status(five, "etcd", "at risk")


def test_fifty_hosts_from_partly_to_ok_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five members, and 45 proxies that discovery made by accident: three members, and proxies that stay so."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with PretendCluster.start("fifty", speed=Pretended.fast) as cluster:
        fifty = Pretended(cluster)
        before = {host.name: host.etcd.mode for host in cluster.hosts}
        voters = members(fifty)
        assert_status(fifty, "etcd", "partly")
        chosen = answers(tmp_path, "etcd:\n  members: [deis-1, deis-2, deis-3]\n")
        done = deiswizard("apply", "etcd", "-a", chosen, "--yes", *fifty.flags())
        assert done.code == 0, done.err
        assert is_whole(fifty, THREE)
        assert_status(fifty, "etcd", "ok")
        back = deiswizard("undo", "last", "--yes", *fifty.flags())
        assert back.code == 0, back.err
        assert members(fifty) == voters
        assert {host.name: host.etcd.mode for host in cluster.hosts} == before
        assert_status(fifty, "etcd", "partly")
        assert cluster.unknown_commands == ()


def test_a_bad_answer_is_one_sentence(five: Pretended, tmp_path: Path) -> None:
    chosen = answers(tmp_path, "etcd:\n  members: [deis-1, deis-2, deis-3, deis-4]\n")
    said = deiswizard("apply", "etcd", "-a", chosen, "--yes", *five.flags())
    assert said.code == 2 and "4 can lose 1, and 3 can, too" in said.err
    assert "Traceback" not in said.err and is_whole(five, set(HOSTS))


def test_a_plan_made_before_somebody_changed_the_members_is_refused(
    five: Pretended, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    made = deiswizard("plan", "etcd", "-o", str(plan), *five.flags())
    assert made.code == 0, made.err
    five.cluster.etcd.add("http://10.21.2.99:2380")
    said = deiswizard("apply", str(plan), "--yes", *five.flags())
    assert said.code == 1 and "has become a member of etcd" in said.err
    assert members(five) == set(HOSTS)


@pytest.mark.parametrize(
    ("step", "moment"),
    [
        ("drop-in:deis-4", "after"),
        ("remove:deis-4", "during"),
        ("remove:deis-4", "after"),
        ("switch:deis-4", "during"),
        ("settled:deis-4", "before"),
        ("switch:deis-5", "before"),
        ("switch:deis-5", "during"),
    ],
)
@pytest.mark.parametrize("then", ["resume", "undo"])
def test_killed_anywhere_it_goes_on_or_is_taken_back(
    five: Pretended, tmp_path: Path, step: str, moment: str, then: str
) -> None:
    killed(five, tmp_path, step, moment)
    assert five.cluster.etcd.members.has_quorum
    after = deiswizard(then, "last", "--yes")
    assert after.code == 0, after.err
    assert is_whole(five, THREE if then == "resume" else set(HOSTS))


@pytest.mark.parametrize(
    ("step", "moment"),
    [
        ("add:deis-5", "during"),
        ("add:deis-5", "after"),
        ("switch:deis-5", "during"),
        ("switch:deis-4", "during"),
    ],
)
def test_a_way_back_that_was_killed_goes_on(
    five: Pretended, tmp_path: Path, step: str, moment: str
) -> None:
    assert deiswizard("apply", "etcd", "--yes", *five.flags()).code == 0
    killed(five, tmp_path, step, moment, "back")
    assert five.cluster.etcd.members.has_quorum
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    assert is_whole(five, set(HOSTS))
