"""Isolating etcd on the pretend cluster: what is found, what is refused, what the plan does and undoes."""

from __future__ import annotations

import re

import pytest

from deiswizard.cluster.etcd_host import DROP_IN
from deiswizard.errors import PreconditionError
from deiswizard.plan import preview
from deiswizard.plan.etcd_steps import AddMemberStep, RemoveMemberStep
from deiswizard.plan.reach import Reach
from deiswizard.plan.script import script
from deiswizard.plan.step import UploadStep
from deiswizard.recommendations.base import Assessment
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices, advised, defaults
from deiswizard.recommendations.etcd.facts import FRESH_SECONDS, view
from deiswizard.run import events as e
from deiswizard.run.runner import Run
from deiswizard.vocabulary import RunStatus, Status
from tests.unit.etcd_world import EtcdWorld, fifty, five, quick, quickened
from tests.unit.runs import ended

__all__ = ["fifty", "five", "quick"]
ALL = ("deis-1", "deis-2", "deis-3", "deis-4", "deis-5")
THREE = ALL[:3]


def judged(world: EtcdWorld) -> Assessment:
    return etcd.RECOMMENDATION.assess(world.direct.look())


def findings(world: EtcdWorld) -> str:
    return "\n".join(finding.what for finding in judged(world).findings)


def problems(world: EtcdWorld, *members: str, **more: str) -> str:
    chosen = EtcdChoices.model_validate({"members": members, **more})
    found = etcd.RECOMMENDATION.check_choices(world.direct.look(), chosen)
    return "\n".join(problem.what for problem in found if problem.blocks)


def as_dead_voter(world: EtcdWorld, name: str) -> None:
    """The wrong order: a member's data moved away, a proxy started, nothing removed."""
    host = world.host(name)
    host.etcd.stop()
    for path in host.below(f"{host.etcd.data_dir}/member"):
        host.remove_file(path)
    host.etcd.files_of_proxy([world.host("deis-1").peer_url])
    host.etcd.start()


def test_five_members_become_three_and_two_proxies_and_are_five_again(five: EtcdWorld) -> None:
    assert judged(five).status is Status.TO_DO
    state = five.do(five.plan())
    assert state.status is RunStatus.DONE, state.said
    assert judged(five).status is Status.OK and judged(five).now == "3 members, 2 proxies"
    assert five.roles == dict.fromkeys(THREE, "member") | {"deis-4": "proxy", "deis-5": "proxy"}
    gone = five.host("deis-5")
    assert any(re.search(r"etcd2-before-\S+/member/wal/0$", path) for path in gone.files())
    for host in five.cluster.hosts:
        host.reboot()
    assert judged(five).status is Status.OK, "it survives a reboot"
    back = five.undo(state)
    assert back.status is RunStatus.DONE, back.said
    assert five.voters == set(ALL) and set(five.roles.values()) == {"member"}
    assert gone.read_file(DROP_IN) is None and len(view(five.direct.look()).healthy) == 5
    assert any(re.search(r"etcd2-before-\S+/member/wal/0$", path) for path in gone.files())


def test_three_members_become_five_and_are_three_again(five: EtcdWorld) -> None:
    five.do(five.plan())
    grown = five.do(five.plan(*ALL))
    assert grown.status is RunStatus.DONE, grown.said
    assert len(view(five.direct.look()).healthy) == 5
    back = five.undo(grown)
    assert back.status is RunStatus.DONE, back.said
    assert judged(five).status is Status.OK and five.voters == set(THREE)


def test_one_host_is_put_in_anothers_place_by_joining_before_leaving(five: EtcdWorld) -> None:
    five.do(five.plan())
    plan = five.plan("deis-1", "deis-2", "deis-5")
    kinds = [step.kind for step in plan.steps if isinstance(step, AddMemberStep | RemoveMemberStep)]
    assert kinds == ["add-member", "remove-member"]
    state = five.do(plan)
    assert state.status is RunStatus.DONE, state.said
    assert five.voters == {"deis-1", "deis-2", "deis-5"}
    assert five.undo(state).status is RunStatus.DONE
    assert five.voters == set(THREE)


def test_the_leader_leaves_last(five: EtcdWorld) -> None:
    plan = five.plan("deis-2", "deis-3", "deis-4")
    leader = view(five.direct.look()).leader
    assert leader is not None and leader.name == "deis-1"
    order = [step.host for step in plan.steps if isinstance(step, RemoveMemberStep)]
    assert order == ["deis-5", "deis-1"]
    assert "leads etcd now and leaves last" in "\n".join(plan.impact.notes)
    assert five.do(plan).status is RunStatus.DONE


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


def test_two_dead_voters_are_not_removed_one_after_the_other(five: EtcdWorld) -> None:
    as_dead_voter(five, "deis-2")
    as_dead_voter(five, "deis-4")
    assert "more than one member is dead" in problems(five, "deis-1", "deis-3", "deis-5")


def test_a_member_that_never_started_is_found_and_nothing_is_added_beside_it(
    five: EtcdWorld,
) -> None:
    five.do(five.plan())
    five.cluster.etcd.add("http://10.21.2.99:2380")
    assert "never started (http://10.21.2.99:2380)" in findings(five)
    plan = five.plan(*THREE)
    assert five.do(plan).status is RunStatus.DONE
    assert len(five.cluster.etcd.members.listed()) == 3, "it leaves, and nothing else happens"


def test_a_host_with_both_directories_is_mended_as_a_proxy(five: EtcdWorld) -> None:
    five.do(five.plan())
    host = five.host("deis-5")
    host.etcd.stop()
    host.etcd.files_of_member("0123456789abcdef")
    assert not host.etcd.start()
    assert "holds both member and proxy" in findings(five)
    assert five.do(five.plan()).status is RunStatus.DONE
    assert five.roles["deis-5"] == "proxy" and judged(five).status is Status.OK


def test_a_read_only_proxy_is_found_and_made_to_write(five: EtcdWorld) -> None:
    five.do(five.plan())
    host = five.host("deis-5")
    host.write_file(
        DROP_IN, (host.read_file(DROP_IN) or b"").replace(b"PROXY=on", b"PROXY=readonly")
    )
    host.reboot()
    assert "a read-only proxy" in findings(five)
    refused = five.direct.host("deis-5").run(
        "curl -s -X PUT -d value=x -w '%{http_code}' http://127.0.0.1:4001/v2/keys/x"
    )
    assert refused.out.endswith("501")
    plan = five.plan()
    assert "read-only proxy" in preview.as_text(plan, "changes")
    assert five.do(plan).status is RunStatus.DONE and five.roles["deis-5"] == "proxy"


def test_proxies_by_accident_are_made_to_stay_proxies_without_a_restart(fifty: EtcdWorld) -> None:
    """Discovery was full; the data is on a disk of its own, as on AWS."""
    found = judged(fifty)
    assert (
        found.status is Status.PARTLY
        and "deis-6, deis-7, deis-8 and 42 more: a proxy by accident" in findings(fifty)
    )
    assert "5d1e77aa" not in found.model_dump_json(), "the discovery token lets anyone join"
    plan = fifty.plan()
    assert plan.impact.restarts == () and "45 " not in "".join(c.where for c in plan.changes)
    state = fifty.do(plan)
    assert state.status is RunStatus.DONE and judged(fifty).status is Status.OK
    assert fifty.undo(state).status is RunStatus.DONE
    assert judged(fifty).status is Status.PARTLY


def test_data_on_a_disk_of_its_own_is_moved_aside_on_that_disk(fifty: EtcdWorld) -> None:
    state = fifty.do(fifty.plan(*THREE))
    assert state.status is RunStatus.DONE, state.said
    host = fifty.host("deis-5")
    assert host.etcd.data_dir == "/media/etcd"
    assert any(path.startswith("/media/etcd/before-") for path in host.files())


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (ALL[:1], "1 are too few"),
        (ALL[:2], "2 are too few"),
        (ALL[:4], "4 can lose 1, and 3 can, too"),
        (("deis-1", "deis-2", "deis-9"), "deis-9 is no host of this cluster"),
    ],
)
def test_a_bad_choice_is_one_sentence(five: EtcdWorld, members: tuple[str, ...], said: str) -> None:
    assert said in problems(five, *members)
    with pytest.raises(PreconditionError):
        five.plan(*members)


def test_more_than_nine_are_too_many(fifty: EtcdWorld) -> None:
    assert "11 are too many" in problems(fifty, *(f"deis-{n}" for n in range(1, 12)))
    assert problems(fifty, *(f"deis-{n}" for n in range(1, 10))) == ""


def test_without_quorum_no_change_is_planned(five: EtcdWorld) -> None:
    for name in ("deis-1", "deis-2", "deis-3"):
        five.host(name).etcd.stop()
    assert "etcd has no quorum: 2 of 5 members run, 3 are needed" in findings(five)
    assert "lost its quorum" in problems(five, "deis-3", "deis-4", "deis-5")


def test_an_old_backup_is_no_backup(five: EtcdWorld) -> None:
    assert "no verified backup" in problems(five, *THREE, backup="have")
    assert "where to is missing" in problems(five, *THREE, folder=" ")
    assert FRESH_SECONDS == 86_400


def test_the_backup_comes_before_the_first_change(five: EtcdWorld) -> None:
    snapshot = five.direct.look()
    plan = etcd.RECOMMENDATION.plan(snapshot, EtcdChoices(members=THREE, folder="/tmp/b"))
    ids = [step.id for step in plan.steps]
    assert ids.index("backup:member") < ids.index("verify:etcd") < ids.index("guard:deis-4")
    copies = [
        text
        for text in preview.as_text(plan, "commands").splitlines()
        if "backup --data-dir" in text
    ]
    assert copies and "/var/lib/etcd2 --backup-dir /var/lib/etcd2-backup-" in copies[0]


def test_control_plane_hosts_are_advised_first(five: EtcdWorld) -> None:
    snapshot = five.direct.look()
    central = {"deis-2", "deis-4", "deis-5"}
    hosts = tuple(
        host.model_copy(
            update={"metadata": (("controlPlane", "true"),) if host.name in central else ()}
        )
        for host in snapshot.hosts
    )
    moved = snapshot.model_copy(update={"hosts": hosts})
    assert set(advised(view(moved))) == central
    warned = etcd.RECOMMENDATION.check_choices(moved, EtcdChoices(members=THREE))
    assert [p.blocks for p in warned] == [False] and "deis-1, deis-3" in warned[0].what


def test_graceful_shutdown_is_off_on_proxies_and_on_again_after_the_undo(five: EtcdWorld) -> None:
    state = five.do(five.plan())
    assert not five.host("deis-5").enabled and five.host("deis-1").enabled
    five.undo(state)
    assert five.host("deis-5").enabled


def test_undo_after_the_very_first_change_touches_only_what_was_begun(five: EtcdWorld) -> None:
    """Stopped before the removal: there is a file to take away, and no member to add."""
    runs: list[Run] = []

    def stop(event: e.Event) -> None:
        if isinstance(event, e.StepFinished) and event.step == "drop-in:deis-4":
            runs[0].stop()

    runs.append(five.made(five.plan(), stop))
    runs[0].start()
    state = ended(runs[0])
    assert state.status is RunStatus.STOPPED and len(five.voters) == 5
    back = five.undo(state)
    assert back.status is RunStatus.DONE
    assert [name for name in back.steps if name.startswith(("add:", "switch:"))] == []
    assert five.host("deis-4").read_file(DROP_IN) is None and len(five.voters) == 5


def test_the_script_by_hand_asks_every_member_on_its_own_host(five: EtcdWorld) -> None:
    text = script(
        five.plan(), Reach(entry="core@10.21.2.11", hosts=tuple((n, f"core@{n}") for n in ALL))
    )
    assert "member remove" in text and "config/local/proxy" in text
    assert text.index("member remove") < text.index("systemctl stop etcd2.service")


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
