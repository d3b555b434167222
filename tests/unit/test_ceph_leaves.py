"""Hosts that leave Ceph: what Ceph says, what speaks against it, and what stops before each change."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.step import CommandStep, GuardStep, Step, WaitStep
from deiswizard.recommendations.planes.ceph_facts import (
    ceph_of,
    copies_of,
    monitors_of,
    osds_of,
)
from deiswizard.recommendations.planes.plan import plan
from tests.unit.planes_world import choose, sentences, world

OSD_DUMP = """\
epoch 36
fsid 20038e38-4108-4e79-95d4-291d0eef2949
pool 0 'rbd' replicated size 3 min_size 1 crush_ruleset 0 object_hash rjenkins pg_num 64 pgp_num 64 last_change 1 flags hashpspool stripe_width 0
pool 9 '.rgw.root' replicated size 2 min_size 1 crush_ruleset 0 object_hash rjenkins pg_num 10 pgp_num 10 last_change 1623 flags hashpspool stripe_width 0
\tremoved_snaps [1~3]
max_osd 3
osd.0 up   in  weight 1 up_from 4 up_thru 30 down_at 0 last_clean_interval [0,0) 172.17.8.100:6800/1 172.17.8.100:6801/1 exists,up 1f
osd.2 down out weight 0 up_from 4 up_thru 30 down_at 31 last_clean_interval [0,0) 172.17.8.102:6800/1 172.17.8.102:6801/1 autoout,exists 2f
"""
MON_DUMP = """\
epoch 4
fsid 53fe37a5-7ee7-4190-a8ea-a0221648294c
last_changed 2017-09-27 10:14:53.474525
0: 172.18.1.231:6789/0 mon.deis-1
1: 172.18.1.232:6789/0 mon.deis-2
"""
GOOD = "v2338: 1344 pgs: 1344 active+clean; 375 MB data, 23596 MB used, 24465 MB / 49206 MB avail"
MOVING = (
    "v2260: 1344 pgs: 142 active, 3 active+recovery_wait, 1199 active+clean; 373 MB data, 23301 MB used, "
    "24757 MB / 49206 MB avail; 619/1365 objects degraded (45.348%)"
)


def test_what_ceph_prints_is_read() -> None:
    room = '{"nodes":[{"id":0,"kb":1000,"kb_used":400}],"stray":[]}'
    first, second = osds_of(OSD_DUMP, f"\n{room}\n")
    assert (first.id, first.is_up, first.is_in) == (0, True, True)
    assert (first.size, first.used) == (1_024_000, 409_600)
    assert (second.id, second.is_up, second.is_in, second.size) == (2, False, False, 0)
    assert copies_of(OSD_DUMP) == {"rbd": 3, ".rgw.root": 2}
    assert monitors_of(MON_DUMP) == {"172.18.1.231": "deis-1", "172.18.1.232": "deis-2"}
    assert osds_of("Error connecting to cluster", "no json") == ()
    found = ceph_of(world(ceph=True))
    assert found is not None and len(found.osds) == len(found.monitors) == 5


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"health": "HEALTH_WARN 3 pgs degraded"}, "Ceph is not well (HEALTH_WARN 3 pgs degraded)"),
        ({"ceph_is": {"code": 1}}, "Ceph did not say what it has there"),
        ({"ceph_is": {"copies": 4}}, "pool data keeps 4 copies, each on a host of its own, and 3"),
        ({"ceph_is": {"used": 8_200_000}}, "would be 83% full; Ceph warns at 85 %"),
        ({"ceph_is": {"down": [1]}}, "osd.1: down or out"),
        ({"keys": {}}, "Ceph does not know an OSD and a monitor of it as etcd names them"),
    ],
)
def test_what_speaks_against_leaving_is_one_sentence(more: dict[str, Any], words: str) -> None:
    assert words in sentences(world(ceph=True, **more), choose())


def test_enough_must_stay_and_their_units_must_follow() -> None:
    assert sentences(world(ceph=True), choose()) == ""
    two = {"deis-1": ["control", "router"], "deis-2": ["control", "router"], "deis-3": ["router"],
           "deis-4": ["data"], "deis-5": ["data"]}  # fmt: skip
    assert "without deis-3, deis-4, deis-5 only 2 hosts would hold Ceph" in sentences(
        world(ceph=True), choose(two)
    )
    with pytest.raises(PreconditionError, match="three must stay"):
        plan(world(ceph=True), choose(two))
    said = sentences(world(ceph=True), choose(how_far="metadata"))
    assert "would go on there" in said
    assert sentences(world(ceph=True, decorated=True), choose(how_far="metadata")) == ""


def leaves() -> dict[str, Step]:
    made = plan(world(ceph=True), choose())
    return {step.id: step for step in made.steps}


def pattern(step: Step) -> str:
    assert isinstance(step, GuardStep | WaitStep)
    assert isinstance(step.condition, CommandSays)
    return step.condition.pattern


def test_one_host_after_the_other_each_emptied_before_it_is_taken_away() -> None:
    made = plan(world(ceph=True), choose())
    names = [stage.id for stage in made.stages]
    assert names[-6:] == [
        "ceph-out:deis-4", "host:deis-4:leaves", "ceph-gone:deis-4",
        "ceph-out:deis-5", "host:deis-5:leaves", "ceph-gone:deis-5",
    ]  # fmt: skip
    assert any(name.startswith("group:") for name in names[:-6]), "units are kept to planes before"
    order = [step.id for stage in made.stages[-6:-3] for step in stage.steps]
    changes = (
        "ceph-out",
        "apply",
        "ceph-stopped",
        "ceph-monitor",
        "ceph-crush",
        "ceph-rm",
        "ceph-well",
    )
    at = [next(n for n, s in enumerate(order) if s.startswith(f"{c}:deis-4")) for c in changes]
    assert at == sorted(at)
    assert "ceph:deis-4:leaves" not in order, "its monitor is down by then and still counted"
    commands = [getattr(step, "command", "") for step in made.steps]
    assert "docker exec deis-store-monitor ceph osd out 3" in commands
    hosts = {step.host for step in made.steps if " ceph " in getattr(step, "command", "")}
    assert hosts == {"deis-1"}, "asked on a host that stays"


@pytest.mark.parametrize(
    ("step", "good", "bad"),
    [
        ("guard:ceph-well:deis-4", "HEALTH_OK\n", "HEALTH_WARN 4 pgs recovering\n"),
        ("guard:ceph-clean:deis-4", f"{GOOD}\n", f"{MOVING}\n"),
        (
            "guard:ceph-osds:deis-4",
            "     osdmap e36: 5 osds: 5 up, 5 in\n",
            "     osdmap e36: 5 osds: 4 up, 5 in\n",
        ),
        (
            "guard:ceph-majority:deis-4",
            "e3: 5 mons at {a=1:6789/0}, election epoch 16, quorum 0,1,2,3,4 a,b,c,d,e\n",
            "e3: 5 mons at {a=1:6789/0}, election epoch 16, quorum 0,1,2,3 a,b,c,d\n",
        ),
        (
            "ceph-empty:deis-4",
            f"HEALTH_OK\n{GOOD}\npg_stat\n",
            f"HEALTH_OK\n{GOOD}\npg_stat\n1.2f\n",
        ),
        ("ceph-empty:deis-4", f"HEALTH_OK\n{GOOD}\npg_stat\n", f"HEALTH_WARN x\n{GOOD}\npg_stat\n"),
        ("ceph-stopped:deis-4", "inactive\nunknown\n", "inactive\nactive\n"),
        ("guard:ceph-copies:deis-4", f"{GOOD}\npg_stat\n", f"{MOVING}\npg_stat\n"),
        ("guard:ceph-copies:deis-4", f"{GOOD}\npg_stat\n", f"{GOOD}\npg_stat\n0.a\n"),
        (
            "guard:ceph-rest:deis-4",
            "e3: 5 mons at {a=1:6789/0}, election epoch 16, quorum 0,1,2,3 a,b,c,d\n",
            "e3: 5 mons at {a=1:6789/0}, election epoch 16, quorum 0,1,2 a,b,c\n",
        ),
        (
            "ceph-well:deis-4",
            f"HEALTH_OK\n{GOOD}\n     osdmap e9: 4 osds: 4 up, 4 in\n",
            f"HEALTH_OK\n{GOOD}\n     osdmap e9: 4 osds: 3 up, 3 in\n",
        ),
    ],
)
def test_a_hazard_is_seen_before_the_change(step: str, good: str, bad: str) -> None:
    asked = pattern(leaves()[step])
    assert re.search(asked, good) and not re.search(asked, bad)


def test_the_way_back_ends_a_half_made_removal_first() -> None:
    made = plan(world(ceph=True), choose())
    names = [stage.id for stage in made.undo]
    assert names[:3] == ["back:ceph-gone:deis-5", "back:host:deis-5:leaves", "back:ceph-out:deis-5"]
    ended = made.undo[0].steps
    assert all("ceph-crush:deis-5" in step.undoes for step in ended)
    for step in ended:
        if isinstance(step, CommandStep) and "osd.4" in step.command:
            assert isinstance(step.unless, KeyIs) and step.unless.value is None, (
                "ids are used again"
            )
    assert all(step.undoes == ("ceph-out:deis-5",) for step in made.undo[2].steps)
    assert "undo brings it back with a new, empty OSD" in "\n".join(made.impact.notes)
