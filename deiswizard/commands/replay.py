"""``deiswizard replay RUN``: the run again, through the same panes or as lines."""

from __future__ import annotations

import argparse

from deiswizard.commands.apply import Narrator
from deiswizard.commands.guided import wants_plain
from deiswizard.commands.saying import result, talk
from deiswizard.run.folders import find_run
from deiswizard.run.journal import read_journal
from deiswizard.run.replay import Replay
from deiswizard.run.summary import headline


def run(args: argparse.Namespace) -> int:
    """On the screen where there is one."""
    folder = find_run(args.run)
    if args.json:
        for event in read_journal(folder):
            result(event.model_dump_json())
        return 0
    replay = Replay(folder, speed=args.speed)
    if wants_plain(args):
        replay.hub.subscribe(Narrator(replay.plan).tell)
        replay.start()
        replay.ended.wait()
        result(headline(replay.hub.state))
        return 0
    from deiswizard.screens.app import WizardApp

    app = WizardApp(start=None, replay=replay, ascii_only=args.ascii)
    app.run()
    if app.return_value:
        talk(app.return_value)
    return 0
