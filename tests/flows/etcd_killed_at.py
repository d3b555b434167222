"""A wizard that is killed with -9 at a chosen moment of a chosen step of Isolating etcd.

``python -m tests.flows.etcd_killed_at STEP MOMENT TARGET.json WAY``: WAY is ``there`` or ``back``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deiswizard.commands.opening import TerminalAsker
from deiswizard.inventory import saved_target
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.run.folders import find_run
from deiswizard.run.replay import final_state
from deiswizard.run.undo import undo_plan
from deiswizard.session import Session
from tests.flows.killed_at import arm


def main() -> None:
    """Run until killed."""
    step, moment, target, way = sys.argv[1:]
    session = Session.open(saved_target(Path(target)), TerminalAsker())
    before = session.look()
    if way == "back":
        plan = undo_plan(final_state(find_run("last")), before)
    else:
        plan = etcd.RECOMMENDATION.plan(before, etcd.RECOMMENDATION.defaults(before))
    run = session.start(plan, before=before, on_event=arm(session, step, moment))
    run.wait()
    sys.exit(f"not killed: {run.hub.state.status} {run.hub.state.said}")


if __name__ == "__main__":
    main()
