"""Does the steps of a backup: the copies, and what they need besides."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from deiswizard.backup import keeping, progress, records
from deiswizard.backup.copying import Job, copy, measure
from deiswizard.backup.data import MANIFEST, Manifest, Part
from deiswizard.backup.places import Store, all_manifests, manifest_of, store_of, store_small
from deiswizard.backup.sealing import Opener, Sealer
from deiswizard.backup.verifying import verify_part
from deiswizard.errors import CancelledError, LinkError, ServiceError, StepError
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep
from deiswizard.run.context import Context, Result
from deiswizard.run.events import BytesCopied
from deiswizard.vocabulary import StepStatus
from deiswizard.wording import counted, in_bytes, in_time

TELL_SECONDS = 0.25
"""Bytes are told four times a second at most."""

MARGIN = 1.05
SPARE = 64 * 1024 * 1024
"""Room that a backup leaves free."""


def back_up(step: BackupStep, context: Context) -> Result:
    """Copy one source, unless it is whole already."""
    now = progress.needed(step.backup)
    store = store_of(step.place)
    name = step.source.name
    done = now.manifest.part(name)
    if done is not None and store.size(f"{step.backup}/{done.file.name}") == done.file.size:
        return Result(StepStatus.DONE, f"it is whole already: {in_bytes(done.bytes)}")
    job = Job(
        access=context.access,
        store=store,
        backup=step.backup,
        sealer=_sealer(step, context),
        interrupted=context.interrupted,
        moved=teller(step.id, context),
        expected=now.expected.get(name),
    )
    try:
        part = copy(step.source, job)
    except (LinkError, ServiceError) as error:
        return Result(StepStatus.FAILED, str(error), error.do or "try again: what is whole stays")
    progress.add_part(step.backup, part)
    return Result(StepStatus.DONE, _copied(part))


def _copied(part: Part) -> str:
    noun = {"etcd": "keys and directories", "bucket": "objects"}.get(part.source.kind)
    things = f", {part.file.count} {noun}" if noun else ""
    rest = f"; left out: {'; '.join(part.left_out)}" if part.left_out else ""
    return f"{in_bytes(part.bytes)}{things} in {in_time(part.seconds)}{rest}"


def teller(step: str, context: Context) -> Callable[[int, int | None, int, int], None]:
    """Tells bytes and things, so far and in all, as events; not each of them."""
    last = -TELL_SECONDS

    def moved(current: int, total: int | None, items: int, of_items: int) -> None:
        nonlocal last
        now = context.clock()
        if now - last < TELL_SECONDS and current != total:
            return
        last = now
        context.emit(
            BytesCopied(
                at=now, step=step, current=current, total=total, items=items, of_items=of_items
            )
        )

    return moved


def passphrase_of(step: BackupStep | BackupTaskStep, context: Context) -> SecretStr | None:
    """The passphrase that a step names. Raises StepError when it was not given."""
    return SecretStr(context.filled(step.passphrase)) if step.passphrase else None


def _sealer(step: BackupStep, context: Context) -> Sealer | None:
    """One for all files that this process makes of the backup: its key takes half a second."""
    if step.seal.how == "none":
        return None
    name = f"sealer {step.backup}"
    if name not in context.kept:
        context.kept[name] = Sealer(step.seal, passphrase_of(step, context))
    found = context.kept[name]
    assert isinstance(found, Sealer)
    return found


def _opener(step: BackupTaskStep, context: Context) -> Opener | None:
    if step.seal.how == "none":
        return None
    opener = Opener(passphrase_of(step, context))
    sealer = context.kept.get(f"sealer {step.backup}")
    if isinstance(sealer, Sealer):
        sealer.tell(opener)
    return opener


def do_task(step: BackupTaskStep, context: Context) -> Result:
    """One of the tasks of a backup."""
    match step.task:
        case "begin":
            return _begin(step, context)
        case "room":
            return _room(step, context)
        case "verify":
            return _verify(step, context)
        case "finish":
            return _finish(step, context)
        case "keep":
            return _keep(step)
        case "remove":
            return _remove(step)


def _begin(step: BackupTaskStep, context: Context) -> Result:
    assert step.manifest is not None
    now = progress.load(step.backup)
    store = store_of(step.place)
    if now is not None and now.run == context.run:
        store.prepare()
        return Result(StepStatus.DONE, "it was begun already")
    if now is not None:
        raise StepError(
            f"{step.backup} is being made by run {now.run}",
            do=f"deiswizard resume {now.run}, or make a new plan",
        )
    store.prepare()
    if store.size(f"{step.backup}/{MANIFEST}") is not None:
        raise StepError(
            f"{step.place.file(step.backup)} holds a finished backup already",
            do="make a new plan: a backup is never written over another",
        )
    begun = step.manifest.model_copy(update={"began_at": context.clock()})
    progress.save(progress.Progress(run=context.run, manifest=begun))
    if step.seal.how == "passphrase" and passphrase_of(step, context) is None:
        raise StepError("the passphrase was not given", do="enter it again")
    return Result(StepStatus.DONE, f"files can be written to {step.place.text}")


def _room(step: BackupTaskStep, context: Context) -> Result:
    """Both sides: what the cluster has, and what there is room for here."""
    now = progress.needed(step.backup)
    store = store_of(step.place)
    expected: dict[str, int] = {}
    unknown = []
    for source in step.sources:
        if context.interrupted.is_set():
            raise CancelledError("stopped while measuring")
        size = measure(source, context.access)
        if size is None:
            unknown.append(source.name)
        else:
            expected[source.name] = size
    progress.save(now.model_copy(update={"expected": expected}))
    whole = {part.source.name for part in now.manifest.parts}
    needed = int(sum(size for name, size in expected.items() if name not in whole) * MARGIN)
    free = store.free()
    doubt = f"; not known of {', '.join(unknown)}" if unknown else ""
    about = f"about {in_bytes(needed)} to copy{doubt}"
    if free is None:
        return Result(StepStatus.DONE, f"{about}; a bucket has no limit that could be asked")
    if free < needed + SPARE:
        raise StepError(
            f"about {in_bytes(needed)} are needed at {step.place.text}, {in_bytes(free)} are free",
            state="nothing was copied",
            do="free some space there, choose another place, or leave something out",
        )
    return Result(StepStatus.DONE, f"{about}, {in_bytes(free)} free{doubt and ''}")


def _verify(step: BackupTaskStep, context: Context) -> Result:
    now = progress.needed(step.backup)
    part = now.manifest.part(step.part)
    if part is None:
        raise StepError(f"{step.part} was not copied", do="copy it first")
    index = None
    if part.source.kind == "bucket":
        index = progress.lines_of_index(progress.work_folder(step.backup) / f"{step.part}.jsonl")
    moved = teller(step.id, context)

    def moving(current: int, total: int | None, items: int, of_items: int) -> None:
        if context.interrupted.is_set():
            raise CancelledError("stopped while reading", state="what is whole stays")
        moved(current, total, items, of_items)

    store = store_of(step.place)
    try:
        said = verify_part(store, step.backup, part, _opener(step, context), moving, index)
    except StepError as error:
        _copy_again(step, error)
        raise
    now = progress.needed(step.backup)
    progress.save(now.model_copy(update={"checked": {**now.checked, step.part: said}}))
    return Result(StepStatus.DONE, said)


def _copy_again(step: BackupTaskStep, error: StepError) -> None:
    """A damaged part does not count as whole: the next backup starts without it."""
    now = progress.needed(step.backup)
    parts = tuple(p for p in now.manifest.parts if p.source.name != step.part)
    manifest = now.manifest.model_copy(update={"parts": parts})
    progress.save(now.model_copy(update={"manifest": manifest}))
    error.do = error.do or "look at the disk or the bucket, then make the backup again"


def _finish(step: BackupTaskStep, context: Context) -> Result:
    """The manifest last: a folder without one is no backup."""
    store = store_of(step.place)
    now = progress.load(step.backup)
    if now is None:
        return _finished_before(store, step)
    missing = [p.source.name for p in now.manifest.parts if p.source.name not in now.checked]
    if missing:
        raise StepError(f"not verified: {', '.join(missing)}", do="verify first")
    manifest = now.manifest.model_copy(
        update={
            "verified_at": context.clock(),
            "left_out": now.manifest.left_out
            + tuple(f"{p.source.name}: {n}" for p in now.manifest.parts for n in p.left_out),
            "how_verified": tuple(f"{name}: {said}" for name, said in now.checked.items()),
        }
    )
    text = manifest.model_dump_json(indent=1) + "\n"
    store_small(store, f"{step.backup}/{MANIFEST}", text.encode())
    if manifest_of(store, step.backup) != manifest:
        raise StepError(f"{step.place.file(step.backup, MANIFEST)} reads back as something else")
    records.remember(manifest, step.place)
    progress.clear(step.backup)
    return Result(StepStatus.DONE, f"{counted(len(manifest.parts), 'part')}, {in_bytes(manifest.bytes)}")  # fmt: skip


def _finished_before(store: Store, step: BackupTaskStep) -> Result:
    """An earlier attempt got as far as the manifest."""
    manifest: Manifest = manifest_of(store, step.backup)
    records.remember(manifest, step.place)
    return Result(StepStatus.DONE, "the manifest had been written already")


def _keep(step: BackupTaskStep) -> Result:
    """Old ones go one by one; each one's manifest first, so that what is left is no backup."""
    assert step.manifest is not None
    store = store_of(step.place)
    prefix = step.backup.rpartition("-")[0].rpartition("-")[0] + "-"
    manifests = all_manifests(store, prefix)
    gone = keeping.too_many(manifests, step.manifest.machines, step.keep)
    for manifest in gone:
        if manifest.backup == step.backup:
            continue
        store.remove(manifest.backup)
        records.forget(manifest.backup)
    names = ", ".join(manifest.backup for manifest in gone)
    return Result(StepStatus.DONE, f"removed: {names}" if gone else "there are no more than that")


def _remove(step: BackupTaskStep) -> Result:
    store = store_of(step.place)
    store.remove(step.backup)
    if store.size(f"{step.backup}/{MANIFEST}") is not None:
        raise StepError(f"{step.place.file(step.backup)} is still there")
    records.forget(step.backup)
    progress.clear(step.backup)
    return Result(StepStatus.DONE, "the copy is gone")
