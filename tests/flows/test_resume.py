"""A wizard killed with -9 at every kind of step, before, during and after; then resumed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from deiswizard.inventory import save_target
from deiswizard.run import events as e
from deiswizard.run.folders import find_run
from deiswizard.run.journal import read_journal
from tests.flows.clusters import Cluster
from tests.flows.commands import deiswizard, said_by
from tests.flows.killed_at import (
    COMMANDED,
    IMAGE,
    KEPT,
    MOMENTS,
    REMOVED,
    STEPS,
    UNIT,
    UPLOADED,
    WORKED,
    WRITTEN,
)

HOST = "deis-2"
KILLED = [
    *(pytest.param("demo", moment, id=f"demo-{moment}") for moment in MOMENTS),
    pytest.param("lab", "during", id="lab-during"),
]
"""Between two steps nothing goes on on any host: there the pretend cluster shows as much as the real one."""


def killed(cluster: Cluster, folder: Path, step: str, moment: str) -> None:
    """Run the plan with every kind of step until the kill."""
    cluster.put(REMOVED, "old")
    for path in (UPLOADED, COMMANDED, WORKED):
        cluster.remove_file(HOST, path)
    target = folder / "target.json"
    save_target(target, cluster.target())
    done = said_by("tests.flows.killed_at", step, moment, str(target), HOST)
    assert done.code == -signal.SIGKILL, done.err


def steps_of(cluster: Cluster) -> dict[str, str]:
    told = json.loads(deiswizard("show", "last", "--json").out)
    return {name: step["status"] for name, step in told["steps"].items()}


@pytest.mark.parametrize(("cluster", "moment"), KILLED, indirect=["cluster"])
@pytest.mark.parametrize("step", [step for step in STEPS if step != "command"])
def test_a_resumed_run_does_everything_and_nothing_twice(
    cluster: Cluster, tmp_path: Path, step: str, moment: str
) -> None:
    killed(cluster, tmp_path, step, moment)
    said = steps_of(cluster)
    before, after = STEPS[: STEPS.index(step)], STEPS[STEPS.index(step) + 1 :]
    assert {said[name] for name in before} <= {"done"}
    assert said[step] == ("done" if moment == "after" else "unknown")
    assert {said[name] for name in after} <= {"waiting"}
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    assert set(steps_of(cluster).values()) == {"done"}
    assert cluster.value(WRITTEN) == "new" and cluster.value(REMOVED) is None
    assert cluster.value(KEPT) == "old"
    for path in (UPLOADED, COMMANDED, WORKED):
        assert cluster.file(HOST, path) == "x\n", path
    assert any(name.endswith(IMAGE) for name in cluster.images(HOST))
    assert cluster.unit_file(UNIT) == ""
    events = list(read_journal(find_run("last")))
    begun = [event.step for event in events if isinstance(event, e.JobStarted)]
    assert begun == ["job", "pull"] or (begun == ["pull"] and step == "job"), begun
    printed = [
        line
        for event in events
        if isinstance(event, e.OutputReceived) and event.step == "job"
        for line in event.lines
    ]
    assert printed == ["begun", "ended"]


@pytest.mark.parametrize(("cluster", "moment"), KILLED, indirect=["cluster"])
def test_a_short_command_that_was_cut_off_is_never_run_again_by_itself(
    cluster: Cluster, tmp_path: Path, moment: str
) -> None:
    killed(cluster, tmp_path, "command", moment)
    resumed = deiswizard("resume", "last", "--yes")
    if moment == "after":
        assert resumed.code == 0, resumed.err
    else:
        assert resumed.code == 1 and steps_of(cluster)["command"] == "unknown"
        assert "whether it ran to its end is not known" in deiswizard("show", "last").out
        assert steps_of(cluster)["job"] == "waiting"
    assert cluster.file(HOST, COMMANDED) == ("" if moment == "before" else "x\n")


def test_a_run_that_is_done_has_nothing_to_take_up(cluster: Cluster) -> None:
    done = deiswizard("apply", "registration", "--yes", *cluster.flags())
    assert done.code == 0, done.err
    said = deiswizard("resume", "last", "--yes")
    assert said.code == 1 and "there is nothing to take up again" in said.err


def test_a_run_is_not_taken_up_where_somebody_has_changed_its_ground_meanwhile(
    cluster: Cluster, tmp_path: Path
) -> None:
    killed(cluster, tmp_path, "write", "before")
    cluster.put(WRITTEN, "theirs")
    said = deiswizard("resume", "last", "--yes")
    assert said.code == 1 and f"changed meanwhile: {WRITTEN}" in said.err
    assert cluster.value(WRITTEN) == "theirs"
