"""What a backup needs besides its copies: each task once, again, and where it must refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deiswizard.backup import progress, records
from deiswizard.backup.copying import DUMP
from deiswizard.backup.data import DatabaseSource, Place
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep
from deiswizard.run.context import Result
from deiswizard.vocabulary import StepStatus
from tests.backup.conftest import NAME, manifest
from tests.backup.test_copying import WHOLE, pieces
from tests.unit.doing import Doing

DATABASE = DatabaseSource(host="a")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(path=str(tmp_path / "kept"))


@pytest.fixture
def doing() -> Doing:
    made = Doing()
    made.cluster.hosts["a"].outputs[DUMP] = pieces(WHOLE)
    return made


def task(doing: Doing, place: Place, what: str, **more: Any) -> Result:
    fields = {"id": what, "title": what, "task": what, "place": place, "backup": NAME, **more}
    return doing.do(BackupTaskStep.model_validate(fields))


def copied(doing: Doing, place: Place) -> Result:
    return doing.do(BackupStep(id="c", title="c", place=place, backup=NAME, source=DATABASE))


def made(doing: Doing, place: Place) -> None:
    """A whole backup."""
    for result in (
        task(doing, place, "begin", manifest=manifest()),
        task(doing, place, "room", sources=(DATABASE,)),
        copied(doing, place),
        task(doing, place, "verify", part="database"),
        task(doing, place, "finish"),
    ):
        assert result.status is StepStatus.DONE, result.said


def test_a_finished_backup_is_remembered_and_its_work_is_cleared_away(
    doing: Doing, place: Place
) -> None:
    made(doing, place)
    [fact] = records.all_known()
    assert (fact.backup, fact.parts, fact.is_there) == (NAME, ("database",), True)
    assert progress.load(NAME) is None and not progress.work_folder(NAME).exists()


def test_a_wizard_killed_after_the_manifest_finishes_all_the_same(
    doing: Doing, place: Place
) -> None:
    made(doing, place)
    records.forget(NAME)
    again = task(doing, place, "finish")
    assert (again.status, again.said) == (StepStatus.DONE, "the manifest had been written already")
    assert [fact.backup for fact in records.all_known()] == [NAME]


def test_what_is_whole_is_not_copied_again_unless_it_was_damaged(
    doing: Doing, place: Place
) -> None:
    task(doing, place, "begin", manifest=manifest())
    copied(doing, place)
    assert task(doing, place, "begin", manifest=manifest()).said == "it was begun already"
    assert copied(doing, place).said.startswith("it is whole already")
    path = Path(place.path) / NAME / "database.sql"
    path.write_bytes(path.read_bytes()[:-1])
    assert "it is whole already" not in copied(doing, place).said
    assert path.read_bytes() == WHOLE


def test_a_damaged_part_is_no_longer_believed_and_can_be_copied_again(
    doing: Doing, place: Place
) -> None:
    task(doing, place, "begin", manifest=manifest())
    copied(doing, place)
    path = Path(place.path) / NAME / "database.sql"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    bad = task(doing, place, "verify", part="database")
    assert bad.status is StepStatus.FAILED and "another checksum" in bad.said
    assert "make the backup again" in bad.do
    assert copied(doing, place).status is StepStatus.DONE
    assert task(doing, place, "verify", part="database").status is StepStatus.DONE


def test_nothing_is_finished_that_was_not_verified(doing: Doing, place: Place) -> None:
    task(doing, place, "begin", manifest=manifest())
    assert task(doing, place, "verify", part="database").said == "database was not copied"
    copied(doing, place)
    assert task(doing, place, "finish").said == "not verified: database"
    assert not (Path(place.path) / NAME / "manifest.json").exists()


def test_a_backup_is_never_written_over_another(doing: Doing, place: Place) -> None:
    made(doing, place)
    refused = task(doing, place, "begin", manifest=manifest())
    assert "holds a finished backup already" in refused.said and "make a new plan" in refused.do
    progress.save(progress.Progress(run="20261123-031500", manifest=manifest()))
    other = task(doing, place, "begin", manifest=manifest())
    assert other.said == f"{NAME} is being made by run 20261123-031500"


def test_a_copy_that_was_never_begun_here_is_refused(doing: Doing, place: Place) -> None:
    assert "nothing is known here of the backup" in copied(doing, place).said


def test_the_newest_verified_backup_is_never_removed(doing: Doing, place: Place) -> None:
    made(doing, place)
    kept = task(doing, place, "keep", keep=1, manifest=manifest())
    assert kept.said == "there are no more than that"
    assert records.all_known()


def test_what_was_made_is_removed_and_forgotten(doing: Doing, place: Place) -> None:
    made(doing, place)
    assert task(doing, place, "remove").said == "the copy is gone"
    assert not (Path(place.path) / NAME).exists() and records.all_known() == ()
    assert task(doing, place, "remove").status is StepStatus.DONE


def test_room_is_measured_against_what_the_cluster_has(doing: Doing, place: Place) -> None:
    from deiswizard.cluster.access import CommandResult

    query = "select sum(pg_database_size(datname)) from pg_database"
    ask = f'docker exec deis-database sudo -u postgres psql -tAc "{query}"'
    doing.cluster.hosts["a"].answers[ask] = [CommandResult(0, out=f"{10**15}\n")]
    task(doing, place, "begin", manifest=manifest())
    short = task(doing, place, "room", sources=(DATABASE,))
    assert short.status is StepStatus.FAILED
    assert short.said.startswith(f"about 1050000.0 GB are needed at {place.path}")
    assert short.do == "free some space there, choose another place, or leave something out"
