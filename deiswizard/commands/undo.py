"""``deiswizard undo RUN``: take a run back, by a plan like any other."""

from __future__ import annotations

import argparse

from deiswizard.commands.apply import prepared, run_all
from deiswizard.commands.opening import opened
from deiswizard.run.folders import find_run
from deiswizard.run.replay import final_state
from deiswizard.run.undo import undo_plan


def run(args: argparse.Namespace) -> int:
    """Preview, confirm, run, verify."""
    folder = find_run(args.run)
    state = final_state(folder)
    with opened(args, run=folder) as session:
        names = [state.plan.recommendation] if state.plan else []
        before = session.look(*names)
        return run_all(args, session, [prepared(undo_plan(state, before))], before)
