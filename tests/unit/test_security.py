"""Security: judgements, lock-outs, plans and checks are pure functions."""

from __future__ import annotations

from typing import Any

import pytest

from deiswizard.cluster.secret_keys import is_secret
from deiswizard.cluster.snapshot import Snapshot, Unit
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import WebSays
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import KeyStep, WaitStep
from deiswizard.recommendations.security import declaration as security
from deiswizard.recommendations.security import tags as security_tags
from deiswizard.recommendations.security.facts import ENFORCE, ERROR_CODE, FIREWALL, LIST
from deiswizard.recommendations.security.plan import plan
from deiswizard.vocabulary import Danger, Status
from tests.builders import host
from tests.unit.security_world import ME, choose, sentences, world

ON = {"firewall/enabled": "true"}
LISTED = {**ON, "controller/whitelist": f"{ME}:me"}
ENFORCED = {**LISTED, "enforceWhitelist": "true"}
BOTH = {"shop": "198.51.100.0/24", "blog": "0.0.0.0/0:all"}


def judged(now: Snapshot, status: Status, *words: str) -> None:
    found = security.assess(now)
    said = "\n".join(f"{finding.status}: {finding.what}" for finding in found.findings)
    assert found.status is status, said
    assert all(word in said for word in words), said
    assert all(finding.evidence for finding in found.findings)


def test_it_is_judged_by_the_keys_and_by_what_the_routers_do() -> None:
    judged(world(), Status.TO_DO, "to do: the routers' firewall is off", "by choice: everyone may")
    judged(world({"firewall/enabled": "True"}), Status.TO_DO, "'True' is not exactly 'true'")
    judged(world(ON), Status.OK, "by choice: 0 of 2 apps have a list")
    judged(world(ENFORCED, lists=BOTH), Status.OK, "by choice: 2 of 2 apps")
    odd = {**ON, "firewall/errorCode": "4000"}
    judged(world(odd), Status.AT_RISK, "'4000' is no status from 400 to 599")
    judged(world({**ON, "proxyRealIpCidr": "all"}), Status.AT_RISK, "'all' is no IPv4 network")
    assert "of the routers and of the hosts are on" in security.assess(world(ON)).explanation


def test_what_the_keys_say_but_a_router_does_not_do_is_at_risk() -> None:
    not_live = world(LISTED, says={"security.stranger": 200})
    judged(
        not_live, Status.AT_RISK, "not so: deis-2 refuses 192.0.2.77 at the controller (HTTP 200)"
    )
    passes = world(ON, says={"security.attack": 401})
    judged(passes, Status.AT_RISK, "not so: deis-1 answers a request like an attack with 400")
    judged(world(ON, nginx=1), Status.AT_RISK, "nginx on deis-3 refuses what it has")
    silent = world(ON, says={"security.attack": None})
    judged(silent, Status.PARTLY, "the router on deis-1, deis-2, deis-3 did not answer")
    judged(
        world(ON).model_copy(update={"unit_states": ()}), Status.PARTLY, "no router could be asked"
    )
    assert security.assess(world(keys_read=False)).status is Status.UNKNOWN


def test_lists_that_shut_out_everyone_or_break_nginx_are_at_risk() -> None:
    judged(world(ENFORCED, lists={"shop": ME}), Status.AT_RISK, "enforced, and blog has none: 403")
    alone = world({**ON, "enforceWhitelist": "true"}, lists=BOTH)
    judged(alone, Status.AT_RISK, "the controller has none: 403 for everyone")
    broken = world(ON, lists={"shop": "0.0.0.0/0,"})
    judged(broken, Status.AT_RISK, "the list of shop is broken: entry 2 is empty")
    empty = world({**ON, "controller/whitelist": ""})
    judged(empty, Status.AT_RISK, "the list of the controller is broken: it is there, but empty")
    away = world(LISTED, operator="198.51.100.9")
    judged(
        away, Status.OK, "198.51.100.9, from where you are connected, is not on the controller's"
    )


def test_nobody_is_locked_out() -> None:
    office = "198.51.100.0/24:office"
    told = sentences(world(), controller_whitelist=office)
    assert f"your own address {ME} is not on the list" in told["controller_whitelist"]
    assert f"a list with {ME}:me in it" in told["controller_whitelist"]
    assert not sentences(world(), controller_whitelist=office, operator_address="198.51.100.9")
    elsewhere = sentences(
        world(), blocks=False, controller_whitelist=office, operator_address="198.51.100.9"
    )
    assert (
        f"connected to deis-1 from {ME} now, not from 198.51.100.9" in elsewhere["operator_address"]
    )
    told = sentences(world(operator=""), controller_whitelist=office)
    assert "your own address is not known" in told["operator_address"]
    told = sentences(world(), operator_address="me.example.com")
    assert "'me.example.com' is not one IPv4 address" in told["operator_address"]
    told = sentences(world(operator="10.9.9.9"), blocks=False, controller_whitelist="10.0.0.0/8")
    assert "10.9.9.9 is a private address" in told["operator_address"]
    assert not sentences(world(), firewall=False)


def test_a_host_or_loopback_is_nobodys_own_address() -> None:
    for address in ("10.21.2.11", "127.0.0.1", "::1"):
        told = sentences(world(operator=address), controller_whitelist=f"{ME}")
        assert "your own address is not known" in told["operator_address"]


def test_a_load_balancer_that_is_not_believed_is_all_that_routers_see() -> None:
    mine = f"{ME}:me"
    told = sentences(world(), controller_whitelist=mine, load_balancer="172.16.4.0/24")
    assert "they see all clients as the load balancer" in told["load_balancer"]
    assert "nobody would be let in" in told["load_balancer"]
    assert "proxyRealIpCidr=172.16.4.0/24" in told["load_balancer"]
    listed = f"{mine},172.16.0.0/12"
    told = sentences(
        world(), blocks=False, controller_whitelist=listed, load_balancer="172.16.4.0/24"
    )
    assert "everyone who comes through it is let in" in told["load_balancer"]
    for believed in (world({"proxyRealIpCidr": "172.16.0.0/12"}), world()):
        inside = "172.16.4.9" if believed.key("/deis/router/proxyRealIpCidr") else "10.21.0.0/24"
        assert not sentences(believed, controller_whitelist=mine, load_balancer=inside)
    told = sentences(world(), load_balancer="elb.example.com")
    assert "'elb.example.com' is no IPv4 address or network" in told["load_balancer"]
    proxied = sentences(world({"proxyProtocol": "0"}), blocks=False, controller_whitelist=mine)
    assert "the PROXY protocol is on, so a load balancer is in front" in proxied["load_balancer"]


def test_enforcing_needs_a_list_for_each() -> None:
    mine = f"{ME}:me"
    told = sentences(world(), enforce_whitelist=True)
    assert (
        "the controller has no list: it would answer 403 to everyone, to you too"
        in told["enforce_whitelist"]
    )
    assert "blog, shop have no list: everyone would get 403 there" in told["enforce_whitelist"]
    told = sentences(world(lists={"shop": ME}), enforce_whitelist=True, controller_whitelist=mine)
    assert f"deis config:set DEIS_WHITELIST={mine} -a blog" in told["enforce_whitelist"]
    many = tuple(f"app{number}" for number in range(9))
    told = sentences(world(apps=many), enforce_whitelist=True, controller_whitelist=mine)
    assert "app0, app1, app2, app3, app4 and 4 more have no list" in told["enforce_whitelist"]
    assert not sentences(world(lists=BOTH), enforce_whitelist=True, controller_whitelist=mine)
    unknown = world(lists=BOTH).model_copy(update={"answers": ()})
    told = sentences(unknown, blocks=False, enforce_whitelist=True, controller_whitelist=mine)
    assert "etcd did not tell which apps there are" in told["enforce_whitelist"]


def test_a_broken_list_of_an_app_comes_before_everything() -> None:
    for text, words in (("10.0.0.1,", "entry 2 is empty"), ("", "it is there, but empty")):
        told = sentences(world(lists={"shop": text}))["apps"]
        assert f"the list of shop is broken, so the routers take no new setting: {words}" in told
        assert "mend it first: deis config:set DEIS_WHITELIST=<list> -a shop" in told


def test_an_answer_that_nobody_could_tell_apart_is_refused() -> None:
    assert "444 nginx closes the connection" in sentences(world(), error_code=444)["error_code"]
    for code in (399, 600):
        with pytest.raises(ValueError, match="error_code"):
            choose(error_code=code)
    with pytest.raises(PreconditionError, match="444"):
        plan(world(), choose(error_code=444))


def keys_changed(made: Plan) -> list[str]:
    return [step.key for step in made.steps if isinstance(step, KeyStep)]


def asks(made: Plan, stage: str) -> list[str]:
    steps = next(one.steps for one in made.stages if one.id == stage)
    return [s.title for s in steps if isinstance(s, WaitStep) and isinstance(s.condition, WebSays)]


def test_the_plan_keeps_the_order_both_ways() -> None:
    wanted = choose(controller_whitelist=f"{ME}:me", enforce_whitelist=True, error_code=418)
    made = plan(world(lists=BOTH), wanted)
    assert keys_changed(made) == [LIST, ERROR_CODE, FIREWALL, ENFORCE]
    back = [step.key for stage in made.undo for step in stage.steps if isinstance(step, KeyStep)]
    assert back == [ENFORCE, FIREWALL, ERROR_CODE, LIST]
    assert [stage.id for stage in made.stages] == [
        "guards", "list", "prove-list", "firewall", "prove-firewall",
        "before-enforce", "enforce", "prove-enforce",
    ]  # fmt: skip
    looser = plan(world(ENFORCED, lists=BOTH), choose(firewall=True))
    assert keys_changed(looser) == [ENFORCE, LIST]
    assert f"/deis/config/{'shop'}/deis_whitelist" in [basis.key for basis in made.basis.keys]


def test_what_differs_from_before_is_asked_first() -> None:
    """Otherwise the routers' old settings would pass for the new ones."""
    now = world(LISTED)
    made = plan(now, choose(controller_whitelist=f"{ME}:me,198.51.100.0/24"))
    first = asks(made, "prove-list")[0]
    assert first == "deis-1 lets 198.51.100.1 in to the controller"
    shorter = world({**ON, "controller/whitelist": f"{ME}:me,198.51.100.0/24"})
    made = plan(shorter, choose(controller_whitelist=f"{ME}:me"))
    assert asks(made, "prove-list")[0] == "deis-1 refuses 198.51.100.1 at the controller"
    made = plan(world(ON), choose(firewall=False))
    assert asks(made, "prove-firewall")[0].endswith("like an attack as any other")
    made = plan(world(ON), choose(error_code=418))
    assert asks(made, "prove-firewall")[0].endswith("like an attack with 418")


def requests_of(now: Snapshot) -> list[Any]:
    made = plan(now, choose(controller_whitelist=f"{ME}:me"))
    return [
        step.condition.request
        for step in made.steps
        if isinstance(step, WaitStep) and isinstance(step.condition, WebSays)
    ]


def test_requests_are_made_as_the_routers_expect_them() -> None:
    assert all(dict(one.headers)["X-Forwarded-For"] for one in requests_of(world()))
    proxied = requests_of(world({"proxyProtocol": "1"}))
    assert all(one.proxy_from and not dict(one.headers).get("X-Forwarded-For") for one in proxied)
    moved = requests_of(world({"enforceHTTPS": "true"}))
    assert all(dict(one.headers)["X-Forwarded-Proto"] == "https" for one in moved)
    sealed = requests_of(world({"hsts/enabled": "true", "sslCert": "PEM"}))
    assert all(one.tls and one.port == 443 for one in sealed)


def test_a_router_that_does_not_believe_its_host_proves_what_it_sees() -> None:
    now = world({"proxyRealIpCidr": "172.16.0.0/12"})
    made = plan(now, choose(controller_whitelist=f"{ME}:me"))
    assert asks(made, "prove-list")[:1] == ["deis-1 refuses 10.21.2.11 at the controller"]
    assert any("only that is proven" in note for note in made.impact.notes)


def test_nothing_is_written_where_all_is_so_already() -> None:
    made = plan(world(LISTED), choose(controller_whitelist=f" {ME}:me "))
    assert made.is_empty and made.impact.danger is Danger.READ and not made.undo
    assert asks(made, "prove")
    off = plan(world({"firewall/enabled": "false"}), choose(firewall=False))
    assert off.is_empty


def test_without_a_router_or_a_domain_only_the_keys_are_checked_and_it_says_so() -> None:
    now = world().model_copy(update={"unit_states": ()})
    made = plan(now, choose())
    assert any("only the keys are checked" in note for note in made.impact.notes)
    assert keys_changed(made) == [FIREWALL]
    with pytest.raises(PreconditionError, match="could not be read"):
        plan(world(keys_read=False), choose())


def test_the_checks_ask_the_routers_again() -> None:
    wanted = choose(controller_whitelist=f"{ME}:me")
    checks = {check.title: check.ok for check in security.verify(world(), world(LISTED), wanted)}
    assert all(checks.values()), checks
    assert f"deis-3 lets {ME} in to the controller" in checks
    after = world(LISTED, says={"security.allowed": 403, "security.attack": None})
    checks = {check.title: check.ok for check in security.verify(world(), after, wanted)}
    assert checks[f"deis-3 lets {ME} in to the controller"] is False
    assert checks["deis-1 answers a request like an attack with 400"] is None
    not_set = {check.title: check.ok for check in security.verify(world(), world(ON), wanted)}
    assert not_set["the controller's list is as chosen"] is False


def test_a_list_of_an_app_is_no_secret_and_other_settings_of_apps_are() -> None:
    assert not is_secret("/deis/config/shop/deis_whitelist")
    assert is_secret("/deis/config/shop/deis_whitelist_token") and is_secret("/deis/config/a/b")
    assert is_secret("/deiswizard/kept/t/deis/config/shop/deis_whitelist")


def app_unit(app: str, *metadata: str) -> Unit:
    return Unit(name=f"{app}_v3.web.1.service", machine_metadata=metadata)


def test_tags_place_apps_where_all_of_it_is() -> None:
    now = world()
    assert security_tags.metadata(now)["disk=ssd"] == ("deis-1", "deis-2")
    assert security_tags.places(now, ["disk=ssd", "zone=a"]) == ("deis-1",)
    assert security_tags.places(now, ["disk=ssd", "disk=hdd"]) == ("deis-1", "deis-2")
    assert security_tags.places(now, ["disk=tape"]) == ()
    assert "nowhere: no host has all of it" in security_tags.told(now, ["disk=tape"])
    assert "deis-1, deis-2 only" in security_tags.told(now, ["disk=ssd"], "shop")


def test_apps_that_need_the_data_plane_go_only_there() -> None:
    quick = host(1, metadata=(("disk", "ssd"),))
    for keys, places in (
        ({}, ("deis-1", "deis-2")),
        ({security_tags.PLACEMENT: "true"}, ("deis-2",)),
    ):
        now = world(keys)
        now = now.model_copy(update={"hosts": (quick, *now.hosts[1:])})
        assert security_tags.places(now, ["disk=ssd"]) == places


def test_an_app_that_can_run_nowhere_is_at_risk() -> None:
    kept = app_unit("shop", '"disk=ssd" "zone=b"', "dataPlane=true")
    judged(world(ON, units=(kept,)), Status.OK, "shop runs only where disk=ssd and zone=b")
    lost = app_unit("blog", "disk=tape")
    judged(world(ON, units=(lost,)), Status.AT_RISK, "no host has all of it, so it can never start")
    free = app_unit("free", "dataPlane=true")
    assert security_tags.confined(world(units=(free,))) == ()


def test_what_is_only_asked_is_answered_and_never_written() -> None:
    told = sentences(world(), blocks=False, tags=("disk=ssd",), apps=("shop",))
    assert (
        "'deis tags set disk=ssd -a shop' would place its containers on deis-1, deis-2"
        in told["tags"]
    )
    made = plan(
        world(ON), choose(controller_whitelist=f"{ME}:me", tags=("disk=ssd",), apps=("shop",))
    )
    notes = "\n".join(made.impact.notes)
    assert f"for you to run: deis config:set DEIS_WHITELIST={ME}:me -a shop" in notes
    assert "deis tags set disk=ssd -a shop" in notes and keys_changed(made) == [LIST]
    assert "a restart of fleet stops every unit of that host" in notes
    assert "CI that calls the controller by its public name must be on the list" in notes
    told = sentences(world(), apps=("nobody",), tags=("disk=tape",))
    assert "there is no app 'nobody'" in told["apps"]
    assert "no host carries the metadata 'disk=tape'" in told["tags"]
