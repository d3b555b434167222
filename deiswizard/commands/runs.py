"""``deiswizard runs``: what was run, newest first."""

from __future__ import annotations

import argparse
import json

from deiswizard.commands.saying import result
from deiswizard.run.history import all_runs
from deiswizard.run.summary import in_a_line


def run(args: argparse.Namespace) -> int:
    """One line a run."""
    runs = all_runs()
    if args.json:
        result(json.dumps([{"run": r.run, "status": r.status} for r in runs], indent=2))
    else:
        lines = [in_a_line(r.run, r.title, r.cluster, r.began, r.status) for r in runs]
        result("\n".join(lines) or "nothing was run yet")
    return 0
