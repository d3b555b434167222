"""What may be chosen for the hosts' firewall: each hazard is refused or told before."""

from __future__ import annotations

from typing import Any

import pytest

from deiswizard import answers
from deiswizard.cluster.snapshot import EtcdFacts, Member, Unit, UnitState
from deiswizard.errors import PreconditionError
from deiswizard.recommendations.security import declaration as security
from tests.unit.firewall_judging import plan_of, sentences, world
from tests.unit.firewall_world import (
    bare,
    replaced,
    told,
)
from tests.unit.security_world import ME


def test_nobody_locks_himself_out() -> None:
    now = world()
    assert not sentences(now) and not sentences(now, ssh_from=[ME])
    assert not sentences(now, ssh_from=["203.0.113.0/24", "2001:db8::/32"])
    told_ = sentences(now, ssh_from=["198.51.100.0/24"])["ssh_from"]
    assert f"your own connection comes from {ME}, which is not among these" in told_
    with pytest.raises(PreconditionError, match="locked out of the hosts"):
        plan_of(now, ssh_from=["198.51.100.0/24"])
    unknown = world(operator="")
    assert "is not known" in sentences(unknown, ssh_from=[ME])["ssh_from"]
    assert not sentences(unknown)
    from_a_host = world(operator="10.21.2.12")
    assert not sentences(from_a_host, ssh_from=["198.51.100.0/24"])
    six = world(operator="2001:db8::7")
    assert "2001:db8::7" in sentences(six, ssh_from=["203.0.113.50"])["ssh_from"]
    assert not sentences(six, ssh_from=["2001:db8::/32"])


def test_what_makes_no_sense_gets_a_sentence() -> None:
    now = world()
    for field, value, words in (
        ("open_ports", "http", "'http' is no port"),
        ("open_ports", "70000", "is no port"),
        ("open_ports", "8443@10.0.0.1/24", "is no port"),
        ("open_ports", "22", "22 is not chosen here"),
        ("open_ports", "2375", "whoever reaches it owns the cluster"),
        ("ssh_from", "me.example.com", "is no address or network"),
        ("new_hosts", "10.21.2.7/24", "is no address or network"),
        ("new_hosts", "0.0.0.0/0", "is everyone"),
        ("trusted_networks", "::/0", "is everyone"),
        ("health_from", "elb", "is no address or network"),
    ):
        found: dict[str, Any] = {field: [value]}
        assert words in sentences(now, **found)[field], (field, value)
    warned = sentences(now, blocks=False, open_ports=["5000"])
    assert "5000 (registry) would be open to everyone" in warned["open_ports"]
    assert not sentences(now, open_ports=["5000"]) and not sentences(
        now, open_ports=["2375@10.9.0.0/16"]
    )
    choices, problems = answers.build(security.RECOMMENDATION, {"rollback_seconds": 5})
    assert choices is None and "60" in problems[0].allowed


def test_a_list_of_hosts_that_is_not_whole_is_refused() -> None:
    """Defect (c): no address; (g): members by other addresses; and an etcd or fleet that does not tell."""
    now = world()
    odd = now.hosts[0].model_copy(update={"address": "-"})
    broken = now.model_copy(update={"hosts": (odd, *now.hosts[1:])})
    assert "deis-1 without an address" in sentences(broken)["host_firewall"]
    assert "etcd did not tell its members" in sentences(world(etcd=EtcdFacts()))["host_firewall"]
    assert "etcd did not tell" in sentences(world(keys_read=False))["host_firewall"]
    extra = Member(
        id="9" * 16, name="e" * 32, healthy=True, peer_urls=("http://203.0.113.14:2380",)
    )
    public = now.etcd.model_copy(update={"members": (*now.etcd.members, extra)})
    away = world(etcd=public)
    assert (
        "at 203.0.113.14, which is no host that fleet knows: it would be cut off"
        in (sentences(away)["new_hosts"])
    )
    assert not sentences(away, new_hosts=["203.0.113.14"])
    named = Member(id="8" * 16, name="d" * 32, healthy=True, peer_urls=("http://node4:2380",))
    by_name = world(etcd=now.etcd.model_copy(update={"members": (*now.etcd.members, named)}))
    assert "called by a name, node4" in sentences(by_name, blocks=False)["new_hosts"]
    sick = now.etcd.members[0].model_copy(update={"healthy": False})
    ill = world(etcd=now.etcd.model_copy(update={"members": (sick, *now.etcd.members[1:])}))
    assert "is not healthy" in sentences(ill)["host_firewall"]


def test_what_would_break_is_told_before() -> None:
    now = world()
    talking = told("deis-2", bare(), talks="ESTAB 0 0 10.21.2.12:5432 198.51.100.9:40000\n"
                   "ESTAB 0 0 10.21.2.12:4001 10.21.2.13:40001\nESTAB 0 0 [::ffff:10.21.2.12]:4001 "
                   "[::ffff:10.244.7.2]:3\n")  # fmt: skip
    cut = replaced(now, {"deis-2": talking})
    told_ = sentences(cut, blocks=False)["trusted_networks"]
    assert "198.51.100.9 (at 5432 of deis-2)" in told_
    assert "10.21.2.13" not in told_ and "10.244" not in told_
    assert "trusted_networks" not in sentences(
        cut, blocks=False, trusted_networks=["198.51.100.0/24"]
    )
    assert "9090 is closed" in sentences(now, blocks=False)["health_from"]
    assert "health_from" not in sentences(now, blocks=False, health_from=["203.0.113.0/28"])
    assert "health_from" not in sentences(now, blocks=False, open_ports=["9090"])
    assert any("9090 is closed" in note for note in plan_of(now).impact.notes)
    dropping = told("deis-3", bare() + "-A INPUT -s 198.51.100.66/32 -j DROP\n")
    warned = sentences(replaced(now, {"deis-3": dropping}), blocks=False)["host_firewall"]
    assert "rules of others on deis-3 refuse something" in warned
    no6 = told("deis-3", bare(), v6="")
    assert (
        "stays open by IPv6"
        in sentences(replaced(now, {"deis-3": no6}), blocks=False)["host_firewall"]
    )
    armed = told("deis-3", bare(), armed="active")
    assert (
        "a trial of rules is going on"
        in sentences(replaced(now, {"deis-3": armed}))["host_firewall"]
    )


def test_containers_cannot_be_kept_from_etcd_while_deis_runs_in_them() -> None:
    router = Unit(name="deis-publisher.service")
    now = world(units=(router,))
    running = UnitState(
        unit=router.name,
        machine_id=now.hosts[0].machine_id,
        load="loaded",
        active="active",
        sub="running",
    )
    now = now.model_copy(update={"unit_states": (*now.unit_states, running)})
    told_ = sentences(now, isolate="etcd")["isolate"]
    assert "builder, controller, database, logger and 4 more read etcd" in told_
    assert not sentences(now, isolate="docker")
    assert (
        "no container reaches 2375, 2380, 7001"
        in sentences(now, blocks=False, isolate="docker")["isolate"]
    )
    bare_cluster = now.model_copy(update={"units": (), "unit_states": ()})
    assert not sentences(bare_cluster, isolate="etcd")
