"""Registration mode from to do to ok and back, and what must not be possible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.platform import announce
from tests.flows.checks import answers, assert_status
from tests.flows.clusters import MODE_KEY, Cluster, Pretended
from tests.flows.commands import Said, deiswizard


def applied_after(cluster: Cluster, plan: Path, event: Callable[[], None]) -> Said:
    """A plan is made, something happens on the cluster, then the plan is applied."""
    assert deiswizard("plan", "registration", "-o", str(plan), *cluster.flags()).code == 0
    event()
    return deiswizard("apply", str(plan), "--yes", *cluster.flags())


def test_the_mode_is_set_seen_live_and_taken_back(cluster: Cluster, tmp_path: Path) -> None:
    assert_status(cluster, "registration", "to do")
    for mode in ("disabled", "admin_only"):
        chosen = answers(tmp_path, f"registration:\n  mode: {mode}\n")
        done = deiswizard("apply", "registration", "-a", chosen, "--yes", *cluster.flags())
        assert done.code == 0, done.err
        assert f"the live controller answers as {mode}" in done.err
        assert cluster.value(MODE_KEY) == mode
        assert_status(cluster, "registration", "ok")
    back = deiswizard("undo", "last", "--yes", *cluster.flags())
    assert back.code == 0, back.err
    assert cluster.value(MODE_KEY) == "disabled"


def test_nobody_is_locked_out_when_there_is_no_admin(cluster: Cluster) -> None:
    cluster.set_admins(0)
    assert_status(cluster, "registration", "at risk")
    said = deiswizard("apply", "registration", "--yes", *cluster.flags())
    assert said.code == 2
    assert "no active admin exists" in said.err and "Traceback" not in said.err
    assert cluster.value(MODE_KEY) == "enabled"


def test_an_admin_who_goes_after_the_plan_was_made_stops_the_run_at_its_guard(
    cluster: Cluster, tmp_path: Path
) -> None:
    said = applied_after(cluster, tmp_path / "plan.json", lambda: cluster.set_admins(0))
    assert said.code == 1 and "no active admin exists" in said.err
    assert cluster.value(MODE_KEY) == "enabled"


def test_a_plan_that_has_got_old_is_refused_and_says_what_changed(
    cluster: Cluster, tmp_path: Path
) -> None:
    said = applied_after(cluster, tmp_path / "plan.json", lambda: cluster.put(MODE_KEY, "disabled"))
    assert said.code == 1
    assert f"changed meanwhile: {MODE_KEY}" in said.err and "refused" in said.out
    assert cluster.value(MODE_KEY) == "disabled"


def test_the_way_back_finds_a_controller_that_has_moved(
    pretended: Pretended, pretend: PretendCluster
) -> None:
    assert deiswizard("apply", "registration", "--yes", *pretended.flags()).code == 0
    before = pretended.value("/deis/controller/host")
    other = next(host for host in pretend.hosts if host.address != before)
    pretend.placement["deis-controller.service"] = [other]
    announce(pretend, "deis-controller.service")
    back = deiswizard("undo", "last", "--yes", *pretended.flags())
    assert back.code == 0, back.err
    assert "the live controller says enabled" in back.err
