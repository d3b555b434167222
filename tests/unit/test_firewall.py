"""The hosts' firewall as a part of Security: judged, chosen, planned, checked, taken back."""

from __future__ import annotations

import dataclasses
import json

import pytest

from deiswizard.cluster.snapshot import Answer
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import CommandStep, UploadStep
from deiswizard.recommendations.firewall import choices as firewall_choices
from deiswizard.recommendations.firewall import facts, files
from deiswizard.recommendations.firewall.checks import contributed_defects
from deiswizard.recommendations.security import declaration as security
from deiswizard.recommendations.security import plan as security_plan
from deiswizard.recommendations.security.facts import OPERATOR, SecurityChoices
from deiswizard.run.undo import verify_undo
from deiswizard.vocabulary import Danger, Status
from tests.unit.firewall_judging import judged, plan_of, sentences, world
from tests.unit.firewall_world import (
    CONTRIBUTED,
    HOSTS,
    bare,
    bare_answers,
    choose,
    closed,
    closed_answers,
    replaced,
    told,
    with_ours,
)
from tests.unit.firewall_world import rules as made_rules
from tests.unit.security_world import ME, hosts


def test_open_hosts_are_to_do_and_say_which_port_answers_whom() -> None:
    said = judged(
        world(), Status.TO_DO,
        "strangers are let in to 2375 (Docker, without a password), 4001 (etcd), 5000 (registry) on 3 of 3",
    )  # fmt: skip
    assert "2379" not in said  # nothing listens there
    assert security.assess(world()).now.startswith("hosts open, ")
    judged(world(closed_=True), Status.OK)
    assert "hosts are on" in security.assess(world(closed_=True)).explanation


def test_half_a_firewall_or_one_that_does_not_hold_is_told() -> None:
    now = world(closed_=True)
    some = replaced(now, {"deis-3": closed("deis-3", v4=with_ours(()))})
    judged(some, Status.AT_RISK, "deis-3: the rules in place are not those that are kept")
    six = replaced(world(closed_=True), {"deis-3": closed("deis-3", kept6="")})
    judged(six, Status.AT_RISK, "not those that are kept for the next boot (IPv6)")
    assert [stage.id for stage in plan_of(six).stages] == ["guards", "on:deis-3"]
    judged(
        replaced(now, {"deis-3": bare_answers()[3]}),
        Status.AT_RISK,
        "deis-3 has no firewall yet, 2 of 3",
    )
    from deiswizard.recommendations.firewall.rules import chain_lines

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
    theirs = told("deis-1", CONTRIBUTED, restored_at_boot=True)
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


def test_a_host_that_fleet_lists_no_more_is_named_before_it_is_cut_off() -> None:
    now = world(closed_=True)
    fewer = now.model_copy(update={"hosts": now.hosts[:2]})
    said = sentences(fewer, blocks=False)["new_hosts"]
    assert "10.21.2.13 is let in by the rules of now" in said
    assert "new_hosts" not in sentences(now, blocks=False)
    assert "is let in" not in str(sentences(fewer, blocks=False, new_hosts=["10.21.2.0/24"]))


def test_it_is_taken_out_and_only_where_it_is() -> None:
    now = replaced(world(closed_=True), {"deis-2": bare_answers()[2]})
    plan = plan_of(now, host_firewall=False)
    assert [stage.id for stage in plan.stages] == ["off:deis-3", "off:deis-1"]
    assert plan_of(world(), host_firewall=False).is_empty
    assert {change.sign for change in plan.changes if change.where.startswith("IPv4")} == {"-"}
    assert [stage.id for stage in plan.undo] == ["back:deis-1", "back:deis-3"]
    for stage in (*plan.stages, *plan_of(world()).undo):
        names = [step.id.rpartition(":")[2] for step in stage.steps]
        assert names == ["stop", "out", "files", "gone"], "else a unit puts them in again meanwhile"
        stop = stage.steps[0]
        assert isinstance(stop, CommandStep)
        for unit in (files.UNIT, files.DOCKER_UNIT, f"{files.ROLLBACK}.timer"):
            assert f"systemctl stop {unit}" in stop.command
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
        "9090 (routers' health) is closed to a stranger", "4001 (etcd) is open to any other host",
        "4001 (etcd) is open to a container",
        "the firewall is in place on deis-2, first, and loaded at boot",
    ):  # fmt: skip
        assert title in titles, list(titles)
    before = security.verify(world(), world(), choose())
    wrong = {check.title: check.evidence for check in before if check.ok is False}
    assert wrong["5000 (registry) is closed to a stranger"] == "open on all 3 (by rules)"
    one_open = replaced(now, {"deis-3": bare_answers()[3]})
    wrong = {c.title: c.evidence for c in security.verify(now, one_open, choose()) if c.ok is False}
    assert (
        "open on deis-3, closed on deis-1, deis-2" in wrong["4001 (etcd) is closed to a stranger"]
    )
    gone = security.verify(now, world(), choose(host_firewall=False))
    assert len(gone) == 3 and all(check.ok for check in gone)
    assert not any(c.ok for c in security.verify(now, now, choose(host_firewall=False)))


def test_a_port_that_one_neighbour_does_not_reach_is_closed_and_its_host_named_once() -> None:
    closed_to = {"deis-1": (), "deis-2": (), "deis-3": ("10.21.2.11/4001",)}
    tried = [
        Answer(
            id=facts.FROM_HOST,
            host=host,
            command="tries",
            code=0,
            out="".join(
                f"{address}/{port} {'closed' if f'{address}/{port}' in places else 'open'}\n"
                for address in HOSTS
                for port in (22, 4001)
            ),
        )
        for host, places in closed_to.items()
    ]
    now = world(filters=(*closed_answers(), *tried))
    found = {
        check.title: (check.ok, check.evidence)
        for check in security.verify(now, now, choose())
        if "another host" in check.title
    }
    assert found == {
        "22 (ssh) is open to another host": (True, "open on all 3 (tried)"),
        "4001 (etcd) is open to another host": (
            False,
            "open on deis-2, deis-3, closed on deis-1 (tried)",
        ),
    }


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
