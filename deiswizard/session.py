"""A connected cluster, as screens and commands use it: look, start a plan, close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from deiswizard.backup import records
from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.cluster.connection import ClusterConnection
from deiswizard.cluster.lock_key import read_lock
from deiswizard.cluster.probe import probe
from deiswizard.cluster.snapshot import Lock, Snapshot
from deiswizard.inventory import Target, login_words, save_target
from deiswizard.materials import choices_again, refuse_lacking
from deiswizard.plan.plan import Plan
from deiswizard.plan.reach import Reach, reach_of
from deiswizard.recommendations import catalogue
from deiswizard.run import handover
from deiswizard.run.events import Check, Event
from deiswizard.run.folders import TARGET, new_run_folder, runs_folder
from deiswizard.run.lock import is_left_behind
from deiswizard.run.resume import Unfinished
from deiswizard.run.runner import Run
from deiswizard.run.undo import verify_undo

Verify = Callable[[Snapshot], tuple[Check, ...]]


def _verifier(plan: Plan, before: Snapshot, secrets: Mapping[str, SecretStr]) -> Verify:
    """What judges the look after a run. Raises PreconditionError where the plan cannot run here."""
    refuse_lacking(plan, (name for name in plan.secrets if name not in secrets))
    recommendation = catalogue.named(plan.recommendation)
    if plan.is_undo:
        return lambda after: (*verify_undo(plan, after), *recommendation.taken_back(plan, after))
    choices = choices_again(plan, secrets)
    return lambda after: recommendation.verify(before, after, choices)


class Session:
    """One cluster, connected. All calls block; call them from a thread of the engine's."""

    def __init__(self, access: ClusterConnection, target: Target) -> None:
        self.access = access
        self.target = target
        self._is_fresh = True
        self._since = time.time()

    @classmethod
    def open(
        cls,
        target: Target,
        asker: Asker,
        on_progress: Callable[[ConnectProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Session:
        """Connect. Raises as ``ClusterConnection.open``."""
        nobody: Callable[[ConnectProgress], None] = lambda progress: None  # noqa: E731
        access = ClusterConnection.open(target, asker, on_progress or nobody, cancel)
        return cls(access, target)

    @property
    def name(self) -> str:
        """What the operator calls the cluster."""
        return self.access.name

    def look(self, *recommendations: str) -> Snapshot:
        """Probe: what all recommendations need to know, or only those of these ids.

        Hosts that were out of reach are tried again. Raises LinkError.
        """
        if not self._is_fresh:
            self.access.refresh()
        self._is_fresh = False
        looked = probe(self.access, partial(catalogue.questions, of=recommendations))
        known = records.all_known()
        if not self.outlives_us:  # a cluster of this program's own was never backed up before
            known = tuple(fact for fact in known if fact.verified_at >= self._since)
        return looked.model_copy(update={"backups": known, "login": login_words(self.target)})

    def reach(self, snapshot: Snapshot) -> Reach:
        """How the operator's own ssh gets to the hosts of ``snapshot``."""
        entry = self.access.entry
        return reach_of(
            self.access.target, snapshot, entry_name=entry.name, dialled=entry.peer_address
        )

    def start(
        self,
        plan: Plan,
        *,
        before: Snapshot,
        secrets: Mapping[str, SecretStr] | None = None,
        interactive: bool = False,
        break_lock: str = "",
        on_event: Callable[[Event], None] | None = None,
    ) -> Run:
        """Start a plan that was made from ``before``; the run is verified by a new look, which asks what all
        recommendations need when somebody decides on the way (``interactive``).

        ``on_event`` hears every event, the first too.
        ``break_lock`` is the token of the lock that the operator has decided to break.
        ``secrets`` are those that the plan's steps need (``materials.secrets_for``). They, and those
        that the look found in etcd, are kept out of the run's files.

        Raises:
            PreconditionError: a secret is missing, or a file that the plan was made with.
            OSError: the run's folder cannot be made.
        """
        verify = _verifier(plan, before, secrets or {})
        folder = new_run_folder(time.time())
        save_target(folder / TARGET, self.target)
        return self._run(
            plan, folder, before, (), verify, secrets, interactive, break_lock, on_event
        )

    def resume(
        self,
        cut_off: Unfinished,
        *,
        before: Snapshot,
        secrets: Mapping[str, SecretStr] | None = None,
        interactive: bool = False,
        break_lock: str = "",
        on_event: Callable[[Event], None] | None = None,
    ) -> Run:
        """Take a run up again, seen from ``before``; otherwise as ``start``.

        Raises:
            PreconditionError: another wizard on this machine runs it; as ``start``.
        """
        return self._run(
            cut_off.plan,
            cut_off.folder,
            before,
            cut_off.events,
            _verifier(cut_off.plan, before, secrets or {}),
            secrets,
            interactive,
            break_lock,
            on_event,
        )

    def _run(
        self,
        plan: Plan,
        folder: Path,
        before: Snapshot,
        earlier: Sequence[Event],
        verify: Verify,
        secrets: Mapping[str, SecretStr] | None,
        interactive: bool,
        break_lock: str,
        on_event: Callable[[Event], None] | None,
    ) -> Run:
        # who watches goes back to the overview: what is seen after the run is shown there, of all
        asked = () if interactive else (plan.recommendation,)
        run = Run(
            plan,
            self.access,
            folder=folder,
            look=partial(self.look, *asked),
            verify=verify,
            secrets=secrets,
            keep_out=[fact.secret for fact in before.keys if fact.secret is not None],
            interactive=interactive,
            break_lock=break_lock,
            earlier=earlier,
        )
        if on_event is not None:
            run.hub.subscribe(on_event)
        run.start()
        return run

    def lock_holder(self) -> Lock | None:
        """Whose lock would keep a run from beginning now. Raises ServiceError, LinkError."""
        holder = read_lock(self.access.etcd(), quorum=True)
        return None if holder is None or is_left_behind(holder, runs_folder()) else holder

    @property
    def outlives_us(self) -> bool:
        """The cluster is there when this program has ended: it is no pretended one."""
        return not self.target.is_pretended

    def hand_over(self, folder: Path) -> int:
        """As ``handover.begin``."""
        return handover.begin(folder)

    def close(self) -> None:
        """End every connection."""
        self.access.close()
