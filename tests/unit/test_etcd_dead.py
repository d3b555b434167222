"""Voters that are dead, gone or never started: what is removed, and what is not for it may live."""

from __future__ import annotations

import pytest

from deiswizard import answers
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan import preview
from deiswizard.plan.etcd_steps import RemoveMemberStep
from deiswizard.plan.reach import Reach
from deiswizard.plan.script import script
from deiswizard.plan.step import UploadStep
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices, advised, defaults
from deiswizard.recommendations.etcd.facts import view
from deiswizard.run import events as e
from deiswizard.vocabulary import RunStatus, Status
from tests.unit.etcd_judging import (
    ALL,
    THREE,
    as_dead_voter,
    findings,
    judged,
    problems,
)
from tests.unit.etcd_world import EtcdWorld, fifty, five, quick, quickened

__all__ = ["fifty", "five", "quick"]


def test_a_dead_voter_behind_a_proxy_is_found_leaves_first_and_its_host_stays_a_proxy(
    five: EtcdWorld,
) -> None:
    as_dead_voter(five, "deis-2")
    shell = five.direct.host("deis-1").run("etcdctl cluster-health").out
    assert "unhealthy" not in shell and "unreachable" not in shell, "etcd itself cannot tell"
    found = judged(five)
    assert found.status is Status.AT_RISK and "deis-2: a voter is dead" in findings(five)
    assert "deis-2" not in advised(view(five.direct.look()))
    assert "its member is not healthy" in problems(five, *THREE)
    plan = five.plan()
    removals = [step.host for step in plan.steps if isinstance(step, RemoveMemberStep)]
    assert removals[0] == "deis-2" and "what was dead stays away" in plan.impact.undo
    assert five.do(plan).status is RunStatus.DONE
    assert judged(five).status is Status.OK, findings(five)


def test_a_host_that_is_gone_is_taken_from_the_list_and_mended_when_it_is_back(
    five: EtcdWorld,
) -> None:
    five.host("deis-5").is_down = True
    plan = five.plan("deis-1", "deis-2", "deis-3")
    assert "deis-5 does not answer and is only taken from the list" in "\n".join(plan.impact.notes)
    assert five.do(plan).status is RunStatus.DONE and five.voters == set(THREE)
    five.host("deis-5").is_down = False
    five.host("deis-5").reboot()
    assert "holds a member's data and is no member" in findings(five)
    assert five.do(five.plan()).status is RunStatus.DONE
    assert judged(five).status is Status.OK, findings(five)


def test_a_voter_that_lives_on_a_host_that_cannot_be_asked_is_not_removed(five: EtcdWorld) -> None:
    """Its key has changed, say: it would be left without etcd."""
    snapshot = five.direct.look()
    answers = tuple(a for a in snapshot.answers if (a.id, a.host) != ("etcd.host", "deis-5"))
    blind = snapshot.model_copy(update={"answers": answers})
    found = etcd.RECOMMENDATION.check_choices(blind, EtcdChoices(members=THREE))
    assert "deis-5 cannot be asked, but its etcd may be alive" in "\n".join(p.what for p in found)


def without_fleetd(snapshot: Snapshot, *names: str) -> Snapshot:
    """As fleet lists its machines when fleetd is down on these hosts."""
    hosts = tuple(host for host in snapshot.hosts if host.name not in names)
    return snapshot.model_copy(update={"hosts": hosts})


def test_a_voter_that_lives_on_a_host_that_fleet_does_not_list_is_not_removed(
    five: EtcdWorld,
) -> None:
    """fleetd is down on one host of three members: by default its voter would be taken for a dead one."""
    five.do(five.plan())
    blind = without_fleetd(five.direct.look(), "deis-3")
    chosen = defaults(blind)
    found = "\n".join(p.what for p in etcd.RECOMMENDATION.check_choices(blind, chosen) if p.blocks)
    assert "may be alive, and fleet does not list its host: start fleetd there" in found
    with pytest.raises(PreconditionError):
        etcd.RECOMMENDATION.plan(blind, chosen)
    advice = "\n".join(f.do for f in etcd.RECOMMENDATION.assess(blind).findings)
    assert "start fleetd on its host" in advice and "taken from the list" not in advice


def test_a_dead_voter_on_a_host_that_fleet_does_not_list_is_removed_unless_it_is_back_by_then(
    five: EtcdWorld,
) -> None:
    host = five.host("deis-5")
    host.etcd.stop()
    blind = without_fleetd(five.direct.look(), "deis-5")
    chosen = EtcdChoices(members=THREE)
    assert not [p for p in etcd.RECOMMENDATION.check_choices(blind, chosen) if p.blocks]
    made = quickened(etcd.RECOMMENDATION.plan(blind, chosen))
    machines = tuple(sorted(h.machine_id for h in five.direct.look().hosts))
    plan = made.model_copy(update={"basis": made.basis.model_copy(update={"machines": machines})})
    host.etcd.start()
    state = five.do(plan)
    assert state.status is RunStatus.FAILED and five.voters == set(ALL)
    (said,) = [s.said for name, s in state.steps.items() if name.startswith("guard:") and s.said]
    assert "may be alive" in said
    host.etcd.stop()
    assert five.do(plan).status is RunStatus.DONE and five.voters == set(THREE)


@pytest.mark.parametrize("moment", ["before the run", "after the guard"])
def test_a_host_that_was_down_and_is_back_keeps_its_voter(five: EtcdWorld, moment: str) -> None:
    """It is taken from the list because it is dead; its etcd would be ended, and nothing made of it."""
    host = five.host("deis-5")
    host.is_down = True
    plan = five.plan(*THREE)

    def back(event: e.Event) -> None:
        if isinstance(event, e.StepFinished) and event.step == "guard:deis-5":
            host.is_down = False

    host.is_down = moment != "before the run"
    state = five.do(plan, back)
    refused = "guard:deis-5" if moment == "before the run" else "remove:deis-5"
    assert "is a healthy member now: make a new plan" in state.steps[refused].said
    assert five.voters == set(ALL)


def test_two_dead_voters_are_not_removed_one_after_the_other(five: EtcdWorld) -> None:
    as_dead_voter(five, "deis-2")
    as_dead_voter(five, "deis-4")
    assert "more than one member is dead" in problems(five, "deis-1", "deis-3", "deis-5")


def test_the_script_by_hand_asks_whether_a_dead_voter_lives(five: EtcdWorld) -> None:
    five.host("deis-5").is_down = True
    plan = five.plan(*THREE)
    text = script(plan, Reach(entry="core@10.21.2.11", hosts=tuple((n, f"core@{n}") for n in ALL)))
    dead = next(s.peer.id for s in plan.steps if isinstance(s, RemoveMemberStep) and s.is_gone)
    asks = text.index(f"member {dead} is healthy")
    (shown,) = (
        line
        for line in preview.as_text(plan, "commands").splitlines()
        if f"{dead} is not healthy" in line
    )
    assert "etcdctl cluster-health; " in shown
    assert "cluster-health" in text[:asks] and asks < text.index(f"member remove {dead}")


def lose_quorum_to_unstarted(world: EtcdWorld) -> None:
    """Two voters, one more that never started, and a mistyped URL (deis-facts 14)."""
    etcd_of = world.cluster.etcd
    for name in ALL[2:]:
        host = world.host(name)
        etcd_of.remove(next(v.id for v in etcd_of.members.listed() if v.peer_url == host.peer_url))
        for path in host.below(f"{host.etcd.data_dir}/member"):
            host.remove_file(path)
        host.etcd.files_of_proxy([world.host("deis-1").peer_url])
        host.etcd.start()
    for url in (world.host("deis-3").peer_url, "http://10.21.2.99:2380"):
        etcd_of.members.joined_at = float("-inf")
        etcd_of.add(url)


def test_a_quorum_that_was_lost_to_members_that_never_started_is_brought_back(
    five: EtcdWorld,
) -> None:
    lose_quorum_to_unstarted(five)
    assert not five.has_quorum
    found = judged(five)
    assert found.status is Status.AT_RISK
    assert "deis-3 never started, and can be started" in "\n".join(f.do for f in found.findings)
    snapshot = five.direct.look()
    chosen = defaults(snapshot)
    assert chosen.start_missing
    plan = quickened(etcd.RECOMMENDATION.plan(snapshot, chosen))
    upload = next(step for step in plan.steps if isinstance(step, UploadStep))
    for url in ("http://10.21.2.11:2380", "http://10.21.2.13:2380", "http://10.21.2.99:2380"):
        assert url in upload.content, "all that are listed are named"
    state = five.do(plan)
    assert state.status is RunStatus.DONE, state.said
    assert five.has_quorum and five.voters == set(THREE)
    assert all(
        check.ok for check in etcd.RECOMMENDATION.verify(snapshot, five.direct.look(), chosen)
    )
    assert [v.peer_url for v in five.cluster.etcd.members.listed() if not v.name] == []


def test_there_is_no_such_way_out_where_members_are_only_down(five: EtcdWorld) -> None:
    for name in THREE:
        five.host(name).etcd.stop()
    snapshot = five.direct.look()
    assert not defaults(snapshot).start_missing
    chosen = EtcdChoices(members=THREE, start_missing=True)
    (problem,) = etcd.RECOMMENDATION.check_choices(snapshot, chosen)
    assert problem.field == "start_missing"


def test_the_way_out_that_was_taken_once_does_not_stand_in_the_way_later(five: EtcdWorld) -> None:
    """It was answered while the quorum was lost; now it is not asked, so nobody could take it back."""
    snapshot = five.direct.look()
    answers.remember(
        snapshot.cluster, etcd.RECOMMENDATION, EtcdChoices(members=THREE, start_missing=True)
    )
    assert answers.remembered(snapshot.cluster, etcd.RECOMMENDATION)["start_missing"] is True
    raw = answers.first_values(etcd.RECOMMENDATION, snapshot)
    assert raw["members"] == list(THREE) and raw["start_missing"] is False
    assert answers.judged(etcd.RECOMMENDATION, snapshot, raw)[0] is not None
