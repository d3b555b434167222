"""A change of members against etcd's awkward answers: the outcome is looked up, never assumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from deiswizard.cluster.access import EtcdAccess
from deiswizard.demo.host import PretendHost
from deiswizard.errors import LinkError, ServiceError, WizardError
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.plan import Plan
from deiswizard.run import events as e
from deiswizard.run import membership
from deiswizard.run.runner import Run
from deiswizard.run.undo import undo_plan
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.unit.etcd_world import EtcdWorld, five, quick, quickened
from tests.unit.memory_cluster import LIMIT
from tests.unit.runs import ended

__all__ = ["five", "quick"]


def removal(world: EtcdWorld) -> tuple[str, str]:
    """The id and the host of the first removal of the advised plan."""
    step = next(s for s in world.plan().steps if isinstance(s, RemoveMemberStep))
    return step.peer.id, step.host


def lose_quorum_at_a_removal(world: EtcdWorld) -> list[PretendHost]:
    """Three hosts go down right when a removal is sent; answers them."""
    down = [world.host(name) for name in ("deis-1", "deis-2", "deis-5")]

    def lose(what: str, call: object) -> object:
        if what.startswith("remove"):
            for host in down:
                host.is_down = True
        return call()  # type: ignore[operator]

    world.direct.watch = lose
    return down


def words(state: object, step: str) -> str:
    return state.steps[step].said  # type: ignore[attr-defined,no-any-return]


def test_a_removal_without_an_answer_is_found_done_and_sent_once(five: EtcdWorld) -> None:
    sent: list[str] = []

    def lose(what: str, call: object) -> object:
        if what.startswith("remove"):
            sent.append(what)
            call()  # type: ignore[operator]
            raise ServiceError("etcd did not answer", state="not known: it timed out")
        return call()  # type: ignore[operator]

    five.direct.watch = lose
    state = five.do(five.plan())
    assert state.status is RunStatus.DONE and len(sent) == len(set(sent)) == 2
    assert five.voters == {"deis-1", "deis-2", "deis-3"}


def test_a_500_soon_after_a_join_is_asked_again(five: EtcdWorld) -> None:
    done = five.do(five.plan())
    now, polled = [100.0], []
    five.cluster.etcd.clock = lambda: now[0]

    def hear(event: e.Event) -> None:
        """No time passes until a join was refused because it came too soon after another."""
        if isinstance(event, e.WaitPolled) and event.step == "add:deis-4":
            polled.append(event.said)
            now[0] += 100.0

    back = five.do(quickened(undo_plan(done, five.direct.look())), hear)
    assert back.status is RunStatus.DONE, back.said
    assert len(polled) == 1 and "500: Internal Server Error" in polled[0]


def test_a_500_that_stays_is_a_failure_in_words_and_nothing_else_is_tried(
    five: EtcdWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "JOIN_SECONDS", 0.1)
    five.do(five.plan())
    five.cluster.etcd.clock = lambda: 100.0
    five.cluster.etcd.members.joined_at = 100.0
    state = five.do(five.plan("deis-1", "deis-2", "deis-3", "deis-4", "deis-5"))
    assert state.status is RunStatus.FAILED
    assert "500: Internal Server Error" in words(state, "add:deis-4")
    assert five.voters == {"deis-1", "deis-2", "deis-3"}
    assert state.steps["switch:deis-4"].status is StepStatus.BLOCKED


def test_lost_quorum_before_a_removal_stops_it_with_nothing_sent(five: EtcdWorld) -> None:
    """Two more members die between the guard and the removal."""

    def die(event: e.Event) -> None:
        if isinstance(event, e.StepStarted) and event.step == "remove:deis-4":
            for name in ("deis-1", "deis-2", "deis-5"):
                five.host(name).is_down = True

    state = five.do(five.plan(), die)
    assert state.status is RunStatus.FAILED
    assert "lost its quorum" in words(state, "remove:deis-4")
    assert state.steps["remove:deis-5"].status is StepStatus.WAITING, "nothing more is removed"
    for host in five.cluster.hosts:
        host.is_down = False
    assert len(five.voters) == 5, "nothing of it is applied later"


@pytest.mark.parametrize("error", [LinkError("deis-1", "it broke"), ServiceError("no answer")])
def test_nothing_is_sent_when_the_hosts_could_not_be_asked_right_before(
    five: EtcdWorld, monkeypatch: pytest.MonkeyPatch, error: WizardError
) -> None:
    """The first look breaks off, and the next would find a member that is ill by then."""
    asked = membership.with_majority
    breaks: list[WizardError] = []

    def broken(etcd: EtcdAccess) -> None:
        if breaks:
            raise breaks.pop()
        asked(etcd)

    def hear(event: e.Event) -> None:
        if isinstance(event, e.StepStarted) and event.step == "remove:deis-4":
            five.host("deis-2").etcd.blinks = 1000
            breaks.append(error)

    monkeypatch.setattr(membership, "with_majority", broken)
    state = five.do(five.plan(), hear)
    assert state.steps["remove:deis-4"].status is StepStatus.FAILED
    assert len(five.voters) == 5, "a removal was sent without the hosts' health"


def test_the_hosts_are_asked_before_a_request_is_sent_again(five: EtcdWorld) -> None:
    """The first request is lost on the way, and a member has become ill since."""
    sent: list[str] = []

    def lose(what: str, call: object) -> object:
        if what.startswith("remove"):
            sent.append(what)
            five.host("deis-2").etcd.blinks = 1000
            raise LinkError("deis-1", "the connection broke", state="not known: it broke")
        return call()  # type: ignore[operator]

    five.direct.watch = lose
    state = five.do(five.plan())
    assert state.steps["remove:deis-4"].status is StepStatus.FAILED
    assert "deis-2: its etcd says that it is not healthy" in words(state, "remove:deis-4")
    assert len(sent) == 1 and len(five.voters) == 5


def test_a_removal_that_hangs_is_looked_up_when_there_is_a_majority_again(five: EtcdWorld) -> None:
    """The write is refused after its time-out, and applied when quorum is back: found done."""
    down = lose_quorum_at_a_removal(five)
    told: list[str] = []

    def mend(event: e.Event) -> None:
        if isinstance(event, e.WaitPolled) and event.step == "remove:deis-4":
            told.append(event.said)
            if "lost its quorum" in event.said:
                five.direct.watch = lambda what, call: call()
                for host in down:
                    host.is_down = False

    state = five.do(five.plan(), mend)
    assert state.steps["remove:deis-4"].status is StepStatus.DONE
    assert any("whether deis-4 was removed is not known" in said for said in told)
    assert state.status is RunStatus.DONE and five.voters == {"deis-1", "deis-2", "deis-3"}


def test_one_that_stays_unknown_says_so_and_the_next_removal_is_not_begun(
    five: EtcdWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "SETTLE_SECONDS", 0.2)
    lose_quorum_at_a_removal(five)
    state = five.do(five.plan())
    assert state.steps["remove:deis-4"].status is StepStatus.UNKNOWN
    assert state.steps["switch:deis-4"].status is StepStatus.BLOCKED
    assert state.steps["remove:deis-5"].status is StepStatus.WAITING
    assert five.roles["deis-4"] == "member", "its etcd was not touched"


def test_somebody_elses_change_in_between_refuses_the_next_one(five: EtcdWorld) -> None:
    def meddle(event: e.Event) -> None:
        if isinstance(event, e.StepFinished) and event.step == "guard:deis-4":
            five.cluster.etcd.add("http://10.21.2.99:2380")

    state = five.do(five.plan(), meddle)
    assert state.status is RunStatus.FAILED
    assert "has become a member since this plan was made" in words(state, "remove:deis-4")
    assert len(five.voters) == 5 and five.has_quorum


def test_a_plan_is_refused_when_the_members_are_others_than_those_it_was_made_from(
    five: EtcdWorld,
) -> None:
    plan = five.plan()
    id_, _ = removal(five)
    five.cluster.etcd.remove(id_)
    state = five.do(plan)
    assert state.status is RunStatus.REFUSED
    assert any("no member of etcd any more" in said for said in state.differences)


def test_a_host_that_cannot_be_asked_stops_the_guard(five: EtcdWorld) -> None:
    plan = five.plan()
    five.host("deis-2").is_down = True
    state = five.do(plan)
    assert "deis-2: its host could not be asked" in words(state, "guard:deis-4")
    assert len(five.voters) == 5


def test_a_link_that_breaks_at_the_removal_is_unknown_until_it_was_looked_up(
    five: EtcdWorld, tmp_path: Path
) -> None:
    broke: list[str] = []

    def cut(what: str, call: object) -> object:
        if what.startswith("remove") and not broke:
            broke.append(what)
            raise LinkError("deis-1", "the connection broke", state="not known: it broke")
        return call()  # type: ignore[operator]

    five.direct.watch = cut
    assert five.do(five.plan()).status is RunStatus.DONE
    assert five.voters == {"deis-1", "deis-2", "deis-3"}


def test_adding_names_the_member_that_is_there_already() -> None:
    """Shown as a person would type it, by whole fields."""
    from deiswizard.plan.etcd_stands import EtcdPeer
    from deiswizard.plan.step import shown

    peer = EtcdPeer(host="a", peer_url="http://10.0.0.1:2380")
    add = AddMemberStep(id="a", title="a", peer=peer, others=(), name="machine")
    assert shown(add) == "etcdctl member add machine http://10.0.0.1:2380"
    remove = RemoveMemberStep(
        id="r", title="r", peer=peer.model_copy(update={"id": "ab12"}), others=()
    )
    assert shown(remove) == "etcdctl member remove ab12"


def test_the_undo_of_a_removal_that_never_came_to_pass_leaves_the_member_alone(
    five: EtcdWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown while there was no majority; later it turns out that it was lost on the way."""
    monkeypatch.setattr(membership, "SETTLE_SECONDS", 0.1)
    down = lose_quorum_at_a_removal(five)
    state = five.do(five.plan())
    assert state.steps["remove:deis-4"].status is StepStatus.UNKNOWN
    before = five.host("deis-4").etcd.member
    five.cluster.etcd.members.waiting.clear()
    commands: list[str] = []

    def note(what: str, call: object) -> object:
        commands.append(what)
        return call()  # type: ignore[operator]

    five.direct.watch = note
    for host in down:
        host.is_down = False
    back = five.undo(state)
    assert back.status is RunStatus.DONE, back.said
    assert "was never removed" in words(back, "add:deis-4")
    assert "not needed" in words(back, "switch:deis-4")
    assert not any("stop etcd2" in what for what in commands)
    assert five.host("deis-4").etcd.member == before and len(five.voters) == 5


def stopped_after(world: EtcdWorld, plan: Plan, step: str) -> Run:
    """A run that its operator stops as soon as this step is done."""
    runs: list[Run] = []

    def stop(event: e.Event) -> None:
        if isinstance(event, e.StepFinished) and event.step == step:
            runs[0].stop()

    runs.append(world.start(plan, stop))
    assert ended(runs[0]).status is RunStatus.STOPPED and runs[0].ended.wait(LIMIT)
    return runs[0]


@pytest.mark.parametrize("step", ["remove:deis-5", "switch:deis-5", "works:deis-5"])
def test_a_run_that_was_cut_off_at_its_second_host_goes_on(five: EtcdWorld, step: str) -> None:
    """What guarded the first host would not hold any more: the second is no member now."""
    run = stopped_after(five, five.plan(), step)
    state = ended(five.start_again(run))
    assert state.status is RunStatus.DONE, state.said
    assert five.voters == {"deis-1", "deis-2", "deis-3"}


@pytest.mark.parametrize("step", ["add:deis-4", "switch:deis-4", "works:deis-4"])
def test_a_way_back_that_was_cut_off_at_its_second_host_goes_on(five: EtcdWorld, step: str) -> None:
    done = five.do(five.plan())
    back = quickened(undo_plan(done, five.direct.look()))
    run = stopped_after(five, back, step)
    state = ended(five.start_again(run))
    assert state.status is RunStatus.DONE, state.said
    assert len(five.voters) == 5 and set(five.roles.values()) == {"member"}


@pytest.mark.parametrize("way", ["there", "back"])
def test_the_data_of_a_host_that_somebody_made_a_member_again_stays(
    five: EtcdWorld, way: str
) -> None:
    """Removed by this run, which was cut off; then added by another operator, who started it."""
    plan, name = five.plan(), "deis-4"
    if way == "back":
        five.do(plan)
        done = five.do(five.plan("deis-1", "deis-2", "deis-3", "deis-4", "deis-5"))
        plan, name = quickened(undo_plan(done, five.direct.look())), "deis-5"
    run = stopped_after(five, plan, f"remove:{name}")
    five.cluster.etcd.members.joined_at = float("-inf")
    five.cluster.etcd.add(five.host(name).peer_url)
    commands: list[str] = []

    def note(what: str, call: object) -> object:
        commands.append(what)
        return call()  # type: ignore[operator]

    five.direct.watch = note
    state = ended(five.start_again(run))
    assert state.status is RunStatus.FAILED
    assert "somebody has made" in words(state, f"out:{name}")
    assert state.steps[f"switch:{name}"].status is StepStatus.BLOCKED
    assert not any("systemctl stop" in what or "mv -T" in what for what in commands)
