"""The hosts' firewall as a part of Security: judged, chosen, planned, checked, taken back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from deiswizard import answers
from deiswizard.cluster.snapshot import EtcdFacts, Member, Snapshot, Unit, UnitState
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Plan
from deiswizard.plan.reach_conditions import FreshLogin, PortsTake
from deiswizard.plan.step import CommandStep, GuardStep, UploadStep, WaitStep
from deiswizard.recommendations import firewall_choices, security, security_plan
from deiswizard.recommendations import firewall_facts as facts
from deiswizard.recommendations import firewall_files as files
from deiswizard.recommendations.firewall_checks import contributed_defects
from deiswizard.recommendations.security_facts import OPERATOR, SecurityChoices
from deiswizard.run.undo import verify_undo
from deiswizard.vocabulary import Danger, Status
from tests.unit import security_world
from tests.unit.firewall_world import (
    CONTRIBUTED,
    bare,
    bare_answers,
    choose,
    closed,
    closed_answers,
    members,
    replaced,
    told,
    with_ours,
)
from tests.unit.firewall_world import rules as made_rules
from tests.unit.security_world import ME, hosts

ON = {"firewall/enabled": "true"}


def world(*, closed_: bool = False, **more: Any) -> Snapshot:
    """Three hosts and their members; the routers' part is as it should be."""
    etcd = EtcdFacts(version="2.3.8", index=48213, healthy=True, members=members(hosts()))
    filters = more.pop("filters", closed_answers() if closed_ else bare_answers())
    return security_world.world(ON, filters=filters, **{"etcd": etcd, **more})


def judged(now: Snapshot, status: Status, *words: str) -> str:
    found = security.assess(now)
    said = "\n".join(f"{finding.status}: {finding.what}" for finding in found.findings)
    assert found.status is status, said
    assert all(word in said for word in words), said
    assert all(finding.evidence for finding in found.findings)
    return said


def sentences(now: Snapshot, *, blocks: bool = True, **more: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for problem in security.check_choices(now, choose(**more)):
        if problem.blocks == blocks:
            words = f"{problem.what}; allowed: {problem.allowed}\n"
            found[problem.field] = found.get(problem.field, "") + words
    return found


def plan_of(now: Snapshot, **more: Any) -> Plan:
    return security.plan(now, choose(**more))


def test_open_hosts_are_to_do_and_say_which_port_answers_whom() -> None:
    said = judged(
        world(), Status.TO_DO,
        "strangers are let in to 2375 (Docker, without a password), 4001 (etcd), 5000 (registry) on 3 of 3",
    )  # fmt: skip
    assert "2379" not in said  # nothing listens there
    assert security.assess(world()).now.endswith("hosts open")
    judged(world(closed_=True), Status.OK)
    assert "hosts are on" in security.assess(world(closed_=True)).explanation


def test_half_a_firewall_or_one_that_does_not_hold_is_told() -> None:
    now = world(closed_=True)
    some = replaced(now, {"deis-3": closed("deis-3", v4=with_ours(()))})
    judged(some, Status.AT_RISK, "deis-3: the rules in place are not those that are kept")
    judged(
        replaced(now, {"deis-3": bare_answers()[3]}),
        Status.AT_RISK,
        "deis-3 has no firewall yet, 2 of 3",
    )
    from deiswizard.recommendations.firewall_rules import chain_lines

    late = with_ours(chain_lines(made_rules(), 4), first=False)
    judged(
        replaced(now, {"deis-2": closed("deis-2", v4=late)}), Status.AT_RISK,
        "deis-2: the firewall is not first (IPv4): what stands before it, such as Docker's rules",
    )  # fmt: skip
    judged(
        replaced(now, {"deis-2": closed("deis-2", enabled=False)}), Status.AT_RISK,
        "not enabled: the firewall is gone after a reboot",
    )  # fmt: skip
    judged(
        replaced(now, {"deis-1": closed("deis-1", armed="active")}), Status.PARTLY,
        "rules are on trial on deis-1",
    )  # fmt: skip
    back = told("deis-1", bare(), taken_back="Thu Nov 26 00:40:00 UTC 2026")
    judged(
        replaced(world(), {"deis-1": back}), Status.TO_DO, "deis-1 has taken rules back by itself"
    )


def test_a_host_that_joined_later_is_cut_off_and_that_is_at_risk() -> None:
    """Defect (e) of the contributed script (#2656)."""
    now = world(closed_=True)
    new = hosts()[2].model_copy(
        update={"name": "deis-4", "machine_id": "f" * 32, "address": "10.21.2.14"}
    )
    grown = now.model_copy(update={"hosts": (*now.hosts, new)})
    judged(grown, Status.AT_RISK, "deis-4 is not let in: etcd, fleet and Docker there are cut off")
    chosen = choose(new_hosts=["10.21.2.0/24"])
    ready = [closed(f"deis-{n}", chosen) for n in (1, 2, 3)]
    said = judged(replaced(grown, {a.host: a for a in ready}), Status.UNKNOWN, "how deis-4 filters")
    assert "cut off" not in said


def test_ports_that_were_tried_from_here_are_evidence() -> None:
    now = world()
    tried = facts.tries_question(facts.FROM_HERE, "", (("10.21.2.11", 2375),))
    from deiswizard.cluster.snapshot import Answer

    answer = Answer(
        id=tried.id, host="", command=tried.command, code=0, out="10.21.2.11/2375 open\n"
    )
    found = security.assess(now.model_copy(update={"answers": (*now.answers, answer)})).findings
    evidence = [
        one for finding in found for one in finding.evidence if "connection from this" in one.source
    ]
    assert [one.said for one in evidence] == ["open: 2375"]
    places = {place for q in facts.questions(now) if q.id == facts.FROM_HERE for place in q.tries}
    assert ("10.21.2.13", 4001) in places and all(q.command for q in facts.questions(now))


def test_what_could_not_be_read_is_unknown_and_is_not_planned() -> None:
    silent = told("deis-2", "")
    now = replaced(world(), {"deis-2": silent})
    assert "unknown: how deis-2 filters packets could not be read" in judged(now, Status.TO_DO)
    assert "deis-2 filters packets could not be read" in sentences(now)["host_firewall"]
    with pytest.raises(PreconditionError, match="could not be read"):
        plan_of(now)


def test_the_contributed_script_is_known_with_each_defect() -> None:
    nat = bare_answers()[1].out.split("nat\n")[1].split("deiswizard-section")[0]
    theirs = told("deis-1", CONTRIBUTED, nat=nat, restored_at_boot=True)
    said = judged(
        replaced(world(), {"deis-1": theirs}), Status.AT_RISK,
        "deis-1 has the chain of Deis's own script (Firewall-INPUT)",
        "Docker's rules come before it, so published ports (80, 5000) are open to everyone",
        "9090 is not open", "containers of other hosts (flannel) are refused", "nothing about IPv6",
        "at boot it is restored before Docker",
    )  # fmt: skip
    assert "jumped to twice" not in said
    one = facts.parse(told("deis-1", CONTRIBUTED + "-A INPUT -j Firewall-INPUT\n"))
    assert one is not None
    assert any(
        "run more than once" in words and "INPUT" in words for words in contributed_defects(one)
    )
    empty = "\n".join(line for line in CONTRIBUTED.splitlines() if "-A Firewall-INPUT" not in line)
    one = facts.parse(told("deis-1", empty))
    assert one is not None
    assert any("broke off half-way" in words for words in contributed_defects(one))
    warned = sentences(replaced(world(), {"deis-1": theirs}), blocks=False)["host_firewall"]
    assert "it stays, behind these rules" in warned and "iptables -X Firewall-INPUT" in warned


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


def test_one_host_first_and_the_one_that_leads_to_the_others_last() -> None:
    plan = plan_of(world())
    assert [stage.id for stage in plan.stages] == ["guards", "on:deis-2", "on:deis-3", "on:deis-1"]
    assert [stage.id for stage in plan.undo] == ["back:deis-1", "back:deis-3", "back:deis-2"]
    elsewhere = world(via="core@10.21.2.13")
    assert [stage.id for stage in plan_of(elsewhere).stages][1:] == [
        "on:deis-1",
        "on:deis-2",
        "on:deis-3",
    ]
    assert plan.basis.machines and plan.impact.danger is Danger.WRITE


def test_a_host_is_armed_before_the_rules_and_disarmed_after_every_proof() -> None:
    stage = next(stage for stage in plan_of(world()).stages if stage.id == "on:deis-2")
    names = [step.id.removeprefix("on:deis-2:") for step in stage.steps]
    order = [
        "test",
        "arm",
        "armed",
        "in",
        "login",
        "reaches",
        "reached",
        "closed",
        "whole",
        "still",
        "keep",
        "kept",
    ]
    assert [name for name in names if not name.startswith(("file", "folder"))] == order
    by_name = dict(zip(names, stage.steps, strict=True))
    for before, after in zip(stage.steps, stage.steps[1:], strict=False):
        assert after.needs == (before.id,)
    arm, put_in, keep = by_name["arm"], by_name["in"], by_name["keep"]
    assert (
        isinstance(arm, CommandStep)
        and isinstance(put_in, CommandStep)
        and isinstance(keep, CommandStep)
    )
    assert "systemd-run --unit=deiswizard-firewall-back --on-active=180" in arm.command
    assert "-now" not in put_in.command, "only what is proven is loaded at boot"
    assert keep.command.index("mv ") < keep.command.index(
        "systemctl stop deiswizard-firewall-back.timer"
    )
    login = by_name["login"]
    assert isinstance(login, WaitStep) and isinstance(login.condition, FreshLogin)
    closed_ = by_name["closed"]
    assert isinstance(closed_, WaitStep) and isinstance(closed_.condition, PortsTake)
    assert closed_.condition.hosts == ("",) and not closed_.condition.open
    assert ("10.21.2.12", 2375) in closed_.condition.places
    reached = by_name["reached"]
    assert isinstance(reached, WaitStep) and isinstance(reached.condition, PortsTake)
    assert reached.condition.hosts == ("deis-1", "deis-3")
    assert all(isinstance(by_name[name], GuardStep) for name in ("armed", "still"))
    slow = next(s for s in plan_of(world(), rollback_seconds=600).steps if s.id == "on:deis-2:arm")
    assert isinstance(slow, CommandStep) and "--on-active=600" in slow.command


def test_what_is_there_already_is_left_alone() -> None:
    assert plan_of(world(closed_=True)).is_empty
    now = replaced(world(closed_=True), {"deis-3": bare_answers()[3]})
    plan = plan_of(now)
    assert [stage.id for stage in plan.stages] == ["guards", "on:deis-3"]
    assert {change.sign for change in plan.changes} >= {"+"}
    other = plan_of(world(closed_=True), ssh_from=[ME])
    signs = {change.sign for change in other.changes}
    assert signs == {"+", "-", "=", "~"} or signs == {"+", "-", "="}
    assert other.undo[0].id == "back:deis-1"
    again = [
        s for s in other.undo[0].steps if isinstance(s, UploadStep) and s.path.endswith("next.v4")
    ]
    kept = next(one.kept for one in facts.filters(world(closed_=True)))
    assert again[0].content == kept + "\n", "what was there comes back, on trial"


def test_it_is_taken_out_and_only_where_it_is() -> None:
    now = replaced(world(closed_=True), {"deis-2": bare_answers()[2]})
    plan = plan_of(now, host_firewall=False)
    assert [stage.id for stage in plan.stages] == ["off:deis-3", "off:deis-1"]
    assert plan_of(world(), host_firewall=False).is_empty
    assert {change.sign for change in plan.changes if change.where.startswith("IPv4")} == {"-"}
    assert [stage.id for stage in plan.undo] == ["back:deis-1", "back:deis-3"]
    leftover = told("deis-1", bare(), sums=f"{'a' * 64}  {files.LOAD}\n")
    plan = plan_of(replaced(world(), {"deis-1": leftover}), host_firewall=False)
    assert [stage.id for stage in plan.stages] == ["off:deis-1"]


def test_the_two_parts_do_not_touch_each_other() -> None:
    now = world(closed_=True)
    routers = SecurityChoices(controller_whitelist=f"{ME}:me")
    assert routers.part == "routers"
    assert security.plan(now, routers) == security_plan.plan(now, routers)
    odd = routers.model_copy(update={"ssh_from": ("nonsense",), "open_ports": ("2375",)})
    assert security.check_choices(now, odd) == security.check_choices(now, routers)
    assert security.plan(now, odd).stages == security.plan(now, routers).stages
    hosts_ = choose(controller_whitelist="nonsense", enforce_whitelist=True)
    assert security.plan(world(), hosts_).stages == plan_of(world()).stages
    assert not any("/deis/router" in step.model_dump_json() for step in plan_of(world()).steps)


def test_the_choices_are_offered_again_as_they_are_on_the_hosts() -> None:
    chosen = choose(ssh_from=[ME], refuse="drop", isolate="docker")
    now = world(filters=(bare_answers()[0], *(closed(f"deis-{n}", chosen) for n in (1, 2, 3))))
    offered = security.defaults(now)
    assert (offered.ssh_from, offered.refuse, offered.isolate) == ((ME,), "drop", "docker")
    assert offered.part == "routers"
    assert security.plan(now, offered.model_copy(update={"part": "hosts"})).is_empty
    junk = closed("deis-1").model_copy(
        update={"out": closed("deis-1").out.replace('"refuse": "reject"', '"refuse": "odd"')}
    )
    assert security.defaults(world(filters=(junk,))).refuse == "reject"


def test_the_checks_are_a_table_of_ports_and_of_from_where() -> None:
    now = world(closed_=True)
    checks = security.verify(now, now, choose())
    titles = {check.title: check for check in checks}
    assert all(check.ok for check in checks), [c for c in checks if not c.ok]
    for title in (
        "2375 (Docker, without a password) is closed to a stranger", "22 (ssh) is open to a stranger",
        "9090 (routers' health) is closed to a stranger", "4001 (etcd) is open to every other host",
        "4001 (etcd) is open to a container",
        "the firewall is in place on deis-2, first, and loaded at boot",
    ):  # fmt: skip
        assert title in titles, list(titles)
    before = security.verify(world(), world(), choose())
    wrong = {check.title: check.evidence for check in before if check.ok is False}
    assert wrong["5000 (registry) is closed to a stranger"] == "open on all 3 (by the rules there)"
    one_open = replaced(now, {"deis-3": bare_answers()[3]})
    wrong = {c.title: c.evidence for c in security.verify(now, one_open, choose()) if c.ok is False}
    assert (
        "open on deis-3, closed on deis-1, deis-2" in wrong["4001 (etcd) is closed to a stranger"]
    )
    gone = security.verify(now, world(), choose(host_firewall=False))
    assert len(gone) == 3 and all(check.ok for check in gone)
    assert not any(c.ok for c in security.verify(now, now, choose(host_firewall=False)))


def test_ports_of_the_question_are_read() -> None:
    text = """State Recv-Q Send-Q Local Address:Port Peer Address:Port
LISTEN 0 128 127.0.0.1:5432 *:*
LISTEN 0 128 *:22 *:*
LISTEN 0 128 [::]:4001 [::]:*
LISTEN 0 128 :::2375 :::*
LISTEN 0 128 ::1:631 :::*
LISTEN 0 128 10.21.2.11:2380 *:*
"""
    assert facts.parse_listens(text) == frozenset({22, 4001, 2375, 2380})
    assert facts.parse(None) is None
    one = facts.parse(closed("deis-1"))
    assert one is not None and one.is_first(4) and one.is_first(6) and one.is_enabled
    assert dataclasses.is_dataclass(one)


def test_a_plan_is_data() -> None:
    plan = plan_of(world())
    assert Plan.model_validate(json.loads(plan.model_dump_json())) == plan
    assert verify_undo(plan, world()) == ()
    assert OPERATOR == facts.OPERATOR == "security.operator"
    assert firewall_choices.FirewallChoices().open_ports == ("80", "443", "2222")
