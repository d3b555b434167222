"""Running without Ceph: what is planned, in which order, and how it is taken back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from deiswizard.errors import PreconditionError
from deiswizard.plan.fleet_conditions import UnitsStay
from deiswizard.plan.fleet_steps import DestroyUnitStep, StartUnitStep, StopUnitStep, SubmitUnitStep
from deiswizard.plan.plan import Plan
from deiswizard.plan.preview import as_text
from deiswizard.plan.reach import Reach
from deiswizard.plan.script import script
from deiswizard.plan.step import CommandStep, GuardStep, RemoveKeyStep, WaitStep, WriteKeyStep
from deiswizard.plan.store_steps import BucketStep, DatabaseStep
from deiswizard.recommendations.stateless.plan import plan
from deiswizard.vocabulary import Danger
from tests.unit.stateless_world import DATABASE, GATEWAY, REGISTRY, asked, choose, cluster


def order(made: Plan) -> list[str]:
    return [step.id for step in made.steps]


def before(made: Plan, *ids: str) -> None:
    """These steps come in this order."""
    numbers = [order(made).index(name) for name in ids]
    assert numbers == sorted(numbers), [order(made)[n] for n in numbers]


def test_everything_is_tried_before_anything_changes_or_is_copied() -> None:
    made = plan(cluster("ceph"), choose())
    first = made.stages[0]
    assert first.id == "trials"
    assert [s.id for s in first.steps if s.id.startswith("guard:reach:")] == [
        f"guard:reach:deis-{n}" for n in range(1, 6)
    ]
    tries = [s for s in first.steps if isinstance(s, BucketStep | DatabaseStep)]
    assert [step.task for step in tries] == ["try", "try"]
    before(made, "try:database", "guard:ceph", "first:registry", "stop:deis-builder.service")


def test_what_has_come_up_is_seen_to_go_on_running_there_and_back() -> None:
    made = plan(cluster("ceph"), choose())
    back = {step.id: step for stage in made.undo for step in stage.steps}
    for steps, stay, some in (
        ({step.id: step for step in made.steps}, "stay", "runs:deis-controller.service"),
        (back, "back:stay:ceph", "back:runs:deis-database.service"),
        (back, "back:stay", "back:runs:deis-builder.service"),
    ):
        run = steps[some]
        assert isinstance(run, WaitStep)
        last = [s for s in steps.values() if s.id.startswith(stay) and isinstance(s, WaitStep)]
        units = [u for s in last if isinstance(s.condition, UnitsStay) for u in s.condition.units]
        assert run.condition in units, stay
    ceph = back["back:stay:ceph"].undoes
    assert "stop:deis-database.service" in ceph and "destroy:deis-store-daemon.service" in ceph


def test_the_order_is_that_of_the_facts() -> None:
    made = plan(cluster("ceph"), choose())
    before(
        made,
        "first:registry",
        "stopped:deis-controller.service",
        "copy:database",
        "copy:registry",
        "compare:database",
        "compare:registry",
        "stopped:deis-registry@1.service",
        "stopped:deis-logger.service",
        "gone:deis-database.service",
        "gone:deis-store-volume.service",
        "gone:deis-store-gateway@1.service",
        "gone:deis-store-metadata.service",
        "gone:deis-store-daemon.service",
        "gone:deis-store-monitor.service",
        f"expired:{DATABASE}/host",
        f"keep:{DATABASE}/password",
        f"set:{GATEWAY}/accessKey",
        f"set:{REGISTRY}/s3bucket",
        f"set:{DATABASE}/host",
        "start:deis-logger.service",
        "serves:registry",
        "start:deis-controller.service",
        "serves:controller",
        "start:deis-builder.service",
    )
    touched = [s.unit for s in made.steps if isinstance(s, StopUnitStep | DestroyUnitStep)]
    assert not any("router" in name or "publisher" in name for name in touched), "apps go on"


def test_what_needs_the_step_before_has_it() -> None:
    made = plan(cluster("ceph"), choose())
    for stage in made.stages:
        if stage.id in ("down", "up", "compare", "copy"):
            assert all(b.needs == (a.id,) for a, b in pairwise(stage.steps))


def test_nothing_that_the_end_of_ceph_rests_on_can_be_left_out() -> None:
    made = plan(cluster("ceph"), choose())
    last = order(made).index("set:/deis/database/host")
    for step in list(made.steps)[: last + 1]:
        assert not made.may_be_left_out(step.id), step.id
    assert made.may_be_left_out("serves:registry") and not made.may_be_left_out("nonsense")
    for kind in ("new", "stateless"):
        other = plan(cluster(kind), choose(bucket="other"))
        assert not other.may_be_left_out("try:bucket")


def test_nobody_writes_from_the_first_copied_table_until_ceph_has_ended() -> None:
    made = plan(cluster("ceph"), choose())
    ended = [step.id for stage in made.stages if stage.id == "down" for step in stage.steps]
    for when, after in (
        ("copy", "copy:database"),
        ("compare", "compare:database"),
        ("down", "stop:deis-registry@1.service"),
    ):
        for unit in ("deis-builder.service", "deis-controller.service"):
            before(made, f"guard:silent:{when}:{unit}", after)
            guard = next(s for s in made.steps if s.id == f"guard:silent:{when}:{unit}")
            assert list(guard.until) == ended
    compare = next(s for s in made.steps if s.id == "compare:registry")
    assert compare.until and all(name.startswith("stop") for name in compare.until)
    before(
        made, "first:registry", "again:try:bucket", "guard:ceph:again", "stop:deis-builder.service"
    )


def test_the_way_back_begins_with_the_data_of_before_and_waits_only_for_what_was() -> None:
    made = plan(cluster("ceph"), choose())
    first = made.undo[0]
    assert first.id == "back:data" and len(first.steps) == 5
    assert all(isinstance(step, GuardStep) and not step.undoes for step in first.steps)
    back = [step.id for stage in made.undo for step in stage.steps]
    assert "back:ceph-well" in back
    there = {"registry_data": "there", "database_data": "there"}
    ill = plan(cluster("ceph", health="HEALTH_WARN"), choose(**there))
    assert "back:ceph-well" not in [step.id for stage in ill.undo for step in stage.steps]
    assert any("does not wait for HEALTH_OK" in note for note in ill.impact.notes)


def test_the_gateways_keys_go_and_the_folder_stays() -> None:
    made = plan(cluster("ceph"), choose())
    writes = {s.key: s.value for s in made.steps if isinstance(s, WriteKeyStep)}
    removed = [s.key for s in made.steps if isinstance(s, RemoveKeyStep)]
    assert removed == [f"{GATEWAY}/{n}" for n in ("accessKey", "secretKey", "host", "port")]
    assert writes[f"{GATEWAY}/placeholder"] and GATEWAY not in writes
    assert writes[f"{DATABASE}/port"] == "5432", "what was there only for 20 s is set"
    assert writes[f"{REGISTRY}/s3secretKey"] == "${secret:secret_key}"
    assert writes[f"{REGISTRY}/s3secure"] == "true" and writes[f"{REGISTRY}/s3encrypt"] == "true"


def test_a_compatible_store_takes_the_gateways_keys_and_none_of_s3_is_left() -> None:
    now = cluster(
        "ceph", keys={f"{REGISTRY}/swiftAuthURL": "http://k", f"{REGISTRY}/s3region": "x"}
    )
    made = plan(now, choose(store="swift", store_host="10.1.50.1", store_port=8080))
    writes = {s.key: s.value for s in made.steps if isinstance(s, WriteKeyStep)}
    removed = {s.key for s in made.steps if isinstance(s, RemoveKeyStep)}
    assert writes[f"{GATEWAY}/host"] == "10.1.50.1" and writes[f"{GATEWAY}/port"] == "8080"
    assert writes[f"{REGISTRY}/bucketName"] == "images"
    assert removed == {f"{REGISTRY}/swiftAuthURL", f"{REGISTRY}/s3region"}


def test_the_plain_key_of_the_documentation_makes_way_for_the_folder() -> None:
    now = cluster("stateless", keys={f"{GATEWAY}/placeholder": None, GATEWAY: " "})
    kept = plan(
        now, choose(auth="keep", bucket="other", database_password="", database_data="there")
    )
    assert not any(isinstance(s, RemoveKeyStep) and s.key == GATEWAY for s in kept.steps)
    made = plan(now, choose(store="compatible", store_host="10.9.9.9", database_data="there"))
    before(made, f"set:{GATEWAY}", f"set:{GATEWAY}/placeholder", f"set:{GATEWAY}/host")
    back = [s for stage in made.undo for s in stage.steps if isinstance(s, WriteKeyStep)]
    assert GATEWAY not in {step.key for step in back}, "it cannot be a key and a folder"


def test_the_way_back_brings_each_unit_with_its_own_file_in_the_order_of_the_start() -> None:
    now = cluster("ceph")
    made = plan(now, choose())
    steps = [step for stage in made.undo for step in stage.steps]
    submitted = [s for s in steps if isinstance(s, SubmitUnitStep)]
    assert [s.unit for s in submitted] == [
        f"deis-{n}.service"
        for n in ("store-monitor", "store-daemon", "store-metadata", "store-gateway@1", "store-volume", "database")
    ]  # fmt: skip
    assert all(s.content == now.unit(s.unit).content for s in submitted)  # type: ignore[union-attr]
    ids = [step.id for step in steps]
    assert ids.index("back:ceph-well") < ids.index("back:submit:deis-database.service")
    assert ids.index("back:told:deis-database.service") < ids.index(
        "back:start:deis-registry@1.service"
    )
    assert ids.index(f"back:{DATABASE}/password") < ids.index(
        "back:submit:deis-store-monitor.service"
    )
    started = [s.unit for s in steps if isinstance(s, StartUnitStep)]
    assert started == [
        f"deis-{n}.service" for n in ("logger", "registry@1", "controller", "builder")
    ]


def test_a_host_that_leaves_ceph_at_shutdown_is_disarmed_before_a_unit_of_ceph_stops() -> None:
    made = plan(cluster("ceph", answers=asked(5, graceful=(2,))), choose())
    step = next(s for s in made.steps if s.id == "graceful:deis-2")
    assert isinstance(step, CommandStep) and "ExecStop=" in step.command and step.sudo
    assert "systemctl stop" not in step.command
    before(
        made, "graceful:deis-2", "stop:deis-registry@1.service", "stop:deis-store-daemon.service"
    )
    assert any(s.id == "back:graceful:deis-2" for stage in made.undo for s in stage.steps)


def test_what_is_there_already_is_neither_copied_nor_compared() -> None:
    made = plan(cluster("ceph"), choose(registry_data="there", database_data="there"))
    tasks = {s.task for s in made.steps if isinstance(s, BucketStep | DatabaseStep)}
    assert tasks == {"try"}
    bucket = next(s for s in made.steps if isinstance(s, BucketStep))
    database = next(s for s in made.steps if isinstance(s, DatabaseStep))
    assert bucket.must_hold and database.must_be == "deis"
    copied = plan(cluster("ceph"), choose())
    assert next(s for s in copied.steps if isinstance(s, DatabaseStep)).must_be == "empty"


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"bucket": "other"}, ["deis-registry@1.service"]),
        ({"database_name": "deis2"}, ["deis-controller.service"]),
        ({"memory_lines": 50}, []),
    ],
)
def test_of_changed_stores_only_what_reads_them_is_started_again(
    changes: dict[str, Any], again: list[str]
) -> None:
    same = {"auth": "keep", "database_password": "", "database_data": "there"}
    made = plan(cluster("stateless"), choose(**same, **changes))
    assert [s.unit for s in made.steps if isinstance(s, StartUnitStep)] == again
    writes = [s for s in made.steps if isinstance(s, WriteKeyStep | RemoveKeyStep)]
    assert len(writes) == 1
    assert plan(cluster("stateless"), choose(**same)).is_empty


def test_a_new_cluster_is_installed_by_deisctl_with_a_deadline_and_believed_by_fleet() -> None:
    made = plan(cluster("new"), choose(routers=2))
    before(
        made,
        "try:bucket",
        f"set:{REGISTRY}/s3bucket",
        "install",
        "start",
        "runs:deis-router@2.service",
    )
    runs = [s.condition for s in made.steps if s.id.startswith("runs:") and isinstance(s, WaitStep)]
    last = next(s for s in made.steps if s.id == "stay")
    assert isinstance(last, WaitStep) and isinstance(last.condition, UnitsStay)
    assert list(last.condition.units) == runs and len(runs) > 5
    text = as_text(made, "commands")
    assert "timeout 600 deisctl install stateless-platform --router-mesh-size=2" in text
    gone = [s.id for stage in made.undo for s in stage.steps]
    assert "back:logger" in gone, "uninstall stateless-platform leaves logger"
    flagged = cluster("new", keys={"/deis/platform/enablePlacementOptions": "true"})
    guards = [s.id for s in plan(flagged, choose(routers=2)).steps if s.id.startswith("guard:")]
    assert {"guard:control", "guard:data", "guard:router"} <= set(guards)


def test_old_data_is_removed_only_while_the_new_stores_answer_and_for_good() -> None:
    now = cluster(
        "stateless", keys={"/deis/store/hosts/10.21.2.11": "deis-1", "/deis/store/fsid": "f"}
    )
    made = plan(now, choose(part="remove", confirm="remove the old data"))
    assert made.impact.danger is Danger.DESTROY and not made.undo
    assert made.stages[0].id == "guards" and len(made.stages[0].steps) == 2
    removed = {s.key for s in made.steps if isinstance(s, RemoveKeyStep)}
    assert removed == {"/deis/store/hosts/10.21.2.11", "/deis/store/fsid"}
    assert not any(key.startswith(GATEWAY) for key in removed)


def test_no_plan_holds_a_secret_and_none_is_made_of_what_was_not_read() -> None:
    made = plan(cluster("ceph"), choose())
    text = made.model_dump_json() + as_text(made, "commands") + as_text(made, "changes")
    for secret in ('"AKIA"', "outside", "typed-password", "ceph-secret", "inside"):
        assert secret not in text
    assert made.secrets == ("access_key", "secret_key", "database_password")
    with pytest.raises(PreconditionError, match="could not be read"):
        plan(cluster("ceph", keys_read=False), choose())


def test_the_runbook_says_what_a_shell_cannot_do() -> None:
    text = script(plan(cluster("ceph"), choose()), Reach(entry="core@10.21.2.11"))
    assert "done by deiswizard alone" in text and "pg_dump --no-owner" in text
