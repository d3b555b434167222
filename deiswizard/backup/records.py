"""The record of verified backups on this machine: by it a check knows how old the last one is."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from deiswizard.backup.data import MANIFEST, Manifest, Place
from deiswizard.cluster.snapshot import BackupFact
from deiswizard.errors import StepError
from deiswizard.run.folders import state_folder


def records_folder() -> Path:
    """One file for each verified backup."""
    return state_folder() / "backups" / "verified"


def remember(manifest: Manifest, place: Place) -> None:
    """A backup was verified. Raises StepError."""
    fact = BackupFact(
        backup=manifest.backup,
        cluster=manifest.cluster,
        machines=manifest.machines,
        place=place,
        verified_at=manifest.verified_at,
        bytes=manifest.bytes,
        parts=tuple(part.source.name for part in manifest.parts),
        sealed=manifest.seal.how,
    )
    folder = records_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f"{manifest.backup}.part"
        part.write_text(fact.model_dump_json())
        part.chmod(0o600)
        part.replace(folder / f"{manifest.backup}.json")
    except OSError as error:
        raise StepError(f"{folder} cannot be written", said=error.strerror or "") from error


def forget(backup: str) -> None:
    """It was removed."""
    (records_folder() / f"{backup}.json").unlink(missing_ok=True)


def all_known() -> tuple[BackupFact, ...]:
    """Every record, the newest first; of a folder, whether the manifest is still there."""
    found = []
    folder = records_folder()
    for path in folder.glob("*.json") if folder.is_dir() else ():
        try:
            fact = BackupFact.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if fact.place.kind == "folder":
            there = (Path(fact.place.path) / fact.backup / MANIFEST).is_file()
            fact = fact.model_copy(update={"is_there": there})
        found.append(fact)
    return tuple(sorted(found, key=lambda fact: fact.verified_at, reverse=True))
