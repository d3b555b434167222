"""Conditions about who reaches whom: what holds, what does not, and what cannot be told."""

from __future__ import annotations

import socket
import subprocess
import threading
from typing import Any

import pytest

from deiswizard.cluster.port_tries import shown_tries, told, try_from_here
from deiswizard.cluster.snapshot import Member
from deiswizard.errors import LinkError, LoginError, ServiceError
from deiswizard.plan.reach_conditions import AnyReach, ClusterWhole, FreshLogin, PortsTake
from deiswizard.recommendations.firewall.facts import tried, tries_question
from deiswizard.run.context import Context
from deiswizard.run.holding import holds_now
from tests.unit.memory_cluster import MemoryCluster

A, B = ("10.0.0.1", 22), ("10.0.0.2", 4001)


@pytest.fixture
def cluster() -> MemoryCluster:
    made = MemoryCluster("a", "b")
    made.store.listed = [Member(id=f"{n}", name=f"m{n}", healthy=True) for n in range(3)]
    return made


def asked(cluster: MemoryCluster, condition: AnyReach) -> tuple[bool | None, str]:
    nothing: Any = lambda *words: ""  # noqa: E731
    context = Context(cluster, nothing, {}, threading.Event(), threading.Event(), nothing)
    return holds_now(condition, context)


def test_a_new_login_works_or_does_not_for_a_reason(cluster: MemoryCluster) -> None:
    assert asked(cluster, FreshLogin(host="a")) == (True, "a new login on a works")
    cluster.hosts["a"].logins = [LinkError("a", "no answer"), LoginError("a", "refused every key")]
    for reason in ("no answer", "refused every key"):
        holds, saw = asked(cluster, FreshLogin(host="a"))
        assert holds is False and reason in saw
    assert asked(cluster, FreshLogin(host="a"))[0] is True


def test_ports_are_all_open_or_all_closed(cluster: MemoryCluster) -> None:
    cluster.open_ports = {A}
    both = PortsTake(hosts=("a", "b"), places=(A, B))
    holds, saw = asked(cluster, both)
    assert holds is False and saw == "closed: 10.0.0.2:4001 from a, 10.0.0.2:4001 from b"
    assert asked(cluster, PortsTake(hosts=("a", "b"), places=(A,)))[0] is True
    shut = PortsTake(hosts=("",), places=(A, B), open=False)
    assert asked(cluster, shut) == (False, "open: 10.0.0.1:22 from here")
    assert asked(cluster, PortsTake(hosts=("",), places=(B,), open=False))[0] is True
    cluster.open_ports = None
    holds, saw = asked(cluster, shut)
    assert holds is True and "not to be tried from this machine" in saw


def test_the_cluster_is_whole_or_what_it_lacks_is_told(cluster: MemoryCluster) -> None:
    whole = ClusterWhole(members=3, machines=("a-machine", "b-machine"))
    assert asked(cluster, whole)[0] is True
    holds, saw = asked(cluster, ClusterWhole(members=3, machines=("a-machine", "gone")))
    assert holds is False and "fleet lacks gone" in saw
    known = ClusterWhole(members=3, machines=("a-machine",), known=("a-machine", "b-machine"))
    assert asked(cluster, known)[0] is True
    holds, saw = asked(cluster, known.model_copy(update={"known": ("a-machine",)}))
    assert holds is False and "fleet sees b-machin since" in saw
    sick = cluster.store.listed[0].model_copy(update={"healthy": None})
    cluster.store.listed = [sick, *cluster.store.listed[1:]]
    holds, saw = asked(cluster, whole)
    assert holds is False and "2 of 3 etcd members healthy" in saw
    cluster.store.listed = cluster.store.listed[1:]
    assert asked(cluster, whole)[0] is False
    cluster.machines = frozenset()
    assert asked(cluster, whole)[0] is False

    def away() -> Any:
        raise ServiceError("etcd answers on no host")

    cluster.etcd = away  # type: ignore[method-assign]
    assert asked(cluster, whole) == (None, "etcd answers on no host")


def test_what_has_answered_by_then_is_open_however_late_it_is_looked_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert try_from_here([server.getsockname()[:2]], seconds=0.0) == (True,)


def test_many_ports_are_tried_at_once_and_a_shell_says_the_same() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=512) as server,
        socket.create_server(("127.0.0.1", 0)) as gone,
    ):
        port, shut = server.getsockname()[1], gone.getsockname()[1]
        gone.close()
        places = (("127.0.0.1", port), ("127.0.0.1", shut)) * 210
        found = try_from_here(places)
        assert found == (True, False) * 210
        two = places[:2]
        done = subprocess.run(["sh", "-c", shown_tries(two)], capture_output=True, text=True)
        assert sorted(done.stdout.splitlines()) == sorted(told(two, found[:2]).splitlines())
        assert done.returncode == 0, done.stderr
    question = tries_question("x", "a", two)
    from deiswizard.cluster.snapshot import Answer

    answer = Answer(id="x", host="a", command=question.command, code=0, out=done.stdout)
    assert tried(answer) == {two[0]: True, two[1]: False} and tried(None) == {}
