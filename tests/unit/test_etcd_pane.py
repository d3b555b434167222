"""What a run has seen of etcd's members, who changed them, and how that is shown."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.cluster.snapshot import Member
from deiswizard.plan.plan import Basis, Impact, Plan
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices
from deiswizard.run import events as e
from deiswizard.run import watching
from deiswizard.run.reducer import reduce
from deiswizard.run.state import RunState
from deiswizard.screens.ascii_only import in_ascii
from deiswizard.screens.panes.members import member_rows
from deiswizard.screens.panes.views import views_of
from deiswizard.screens.theme import ASCII, UNICODE
from deiswizard.vocabulary import Danger
from tests.builders import NOW
from tests.screens import etcds
from tests.unit.etcd_world import EtcdWorld, five, quick
from tests.unit.memory_cluster import LIMIT

__all__ = ["five", "quick"]
PLAN = etcd.RECOMMENDATION.plan(etcds.five(), etcd.RECOMMENDATION.defaults(etcds.five()))
STRANGER = Member(id="c0ffee0100000000", name="", peer_urls=("http://10.21.2.99:2380",))


def state_of(*more: e.Event) -> RunState:
    state = reduce(RunState(), e.RunStarted(at=NOW, run="r", plan=PLAN))
    for event in (*etcds.midway(PLAN), *more):
        state = reduce(state, event)
    return state


def painted(*more: e.Event, width: int = 120, height: int = 20) -> str:
    return "\n".join(text for text, _ in member_rows(PLAN, state_of(*more), width, height, UNICODE))


@given(width=st.integers(20, 200), height=st.integers(3, 40))
def test_every_row_fits_whatever_the_size(width: int, height: int) -> None:
    for state in (state_of(), reduce(RunState(), e.RunStarted(at=0, run="r", plan=PLAN))):
        for symbols in (UNICODE, ASCII):
            found = member_rows(PLAN, state, width, height, symbols)
            assert 0 < len(found) <= height and all(len(text) <= width for text, _ in found)
    assert all(
        in_ascii(text).isascii() for text, _ in member_rows(PLAN, state_of(), 120, 20, ASCII)
    )


def test_the_table_tells_role_health_leader_and_the_quorum_now_and_after_the_next_change() -> None:
    text = painted()
    first = next(line for line in text.splitlines() if "deis-1" in line).split()
    assert first == [
        "deis-1",
        "00000001",
        "member",
        "✓",
        "healthy",
        "leads",
        "48",
        "377",
        "7",
        "2.3.8",
        "http://10.21.2.11:2379",
    ]
    going = next(line for line in text.splitlines() if "deis-4 " in line).split()
    assert going[:5] == ["deis-4", "–", "proxy", "▶", "starting"]
    assert "4 voters, 4 healthy, quorum 3: can lose 1" in text
    assert "after the next step: 3 voters, 3 healthy, quorum 2: can lose 1" in text


def test_versions_and_terms_are_shown_where_there_is_room_and_of_members_only() -> None:
    heads = {width: painted(width=width).splitlines()[0].split() for width in (80, 120)}
    assert "version" in heads[120] and "term" in heads[120]
    assert not {"version", "term"} & set(heads[80])
    going = next(line for line in painted().splitlines() if "deis-4 " in line)
    assert "2.3.8" not in going, "a proxy tells the version of a member"


def test_a_member_that_is_added_is_not_counted_as_healthy_before_it_has_started() -> None:
    """Three become four voters, of which three are healthy: none of them can be lost then."""
    hosts = etcds.three()
    plan = etcd.RECOMMENDATION.plan(hosts, EtcdChoices(members=tuple(h.name for h in etcds.HOSTS)))
    state = reduce(RunState(), e.RunStarted(at=NOW, run="r", plan=plan))
    state = reduce(state, etcds.seen(NOW + 1, 3, 2))

    def shown(state: RunState, width: int) -> str:
        return "\n".join(text for text, _ in member_rows(plan, state, width, 20, UNICODE))

    wanted = "after the next step: 4 voters, 3 healthy, quorum 3: can lose 0"
    assert f"{wanted} until it has started" in shown(state, 120)
    assert wanted in shown(state, 80)
    begun = reduce(state, e.StepStarted(at=NOW + 2, step="add:deis-4"))
    fresh = Member(id="4" * 16, name="", peer_urls=(etcds.MEMBERS[3].peer_urls[0],))
    listed = e.MembersSeen(at=NOW + 3, members=(*etcds.MEMBERS[:3], fresh))
    assert wanted in shown(reduce(begun, listed), 80), "it is on the list already"


def test_a_change_of_this_run_and_one_of_somebody_else_are_told_apart() -> None:
    listed = etcds.seen(NOW + 20, 5, 0).members
    left = tuple(m for m in listed if m.peer_urls != ("http://10.21.2.14:2380",))
    text = painted(e.MembersSeen(at=NOW + 20, members=(*left, STRANGER)))
    assert "removed 00000004 (deis-4) by this run" in text
    assert "added c0ffee01 (http://10.21.2.99:2380) BY SOMEBODY ELSE" in text
    stranger = next(line for line in text.splitlines() if "10.21.2.99 " in line)
    assert "not started" in stranger
    assert "5 voters, 4 healthy, quorum 3: can lose 1" in text


def test_a_change_that_is_seen_before_its_step_has_heard_of_it_is_this_runs_own() -> None:
    begun = e.StepStarted(at=NOW + 20, step="remove:deis-5")
    left = tuple(m for m in etcds.MEMBERS[:3])
    text = painted(begun, e.MembersSeen(at=NOW + 21, members=left))
    assert "removed 00000005 (http://10.21.2.15:2380) by this run" in text
    assert "SOMEBODY" not in text


def test_what_hosts_said_of_their_health_outlives_a_look_at_the_list_alone() -> None:
    left = tuple(
        m.model_copy(update={"healthy": None}) for m in (*etcds.MEMBERS[:3], etcds.MEMBERS[4])
    )
    assert "4 voters, 4 healthy" in painted(e.MembersSeen(at=NOW + 20, members=left))


def test_the_members_come_first_among_the_views() -> None:
    def views(name: str, **choices: str) -> list[str]:
        plan = Plan(
            recommendation=name, title="", cluster="", choices=choices,
            impact=Impact(danger=Danger.READ), basis=Basis(taken_at=NOW),
        )  # fmt: skip
        return [*views_of(plan)]

    assert views("etcd") == ["members", "steps", "hosts"]
    assert views("etcd", way="files") == views("security", part="routers") == ["steps", "hosts"]
    assert views("preseed") == ["steps", "hosts", "images"]
    assert views("security", part="hosts") == ["steps", "hosts", "ports"]


def test_another_operators_change_is_in_the_trail_of_the_run_that_it_stops(five: EtcdWorld) -> None:
    def meddle(event: e.Event) -> None:
        if isinstance(event, e.StepFinished) and event.step == "guard:deis-4":
            five.cluster.etcd.add("http://10.21.2.99:2380")

    state = five.do(five.plan(), meddle)
    assert state.etcd is not None
    (trace,) = [trace for trace in state.etcd.trail if "10.21.2.99" in trace.text]
    assert trace.text.startswith("added") and not trace.is_ours


def test_the_watch_tells_each_new_list_once_and_asks_no_host(
    five: EtcdWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    told: list[e.Event] = []
    ended = threading.Event()

    def watch(words: str, call: object) -> object:
        asked.append(words)
        return call()  # type: ignore[operator]

    def hear(event: e.Event) -> None:
        told.append(event)
        if len(told) == 1:
            five.cluster.etcd.add("http://10.21.2.99:2380")
        else:
            ended.set()

    five.direct.watch = watch
    monkeypatch.setattr(watching, "WATCH_SECONDS", 0.01)
    watching.watch_members(five.plan(), five.direct, hear, ended, lambda: NOW)
    asked.clear()
    assert ended.wait(LIMIT)
    first, second = told
    assert isinstance(first, e.MembersSeen) and isinstance(second, e.MembersSeen)
    assert len(first.members) == 5 and len(second.members) == 6 and not second.hosts
    assert asked == []
