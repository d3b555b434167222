"""``deiswizard runs``: what was run, newest first."""

from __future__ import annotations

import argparse
import json

from deiswizard.commands.saying import result
from deiswizard.errors import WizardError
from deiswizard.run.folders import list_runs
from deiswizard.run.replay import final_state
from deiswizard.run.summary import headline


def run(args: argparse.Namespace) -> int:
    """One line a run."""
    states = []
    for folder in list_runs():
        try:
            states.append(final_state(folder))
        except WizardError:
            continue
    if args.json:
        result(json.dumps([{"run": s.run, "status": s.status} for s in states], indent=2))
    else:
        result("\n".join(headline(state) for state in states) or "nothing was run yet")
    return 0
