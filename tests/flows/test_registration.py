"""Registration mode from to do to ok and back, and what must not be possible."""

from __future__ import annotations

from pathlib import Path

from tests.flows.clusters import MODE_KEY, Cluster
from tests.flows.commands import deiswizard
from tests.flows.test_preseed import answers, status_of


def test_the_mode_is_set_seen_live_and_taken_back(cluster: Cluster, tmp_path: Path) -> None:
    assert status_of(cluster, "registration") == "to do"
    for mode in ("disabled", "admin_only"):
        chosen = answers(tmp_path, f"registration:\n  mode: {mode}\n")
        done = deiswizard("apply", "registration", "-a", chosen, "--yes", *cluster.flags())
        assert done.code == 0, done.err
        assert f"the live controller answers as {mode}" in done.err
        assert cluster.value(MODE_KEY) == mode
        assert status_of(cluster, "registration") == "ok"
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    assert cluster.value(MODE_KEY) == "disabled"


def test_nobody_is_locked_out_when_there_is_no_admin(cluster: Cluster) -> None:
    cluster.set_admins(0)
    assert status_of(cluster, "registration") == "at risk"
    said = deiswizard("apply", "registration", "--yes", *cluster.flags())
    assert said.code == 2
    assert "no active admin exists" in said.err and "Traceback" not in said.err
    assert cluster.value(MODE_KEY) == "enabled"


def test_an_admin_who_goes_after_the_plan_was_made_stops_the_run_at_its_guard(
    cluster: Cluster, tmp_path: Path
) -> None:
    plan = str(tmp_path / "plan.json")
    assert deiswizard("plan", "registration", "-o", plan, *cluster.flags()).code == 0
    cluster.set_admins(0)
    said = deiswizard("apply", plan, "--yes", *cluster.flags())
    assert said.code == 1 and "no active admin exists" in said.err
    assert cluster.value(MODE_KEY) == "enabled"


def test_a_plan_that_has_got_old_is_refused_and_says_what_changed(
    cluster: Cluster, tmp_path: Path
) -> None:
    plan = str(tmp_path / "plan.json")
    assert deiswizard("plan", "registration", "-o", plan, *cluster.flags()).code == 0
    cluster.put(MODE_KEY, "disabled")
    said = deiswizard("apply", plan, "--yes", *cluster.flags())
    assert said.code == 1
    assert f"changed meanwhile: {MODE_KEY}" in said.err and "refused" in said.out
    assert cluster.value(MODE_KEY) == "disabled"
