"""A plan: changes, stages and impact for one set of choices, made from one snapshot. Data only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from deiswizard.frozen import Frozen
from deiswizard.plan.step import SECRET, Step
from deiswizard.vocabulary import Danger


class Change(Frozen):
    """One setting: where, what it is, what it shall be. None: it does not exist (before or after).

    ``steps`` are the ids of the steps that make it, all of them; empty: the plan's as a whole.
    """

    where: str
    current: str | None
    desired: str | None
    note: str = ""
    steps: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        """``+`` made, ``-`` removed, ``~`` changed, ``=`` stays: readable without colour."""
        if self.current == self.desired:
            return "="
        if self.current is None:
            return "+"
        return "-" if self.desired is None else "~"


class Stage(Frozen):
    """Steps that may run side by side; stages run one after the other.

    Steps of one host run in order, one at a time; ``hosts_at_a_time`` hosts run side by side.
    A failed step does not stop the others, except those that need it; the end of the stage does.
    ``is_vital``: what comes after rests on each of its steps, so none of them can be left out.
    """

    id: str
    title: str
    steps: tuple[Step, ...]
    hosts_at_a_time: int = 32
    is_vital: bool = False

    @property
    def vital(self) -> Stage:
        """The same stage, of which nothing can be left out."""
        return self.model_copy(update={"is_vital": True})

    def undoing(self, *steps: str) -> Stage:
        """The same stage, tied to the steps whose change it takes back."""
        tied = (step.model_copy(update={"undoes": steps}) for step in self.steps)
        return self.model_copy(update={"steps": tuple(tied)})


def chained(steps: Iterable[Step | None]) -> tuple[Step, ...]:
    """Each step needs the one before it; None stands for one that is not needed."""
    done: list[Step] = []
    for step in steps:
        if step is not None:
            needs = (done[-1].id,) if done else ()
            done.append(step.model_copy(update={"needs": needs}))
    return tuple(done)


def worst(steps: Iterable[Step]) -> Danger:
    """The greatest danger of these steps."""
    return max((step.danger for step in steps), key=lambda danger: danger.rank, default=Danger.READ)


class Impact(Frozen):
    """What the plan costs.

    ``restarts`` names what restarts and where; ``duration`` in words; ``undo`` says how it is
    taken back, or that it cannot be.
    """

    danger: Danger
    restarts: tuple[str, ...] = ()
    duration: str = ""
    undo: str = ""
    notes: tuple[str, ...] = ()


class KeyBasis(Frozen):
    """An etcd key as the plan saw it: 0 means absent."""

    key: str
    index: int


class FileBasis(Frozen):
    """A file on a host as the plan saw it: empty means absent."""

    host: str
    path: str
    sha256: str


class MemberBasis(Frozen):
    """A member of etcd as the plan saw it."""

    id: str
    peer_url: str


class Basis(Frozen):
    """What a plan was made from. Before it runs, all of this is read again and must be the same.

    ``members`` empty: etcd's members do not matter to it.
    """

    taken_at: float
    etcd_index: int = 0
    keys: tuple[KeyBasis, ...] = ()
    files: tuple[FileBasis, ...] = ()
    machines: tuple[str, ...] = ()
    members: tuple[MemberBasis, ...] = ()


class Plan(Frozen):
    """What will change and run. Can be saved and read; the runner's only input.

    ``choices`` are the choices it was made from, as JSON without secrets. ``undo`` are the stages
    that take it back, what was done last first; empty when ``impact.undo`` says that it cannot be or
    needs not be. ``undo_of`` is the run that an undo takes back. ``fingerprints`` tell what was read
    on the operator's machine from anything else that stands there later. ``no_lock`` says why it is run
    without the cluster's lock; empty: with it.
    """

    version: Literal[1] = 1
    recommendation: str
    title: str
    cluster: str
    choices: dict[str, Any] = Field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    stages: tuple[Stage, ...] = ()
    impact: Impact
    basis: Basis
    undo: tuple[Stage, ...] = ()
    fingerprints: dict[str, str] = Field(default_factory=dict)
    is_undo: bool = False
    undo_of: str = ""
    no_lock: str = ""

    @model_validator(mode="after")
    def _undo_goes_backwards(self) -> Plan:
        """A way back that names a step nobody has would never be taken."""
        numbers = {step.id: n for n, stage in enumerate(self.stages) for step in stage.steps}
        last = len(self.stages)
        for step in (step for stage in self.undo for step in stage.steps if step.undoes):
            if missing := set(step.undoes) - set(numbers):
                raise ValueError(f"undo step {step.id} undoes what is no step: {sorted(missing)}")
            number = max(numbers[name] for name in step.undoes)
            if number > last:
                raise ValueError(f"undo step {step.id} comes too late: the last change goes first")
            last = number
        return self

    @model_validator(mode="after")
    def _what_is_awaited_is_there(self) -> Plan:
        """A guard of a step that nobody has would never be asked again. A run's way back is part of one."""
        for stages in () if self.is_undo else (self.stages, self.undo):
            names = {step.id for stage in stages for step in stage.steps}
            for step in (step for stage in stages for step in stage.steps):
                if missing := set(step.until) - names:
                    raise ValueError(f"step {step.id} guards what is no step: {sorted(missing)}")
        return self

    @property
    def steps(self) -> Iterator[Step]:
        """Every step, in order."""
        for stage in self.stages:
            yield from stage.steps

    def may_be_left_out(self, step: str) -> bool:
        """Whether the operator may decide that this step is not done: no guard, and nothing rests on it."""
        found = ((s, stage) for stage in self.stages for s in stage.steps if s.id == step)
        return any(s.kind != "guard" and not stage.is_vital for s, stage in found)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets that its steps need."""
        found: dict[str, None] = {}
        for step in self.steps:
            found |= dict.fromkeys(SECRET.findall(step.model_dump_json()))
        return tuple(found)

    @property
    def is_empty(self) -> bool:
        """Nothing to do: everything is as wanted already."""
        return not any(step.danger is not Danger.READ for step in self.steps)
