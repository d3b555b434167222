"""The hosts' firewall from to do to ok and back; nobody is locked out, and a host that would be takes it back."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.host import PretendHost
from deiswizard.inventory import save_target
from deiswizard.recommendations.firewall import files
from tests.flows.checks import answers, told_of
from tests.flows.clusters import Pretended
from tests.flows.commands import Said, deiswizard, said_by
from tests.lab.waiting import await_that

SLOW = "rollback_seconds: 1800"
"""A trial that outlasts any run of a test, at the demo's speed."""

SOON = 500
"""A trial that ends within the time that a login is waited for, at the demo's speed, and not before the rules are in."""

STRANGER = "192.0.2.200"
PRIVATE = (2375, 2379, 4001, 5000, 5432, 8000)


@pytest.fixture
def demo(pretend: PretendCluster) -> Pretended:
    return Pretended(pretend)


def applied(cluster: Pretended, folder: Path, *lines: str) -> Said:
    text = "security:\n  part: hosts\n" + "".join(f"  {line}\n" for line in lines)
    return deiswizard("apply", "security", "-a", answers(folder, text), "--yes", *cluster.flags())


def status(cluster: Pretended) -> tuple[str, str]:
    """How Security stands, and all its findings of the hosts."""
    found = told_of(cluster, "security")
    return found["status"], json.dumps(found)


def filters(host: PretendHost) -> str:
    return "".join(
        host.filter.listing(family, table) for family in (4, 6) for table in ("filter", "nat")
    )


def is_open(host: PretendHost, source: str = STRANGER) -> set[int]:
    return {port for port in (22, 80, *PRIVATE) if host.filter.lets_in(source, port) == "open"}


def test_it_is_put_in_seen_and_taken_out_without_a_trace(demo: Pretended, tmp_path: Path) -> None:
    hosts = demo.cluster.hosts
    for host in hosts:  # another's rules, which must stay as they are
        host.filter.apply(4, "filter", ["-A", "INPUT", "-s", "198.51.100.66/32", "-j", "DROP"])
        host.filter.apply(6, "filter", ["-P", "FORWARD", "DROP"])
    before = [filters(host) for host in hosts]
    demo.put("/deis/router/firewall/enabled", "true")
    state, said = status(demo)
    assert state == "to do" and "strangers are let in to 2375 (Docker" in said, said
    assert all(is_open(host) >= {2375, 4001} for host in hosts)

    done = applied(demo, tmp_path, SLOW, "health_from: [203.0.113.0/28]")
    assert done.code == 0, done.err
    order = [done.err.index(f"== Firewall on {name}") for name in ("deis-2", "deis-3", "deis-1")]
    assert order == sorted(order), "the host that leads to the others comes last"
    for words in (
        "2375 (Docker, without a password) is closed to a stranger",
        "4001 (etcd) is open to another host (open on all 3 (tried))",
        "the firewall is in place on deis-1, first, and loaded at boot",
        "rules of others on deis-1, deis-2, deis-3 refuse something",
    ):
        assert words in done.err + done.out, done.err
    assert all(is_open(host) == {22, 80} for host in hosts)
    assert all(is_open(host, "10.21.2.13") > {2375, 4001, 5000} for host in hosts)
    assert all(host.filter.lets_in("203.0.113.3", 9090) == "open" for host in hosts)
    assert status(demo)[0] == "ok"
    hosts[1].restart_docker()
    hosts[2].reboot()
    assert [is_open(host) for host in hosts] == [{22, 80}] * 3

    back = deiswizard("undo", "last", "--yes", *demo.flags())
    assert back.code == 0, back.err
    assert all("DEISWIZARD" not in filters(host) for host in hosts)
    assert [filters(hosts[0]), filters(hosts[1])] == before[:2], "a reboot has emptied the third"
    assert not any("firewall" in path for host in hosts for path in host.files())
    assert status(demo)[0] == "to do"


def test_a_second_choice_replaces_the_first_and_comes_back_by_undo(
    demo: Pretended, tmp_path: Path
) -> None:
    assert applied(demo, tmp_path, SLOW).code == 0
    first = [filters(host) for host in demo.cluster.hosts]
    done = applied(
        demo, tmp_path, SLOW, "ssh_from: [203.0.113.0/24]", "refuse: drop", "isolate: docker"
    )
    assert done.code == 0, done.err
    host = demo.cluster.hosts[1]
    assert host.filter.lets_in(STRANGER, 22) == "closed"
    assert host.filter.lets_in("203.0.113.9", 22) == "open"
    back = deiswizard("undo", "last", "--yes", *demo.flags())
    assert back.code == 0, back.err
    assert [filters(host) for host in demo.cluster.hosts] == first
    off = applied(demo, tmp_path, "host_firewall: false")
    assert off.code == 0 and "nothing of ours is on deis-2" in off.err, off.err
    assert all("DEISWIZARD" not in filters(host) for host in demo.cluster.hosts)
    back = deiswizard("undo", "last", "--yes", *demo.flags())
    assert back.code == 0, back.err
    assert [filters(host) for host in demo.cluster.hosts] == first


def test_the_operators_address_must_be_among_those_who_may_log_in(
    demo: Pretended, tmp_path: Path
) -> None:
    before = [filters(host) for host in demo.cluster.hosts]
    said = applied(demo, tmp_path, "ssh_from: [198.51.100.0/24]")
    assert said.code == 2 and "Traceback" not in said.err
    assert "your own connection comes from 203.0.113.50, which is not among these" in said.err
    assert "answers.yaml:3: security.ssh_from" in said.err
    assert [filters(host) for host in demo.cluster.hosts] == before


def test_rules_that_would_lock_out_are_taken_back_by_the_host_itself(
    demo: Pretended, tmp_path: Path
) -> None:
    """As if somebody had written the plan's rules wrong: the wizard refuses to choose such ones."""
    plan = tmp_path / "plan.json"
    text = answers(tmp_path, f"security:\n  part: hosts\n  rollback_seconds: {SOON}\n")
    made = deiswizard("plan", "security", "-a", text, "-o", str(plan), *demo.flags())
    assert made.code == 0, made.err
    wrong = (
        plan.read_text()
        .replace("10.21.2.11/32", "10.99.2.11/32")
        .replace("--dport 22 ", "--dport 24 ")
    )
    plan.write_text(wrong)
    host = demo.cluster.hosts[1]
    before = filters(host)
    done = deiswizard("apply", str(plan), "--yes", *demo.flags())
    assert done.code == 1, done.err
    assert "deis-2 has taken the rules back by itself, as it was armed to" in done.err
    await_that(lambda: filters(host) == before, "the host takes the rules back")
    assert all("DEISWIZARD" not in filters(one) for one in demo.cluster.hosts)
    _, said = status(demo)
    assert "deis-2 has taken rules back by itself, because they were not proven in time" in said
    done = applied(demo, tmp_path, SLOW)
    assert done.code == 0, done.err
    assert all(is_open(one) == {22, 80} for one in demo.cluster.hosts)


def killed_after(demo: Pretended, folder: Path, step: str, seconds: int) -> None:
    """A wizard that is killed right after a step of its plan."""
    target = folder / "target.json"
    save_target(target, replace(demo.target(), is_pretended=False, alias=""))
    killed = said_by("tests.flows.firewall_killed", step, str(target), str(seconds))
    assert killed.code == -signal.SIGKILL, killed.err


@pytest.mark.parametrize("step", ["on:deis-2:arm", "on:deis-2:whole"])
def test_a_wizard_that_is_killed_in_a_trial_leaves_a_host_that_takes_it_back(
    demo: Pretended, tmp_path: Path, step: str
) -> None:
    host = demo.cluster.hosts[1]
    before = filters(host)
    killed_after(demo, tmp_path, step, SOON)
    await_that(lambda: files.MARK in host.files(), "the host takes the rules back")
    await_that(lambda: filters(host) == before, "the host has taken the rules back")
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 1, resumed.err
    assert "deis-2 is not armed any more" in resumed.err, resumed.err
    assert "it has taken them back by itself" in resumed.err
    assert all("DEISWIZARD" not in filters(one) for one in demo.cluster.hosts)
    done = applied(demo, tmp_path, SLOW)
    assert done.code == 0, done.err
    assert all(is_open(one) == {22, 80} for one in demo.cluster.hosts)


def test_a_wizard_that_is_killed_between_two_hosts_goes_on_with_the_next(
    demo: Pretended, tmp_path: Path
) -> None:
    killed_after(demo, tmp_path, "on:deis-2:kept", 1800)
    hosts = demo.cluster.hosts
    assert [is_open(host) == {22, 80} for host in hosts] == [False, True, False]
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    assert "== Firewall on deis-3" in resumed.err
    assert all(is_open(one) == {22, 80} for one in hosts)
    assert not any(one.timers.is_active(f"{files.ROLLBACK}.timer") for one in hosts)


def test_a_member_that_falls_ill_on_trial_keeps_the_rules_from_being_kept(
    demo: Pretended, tmp_path: Path
) -> None:
    """The rules cut a host off that the plan did not know by that address."""
    plan = tmp_path / "plan.json"
    text = answers(tmp_path, f"security:\n  part: hosts\n  rollback_seconds: {SOON}\n")
    made = deiswizard("plan", "security", "-a", text, "-o", str(plan), *demo.flags())
    assert made.code == 0, made.err
    plan.write_text(plan.read_text().replace("10.21.2.13/32", "10.99.2.13/32"))
    host = demo.cluster.hosts[1]
    before = filters(host)
    done = deiswizard("apply", str(plan), "--yes", *demo.flags())
    assert done.code == 1, done.err
    assert "deis-2 has taken the rules back by itself, as it was armed to" in done.err
    await_that(lambda: filters(host) == before, "the host takes the rules back")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["five", "fifty"])
def test_larger_clusters_one_host_after_the_other(name: str, tmp_path: Path) -> None:
    with PretendCluster.start(name, speed=50.0) as cluster:
        demo = Pretended(cluster)
        up = [host for host in cluster.hosts if not host.is_down]
        done = applied(demo, tmp_path, SLOW, "new_hosts: [10.21.2.0/24]")
        assert done.code == 0, done.err[-4000:]
        assert all(is_open(host) == {22, 80} for host in up)
        assert cluster.unknown_commands == ()
        back = deiswizard("undo", "last", "--yes", *demo.flags())
        assert back.code == 0, back.err[-4000:]
        assert all("DEISWIZARD" not in filters(host) for host in up)
