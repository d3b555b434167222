"""The few kinds of error. Each says what happened, how the cluster stands, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deiswizard.cluster.snapshot import Lock


class WizardError(Exception):
    """Base of every error that the wizard shows to the operator.

    Args:
        what: what happened, one sentence without a full stop.
        said: the remote program's own words, if any. Never contains a secret.
        state: what state the cluster is in now.
        do: what the operator can do.
    """

    def __init__(self, what: str, *, said: str = "", state: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.said = said
        self.state = state
        self.do = do

    @property
    def is_outcome_unknown(self) -> bool:
        """What was asked for may have been done, or may be done later: look before asking again."""
        return self.state.startswith("not known")

    def __str__(self) -> str:
        return f"{self.what}: {self.said}" if self.said else self.what


class PreconditionError(WizardError):
    """Something is missing before any change was made."""


class AnswersError(PreconditionError):
    """Answers or flags are wrong; ``what`` names file, line, field and what is allowed."""


class LockedError(PreconditionError):
    """Another run holds the lock of the cluster; ``holder`` is whose and for what."""

    def __init__(
        self, what: str, *, holder: Lock, said: str = "", state: str = "", do: str = ""
    ) -> None:
        super().__init__(what, said=said, state=state, do=do)
        self.holder = holder


class HostError(WizardError):
    """One host could not be reached, logged in to, or asked. Other hosts go on."""

    def __init__(
        self, host: str, what: str, *, said: str = "", state: str = "", do: str = ""
    ) -> None:
        super().__init__(what, said=said, state=state, do=do)
        self.host = host


class HostKeyError(HostError):
    """A host key is unknown and was not accepted, has changed, or is revoked."""


class LoginError(HostError):
    """The host answered, but refused every key."""


class LinkError(HostError):
    """The connection could not be made or was lost. What ran there is UNKNOWN, not failed.

    ``is_transient``: the network was at fault (time-out, reset), so another try may go through.
    """

    is_transient = False


class ServiceError(WizardError):
    """etcd, fleet or Docker answered with an error, or not at all.

    ``is_transient``: the service says that it cannot answer just now, and has done nothing.
    """

    is_transient = False


class PullError(ServiceError):
    """The Docker engine could not pull an image; ``said`` is the daemon's own text."""


class StepError(WizardError):
    """A step did not do what it should have."""


class NeverHoldsError(StepError):
    """What is waited for cannot come true any more."""


class PlanStaleError(WizardError):
    """The cluster has changed since the plan was made.

    Args:
        differences: one sentence for each thing that changed.
    """

    def __init__(self, differences: tuple[str, ...]) -> None:
        super().__init__(
            "the cluster has changed since this plan was made",
            said="; ".join(differences),
            state="nothing was changed by this plan",
            do="look again and make a new plan",
        )
        self.differences = differences


class CancelledError(WizardError):
    """The operator asked to stop."""
