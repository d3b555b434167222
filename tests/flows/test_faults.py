"""Faults on real hosts in the middle of a preseed: what is seen, that nothing is lost or done twice.

The table of docs/reliability.md tells what each of these shows.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cluster.image_names import normalised
from deiswizard.run import events as e
from deiswizard.run.folders import find_run
from deiswizard.run.journal import read_journal
from tests.flows.checks import answers
from tests.flows.clusters import Real
from tests.flows.commands import deiswizard
from tests.flows.running import Running, has, layers_of, running, started_twice
from tests.flows.test_preseed import needed

VICTIM = "deis-2"
IMAGE = "deis/router:v1.13.4"
PLAN = "preseed:\n  extra_images: []\n  hosts: [deis-1, deis-2]\n"
ONE = f"preseed:\n  extra_images: []\n  hosts: [{VICTIM}]\n"


@pytest.fixture
def slow(real: Real, tmp_path: Path) -> Iterator[Running]:
    """A preseed of two hosts in which bytes of the first image are coming to the victim, and go on to come
    until the test is through with it.
    """
    real.lab.registry.limit(1)
    chosen = answers(tmp_path, PLAN)
    words = ("apply", "preseed", "-a", chosen, "--yes", *real.flags())
    with running(tmp_path, *words) as run:
        run.until(layers_of(VICTIM))
        yield run


@pytest.fixture
def one_missing(real: Real, tmp_path: Path) -> str:
    """The victim lacks one image; the answers that ask for it."""
    chosen = answers(tmp_path, ONE)
    done = deiswizard("apply", "preseed", "-a", chosen, "--yes", *real.flags())
    assert done.code == 0, done.err
    real.lab.host(VICTIM).run("docker", "rmi", IMAGE)
    return chosen


def all_there(real: Real, *hosts: str) -> None:
    for host in hosts:
        assert needed(IMAGE) <= {normalised(name) for name in real.images(host)}


def printed_on_the_host(real: Real, unit: str) -> list[str]:
    """What the host's own journal holds of a job."""
    said = real.lab.host(VICTIM).run(
        "journalctl", "-q", "-o", "cat", "--no-pager", f"_SYSTEMD_UNIT={unit}.service"
    )
    return [line for line in said.stdout.splitlines() if not line.startswith(f"[{unit} ended]")]


def every_line_once(real: Real, run: Running) -> None:
    """The journal of the run holds what the jobs printed, line by line, nothing twice."""
    units = [
        (event.step, event.job.unit)
        for event in run.events
        if isinstance(event, e.JobPrepared) and event.host == VICTIM
    ]
    for step in dict(units):
        told = [
            line
            for event in run.events
            if isinstance(event, e.OutputReceived) and event.step == step and event.cursor
            for line in event.lines
        ]
        printed = [
            line for of, unit in units if of == step for line in printed_on_the_host(real, unit)
        ]
        assert told == printed, step


@pytest.mark.parametrize("how", ["packets are dropped without a reset", "sshd is killed"])
def test_a_cut_link_is_told_and_the_job_goes_on(real: Real, slow: Running, how: str) -> None:
    host = real.lab.host(VICTIM)
    if how == "sshd is killed":
        host.kill_sshd()
    else:
        host.drop_packets(but_etcd=True)
    slow.until(has(e.HostLost, host=VICTIM))
    lost = next(event for event in slow.events if isinstance(event, e.HostLost))
    assert "goes on" in lost.said
    assert host.run("pgrep", "-f", "docker pull").stdout, "the job goes on without the link"
    host.repair()
    slow.until(has(e.HostReturned, host=VICTIM))
    real.speed_up()
    assert slow.ended() == 0, slow.last_words
    assert not started_twice(slow.events)
    every_line_once(real, slow)
    all_there(real, "deis-1", VICTIM)


def test_a_host_that_was_rebooted_is_unknown_until_it_is_looked_at(
    real: Real, slow: Running
) -> None:
    host = real.lab.host(VICTIM)
    host.power_off()
    slow.until(has(e.HostLost, host=VICTIM))
    host.power_on()
    real.speed_up()
    assert slow.ended() == 1, slow.last_words
    assert "rebooted while the job ran" in slow.said
    told = json.loads(deiswizard("show", "last", "--json").out)
    unknown = [name for name, step in told["steps"].items() if step["status"] == "unknown"]
    assert len(unknown) == 1 and VICTIM in unknown[0]
    ended = [event for event in slow.events if isinstance(event, e.StepFinished)]
    (asked,) = [event for event in ended if event.step == unknown[0]]
    assert "looks whether the image is there" in asked.do
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    all_there(real, "deis-1", VICTIM)


def test_an_engine_that_is_restarted_during_a_pull_is_asked_again(
    real: Real, slow: Running
) -> None:
    real.lab.host(VICTIM).restart_engine()
    real.speed_up()
    assert slow.ended() == 0, slow.last_words
    all_there(real, "deis-1", VICTIM)


def test_a_disk_that_fills_up_is_told_in_the_engine_s_words_and_the_rest_goes_on(
    real: Real, slow: Running
) -> None:
    host = real.lab.host(VICTIM)
    host.fill_disk()
    real.speed_up()
    assert slow.ended() == 1, slow.last_words
    assert "there is no room left for the image" in slow.said
    assert "no space left on device" in slow.said
    all_there(real, "deis-1")
    host.free_disk()
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    all_there(real, VICTIM)


def test_a_full_disk_is_seen_before_anything_is_pulled(real: Real, one_missing: str) -> None:
    real.lab.host(VICTIM).fill_disk()
    said = deiswizard("apply", "preseed", "-a", one_missing, "--yes", *real.flags())
    assert said.code == 1 and "free some space, or leave this host out" in said.err
    assert "docker pull" not in real.lab.host(VICTIM).run("ps", "ax").stdout


@pytest.mark.parametrize(
    ("status", "words"), [(429, "too many requests"), (500, "the registry did not answer")]
)
def test_a_registry_that_refuses_is_asked_three_times_and_told(
    real: Real, one_missing: str, status: int, words: str
) -> None:
    real.lab.registry.refuse(status)
    said = deiswizard("apply", "preseed", "-a", one_missing, "--yes", *real.flags())
    assert said.code == 1 and words in said.err
    assert "try 2 of 3" in said.err and "try 3 of 3" in said.err
    real.lab.registry.behave()
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    all_there(real, VICTIM)


def test_a_registry_that_is_down_is_told_before_anything_is_pulled(
    real: Real, one_missing: str
) -> None:
    real.lab.registry.stop()
    said = deiswizard("apply", "preseed", "-a", one_missing, "--yes", *real.flags())
    assert said.code == 1 and "cannot reach the registry" in said.err
    real.lab.registry.start()
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err


def test_a_slow_registry_only_takes_longer(real: Real, one_missing: str) -> None:
    real.lab.registry.delay(1.0)
    said = deiswizard("apply", "preseed", "-a", one_missing, "--yes", *real.flags())
    assert said.code == 0, said.err


@pytest.fixture
def tiny_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The wizard's own state folder has hardly any room."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], check=True)
    monkeypatch.setenv("DEISWIZARD_STATE", str(folder))
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_here_stops_the_run_at_the_next_border_and_it_goes_on_later(
    real: Real, tmp_path: Path, tiny_disk: Path
) -> None:
    chosen = answers(tmp_path, PLAN)
    said = deiswizard("apply", "preseed", "-a", chosen, "--yes", *real.flags())
    assert said.code == 1 and "cannot be written: No space left on device" in said.err
    assert "Traceback" not in said.err
    subprocess.run(["mount", "-o", "remount,size=64m", tiny_disk], check=True)
    resumed = deiswizard("resume", "last", "--yes")
    assert resumed.code == 0, resumed.err
    all_there(real, "deis-1", VICTIM)
    assert not started_twice(list(read_journal(find_run("last"))))


def test_a_second_operator_is_told_and_the_first_one_is_not_disturbed(
    real: Real, slow: Running
) -> None:
    second = deiswizard("apply", "registration", "--yes", *real.flags())
    assert second.code == 1 and "refused" in second.out
    assert "another run holds the lock of this cluster" in second.err
    assert "Preseeding containers" in second.err
    real.speed_up()
    assert slow.ended() == 0, slow.last_words
    later = deiswizard("apply", "registration", "--yes", *real.flags())
    assert later.code == 0, later.err
