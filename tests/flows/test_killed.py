"""kill -9 in the middle of a preseed: the journal tells how far it got, a second run finishes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from deiswizard.cluster.image_names import normalised
from deiswizard.run.events import Event, StepFinished, StepStarted
from deiswizard.run.folders import list_runs
from deiswizard.run.journal import read_journal
from deiswizard.vocabulary import StepStatus
from tests.flows.checks import answers
from tests.flows.clusters import HOSTS, Cluster
from tests.flows.commands import LIMIT, begun, deiswizard
from tests.flows.test_preseed import needed


def events_so_far() -> Iterator[Event]:
    for run in list_runs():
        yield from read_journal(run)


def pulls(kind: type[StepStarted] | type[StepFinished]) -> list[str]:
    return [e.step for e in events_so_far() if isinstance(e, kind) and e.step.startswith("pull:")]


def test_the_journal_tells_exactly_how_far_a_killed_run_got_and_the_next_one_finishes(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.slow_down(2.0)  # some end before it is killed
    had = {host: {normalised(name) for name in cluster.images(host)} for host in HOSTS}
    chosen = answers(tmp_path, "preseed:\n  extra_images: []\n  hosts_at_a_time: 2\n")
    log = tmp_path / "log"
    process = begun(log, "apply", "preseed", "-a", chosen, "--yes", *cluster.flags())
    deadline = time.monotonic() + LIMIT
    while len(pulls(StepFinished)) < 2 or len(pulls(StepStarted)) == len(pulls(StepFinished)):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    process.kill()
    process.wait()

    started, finished = set(pulls(StepStarted)), set(pulls(StepFinished))
    told = json.loads(deiswizard("show", "last", "--json").out)
    steps = {name: step for name, step in told["steps"].items() if name.startswith("pull:")}
    assert {name for name, step in steps.items() if step["status"] == StepStatus.DONE} == finished
    going = {name for name, step in steps.items() if step["status"] == StepStatus.UNKNOWN}
    assert going == started - finished and 1 <= len(going) <= 2
    waiting = {name for name, step in steps.items() if step["status"] == StepStatus.WAITING}
    assert waiting == set(steps) - started
    for name in finished:
        _, host, image = name.split(":", 2)
        assert normalised(image) in {normalised(known) for known in cluster.images(host)}
    for name in waiting:
        _, host, image = name.split(":", 2)
        now = {normalised(known) for known in cluster.images(host)}
        assert normalised(image) not in now - had[host]
    shown = deiswizard("show", "last").out
    assert "unknown" in shown and str(len(finished)) in shown

    cluster.speed_up()
    again = deiswizard("apply", "preseed", "-a", chosen, "--yes", *cluster.flags())
    assert again.code == 0, again.err
    for name in finished:
        _, host, image = name.split(":", 2)
        assert f"{host}: pull {image}" not in again.err
    for host in HOSTS:
        now = {normalised(name) for name in cluster.images(host)}
        assert needed("deis/router:v1.13.4") <= now
