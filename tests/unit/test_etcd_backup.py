"""The backup before the members change: taken, counted on, and never left out."""

from __future__ import annotations

import re

import pytest

from deiswizard.backup.data import Place
from deiswizard.cluster.snapshot import BackupFact
from deiswizard.plan import preview
from deiswizard.plan.step import CommandStep
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices
from deiswizard.recommendations.etcd.facts import FRESH_SECONDS
from deiswizard.vocabulary import RunStatus
from tests.unit.etcd_judging import (
    THREE,
    problems,
)
from tests.unit.etcd_world import EtcdWorld, fifty, five, quick, quickened

__all__ = ["fifty", "five", "quick"]


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


def test_no_step_of_the_backup_can_be_left_out(five: EtcdWorld) -> None:
    plan = etcd.RECOMMENDATION.plan(five.direct.look(), EtcdChoices(members=THREE, folder="/tmp/b"))
    ids = [step.id for step in plan.steps]
    of_backup = ids[: ids.index("guard:deis-4")]
    assert {"backup:member", "verify:etcd"} <= set(of_backup)
    assert not [name for name in of_backup if plan.may_be_left_out(name)]
    assert plan.may_be_left_out("works:deis-4")


def test_the_copy_on_the_host_is_made_again_after_one_that_was_cut_off(five: EtcdWorld) -> None:
    """etcdctl refuses a folder that has a copy in it, even half of one."""
    plan = etcd.RECOMMENDATION.plan(five.direct.look(), EtcdChoices(members=THREE, folder="/tmp/b"))
    step = next(step for step in plan.steps if step.id == "backup:member")
    assert isinstance(step, CommandStep) and step.is_repeatable
    host = five.host(step.host)
    target = re.findall(r"/var/lib/etcd2-backup-[\d-]+", step.command)[0]
    host.write_file(f"{target}.part/member/wal/0", b"half of it")
    wal = next(p for p in host.below("/var/lib/etcd2/member") if "/wal/" in p)
    copied = target + wal.removeprefix("/var/lib/etcd2")
    for _ in range(2):
        said = five.direct.host(step.host).run(step.command, sudo=True)
        assert said.code == 0, said.err
        assert host.read_file(copied) == host.read_file(wal)
        assert not host.below(f"{target}.part")
    for path in host.below("/var/lib/etcd2/member"):
        host.remove_file(path)
    failed = five.direct.host(step.host).run(step.command, sudo=True)
    assert failed.code, "a copy that was not made is not given the name of one"


@pytest.mark.parametrize(("age", "ends"), [(23, RunStatus.DONE), (25, RunStatus.FAILED)])
def test_a_backup_that_was_counted_on_must_still_be_new_when_the_run_begins(
    five: EtcdWorld, age: float, ends: RunStatus
) -> None:
    now = five.direct.look()
    fact = BackupFact(
        backup="b1",
        cluster=now.cluster,
        machines=tuple(sorted(host.machine_id for host in now.hosts)),
        place=Place(kind="folder", path="/tmp/b"),
        verified_at=now.taken_at - age * 3600,
        parts=("etcd",),
        is_there=True,
    )
    seen = now.model_copy(update={"backups": (fact,), "taken_at": fact.verified_at + 60})
    chosen = EtcdChoices(members=THREE, backup="have")
    made = etcd.RECOMMENDATION.plan(seen, chosen)
    assert next(made.steps).id == "backup:fresh"
    state = five.do(quickened(made))
    assert state.status is ends, state.said
    assert len(five.voters) == (3 if ends is RunStatus.DONE else 5)
