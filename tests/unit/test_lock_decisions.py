"""The lock as data: what a reading of its key means, and what stands in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deiswizard.cluster.lock_key import KEY, coarse, ends_of, parse_lock, said_of, value_of
from deiswizard.cluster.snapshot import KeyFact, Lock, Snapshot
from deiswizard.run import lock_decisions as decide
from deiswizard.run.lock_decisions import TTL, Finding, Hold
from tests.builders import ANN, NOW, snapshot

HOLD = Hold(token="t1", index=7, until=160.0, written_at=100.0, doing="one")


@pytest.mark.parametrize(
    ("asked_at", "found", "finding"),
    [
        (101.0, ANN, Finding.OURS),
        (900.0, ANN, Finding.OURS),
        (101.0, ANN.model_copy(update={"token": "t2"}), Finding.TAKEN),
        (900.0, ANN.model_copy(update={"token": "t2"}), Finding.TAKEN),
        (159.9, None, Finding.REMOVED),
        (160.0, None, Finding.RAN_OUT),
    ],
)
def test_a_reading_is_judged_by_token_and_time(
    asked_at: float, found: Lock | None, finding: Finding
) -> None:
    assert decide.judge(HOLD, asked_at, found) is finding


def test_it_is_renewed_four_times_in_a_ttl_and_at_once_for_news() -> None:
    assert not decide.is_due(HOLD, 114.9, "one")
    assert decide.is_due(HOLD, 115.0, "one")
    assert decide.is_due(HOLD, 100.0, "two")
    assert decide.is_due(decide.adopted(HOLD, 9), 100.0, "one")
    assert decide.adopted(decide.doubted(HOLD), 9) == replace(
        HOLD, index=9, written_at=float("-inf")
    )


def test_the_ttl_counts_from_before_the_write_was_sent() -> None:
    assert decide.written("t", 8, sent_at=100.0, doing="x").until == 100.0 + TTL


def test_why_it_is_lost_is_said_in_words() -> None:
    assert decide.why_lost(Finding.TAKEN, ANN) == "the lock was taken by ann@laptop (run r1)"
    assert decide.why_lost(Finding.REMOVED, None) == "the lock was broken by somebody"
    assert decide.why_lost(Finding.RAN_OUT, None) == "the lock could not be renewed for 1 min"
    assert "ann@laptop (run r1) has held it since" in decide.why_lost(Finding.RAN_OUT, ANN)


def test_a_lock_goes_through_its_key_and_through_the_snapshot_s_json() -> None:
    held = ANN.model_copy(update={"expires": 42})
    fact = KeyFact(key=KEY, value=value_of(held), index=9, ttl=42)
    assert parse_lock(fact) == held
    assert "expires" not in value_of(held)
    look = snapshot(lock=held)
    assert Snapshot.model_validate_json(look.model_dump_json()).lock == held
    assert parse_lock(None) is None


def test_what_a_newer_wizard_adds_is_left_out() -> None:
    value = value_of(ANN)[:-1] + ',"colour":"red"}'
    assert parse_lock(KeyFact(key=KEY, value=value, index=9)) == ANN


@pytest.mark.parametrize("value", ["", "busy", "[]", "3", "null", '{"owner": "x"}', '{"owner": 3}'])
def test_what_no_wizard_wrote_is_a_lock_of_somebody_unknown(value: str) -> None:
    found = parse_lock(KeyFact(key=KEY, value=value, index=9))
    assert found is not None
    assert (found.owner, found.token) == ("unknown", "index-9")
    assert said_of(found, 2000.0) == "unknown: a value that no wizard wrote"
    assert ends_of(found) == "it does not end by itself"


def test_who_for_how_long_and_what() -> None:
    assert said_of(ANN, NOW + 5) == "ann@laptop, for 3 min (run r1): Registration mode: Set"
    assert [coarse(seconds) for seconds in (-5, 59, 60, 7199, 7200)] == [
        "0 s", "59 s", "1 min", "119 min", "2 h",
    ]  # fmt: skip
