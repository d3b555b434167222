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
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices, advised
from deiswizard.recommendations.etcd.facts import view
from deiswizard.run import events as e
from deiswizard.run.runner import Run
from deiswizard.vocabulary import RunStatus, Status
from tests.unit.etcd_judging import (
    ALL,
    THREE,
    findings,
    judged,
    problems,
)
from tests.unit.etcd_world import EtcdWorld, fifty, five, quick
from tests.unit.runs import ended

__all__ = ["fifty", "five", "quick"]


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


def know_nobody(world: EtcdWorld, name: str) -> None:
    """A proxy whose members were all replaced while it was away."""
    host = world.host(name)
    host.etcd.stop()
    host.etcd.files_of_proxy(["http://10.21.2.99:2380"])
    host.etcd.start()


def test_a_proxy_that_knows_no_member_of_now_is_found_and_starts_as_one_of_these(
    five: EtcdWorld,
) -> None:
    """It was away while all members that it knew were replaced: it answers 503, and looks like a proxy."""
    before = five.direct.look()
    five.do(five.plan())
    know_nobody(five, "deis-5")
    found = judged(five)
    assert found.status is Status.AT_RISK, found
    assert "deis-5: a proxy of none of the members (it knows nobody)" in findings(five)

    def checked() -> tuple[bool | None, str]:
        checks = etcd.RECOMMENDATION.verify(before, five.direct.look(), EtcdChoices(members=THREE))
        return next((c.ok, c.evidence) for c in checks if "passes on" in c.title)

    assert checked() == (False, "1 of 2: deis-4; not deis-5")
    assert five.do(five.plan()).status is RunStatus.DONE
    assert judged(five).status is Status.OK, findings(five)
    assert checked() == (True, "2 of 2: deis-4, deis-5")
    assert any(
        re.search(r"etcd2-before-\S+/proxy/cluster$", path) for path in five.host("deis-5").files()
    )


def test_where_no_member_lives_the_proxies_are_not_to_blame(five: EtcdWorld) -> None:
    """A proxy lists no member that it could not reach a moment ago."""
    five.do(five.plan())
    know_nobody(five, "deis-5")
    seen = five.direct.look()
    assert view(seen).by_name["deis-5"].is_cut_off
    dead = tuple(m.model_copy(update={"healthy": False}) for m in seen.etcd.members)
    lost = seen.model_copy(update={"etcd": seen.etcd.model_copy(update={"members": dead})})
    assert not view(lost).by_name["deis-5"].is_cut_off


def test_a_proxy_that_knows_one_member_follows_the_others(five: EtcdWorld) -> None:
    five.do(five.plan())
    host = five.host("deis-5")
    host.etcd.stop()
    host.etcd.files_of_proxy([five.host("deis-1").peer_url, "http://10.21.2.99:2380"])
    host.etcd.start()
    assert judged(five).status is Status.OK, findings(five)


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


def test_checks_say_what_is_and_what_is_not(five: EtcdWorld) -> None:
    before = five.direct.look()
    chosen = EtcdChoices(members=THREE)

    def evidence() -> dict[str, tuple[bool | None, str]]:
        found = etcd.RECOMMENDATION.verify(before, five.direct.look(), chosen)
        return {check.title: (check.ok, check.evidence) for check in found}

    proxies, lasting = (
        "every other host is a proxy by its own data",
        "they are read-write proxies after a reboot, too",
    )
    assert evidence()[proxies] == (False, "0 of 2; not deis-4, deis-5")
    assert five.do(five.plan()).status is RunStatus.DONE
    assert evidence()[proxies] == evidence()[lasting] == (True, "2 of 2: deis-4, deis-5")
    units = evidence()["Deis's units run as before"]
    assert units[0] and re.fullmatch(r"\d+ units as before", units[1])


def test_a_unit_of_every_host_that_died_on_one_is_told_and_one_that_moved_is_not(
    five: EtcdWorld,
) -> None:
    before = five.direct.look()
    state = next(s for s in before.unit_states if s.unit == "deis-publisher.service")
    on, other = state.machine_id, next(h for h in before.hosts if h.machine_id != state.machine_id)
    assert next(u for u in before.units if u.name == state.unit).is_global

    def checked(**update: object) -> tuple[bool | None, str]:
        states = tuple(
            s.model_copy(update=update) if (s.unit, s.machine_id) == (unit, at) else s
            for s in before.unit_states
        )
        after = before.model_copy(update={"unit_states": states})
        checks = etcd.RECOMMENDATION.verify(before, after, EtcdChoices(members=THREE))
        return next((c.ok, c.evidence) for c in checks if "units run" in c.title)

    unit, at = state.unit, on
    host = next(h.name for h in before.hosts if h.machine_id == on)
    assert checked(active="failed", sub="failed") == (
        False,
        f"stopped since: {unit} on {host}",
    )
    unit = "deis-controller.service"
    at = next(s.machine_id for s in before.unit_states if s.unit == unit)
    assert checked(machine_id=other.machine_id)[0], "fleet may move it"
    assert checked(active="failed", sub="failed") == (False, f"stopped since: {unit}")
