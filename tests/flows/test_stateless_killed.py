"""Leaving Ceph in a run that is killed, and what others do meanwhile: taken up again, or taken back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deiswizard.demo import database
from deiswizard.demo.cluster import PretendCluster
from deiswizard.demo.gate import Gate
from deiswizard.demo.outside_store import BUCKET
from deiswizard.run import events as e
from deiswizard.run.folders import find_run
from deiswizard.run.journal import read_journal
from deiswizard.stores.database_copy import dump_command
from tests.flows.commands import deiswizard
from tests.flows.pretending import files
from tests.flows.running import has, running
from tests.flows.without_ceph import (
    settings,
    stateless,
    three,
    words_of_run,
)
from tests.lab.waiting import await_that

__all__ = ["three"]


def do(cluster: PretendCluster, command: str) -> None:
    """As an operator on a host."""
    said: list[str] = []
    code = cluster.hosts[0].execute(command, said.append, said.append, b"", threading.Event())
    assert code == 0, said


def test_what_somebody_starts_before_a_run_is_taken_up_again_keeps_the_old_stores(
    three: PretendCluster, tmp_path: Path
) -> None:
    units = files(three)
    compared = has(e.StepFinished, step="compare:registry")
    with running(tmp_path, *words_of_run(three, tmp_path)) as run:
        run.until(compared)
    do(three, "fleetctl start deis-controller.service")
    refused = deiswizard("resume", "last", "--yes")
    assert refused.code == 1 and "controller runs: somebody has started it" in refused.err
    assert files(three) == units, "nothing of Ceph has ended"
    do(three, "fleetctl stop deis-controller.service")
    await_that(lambda: not three.placement["deis-controller.service"], "the controller is stopped")
    content = three.outside_store.content
    tables = three.postgres.databases["deis"]
    tables["api_app"] = ("0\tchanged", *tables["api_app"][1:])  # what was written meanwhile
    differs = deiswizard("resume", "last", "--yes")
    assert differs.code == 1
    assert "1 table of the two databases differ: api_app has other values" in " ".join(
        differs.err.split()
    )
    assert files(three) == units
    tables["api_app"] = database.TABLES["api_app"]
    done = deiswizard("resume", "last", "--yes")
    assert done.code == 0, done.err
    assert content.buckets[BUCKET] == three.data_store.buckets["registry"]
    stateless.status_of(three, "ok")


MOMENTS = {
    "images are copied": has(e.BytesCopied, step="first:registry"),
    "tables are there": has(e.StepFinished, step="copy:database"),
    "the database is gone": has(e.StepFinished, step="destroy:deis-database.service"),
    "settings are half written": has(e.StepFinished, step="set:/deis/registry/s3encrypt"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_is_killed_goes_on_or_is_taken_back(
    three: PretendCluster, tmp_path: Path, moment: str
) -> None:
    before, units = settings(three), files(three)
    if moment == "images are copied":  # and go on being copied, until the run is dead
        three.outside_store.content.gate.close(after=3 + 5)  # the trial's three, and five images
    with running(tmp_path, *words_of_run(three, tmp_path)) as run:
        run.until(MOMENTS[moment])
    three.outside_store.content.gate.open()
    back = stateless.undone(three)
    if moment == "images are copied":
        assert "nothing that this run did is taken back" in back.err, "the cluster is as it was"
    else:
        assert back.code == 0, back.err
    assert settings(three) == before and files(three) == units
    assert all(three.placement.values()), "everything runs again"
    stateless.status_of(three, "by choice")
    three.postgres.databases[
        "deis"
    ] = {}  # what was copied stays there, and is for the operator to remove
    with running(tmp_path, *words_of_run(three, tmp_path)) as run:
        run.until(MOMENTS[moment])
    done = deiswizard("resume", "last", "--yes")
    assert done.code == 0, done.err
    assert three.outside_store.content.buckets[BUCKET] == three.data_store.buckets["registry"]
    assert three.postgres.databases["deis"] == dict(database.TABLES)
    stateless.status_of(three, "ok")


def test_what_was_sent_before_a_kill_is_not_sent_again(
    three: PretendCluster, tmp_path: Path
) -> None:
    three.outside_store.content.gate.close(after=3 + 5)  # the trial's three, and five images
    with running(tmp_path, *words_of_run(three, tmp_path)) as run:
        run.until(lambda events: three.outside_store.content.gate.is_waited_at)
    three.outside_store.content.gate.open()
    done = deiswizard("resume", "last", "--yes")
    assert done.code == 0, done.err
    events = list(read_journal(find_run("last")))
    said = [x.said for x in events if isinstance(x, e.StepFinished) and x.step == "first:registry"]
    # the one that waited was whole by then: the store has it, though nobody was told
    assert said[-1].startswith("12 objects") and said[-1].endswith("6 of them sent now"), said


def test_somebody_who_writes_to_the_new_database_is_found_before_anything_ends(
    three: PretendCluster, tmp_path: Path
) -> None:
    """The images that are copied last wait, so that there is time for it."""
    units = files(three)
    three.data_store.buckets["registry"]["registry/late"] = b"late"
    dumps = Gate()
    dumps.close()
    (host,) = three.placement["deis-database.service"]
    host.gates[dump_command("deis")] = dumps
    with running(tmp_path, *words_of_run(three, tmp_path)) as run:
        run.until(lambda _: dumps.is_waited_at)
        assert has(e.StepFinished, step="first:registry")(run.events)
        three.data_store.gate.close()
        three.data_store.buckets["registry"]["registry/later"] = b"later"
        dumps.open()
        run.until(has(e.StepStarted, step="copy:registry"))
        three.postgres.databases["deis"]["api_app"] += ("2\tnew",)
        three.data_store.gate.open()
        assert run.ended() == 1, run.last_words
        assert (
            "1 table of the two databases differ: api_app has 2 rows here and 3 there" in run.said
        )
    assert files(three) == units
    assert (
        three.placement["deis-database.service"] and three.placement["deis-store-monitor.service"]
    )
    back = stateless.undone(three)
    assert back.code == 0, back.err
    assert three.placement["deis-controller.service"]
    stateless.status_of(three, "by choice")
