"""``deiswizard restore BACKUP``: prove a backup, try it in a scratch server, or write it back."""

from __future__ import annotations

import argparse
import os

from pydantic import SecretStr

from deiswizard.backup.data import Manifest, Part
from deiswizard.backup.places import manifest_of, store_of
from deiswizard.backup.verifying import pieces_of, verify_part
from deiswizard.backup.writing import place_named, try_in_scratch
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.commands.apply import run_all
from deiswizard.commands.opening import opened
from deiswizard.commands.saying import result, talk
from deiswizard.commands.secrets import ask_secret
from deiswizard.errors import AnswersError
from deiswizard.local_files import absolute
from deiswizard.materials import Prepared, make_plan
from deiswizard.recommendations.restore import declaration as restore
from deiswizard.recommendations.restore.declaration import RECOMMENDATION, RestoreChoices
from deiswizard.run.restoring import opener_of
from deiswizard.wording import at_time, in_bytes

SCRATCH = "DEISWIZARD_SCRATCH"


def run(args: argparse.Namespace) -> int:
    """Read it again, and then what was asked for."""
    place, name = place_named(args.backup, args.endpoint or "", args.profile or "")
    store = store_of(place)
    manifest = manifest_of(store, name)
    told = f"{place.file(name)}: {manifest.cluster}, verified {at_time(manifest.verified_at)}, "
    talk(told + in_bytes(manifest.bytes))
    passphrase = _passphrase(manifest)
    key = absolute(args.private_key) if args.private_key else ""
    scratch = args.scratch or (os.environ.get(SCRATCH, "") if args.scratch is not None else "")
    if args.check or args.scratch is not None:
        opener = opener_of(manifest.seal.how, passphrase, key)
        for part in manifest.parts:
            said = verify_part(store, name, part, opener, lambda *words: None)
            talk(f"ok       {part.source.name}: {said}")
        if args.scratch is not None:
            part = _dump(manifest)
            pieces = pieces_of(store, f"{name}/{part.file.name}", part.file, opener)
            talk(f"restored {try_in_scratch(pieces, scratch)}")
        result(f"{name}: every file was read again and is right")
        return 0
    choices = RestoreChoices(
        place=place,
        backup=name,
        private_key=key,
        backup_passphrase=passphrase or SecretStr(""),
        database=args.database,
        confirm=args.confirm or "",
    )
    choices, problems = restore.read(choices)
    if problems:
        raise AnswersError(problems[0].what)
    with opened(args) as session:
        before = session.look(restore.RECOMMENDATION.id)
        return run_all(args, session, [_prepared(before, choices)], before)


def _dump(manifest: Manifest) -> Part:
    part = manifest.part("database")
    if part is None:
        raise AnswersError("the backup holds no dump of the database to try")
    return part


def _prepared(before: Snapshot, choices: RestoreChoices) -> Prepared:
    blocking = [p for p in restore.check_choices(before, choices) if p.blocks]
    if blocking:
        words = (f"{p.what}" + (f"; {p.allowed}" if p.allowed else "") for p in blocking)
        raise AnswersError(
            "\n".join(words), do=f"--confirm '{restore.CONFIRM}', or another cluster"
        )
    return make_plan(RECOMMENDATION, before, choices)


def _passphrase(manifest: Manifest) -> SecretStr | None:
    """From the environment, or typed unseen."""
    if manifest.seal.how != "passphrase":
        return None
    given = ask_secret(RECOMMENDATION.fields[0])
    if given is None:
        raise AnswersError(
            "the backup is encrypted by a passphrase, and none was given",
            do="type it on a terminal, or set DEISWIZARD_SECRET_BACKUP_PASSPHRASE",
        )
    return given
