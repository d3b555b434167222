"""Settings in etcd that a plan changes: the writes, what is kept for the way back, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deiswizard.cluster.snapshot import KeyFact, Snapshot
from deiswizard.plan.keeping import keep, put_back
from deiswizard.plan.plan import Change, KeyBasis, Stage, chained
from deiswizard.plan.step import RemoveKeyStep, Step, WriteKeyStep
from deiswizard.vocabulary import Danger

SECRET_NOW = "(a secret)"


@dataclass(frozen=True)
class Setting:
    """A key and what it shall be. ``value`` None: absent. ``shown`` for eyes; ``is_secret``: kept in etcd.

    ``is_fleeting``: what stands there is written by a component for some seconds, so it is neither
    expected nor put back. ``stays``: the way back leaves it, because what it took away cannot be there
    together with what came.
    """

    key: str
    value: str | None
    shown: str = ""
    is_secret: bool = False
    is_fleeting: bool = False
    stays: bool = False

    @property
    def step(self) -> str:
        """The id of the step that sets it."""
        return f"set:{self.key}"

    @property
    def name(self) -> str:
        """``router/sslCert``."""
        return self.key.removeprefix("/deis/")


def changed(snapshot: Snapshot, group: Sequence[Setting]) -> list[Setting]:
    """Those that are not so already. What a secret is cannot be told from a saved look: written; and what
    a component says of itself is gone with it, whatever it says.
    """
    found = []
    for setting in group:
        fact = snapshot.key(setting.key)
        if (fact.text if fact else None) != setting.value or setting.is_fleeting:
            found.append(setting)
    return found


def writes(snapshot: Snapshot, group: Sequence[Setting]) -> tuple[Step, ...]:
    """One after the other, each as it is expected to stand."""
    steps: list[Step] = []
    for setting in group:
        fact = snapshot.key(setting.key)
        if setting.value is None:
            steps.append(
                RemoveKeyStep(
                    id=setting.step,
                    title=f"remove {setting.name}",
                    key=setting.key,
                    expect=None if setting.is_fleeting or fact is None else fact.index,
                    danger=Danger.WRITE,
                    undo="the value before is written back",
                )
            )
        else:
            steps.append(
                WriteKeyStep(
                    id=setting.step,
                    title=f"set {setting.name}",
                    key=setting.key,
                    value=setting.value,
                    expect=None if setting.is_fleeting else fact.index if fact else 0,
                    danger=Danger.WRITE,
                    undo="the value before is put back" if fact else "the key is removed again",
                )
            )
    return chained(steps)


def keeps(snapshot: Snapshot, group: Sequence[Setting], token: str) -> tuple[Step, ...]:
    """The steps before the change that keep the former values of secrets."""
    return tuple(keep(token, s.key) for s in group if s.is_secret and _former(snapshot, s))


def _former(snapshot: Snapshot, setting: Setting) -> KeyFact | None:
    return None if setting.is_fleeting else snapshot.key(setting.key)


def backs(
    snapshot: Snapshot, group: Sequence[Setting], token: str = ""
) -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    """The way back, the last first: the former values, and then the copies of secrets removed. ``token``: as in ``keeps``."""
    stages, forgotten = [], []
    for setting in reversed(group):
        fact = _former(snapshot, setting)
        if setting.stays:
            continue
        if setting.is_secret:
            back, *forget = put_back(token, setting.key, setting.step, was_there=fact is not None)
            forgotten += forget
            stages.append(_stage(f"back-{setting.key}", f"{setting.name} as before", back))
            continue
        step: Step
        if fact is None:
            step = RemoveKeyStep(
                id=f"back:{setting.key}",
                title=f"remove {setting.name} again",
                key=setting.key,
                danger=Danger.WRITE,
            )
        else:
            step = WriteKeyStep(
                id=f"back:{setting.key}",
                title=f"put {setting.name} back",
                key=setting.key,
                value=fact.text,
                danger=Danger.WRITE,
            )
        stage = _stage(f"back-{setting.key}", f"{setting.name} as before", step)
        stages.append(stage.undoing(setting.step))
    forgets = tuple(_stage(f"forget-{n}", "Forget", step) for n, step in enumerate(forgotten))
    return tuple(stages), forgets


def _stage(name: str, title: str, step: Step) -> Stage:
    return Stage(id=name, title=title, steps=(step,))


def change(snapshot: Snapshot, setting: Setting, now: str | None = None) -> Change:
    """What the preview shows of it; ``now`` in other words than the key's own value."""
    fact = snapshot.key(setting.key)
    if now is None and fact is not None:
        now = SECRET_NOW if fact.is_secret else (fact.value or "")
    return Change(
        where=setting.key,
        current=now,
        desired=None if setting.value is None else setting.shown or setting.value,
        steps=(setting.step,),
    )


def basis(snapshot: Snapshot, group: Sequence[Setting]) -> tuple[KeyBasis, ...]:
    """The keys as they are; what comes and goes by itself is no basis."""
    return tuple(
        KeyBasis(key=s.key, index=fact.index if (fact := snapshot.key(s.key)) else 0)
        for s in group
        if not s.is_fleeting
    )
