"""A connected cluster, as screens and commands use it: look, start a plan, close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.cluster.connection import ClusterConnection
from deiswizard.cluster.probe import probe
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.inventory import Target
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import catalogue
from deiswizard.run.events import Check
from deiswizard.run.folders import new_run_folder
from deiswizard.run.runner import Run
from deiswizard.run.undo import verify_undo


class Session:
    """One cluster, connected. All calls block; call them from a thread of the engine's."""

    def __init__(self, access: ClusterConnection) -> None:
        self.access = access
        self._is_fresh = True

    @classmethod
    def open(
        cls,
        target: Target,
        asker: Asker,
        on_progress: Callable[[ConnectProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Session:
        """Connect. Raises as ``ClusterConnection.open``."""
        return cls(
            ClusterConnection.open(target, asker, on_progress or (lambda progress: None), cancel)
        )

    @property
    def name(self) -> str:
        """What the operator calls the cluster."""
        return self.access.name

    def look(self) -> Snapshot:
        """Probe. Hosts that were out of reach are tried again. Raises LinkError."""
        if not self._is_fresh:
            self.access.refresh()
        self._is_fresh = False
        return probe(self.access, catalogue.questions)

    def start(
        self,
        plan: Plan,
        *,
        before: Snapshot,
        secrets: Mapping[str, SecretStr] | None = None,
        interactive: bool = False,
    ) -> Run:
        """Start a plan that was made from ``before``; the run is verified by a new look.

        Secrets that the look found in etcd are kept out of the run's files.

        Raises:
            OSError: the run's folder cannot be made.
        """

        def verify(after: Snapshot) -> tuple[Check, ...]:
            if plan.is_undo:
                return verify_undo(plan, after)
            recommendation = catalogue.named(plan.recommendation)
            choices = recommendation.choices.model_validate(plan.choices)
            return recommendation.verify(before, after, choices)

        run = Run(
            plan,
            self.access,
            folder=new_run_folder(time.time()),
            look=self.look,
            verify=verify,
            secrets=secrets,
            keep_out=[fact.secret for fact in before.keys if fact.secret is not None],
            interactive=interactive,
        )
        run.start()
        return run

    def close(self) -> None:
        """End every connection."""
        self.access.close()
