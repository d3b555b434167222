"""How a run gets its lock, keeps, loses, breaks and gives it back."""

from __future__ import annotations

import pytest

from deiswizard.cluster.lock_key import (
    KEY,
    LAST_KEY,
    value_of,
)
from deiswizard.cluster.snapshot import KeyFact
from deiswizard.errors import LockedError, ServiceError
from deiswizard.plan.step import Step
from deiswizard.run import events as e
from deiswizard.run.lock import whoami
from deiswizard.run.lock_decisions import TTL
from deiswizard.vocabulary import Danger
from tests.builders import ANN
from tests.unit.lock_world import World
from tests.unit.memory_cluster import command

WRITES: Step = command("one")
READS: Step = command("two", danger=Danger.READ)
TIMEOUT = ServiceError("etcd did not answer", state="not known: it may still be applied")


def test_the_first_gets_it_and_the_second_hears_whose_it_is(world: World) -> None:
    first, second = world.wizard(), world.wizard()
    first.lock.acquire()
    world.now += 30
    with pytest.raises(LockedError) as caught:
        second.lock.acquire()
    assert caught.value.holder.run == "run-0"
    assert f"{whoami()}, for 30 s (run run-0): one" in caught.value.said
    assert "nothing was changed" in caught.value.state and "within 30 s" in caught.value.do
    assert not second.told and world.holding(first)
    second.lock.release()
    assert world.holding(first), "who never had it cannot give it back"
    first.lock.release()
    assert world.holder() is None
    second.lock.acquire()
    assert first.kinds == ["lock-acquired", "lock-released"] and second.kinds == ["lock-acquired"]


def test_whose_lock_it_will_be_is_told_before_the_key_is_written(world: World) -> None:
    wizard = world.wizard()
    put = world.etcd.put
    told: list[str] = []

    def watched(key: str, value: str, *, expect: int | None, ttl: int | None = None) -> KeyFact:
        (request,) = wizard.told
        assert isinstance(request, e.LockRequested)
        told.append(request.lock.token)
        return put(key, value, expect=expect, ttl=ttl)

    world.etcd.put = watched  # type: ignore[method-assign]
    wizard.lock.acquire()
    holder = world.holder()
    assert holder is not None and told == [holder.token] * 2


def test_a_run_that_only_reads_takes_no_lock_and_minds_none(world: World) -> None:
    world.wizard().lock.acquire()
    reader = world.wizard(is_needed=False)
    reader.lock.acquire()
    assert reader.lock.allows(READS)
    reader.lock.release()
    assert reader.told == [] and world.holding(world.wizards[0])


def test_renewed_it_stays_and_tells_what_is_being_done(world: World) -> None:
    wizard = world.wizard()
    wizard.lock.acquire()
    index = world.etcd.keys[KEY][1]
    wizard.lock.turn()
    assert world.etcd.keys[KEY][1] == index, "nothing new, nothing due: nothing is written"
    wizard.doing = "two"
    wizard.lock.turn()
    holder = world.holder()
    assert holder is not None and holder.doing == "two" and holder.since == 5000.0
    for _ in range(20):
        world.now += 15
        wizard.lock.turn()
    assert world.holding(wizard) and wizard.kinds == ["lock-acquired"]


def test_what_was_not_renewed_runs_out_and_is_free_for_others(world: World) -> None:
    wizard, other = world.wizard(), world.wizard()
    wizard.lock.acquire()
    world.now += TTL
    other.lock.acquire()
    assert not wizard.lock.allows(WRITES)
    assert wizard.lock.lost == "the lock was taken by " + f"{whoami()} (run run-1)"
    assert wizard.lost == 1 and wizard.kinds[-1] == "lock-lost"
    wizard.lock.release()
    assert world.holding(other) and wizard.kinds[-1] == "lock-lost"


def test_a_broken_lock_is_noticed_at_the_very_next_border(world: World) -> None:
    wizard = world.wizard()
    wizard.lock.acquire()
    assert wizard.lock.allows(WRITES)
    world.etcd.remove(KEY, expect=None)
    assert wizard.lock.allows(READS), "a step that only reads asks nobody"
    assert not wizard.lock.allows(WRITES)
    assert wizard.lock.lost == "the lock was broken by somebody"
    assert not wizard.lock.allows(READS), "once it is lost, nothing begins"
    assert world.holder() is None, "a lock that was broken is not taken again"


def test_what_one_member_remembers_is_not_believed(world: World) -> None:
    get = world.etcd.get

    def behind(key: str, *, quorum: bool = False) -> KeyFact | None:
        return get(key) if quorum else None

    world.etcd.get = behind  # type: ignore[method-assign]
    first, second = world.wizard(), world.wizard()
    first.lock.acquire()
    with pytest.raises(LockedError):
        second.lock.acquire()
    assert first.lock.allows(WRITES)


def test_exactly_the_lock_that_was_seen_is_broken(world: World) -> None:
    first = world.wizard()
    first.lock.acquire()
    seen = world.holder()
    assert seen is not None
    first.doing = "two"
    first.lock.turn()  # renewed since: still the same lock
    second = world.wizard(break_token=seen.token)
    second.lock.acquire()
    assert second.kinds == ["lock-broken", "lock-acquired"]
    assert world.holding(second) and not first.lock.allows(WRITES)
    third = world.wizard(break_token=seen.token)
    with pytest.raises(LockedError):
        third.lock.acquire()
    assert world.holding(second) and third.told == []
    second.lock.release()
    first.lock.turn()
    assert first.lock.lost == f"the lock was taken by {whoami()} (run run-1)"


def test_who_broke_it_is_known_even_when_he_is_done_already(world: World) -> None:
    first = world.wizard()
    first.lock.acquire()
    seen = world.holder()
    assert seen is not None
    second = world.wizard(break_token=seen.token)
    second.lock.acquire()
    second.lock.release()
    first.doing = "two"
    first.lock.turn()
    assert first.lock.lost == f"the lock was broken by {whoami()} (run run-1)"


def test_a_renewal_without_an_answer_is_unknown_and_looked_into(world: World) -> None:
    wizard = world.wizard()
    wizard.lock.acquire()
    world.etcd.unheard = TIMEOUT
    world.now += 15
    wizard.lock.turn()  # applied, but nobody said so
    assert not wizard.lock.lost
    world.etcd.unheard = None
    world.now += 2
    wizard.lock.turn()  # our value is there: its index is adopted and renewed
    world.now += TTL - 1
    assert world.holding(wizard) and wizard.lock.allows(WRITES)
    assert wizard.kinds == ["lock-acquired", "lock-unconfirmed", "lock-confirmed"]


def test_without_etcd_it_counts_as_held_until_its_time_is_up(world: World) -> None:
    wizard = world.wizard()
    wizard.lock.acquire()
    world.etcd.trouble = TIMEOUT
    world.now += TTL - 1
    assert wizard.lock.allows(WRITES)
    told = wizard.told[-1]
    assert isinstance(told, e.LockUnconfirmed) and told.until == told.at + 1 and told.said
    world.now += 1
    wizard.lock.turn()
    assert not wizard.lock.lost, "no step waits: there may be an answer before one does"
    assert not wizard.lock.allows(WRITES)
    assert "could not be renewed for 1 min" in wizard.lock.lost


def test_when_its_time_was_up_and_nobody_has_had_it_it_is_taken_again(world: World) -> None:
    wizard = world.wizard()
    wizard.lock.acquire()
    world.now += 10 * TTL  # the machine slept
    assert world.holder() is None
    assert wizard.lock.allows(WRITES)
    assert world.holding(wizard) and wizard.kinds == ["lock-acquired", "lock-acquired"]
    again = wizard.told[-1]
    assert isinstance(again, e.LockAcquired) and again.is_again
    world.now += TTL - 1
    assert world.holding(wizard), "with its full time"


def test_when_somebody_has_had_it_meanwhile_it_is_not_taken_again(world: World) -> None:
    wizard, other = world.wizard(), world.wizard()
    wizard.lock.acquire()
    world.now += TTL
    other.lock.acquire()
    other.lock.release()
    wizard.lock.turn()
    assert "could not be renewed for 1 min, and" in wizard.lock.lost
    assert "(run run-1) has held it since" in wizard.lock.lost
    assert world.holder() is None


def test_a_late_taking_again_does_not_hide_that_somebody_has_had_it(world: World) -> None:
    """Our write is applied unheard; the check for others must still be made afterwards."""
    wizard = world.wizard()
    wizard.lock.acquire()
    world.now += TTL
    world.etcd.put(LAST_KEY, value_of(ANN), expect=None)
    world.etcd.unheard = TIMEOUT
    wizard.lock.turn()
    assert world.holding(wizard) and not wizard.lock.lost
    world.etcd.unheard = None
    wizard.lock.turn()
    assert "ann@laptop (run r1) has held it since" in wizard.lock.lost
    assert world.holder() is None


def test_taking_it_may_go_through_without_an_answer(world: World) -> None:
    wizard = world.wizard()
    answers = iter([TIMEOUT, None, None, None])
    put = world.etcd.put

    def unheard_once(
        key: str, value: str, *, expect: int | None, ttl: int | None = None
    ) -> KeyFact:
        world.etcd.unheard = next(answers)
        return put(key, value, expect=expect, ttl=ttl)

    world.etcd.put = unheard_once  # type: ignore[method-assign]
    wizard.lock.acquire()
    assert world.holding(wizard) and wizard.kinds == ["lock-acquired"]
    assert world.etcd.index == 103, "made, renewed, and the mark of the last one"


def test_a_lock_that_is_gone_before_it_was_confirmed_is_made_again(world: World) -> None:
    wizard = world.wizard()
    put = world.etcd.put
    broken: list[str] = []

    def put_once(key: str, value: str, *, expect: int | None, ttl: int | None = None) -> KeyFact:
        if key == LAST_KEY and not broken:
            broken.append(key)
            world.etcd.remove(KEY, expect=None)
            raise TIMEOUT
        return put(key, value, expect=expect, ttl=ttl)

    world.etcd.put = put_once  # type: ignore[method-assign]
    wizard.lock.acquire()
    assert broken and world.holding(wizard)


@pytest.mark.parametrize("kind", ["trouble", "unheard"])
def test_a_lock_that_etcd_does_not_confirm_is_no_lock(world: World, kind: str) -> None:
    setattr(world.etcd, kind, TIMEOUT)
    wizard = world.wizard()
    with pytest.raises(ServiceError, match="could not be taken") as caught:
        wizard.lock.acquire()
    assert "nothing was changed" in caught.value.state
    wizard.lock.release()
    assert wizard.kinds == [], "what was never taken is not given back"
    world.etcd.trouble = world.etcd.unheard = None
    assert world.holder() is None


def test_giving_back_without_an_answer_says_that_it_ends_by_itself(world: World) -> None:
    wizard = world.wizard()
    wizard.lock.acquire()
    world.etcd.trouble = TIMEOUT
    wizard.lock.release()
    released = wizard.told[-1]
    assert isinstance(released, e.LockReleased) and "by itself within 60 s" in released.said
    world.etcd.trouble = None
    assert world.holding(wizard)
    world.now += TTL
    assert world.holder() is None


def test_after_it_was_given_back_nothing_is_written_any_more(world: World) -> None:
    wizard = world.wizard()
    wizard.lock.acquire()
    wizard.lock.release()
    wizard.doing = "two"
    world.now += 30
    wizard.lock.turn(is_border=True)
    assert world.holder() is None and wizard.kinds == ["lock-acquired", "lock-released"]
