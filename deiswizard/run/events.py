"""What happens in a run: frozen facts in the past tense, each one JSON line of the journal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from deiswizard.cluster.etcd_host import EtcdHost
from deiswizard.cluster.jobs import Job
from deiswizard.cluster.snapshot import Lock, Member
from deiswizard.frozen import Frozen
from deiswizard.plan.plan import Plan
from deiswizard.vocabulary import RunStatus, StepStatus


class Check(Frozen):
    """One verified statement. ``ok`` None: it could not be checked.

    ``cells``: the same as a row of a table, where the checks of a recommendation make one.
    """

    title: str
    ok: bool | None
    evidence: str = ""
    cells: tuple[str, ...] = ()


class _EventBase(Frozen):
    """``at`` in seconds since the epoch."""

    at: float


class RunStarted(_EventBase):
    """A run began. The whole plan is in the event, so that a journal alone tells everything.

    ``pid`` is the wizard's process on its machine.
    """

    kind: Literal["run-started"] = "run-started"
    run: str
    plan: Plan
    by: str = ""
    wizard: str = ""
    pid: int = 0


class RunResumed(_EventBase):
    """The run was taken up again, by whom and with which wizard."""

    kind: Literal["run-resumed"] = "run-resumed"
    by: str = ""
    wizard: str = ""
    pid: int = 0


class RunLeft(_EventBase):
    """The wizard stopped following the run. What hosts have begun goes on; the rest waits."""

    kind: Literal["run-left"] = "run-left"
    said: str = ""


class PlanRefused(_EventBase):
    """The cluster had changed since the plan was made; nothing ran."""

    kind: Literal["plan-refused"] = "plan-refused"
    differences: tuple[str, ...]


class LockRefused(_EventBase):
    """Another run held the lock of the cluster; nothing ran."""

    kind: Literal["lock-refused"] = "lock-refused"
    holder: Lock


class LockBroken(_EventBase):
    """The lock of another run was removed. ``said``: why that was right."""

    kind: Literal["lock-broken"] = "lock-broken"
    holder: Lock
    said: str = ""


class LockRequested(_EventBase):
    """The lock was free and is being taken. On disk before the key is written."""

    kind: Literal["lock-requested"] = "lock-requested"
    lock: Lock


class LockAcquired(_EventBase):
    """The lock of the cluster is this run's. Its renewals are no events.

    ``is_again``: it had run out, and nobody has had it since.
    """

    kind: Literal["lock-acquired"] = "lock-acquired"
    lock: Lock
    is_again: bool = False


class LockUnconfirmed(_EventBase):
    """etcd does not say whether the lock is still this run's; it counts as held ``until`` then."""

    kind: Literal["lock-unconfirmed"] = "lock-unconfirmed"
    until: float
    said: str


class LockConfirmed(_EventBase):
    """After LockUnconfirmed: etcd answers again, and the lock is this run's."""

    kind: Literal["lock-confirmed"] = "lock-confirmed"


class LockLost(_EventBase):
    """The lock is no longer this run's: no other step begins. ``said``: why."""

    kind: Literal["lock-lost"] = "lock-lost"
    said: str


class RecordingEnded(_EventBase):
    """Nothing more can be written to the journal: no other step begins. ``said``: why."""

    kind: Literal["recording-ended"] = "recording-ended"
    said: str


class LockReleased(_EventBase):
    """The lock was given back. ``said``: what kept it from being, if something did."""

    kind: Literal["lock-released"] = "lock-released"
    said: str = ""


class StageStarted(_EventBase):
    """A stage began."""

    kind: Literal["stage-started"] = "stage-started"
    stage: str


class StageFinished(_EventBase):
    """A stage's border was crossed."""

    kind: Literal["stage-finished"] = "stage-finished"
    stage: str


class StepStarted(_EventBase):
    """A step began; ``attempt`` counts from 1. Written to disk before anything is done."""

    kind: Literal["step-started"] = "step-started"
    step: str
    attempt: int = 1


class JobPrepared(_EventBase):
    """A job is about to be started on a host. With this on disk it can be found again."""

    kind: Literal["job-prepared"] = "job-prepared"
    step: str
    host: str
    job: Job


class JobStarted(_EventBase):
    """The host has begun the job."""

    kind: Literal["job-started"] = "job-started"
    step: str


class JobGone(_EventBase):
    """What became of the job can no longer be learned: its host was rebooted, or it was cleared
    away. Only the operator's word starts it again.
    """

    kind: Literal["job-gone"] = "job-gone"
    step: str
    said: str


class OutputReceived(_EventBase):
    """Lines that a step's command printed. ``skipped`` lines were dropped before these; ``cursor``
    is how far a job's output was read with them.
    """

    kind: Literal["output-received"] = "output-received"
    step: str
    host: str = ""
    stream: Literal["out", "err"] = "out"
    lines: tuple[str, ...]
    skipped: int = 0
    cursor: str = ""


class LayerProgressed(_EventBase):
    """A layer of an image being pulled. Bytes are None where the engine does not say."""

    kind: Literal["layer-progressed"] = "layer-progressed"
    step: str
    image: str
    layer: str
    state: str
    current: int | None = None
    total: int | None = None


class BytesCopied(_EventBase):
    """How far a copy of data, or the reading of one, has got.

    ``total`` in bytes, None while unknown, and about for a database; ``items`` are objects.
    """

    kind: Literal["bytes-copied"] = "bytes-copied"
    step: str
    current: int
    total: int | None = None
    items: int = 0
    of_items: int = 0


class ImageChecked(_EventBase):
    """A multi-image step found an image there (or could not get it)."""

    kind: Literal["image-checked"] = "image-checked"
    step: str
    image: str
    present: bool
    said: str = ""


class MembersSeen(_EventBase):
    """etcd's members as they were listed, each healthy or not by its own host; and those hosts."""

    kind: Literal["members-seen"] = "members-seen"
    members: tuple[Member, ...]
    hosts: tuple[EtcdHost, ...] = ()


class MemberRemoved(_EventBase):
    """A step took a member from etcd's list. ``member`` is empty when its id was not in the plan."""

    kind: Literal["member-removed"] = "member-removed"
    step: str
    member: str
    host: str
    url: str


class MemberAdded(_EventBase):
    """A step put a member on etcd's list; it is a voter from now on."""

    kind: Literal["member-added"] = "member-added"
    step: str
    member: str
    host: str
    url: str


class WaitPolled(_EventBase):
    """A wait looked and its condition did not hold yet. ``said`` is what it saw."""

    kind: Literal["wait-polled"] = "wait-polled"
    step: str
    said: str = ""


class StepFinished(_EventBase):
    """A step ended. ``code`` is the exit status if there was one; ``said`` the reason in words."""

    kind: Literal["step-finished"] = "step-finished"
    step: str
    status: StepStatus
    code: int | None = None
    said: str = ""
    do: str = ""


class StepSkipped(_EventBase):
    """The operator decided to leave a failed or waiting step out."""

    kind: Literal["step-skipped"] = "step-skipped"
    step: str
    reason: str
    by: str = ""


class RetryRequested(_EventBase):
    """The operator asked for these failed steps again; they are waiting once more."""

    kind: Literal["retry-requested"] = "retry-requested"
    steps: tuple[str, ...]


class HostLost(_EventBase):
    """The connection to a host broke."""

    kind: Literal["host-lost"] = "host-lost"
    host: str
    said: str = ""


class HostReturned(_EventBase):
    """The connection to a host was made again."""

    kind: Literal["host-returned"] = "host-returned"
    host: str


class DecisionNeeded(_EventBase):
    """A stage ended with failed steps: retry, skip, or stop."""

    kind: Literal["decision-needed"] = "decision-needed"
    stage: str
    failed: tuple[str, ...]


class StopRequested(_EventBase):
    """The operator asked to stop. ``now``: what the hosts have begun may still finish."""

    kind: Literal["stop-requested"] = "stop-requested"
    now: bool = False


class VerifyStarted(_EventBase):
    """The cluster is being looked at again."""

    kind: Literal["verify-started"] = "verify-started"


class Verified(_EventBase):
    """What the new look said."""

    kind: Literal["verified"] = "verified"
    checks: tuple[Check, ...]


class RunFinished(_EventBase):
    """The run ended. ``done`` only when every check of a new look held."""

    kind: Literal["run-finished"] = "run-finished"
    status: RunStatus
    said: str = ""


Event = Annotated[
    RunStarted
    | RunResumed
    | RunLeft
    | PlanRefused
    | LockRefused
    | LockBroken
    | LockRequested
    | LockAcquired
    | LockUnconfirmed
    | LockConfirmed
    | LockLost
    | RecordingEnded
    | LockReleased
    | StageStarted
    | StageFinished
    | StepStarted
    | JobPrepared
    | JobStarted
    | JobGone
    | OutputReceived
    | LayerProgressed
    | BytesCopied
    | ImageChecked
    | MembersSeen
    | MemberRemoved
    | MemberAdded
    | WaitPolled
    | StepFinished
    | StepSkipped
    | RetryRequested
    | HostLost
    | HostReturned
    | DecisionNeeded
    | StopRequested
    | VerifyStarted
    | Verified
    | RunFinished,
    Field(discriminator="kind"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads an event from JSON: ``EVENT.validate_json(line)``."""
