"""Does the steps of a restore."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from deiswizard.backup.places import store_of
from deiswizard.backup.sealing import Opener, private_key_of
from deiswizard.backup.verifying import verify_part
from deiswizard.backup.writing import (
    Writing,
    write_bucket,
    write_database,
    write_keys,
    write_volume,
)
from deiswizard.errors import LinkError, ServiceError, StepError
from deiswizard.plan.backup_steps import RestoreStep
from deiswizard.run.backing_up import teller
from deiswizard.run.context import Context, Result
from deiswizard.vocabulary import StepStatus


def opener_of(how: str, passphrase: SecretStr | None, private_key: str) -> Opener | None:
    """What opens a backup that is sealed so. Raises StepError."""
    if how == "none":
        return None
    if how == "passphrase":
        return Opener(passphrase)
    try:
        return Opener(private=private_key_of(Path(private_key).read_bytes()))
    except OSError as error:
        raise StepError(f"{private_key} cannot be read", said=error.strerror or "") from error
    except ValueError as error:
        raise StepError(f"{private_key}: {error}") from error


def _opener(step: RestoreStep, context: Context) -> Opener | None:
    """One for all parts: the key of a passphrase takes half a second."""
    name = f"opener {step.backup}"
    if name not in context.kept:
        typed = SecretStr(context.filled(step.passphrase)) if step.passphrase else None
        context.kept[name] = opener_of(step.seal.how, typed, step.private_key)
    found = context.kept[name]
    assert found is None or isinstance(found, Opener)
    return found


def restore(step: RestoreStep, context: Context) -> Result:
    """Write one part back, or only read it again."""
    store, moved = store_of(step.place), teller(step.id, context)
    opener = _opener(step, context)
    job = Writing(context.access, store, step.backup, opener, context.interrupted, moved)
    try:
        match step.to:
            case "check":
                said = verify_part(store, step.backup, step.part, opener, moved)
            case "etcd":
                said = write_keys(job, step.part, step.keys)
            case "bucket":
                said = write_bucket(job, step.part, step.host)
            case "volume":
                said = write_volume(job, step.part, step.host)
            case "database":
                said = write_database(job, step.part, step.host)
    except (LinkError, ServiceError) as error:
        if error.is_outcome_unknown:
            raise
        return Result(StepStatus.FAILED, str(error), error.do or "try again: what is there stays")
    return Result(StepStatus.DONE, said)
