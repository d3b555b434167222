"""``deiswizard show RUN``: exactly how far a run got, from its journal alone."""

from __future__ import annotations

import argparse
import json

from deiswizard.commands.apply import as_json
from deiswizard.commands.saying import result
from deiswizard.run.folders import find_run
from deiswizard.run.record import record
from deiswizard.run.replay import final_state
from deiswizard.run.summary import lines


def run(args: argparse.Namespace) -> int:
    """Every host and step, the checks, where the files are."""
    folder = find_run(args.run)
    state = final_state(folder)
    if args.json:
        result(json.dumps(as_json(state), indent=2))
    elif args.markdown:
        result(record(state).rstrip("\n"))
    else:
        result("\n".join([*lines(state), f"  journal: {folder}"]))
    return 0
