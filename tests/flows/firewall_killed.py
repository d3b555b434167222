"""A wizard that is killed with -9 while rules are on trial: ``python -m tests.flows.firewall_killed STEP TARGET.json SECONDS``.

The product's own run of its own plan; only the moment of the kill is chosen.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from deiswizard.commands.opening import TerminalAsker
from deiswizard.inventory import saved_target
from deiswizard.recommendations.security import declaration as security
from deiswizard.run import events as e
from deiswizard.session import Session


def main() -> None:
    """Run until killed."""
    step, target, seconds = sys.argv[1:]
    session = Session.open(saved_target(Path(target)), TerminalAsker())
    before = session.look()
    offered = security.defaults(before)
    choices = offered.model_copy(update={"part": "hosts", "rollback_seconds": int(seconds)})

    def hear(event: e.Event) -> None:
        if isinstance(event, e.StepFinished) and event.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    run = session.start(security.plan(before, choices), before=before, on_event=hear)
    run.wait()
    sys.exit(f"not killed: {run.hub.state.status} {run.hub.state.said}")


if __name__ == "__main__":
    main()
