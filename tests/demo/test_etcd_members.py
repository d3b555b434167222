"""The pretend etcd's members answer as the real one did (deis-facts 14, lab.md 1)."""

from __future__ import annotations

import pytest

from deiswizard.demo.etcd_members import Membership, MembershipError, Voter

PEERS = [f"http://10.0.0.{n}:2380" for n in range(1, 6)]


def cluster(count: int) -> Membership:
    made = Membership()
    made.begin(
        Voter(f"{n:x}" * 16, PEERS[n - 1], f"machine-{n}", "http://x:2379")
        for n in range(1, count + 1)
    )
    return made


def refused(made: Membership, call: object) -> MembershipError:
    with pytest.raises(MembershipError) as caught:
        call()  # type: ignore[operator]
    return caught.value


def test_a_second_join_within_five_seconds_is_a_500_and_goes_through_later() -> None:
    made = cluster(3)
    made.start(made.add(PEERS[3], now=100.0).id, 100.0, "machine-4", "http://y:2379")
    error = refused(made, lambda: made.add(PEERS[4], now=104.9))
    assert error.status == 500 and not error.is_lost and len(made.voters) == 4
    assert made.add(PEERS[4], now=105.1).peer_url == PEERS[4]


def test_answers_of_the_list_are_409_400_410_and_404() -> None:
    made = cluster(3)
    assert refused(made, lambda: made.add(PEERS[0], now=0.0)).status == 409
    assert refused(made, lambda: made.add("10.0.0.9", now=0.0)).status == 400
    made.remove("1" * 16)
    assert refused(made, lambda: made.remove("1" * 16)).status == 410
    assert refused(made, lambda: made.remove("9" * 16)).status == 404


def test_without_a_majority_a_change_is_refused_and_applied_when_there_is_one_again() -> None:
    made = cluster(3)
    made.stop("2" * 16)
    made.stop("3" * 16)
    error = refused(made, lambda: made.remove("3" * 16))
    assert error.status == 500 and error.is_lost
    assert len(made.listed()) == 3, "the list is as it was"
    assert made.leader == "1" * 16, "the old leader is still named"
    made.start("2" * 16, 0.0)
    assert [voter.id for voter in made.listed()] == ["1" * 16, "2" * 16]


def test_two_unstarted_members_end_the_quorum_of_two_and_only_starting_one_brings_it_back() -> None:
    made = cluster(2)
    made.add(PEERS[2], now=0.0)
    made.add("http://10.0.0.77:2380", now=10.0)
    assert not made.has_quorum
    assert refused(made, lambda: made.remove("1" * 16)).is_lost
    named = [voter.peer_url for voter in made.listed()]
    wrong = refused(made, lambda: made.joining(PEERS[2], [*PEERS[:3]]))
    assert "validating peerURLs" in wrong.message
    voter = made.joining(PEERS[2], named)
    made.start(voter.id, 20.0, "machine-3", "http://z:2379")
    assert made.has_quorum and made.voters[voter.id].name == "machine-3"
    assert len(made.listed()) == 3, "the removal that had been refused is applied, too"


def test_a_removed_leader_is_followed_by_another_and_its_data_never_joins_again() -> None:
    made = cluster(3)
    first = made.leader
    made.remove(first)
    assert made.leader in made.voters and made.leader != first
    assert refused(made, lambda: made.start(first, 0.0)).status == 410
