"""The closed lists of words that the screens, the JSON output and the docs share."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How a recommendation stands on the cluster."""

    UNKNOWN = "unknown"
    CHECKING = "checking"
    TO_DO = "to do"
    PARTLY = "partly"
    AT_RISK = "at risk"
    SOON = "soon"
    OK = "ok"
    BY_CHOICE = "by choice"


SYMBOLS = {
    Status.OK: ("✓", "ok"),
    Status.TO_DO: ("○", "."),
    Status.PARTLY: ("!", "!"),
    Status.SOON: ("!", "!"),
    Status.AT_RISK: ("✗", "X"),
    Status.BY_CHOICE: ("–", "-"),
    Status.UNKNOWN: ("?", "?"),
    Status.CHECKING: ("…", ".."),
}


def symbol_of(status: Status, *, ascii_only: bool = False) -> str:
    """The mark that stands beside the word, never alone."""
    return SYMBOLS[status][ascii_only]


class StepStatus(StrEnum):
    """How a step, or a host in a run, stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Nothing more happens to such a step unless the operator asks for it."""
        return self not in (StepStatus.WAITING, StepStatus.RUNNING)

    @property
    def lets_others_go_on(self) -> bool:
        """Steps that need this one may start."""
        return self in (StepStatus.DONE, StepStatus.WARNING)


class RunStatus(StrEnum):
    """How a run as a whole stands."""

    RUNNING = "running"
    NEEDS_DECISION = "needs decision"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


class JobWay(StrEnum):
    """How a long command is kept going on a host without the connection that started it."""

    UNIT = "unit"
    SETSID = "setsid"


class Danger(StrEnum):
    """What a step can cost, from nothing to data."""

    READ = "read"
    WRITE = "write"
    RESTART = "restart"
    DESTROY = "destroy"

    @property
    def rank(self) -> int:
        """0 for read to 3 for destroy, for sorting."""
        return list(Danger).index(self)
