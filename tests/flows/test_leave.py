"""Leaving a run: it goes on without a screen; and coming back to it. By the real program in tmux."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deiswizard.cluster.image_names import normalised
from deiswizard.run import events as e
from deiswizard.run.folders import BACKGROUND_LOG, find_run
from deiswizard.run.journal import is_being_written, read_journal
from deiswizard.vocabulary import StepStatus
from tests.flows.clusters import HOSTS, Cluster
from tests.flows.commands import LIMIT, deiswizard, words_of
from tests.flows.terminal import Terminal, terminal
from tests.flows.test_preseed import needed
from tests.waiting import until


def to_the_run(screen: Terminal) -> None:
    """Preseeding, as it is offered, until images are being pulled."""
    screen.until(r"of \d ok")
    for keys, words in (
        (["4"], "Hosts at a time"),
        (["Enter"], r"\[ Changes"),
        (["Enter"], "● Run"),
    ):
        screen.press(*keys)
        screen.until(words)
    screen.until(r"running deis-\d +\S+:\S+")


def is_taken_over() -> Path:
    """Wait until the run goes on in the background; its folder."""
    folder = find_run("last")
    why = f"never came to that: {folder / BACKGROUND_LOG}"
    until(lambda: has_come(folder, e.RunResumed), LIMIT, why)
    return folder


def has_come(folder: Path, kind: type[e.Event]) -> bool:
    return any(isinstance(event, kind) for event in read_journal(folder))


def test_a_run_that_is_left_goes_on_to_its_verified_end(cluster: Cluster) -> None:
    cluster.slow_down()
    with terminal(words_of(*cluster.flags())) as screen:
        to_the_run(screen)
        screen.press("Escape")
        screen.until("Leave, let it go on: back with deiswizard resume")
        screen.press("Down", "Down", "Enter")
        screen.until("goes on without this program", "ended with 0")
    folder = is_taken_over()
    with terminal(words_of("resume", "last"), width=160) as screen:
        screen.until("goes on in another wizard; following it")
        cluster.speed_up()
        screen.until("Preseeding containers on .*: done", "ended with 0")
    assert not is_being_written(folder)
    events = list(read_journal(folder))
    begun = [event.step for event in events if isinstance(event, e.JobStarted)]
    assert len(begun) == len(set(begun)), "no pull was started twice"
    told = json.loads(deiswizard("show", "last", "--json").out)
    assert told["status"] == "done" and all(check["ok"] for check in told["checks"])
    for host in HOSTS:
        assert needed("deis/router:v1.13.4") <= {normalised(n) for n in cluster.images(host)}


def test_a_run_without_its_program_can_be_stopped_from_another(cluster: Cluster) -> None:
    cluster.slow_down()
    with terminal(words_of(*cluster.flags())) as screen:
        to_the_run(screen)
        screen.press("q")
        screen.until("Leave, let it go on")
        screen.press("Down", "Enter")
        screen.until("goes on without this program", "ended with 0")
    folder = is_taken_over()
    with terminal(words_of("resume", "last"), width=160) as screen:
        screen.until("following it")
        screen.press("C-c")
        screen.until("stopping after what is going on now")
        until(lambda: has_come(folder, e.StopRequested), LIMIT, "the other wizard was not asked")
        cluster.speed_up()
        screen.until("ended with 1")
        assert re.search(r"begun .*: stopped", screen.text())
    told = json.loads(deiswizard("show", "last", "--json").out)
    assert told["status"] == "stopped"
    assert StepStatus.RUNNING not in {step["status"] for step in told["steps"].values()}


def test_a_terminal_that_is_closed_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.slow_down()
    with terminal(words_of(*cluster.flags())) as screen:
        to_the_run(screen)
    folder = find_run("last")
    until(lambda: not is_being_written(folder), LIMIT, f"never came to that: {folder}")
    cluster.speed_up()
    with terminal(words_of(*cluster.flags())) as screen:
        screen.until("Preseeding containers was cut off .* ago: c goes on")
        screen.press("c")
        screen.until("was cut off", "Go on with what is missing")
        screen.press("Enter")
        screen.until("● Verify", "confirms it")
        screen.press("Enter")
        screen.until(r"of \d ok")
        screen.press("q")
        screen.until("ended with 0")
    events = list(read_journal(find_run("last")))
    begun = [event.step for event in events if isinstance(event, e.JobStarted)]
    assert len(begun) == len(set(begun)), "no pull was started twice"
