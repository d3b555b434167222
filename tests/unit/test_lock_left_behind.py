"""What a wizard that was killed leaves behind of its lock."""

from __future__ import annotations

from pathlib import Path

from deiswizard.cluster.lock_key import (
    KEY,
    value_of,
)
from deiswizard.redaction import Redactor
from deiswizard.run import events as e
from deiswizard.run.journal import JournalWriter
from deiswizard.run.lock import is_left_behind, whoami
from deiswizard.run.lock_decisions import TTL
from tests.builders import ANN
from tests.unit.lock_world import World


def left(folder: Path, token: str) -> JournalWriter:
    """A journal that took a lock, still open: its wizard lives until it is closed."""
    folder.mkdir()
    writer = JournalWriter(folder, Redactor([]))
    mine = ANN.model_copy(update={"owner": whoami(), "run": folder.name, "token": token})
    writer.write(e.LockRequested(at=1.0, lock=mine))
    return writer


def test_only_a_dead_wizard_of_this_very_lock_leaves_it_behind(tmp_path: Path) -> None:
    mine = ANN.model_copy(update={"owner": whoami()})
    writer = left(tmp_path / "r1", "t1")
    assert not is_left_behind(mine, tmp_path), "it lives"
    assert is_left_behind(mine, tmp_path, own="r1"), "who takes it up again writes the journal now"
    writer.close()
    assert is_left_behind(mine, tmp_path)
    assert not is_left_behind(ANN, tmp_path), "another's"
    assert not is_left_behind(mine.model_copy(update={"token": "t2"}), tmp_path)
    for run in ("", "r2", "..", "../r1/x", "/"):
        assert not is_left_behind(mine.model_copy(update={"run": run}), tmp_path)


def test_what_a_killed_wizard_left_is_taken_at_once(world: World) -> None:
    left(world.runs / "dead", "t9").close()
    mine = ANN.model_copy(update={"owner": whoami(), "run": "dead", "token": "t9"})
    world.etcd.put(KEY, value_of(mine), expect=0, ttl=TTL)
    wizard = world.wizard()
    wizard.lock.acquire()
    broken = wizard.told[1]
    assert isinstance(broken, e.LockBroken) and "ended without giving it back" in broken.said
    assert world.holding(wizard)
