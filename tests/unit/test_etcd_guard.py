"""The guard of every change of members: each hazard stops it, and is named."""

from __future__ import annotations

import json

import pytest

from deiswizard.cluster import etcd_host
from deiswizard.cluster.etcd_host import EtcdHost
from deiswizard.cluster.quorum import can_lose, in_words, quorum, tolerance
from deiswizard.cluster.snapshot import Member
from deiswizard.plan.etcd_stands import EtcdPeer, EtcdStands, why_not


def member(number: int, **more: object) -> Member:
    url = f"http://10.0.0.{number}:2380"
    made = Member(id=f"{number:016x}", name=f"machine-{number}", peer_urls=(url,))
    return made.model_copy(update=more)


def healthy(number: int, **more: object) -> EtcdHost:
    made = EtcdHost(
        host=f"h{number}",
        data_dir="/var/lib/etcd2",
        has_member=True,
        active="active",
        proxy_status=404,
        is_healthy=True,
        own_id=f"{number:016x}",
    )
    return made.model_copy(update=more)


def peer(number: int) -> EtcdPeer:
    return EtcdPeer(host=f"h{number}", peer_url=f"http://10.0.0.{number}:2380", id=f"{number:016x}")


def judged(
    change: str,
    target: int | None,
    *,
    others: range = range(1, 5),
    listed: range = range(1, 6),
    hosts: dict[int, EtcdHost] | None = None,
    members: dict[int, Member] | None = None,
) -> str:
    """What the guard says of five healthy members, with these differences."""
    condition = EtcdStands.model_validate(
        {
            "others": [peer(n) for n in others],
            "target": peer(target) if target else None,
            "change": change,
        }
    )
    seen = {n: healthy(n) for n in listed} | (hosts or {})
    now = {n: member(n) for n in listed} | (members or {})
    return why_not(condition, [*now.values()], {host.host: host for host in seen.values()})


def test_five_healthy_members_may_lose_one_and_four_may_gain_one() -> None:
    assert judged("remove", 5) == ""
    assert judged("add", 5, listed=range(1, 5)) == ""
    assert judged("none", None, others=range(1, 6)) == ""


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (healthy(2, is_healthy=False), "not healthy"),
        (healthy(2, has_member=False, has_proxy=True, proxy_status=200), "a voter is dead"),
        (healthy(2, has_proxy=True), "both member and proxy"),
        (healthy(2, has_member=False), "no member in /var/lib/etcd2"),
        (
            healthy(2, proxy_status=None, is_healthy=None, active="failed"),
            "does not answer (failed)",
        ),
        (healthy(2, proxy_status=200), "a proxy answers in this member's place"),
        (healthy(2, own_id="f" * 16), "its etcd is ffff"),
        (healthy(2, data_dir=""), "could not be found"),
        (EtcdHost(host="h2", is_asked=False), "could not be asked"),
    ],
)
def test_one_member_that_is_not_well_by_its_own_host_stops_any_change(
    host: EtcdHost, said: str
) -> None:
    for change, target in (("remove", 5), ("add", 6)):
        others = range(1, 5) if change == "remove" else range(1, 6)
        found = judged(change, target, others=others, hosts={2: host})
        assert found.startswith("h2: ") and said in found


def test_the_one_that_leaves_may_be_dead_itself() -> None:
    assert judged("remove", 5, hosts={5: EtcdHost(host="h5", is_asked=False)}) == ""


def test_an_unstarted_member_stops_the_next_addition_unless_it_is_the_one_that_is_added() -> None:
    fresh = member(2, name="")
    assert "never started" in judged("add", 6, others=range(1, 6), members={2: fresh})
    assert judged("add", 5, members={5: member(5, name="")}) == ""


def test_another_operators_member_or_removal_stops_it() -> None:
    stranger = member(9)
    assert "has become a member" in judged("remove", 5, members={9: stranger})
    assert "h4 is no member any more" in judged(
        "remove", 5, listed=range(1, 4), members={5: member(5)}
    )
    came_back = member(2, id="e" * 16)
    assert "not as planned" in judged("remove", 5, members={2: came_back}), (
        "another id: another member"
    )


def test_ids_and_urls_are_compared_whole() -> None:
    longer = member(1, id=f"{1:016x}0")
    assert "not as planned" in judged("remove", 5, members={1: longer})
    other_port = member(1, peer_urls=("http://10.0.0.1:23800",))
    assert "not as planned" in judged("remove", 5, members={1: other_port})


def test_nothing_is_removed_from_two_and_nothing_is_added_to_one() -> None:
    assert "quorum" in judged("remove", 2, others=range(1, 2), listed=range(1, 3))
    assert "no quorum of 2 after this change" in judged(
        "add", 2, others=range(1, 2), listed=range(1, 2)
    )


def test_a_host_that_is_to_join_must_answer() -> None:
    condition = EtcdStands(
        others=tuple(peer(n) for n in range(1, 4)), target=peer(4), change="add", ready="h4"
    )
    hosts = {f"h{n}": healthy(n) for n in range(1, 4)}
    assert "could not start as a member at once" in why_not(
        condition, [member(n) for n in range(1, 4)], hosts
    )


def test_the_arithmetic_of_quorum_and_its_words() -> None:
    table = {1: (1, 0), 3: (2, 1), 4: (3, 1), 5: (3, 2), 7: (4, 3), 9: (5, 4)}
    assert {n: (quorum(n), can_lose(n, n)) for n in table} == table
    assert in_words(5, 3) == "5 voters, 3 healthy, quorum 3: can lose 0"
    assert in_words(5, 2).endswith("quorum is lost")
    assert tolerance(3) == "3 members: quorum 2, can lose 1"


def answered(**found: str) -> str:
    """What a host prints, for a question with a marker of its own."""
    asked = etcd_host.command()
    marker = asked.split("'")[1].split()[0]
    return asked + "\0" + "".join(f"{marker} {name}\n{text}\n" for name, text in found.items())


def parsed(**found: str) -> EtcdHost:
    asked, _, out = answered(**found).partition("\0")
    return etcd_host.parse("h1", asked, out)


def test_a_hosts_answer_is_read_from_its_own_section_only() -> None:
    """The unit of CoreOS, with a drop-in of cloudinit (deis-facts 11), data on AWS."""
    found = parsed(
        unit='Environment=ETCD_DATA_DIR=/media/etcd ETCD_NAME=abc ETCD_PROXY=on "ETCD_X=a b"\nActiveState=active\nSubState=running',
        data="dir /media/etcd\nproxy\nmount",
        proxy=json.dumps({"endpoints": ["http://10.0.0.1:2379"]}) + "\n200",
        health='{"health": "true"}',
        version='{"etcdserver":"2.3.8","etcdcluster":"2.3.0"}',
        raft="HTTP/1.1 200 OK\r\nX-Raft-Index: 48377\r\nX-Raft-Term: 2\r",
        graceful="enabled",
    )
    assert (found.role, found.runs_as, found.is_mount) == ("proxy", "proxy", True)
    assert found.data_dir == "/media/etcd" and found.endpoints == ("http://10.0.0.1:2379",)
    assert found.is_persisted_proxy and found.has_graceful and found.raft_index == 48377
    assert (found.raft_term, found.version) == (2, "2.3.8")
    assert found.setting("ETCD_X") == "a b" and found.drop_in is None
    fake = "member\nsection-0123456789abcdef data\ndir /x\nproxy"
    assert parsed(**{"drop-in": fake, "data": "dir /var/lib/etcd2\nmember"}).role == "member"


def test_nothing_is_assumed_where_a_host_says_nothing() -> None:
    silent = parsed(unit="Environment=", data="dir ", proxy="\n000", health="", graceful="")
    assert (silent.raft_index, silent.raft_term, silent.version) == (None, None, "")
    assert silent.role == "unknown" and silent.runs_as == "" and silent.is_healthy is None
    assert parsed(data="dir /var/lib/etcd2", proxy="404 page not found\n404").role == "none"
    assert parsed(data="dir /d\nmember\nproxy").role == "both"
    assert parsed(proxy="not json\n200").endpoints == ()


def test_health_of_etcd_may_be_a_word_or_a_bool() -> None:
    assert parsed(health='{"health": true}').is_healthy is True
    assert parsed(health='{"health": "false"}').is_healthy is False
    assert parsed(health="curl: (7)").is_healthy is None
