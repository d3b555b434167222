"""What the events of a run add up to: an immutable value made by a pure reducer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deiswizard.cluster.jobs import Job
from deiswizard.cluster.snapshot import Lock
from deiswizard.plan.plan import Plan
from deiswizard.run.etcd_view import EtcdView
from deiswizard.run.events import Check
from deiswizard.vocabulary import RunStatus, StepStatus

EMPTY: Mapping[str, LayerState] = MappingProxyType({})

ACTED = (StepStatus.DONE, StepStatus.WARNING, StepStatus.UNKNOWN, StepStatus.RUNNING)
"""How a step stands that has changed something, or may have."""


@dataclass(frozen=True, slots=True)
class LayerState:
    """A layer of an image being pulled, in bytes."""

    state: str
    current: int = 0
    total: int | None = None

    @property
    def is_done(self) -> bool:
        """The layer is in the local store."""
        return self.state in ("Pull complete", "Already exists")


@dataclass(frozen=True, slots=True)
class PullState:
    """An image being pulled: its layers by id, and when the first byte was seen."""

    image: str
    layers: Mapping[str, LayerState] = field(default_factory=lambda: EMPTY)
    first_at: float | None = None
    last_at: float | None = None
    present: bool | None = None

    @property
    def layers_done(self) -> int:
        """Layers in the local store."""
        return sum(layer.is_done for layer in self.layers.values())

    @property
    def current(self) -> int:
        """Bytes fetched, summed over layers."""
        return sum(layer.current for layer in self.layers.values())

    @property
    def total(self) -> int | None:
        """Bytes to fetch over all layers; None while any unfinished layer's size is unknown."""
        known = 0
        for layer in self.layers.values():
            if layer.total is None:
                if not layer.is_done:
                    return None
                continue
            known += layer.total
        return known or None

    @property
    def rate(self) -> float:
        """Bytes a second since the first byte, 0 while unknown."""
        if self.first_at is None or self.last_at is None:
            return 0.0
        if self.last_at - self.first_at < 0.5:  # too short to tell anything
            return 0.0
        return self.current / (self.last_at - self.first_at)

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far, None while unknown."""
        total, rate = self.total, self.rate
        if total is None or rate <= 0:
            return None
        return max(0.0, (total - self.current) / rate)


@dataclass(frozen=True, slots=True)
class CopyState:
    """Data being copied or read: bytes and things so far and in all, and when the first was seen."""

    current: int = 0
    total: int | None = None
    items: int = 0
    of_items: int = 0
    first_at: float = 0.0
    first_bytes: int = 0
    last_at: float = 0.0

    @property
    def rate(self) -> float:
        """Bytes a second, 0 while unknown."""
        seconds = self.last_at - self.first_at
        return (self.current - self.first_bytes) / seconds if seconds >= 0.5 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far, None while unknown."""
        if not self.total or self.rate <= 0 or self.current > self.total:
            return None
        return (self.total - self.current) / self.rate


@dataclass(frozen=True, slots=True)
class StepState:
    """How one step stands. ``skipped_by`` is who left it out; ``said`` is then the reason.

    ``job`` is kept until the job's end is known; ``has_job_begun``: its host has confirmed it.
    ``acted_before``: an earlier try may have changed something.
    """

    status: StepStatus = StepStatus.WAITING
    attempt: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    code: int | None = None
    said: str = ""
    do: str = ""
    skipped_by: str = ""
    last_line: str = ""
    lines: int = 0
    pulls: Mapping[str, PullState] = field(default_factory=lambda: MappingProxyType({}))
    copied: CopyState | None = None
    job: Job | None = None
    has_job_begun: bool = False
    acted_before: bool = False

    @property
    def may_have_acted(self) -> bool:
        """Done, or begun and not known to have left all as it was: a failed command may have acted."""
        failed = self.status is StepStatus.FAILED and self.code is not None
        return self.acted_before or failed or self.status in ACTED

    def again(self) -> StepState:
        """Waiting once more; what is still open on its host, or was done there, is not forgotten."""
        return StepState(
            attempt=self.attempt,
            job=self.job,
            has_job_begun=self.has_job_begun,
            acted_before=self.may_have_acted,
        )


@dataclass(frozen=True, slots=True)
class RunState:
    """How the run stands. ``plan`` is None before RunStarted. ``lost`` are hosts out of reach, and since when.

    ``etcd`` is what was seen of etcd's members, in a run that is about them.
    ``by`` is who began it, ``wizard`` the version that ran it.
    ``lock`` is the run's own, as it was taken, until it is given back; ``lock_unconfirmed`` is until when it
    counts as held while etcd does not answer; ``lock_lost`` says why it is
    lost; ``recording_ended`` why nothing more is written to the journal; ``held_by`` is the lock of another run that this one was refused for.
    """

    run: str = ""
    plan: Plan | None = None
    by: str = ""
    wizard: str = ""
    status: RunStatus = RunStatus.RUNNING
    started_at: float | None = None
    finished_at: float | None = None
    last_at: float = 0.0
    stage: str = ""
    steps: Mapping[str, StepState] = field(default_factory=lambda: MappingProxyType({}))
    lost: Mapping[str, float] = field(default_factory=dict)
    verifying: bool = False
    checks: tuple[Check, ...] = ()
    differences: tuple[str, ...] = ()
    stop_requested: bool = False
    lock: Lock | None = None
    lock_unconfirmed: float | None = None
    lock_lost: str = ""
    recording_ended: str = ""
    held_by: Lock | None = None
    etcd: EtcdView | None = None
    said: str = ""

    def count(self, *statuses: StepStatus) -> int:
        """How many steps have one of these statuses."""
        return sum(step.status in statuses for step in self.steps.values())
