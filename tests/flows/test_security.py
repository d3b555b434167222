"""The routers' guards from to do to ok and back on both clusters; nobody locks anybody out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deiswizard.session import Session
from tests.flows.checks import answers, assert_status, told_of
from tests.flows.clusters import HOSTS, Cluster, Pretended, Real
from tests.flows.commands import Said, deiswizard
from tests.flows.routers import all_say, says
from tests.lab.waiting import await_that

ROUTER = "/deis/router"
LIST, ENFORCE = f"{ROUTER}/controller/whitelist", f"{ROUTER}/enforceWhitelist"
FIREWALL, CODE = f"{ROUTER}/firewall/enabled", f"{ROUTER}/firewall/errorCode"
REAL_IP = f"{ROUTER}/proxyRealIpCidr"
KEYS = (LIST, ENFORCE, FIREWALL, CODE)
DEIS, SHOP = "deis.demo.example.com", "shop.demo.example.com"
ATTACK = {"User-Agent": "() { :;}; /bin/true"}
STRANGER = "192.0.2.200"


@pytest.fixture
def believed(cluster: Cluster) -> None:
    """The routers take their own hosts' word; the lab's hosts are not in the range that is usual."""
    if isinstance(cluster, Real):
        cluster.put(REAL_IP, f"{cluster.lab.network.inside}.0/24")


@pytest.fixture
def me(session: Session, believed: None) -> str:
    """The address that the wizard's connections come from."""
    return session.access.host("deis-1").run('echo "$SSH_CONNECTION"').out.split()[0]


@pytest.fixture
def made_late(cluster: Cluster, session: Session) -> Iterator[Callable[[], None]]:
    """Makes an app behind the wizard's back; afterwards there is nothing of it."""

    def make() -> None:
        cluster.put("/deis/services/late/late_v2.web.1", "10.21.2.12:49199")

    yield make
    for folder in ("services", "config"):
        session.access.host("deis-1").run(f"etcdctl rm --recursive /deis/{folder}/late")


def answered(
    session: Session, status: int, name: str, client: str, headers: dict[str, str] | None = None
) -> None:
    """Wait until every router answers that client with that status."""
    addresses = {host.name: host.address for host in session.look().hosts}
    for host in HOSTS:
        sent = (("X-Forwarded-For", client), *(headers or {}).items())
        question = {"address": addresses[host], "path": "/healthz", "headers": sent}
        says(session, status, host, name, **question)


def applied(cluster: Cluster, folder: Path, *lines: str) -> Said:
    text = "security:\n" + "".join(f"  {line}\n" for line in lines)
    return deiswizard("apply", "security", "-a", answers(folder, text), "--yes", *cluster.flags())


def assert_routers_are_well(cluster: Cluster) -> None:
    """What is left to do is about the hosts, which have no firewall here."""
    found = told_of(cluster, "security")
    left = [one["what"] for one in found["findings"] if one["status"] != "by choice"]
    assert [words.partition(" are let in to ")[0] for words in left] == ["strangers"], left


def set_list(cluster: Cluster, app: str, value: str) -> None:
    """As the controller does for ``deis config:set``."""
    cluster.put(f"/deis/config/{app}/deis_whitelist", value)


def keys_of(cluster: Cluster) -> list[str | None]:
    return [cluster.value(key) for key in KEYS]


def test_firewall_and_list_are_set_seen_live_and_taken_back(
    cluster: Cluster, session: Session, me: str, tmp_path: Path
) -> None:
    assert_status(cluster, "security", "to do")
    done = applied(
        cluster, tmp_path, "error_code: 418", f'controller_whitelist: "{me}:me, 198.51.100.0/24:hq"'
    )
    assert done.code == 0, done.err
    for host in HOSTS:
        for said in (f"{host} refuses 192.0.2.77 at the controller",
                     f"{host} lets {me} in to the controller",
                     f"{host} answers a request like an attack with 418",
                     f"nginx on {host} accepts what it has"):  # fmt: skip
            assert said in done.err, done.err
    assert keys_of(cluster) == [f"{me}:me,198.51.100.0/24:hq", None, "true", "418"]
    assert_routers_are_well(cluster)
    answered(session, 200, DEIS, me)
    answered(session, 403, DEIS, STRANGER)
    answered(session, 418, DEIS, me, ATTACK)
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    assert keys_of(cluster) == [None, None, None, None]
    answered(session, 200, DEIS, STRANGER)
    answered(session, 200, DEIS, me, ATTACK)
    assert_status(cluster, "security", "to do")


def test_the_way_back_does_not_ask_a_router_that_runs_no_more(
    pretended: Pretended, tmp_path: Path
) -> None:
    done = applied(pretended, tmp_path, "error_code: 418")
    assert done.code == 0, done.err
    router, cluster = "deis-router@3.service", pretended.cluster
    gone = cluster.placement[router][0].name
    assert f"nginx on {gone} accepts what it has" in done.err
    cluster.fleet.aim(router, "inactive")
    await_that(lambda: not cluster.placement[router], "it has ended")
    back = deiswizard("undo", "last", "--yes", *pretended.flags())
    assert back.code == 0, back.err
    assert f"deis-router runs on {gone} no more: it is not asked there" in back.err
    asked = {host for host in HOSTS if f"nginx on {host} accepts what it has" in back.err}
    assert asked == {*HOSTS} - {gone}


def test_enforcing_comes_last_and_goes_first(
    cluster: Cluster, session: Session, me: str, tmp_path: Path
) -> None:
    for app in ("shop", "blog"):
        set_list(cluster, app, "198.51.100.0/24:customers")
    before = f"{me}:me,203.0.113.128/25:hq"
    cluster.put(LIST, before)
    plan = deiswizard(
        "plan", "security", "--json", *cluster.flags(), "-a",
        answers(tmp_path, f'security:\n  controller_whitelist: "{me}:me"\n  enforce_whitelist: true\n'),
    )  # fmt: skip
    assert plan.code == 0, plan.err
    made = json.loads(plan.out)
    made = made["plans"][0] if "plans" in made else made[0] if isinstance(made, list) else made
    writes = [
        step["key"] for stage in made["stages"] for step in stage["steps"] if step["kind"] == "write-key"
    ]  # fmt: skip
    assert writes == [LIST, FIREWALL, ENFORCE]
    titles = [step["title"] for stage in made["stages"] for step in stage["steps"]]
    assert "deis-1 refuses 203.0.113.129 at the controller" in titles  # the old list let it in
    backwards = [s["key"] for stage in made["undo"] for s in stage["steps"] if "-key" in s["kind"]]
    assert backwards == writes[::-1]
    done = applied(cluster, tmp_path, f'controller_whitelist: "{me}:me"', "enforce_whitelist: true")
    assert done.code == 0, done.err
    assert "deis-2 refuses 192.0.2.77 at shop" in done.err
    assert "deis-2 lets 198.51.100.1 in to blog" in done.err
    answered(session, 200, SHOP, "198.51.100.9")
    answered(session, 403, SHOP, me)
    assert_routers_are_well(cluster)
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    assert keys_of(cluster) == [before, None, None, None]


def test_a_second_choice_takes_back_what_is_chosen_no_more(
    cluster: Cluster, session: Session, me: str, tmp_path: Path
) -> None:
    done = applied(cluster, tmp_path, f'controller_whitelist: "{me}:me"')
    assert done.code == 0, done.err
    done = applied(cluster, tmp_path, 'controller_whitelist: ""', "firewall: false")
    assert done.code == 0, done.err
    assert keys_of(cluster) == [None, None, None, None]
    answered(session, 200, DEIS, STRANGER)
    answered(session, 200, DEIS, me, ATTACK)
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    assert keys_of(cluster) == [f"{me}:me", None, "true", None]
    answered(session, 403, DEIS, STRANGER)


def test_nobody_locks_himself_out(cluster: Cluster, me: str, tmp_path: Path) -> None:
    said = applied(cluster, tmp_path, 'controller_whitelist: "198.51.100.0/24:hq"')
    assert said.code == 2
    assert f"your own address {me} is not on the list: you would be locked out" in said.err
    assert f"{me}:me" in said.err and "answers.yaml:2" in said.err
    named = applied(
        cluster, tmp_path, 'controller_whitelist: "198.51.100.0/24:hq"', 'operator_address: "192.0.2.1"'
    )  # fmt: skip
    assert named.code == 2 and "your own address 192.0.2.1 is not on the list" in named.err
    elsewhere = applied(
        cluster, tmp_path, f'controller_whitelist: "{me}:me"', 'load_balancer: "172.16.4.0/24"'
    )
    assert elsewhere.code == 2 and "nobody would be let in" in elsewhere.err
    assert keys_of(cluster) == [None, None, None, None]


def test_enforcing_without_lists_is_refused_and_names_who_lacks_one(
    cluster: Cluster, me: str, tmp_path: Path
) -> None:
    said = applied(cluster, tmp_path, "enforce_whitelist: true")
    assert said.code == 2 and "Traceback" not in said.err
    assert "the controller has no list: it would answer 403 to everyone, to you too" in said.err
    assert "blog, shop have no list: everyone would get 403 there" in said.err
    set_list(cluster, "blog", "0.0.0.0/0:everyone")
    said = applied(cluster, tmp_path, f'controller_whitelist: "{me}:me"', "enforce_whitelist: true")
    assert said.code == 2 and "shop has no list: everyone would get 403 there" in said.err
    assert f"deis config:set DEIS_WHITELIST={me}:me -a shop" in said.err
    set_list(cluster, "shop", "0.0.0.0/0:everyone,")
    assert_status(cluster, "security", "at risk")
    said = applied(cluster, tmp_path, f'controller_whitelist: "{me}:me"')
    assert said.code == 2 and "the list of shop is broken" in said.err
    assert keys_of(cluster) == [None, None, None, None]


def test_an_app_that_is_made_after_the_plan_stops_the_run_before_enforcing(
    cluster: Cluster, made_late: Callable[[], None], me: str, tmp_path: Path
) -> None:
    for app in ("shop", "blog"):
        set_list(cluster, app, "0.0.0.0/0:everyone")
    text = f'security:\n  controller_whitelist: "{me}:me"\n  enforce_whitelist: true\n'
    plan = str(tmp_path / "plan.json")
    made = deiswizard(
        "plan", "security", "-a", answers(tmp_path, text), "-o", plan, *cluster.flags()
    )
    assert made.code == 0, made.err
    made_late()
    said = deiswizard("apply", plan, "--yes", *cluster.flags())
    assert said.code == 1 and "there is an app that was not there" in said.err, said.err
    assert cluster.value(ENFORCE) is None and cluster.value(LIST) == f"{me}:me"


def test_a_proof_that_fails_stops_the_run_and_one_command_takes_it_back(
    cluster: Cluster, session: Session, made_late: Callable[[], None], me: str, tmp_path: Path
) -> None:
    """Somebody gives an app a broken list meanwhile: nginx takes nothing new any more."""
    plan = str(tmp_path / "plan.json")
    text = f'security:\n  controller_whitelist: "{me}:me"\n'
    made = deiswizard(
        "plan", "security", "-a", answers(tmp_path, text), "-o", plan, *cluster.flags()
    )
    assert made.code == 0, made.err
    set_list(cluster, "late", "198.51.100.0/24,")
    made_late()
    said = deiswizard("apply", plan, "--yes", *cluster.flags())
    assert said.code == 1 and "refuses 192.0.2.77 at the controller" in said.err, said.err
    assert cluster.value(LIST) == f"{me}:me" and cluster.value(FIREWALL) is None
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert keys_of(cluster) == [None, None, None, None], back.err
    answered(session, 200, DEIS, STRANGER)


def test_behind_a_load_balancer_the_proofs_carry_its_line(
    cluster: Cluster, session: Session, me: str, tmp_path: Path
) -> None:
    cluster.put(f"{ROUTER}/proxyProtocol", "1")
    all_say(session, 200, DEIS, proxy_from=me, path="/healthz")
    done = applied(cluster, tmp_path, f'controller_whitelist: "{me}:me"', "error_code: 406")
    assert done.code == 0, done.err
    assert "deis-3 refuses 192.0.2.77 at the controller" in done.err
    assert_routers_are_well(cluster)


def test_routers_that_do_not_believe_their_hosts_prove_what_they_see(
    cluster: Cluster, session: Session, me: str, tmp_path: Path
) -> None:
    cluster.put(REAL_IP, "192.168.0.0/16")
    done = applied(cluster, tmp_path, f'controller_whitelist: "{me}:me"')
    assert done.code == 0, done.err
    address = next(host.address for host in session.look().hosts if host.name == "deis-2")
    assert f"deis-2 refuses {address} at the controller" in done.err
    assert "only that is proven" in done.err
    answered(session, 403, DEIS, me)


def test_the_demo_shows_where_tags_would_place_an_app(tmp_path: Path) -> None:
    chosen = answers(tmp_path, "security:\n  tags: [disk=ssd, zone=a]\n  apps: [shop]\n")
    said = deiswizard("plan", "security", "-a", chosen, "--demo", "five")
    assert said.code == 0, said.err
    told = "'deis tags set disk=ssd zone=a -a shop' would place its containers on deis-1 only"
    assert told in said.out
