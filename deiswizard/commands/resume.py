"""``deiswizard resume RUN``: take a run up again, or follow it while another wizard runs it."""

from __future__ import annotations

import argparse

from deiswizard.commands.apply import Narrator, agreed, ended
from deiswizard.commands.breaking import token_to_break
from deiswizard.commands.following import asked_to_stop, to_the_end
from deiswizard.commands.opening import opened
from deiswizard.commands.saying import talk
from deiswizard.commands.secrets import ask_secret
from deiswizard.materials import secrets_for
from deiswizard.run import handover
from deiswizard.run.folders import find_run
from deiswizard.run.live import LiveRun
from deiswizard.run.resume import Unfinished, unfinished
from deiswizard.run.summary import lines


def run(args: argparse.Namespace) -> int:
    """Say how it stands, look, confirm, go on with what is missing, verify."""
    folder = find_run(args.run)
    found = unfinished(folder)
    if found.is_live and not args.take_over:
        return follow(args, found)
    talk("\n".join(lines(found.state)))
    secrets = secrets_for(found.plan, ask_secret)
    with opened(args, run=folder) as session:
        before = session.look(found.plan.recommendation)
        if args.take_over:
            handover.await_free(folder)
            found = unfinished(folder)
        elif not agreed(found.plan, args.yes, f"Go on with run {folder.name}?"):
            return 1
        token = token_to_break(session, args)
        with asked_to_stop() as asks:
            run = session.resume(
                found,
                before=before,
                secrets=secrets,
                break_lock=token,
                on_event=Narrator(found.plan).tell,
            )
            return ended([to_the_end(run, asks)], args.json)


def follow(args: argparse.Namespace, found: Unfinished) -> int:
    """Tell what the other wizard does, from now on."""
    run = LiveRun(found.folder)
    with asked_to_stop() as asks:
        talk(f"run {run.id} goes on in another wizard; following it. ctrl-c asks that one to stop")
        run.hub.subscribe(Narrator(run.plan).tell)
        run.start()
        return ended([to_the_end(run, asks)], args.json)
