"""The shape that every recommendation has: a declaration of data and pure functions.

The one declaration feeds the screen, the plain prompts, the headless commands, the schema of the
answers file and the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import SecretStr

from deiswizard.cluster.snapshot import Evidence, Question, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.frozen import Frozen
from deiswizard.plan.plan import Plan
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status


class Finding(Frozen):
    """Something an assessment noticed. ``status`` is how bad it alone would be."""

    status: Status
    what: str
    evidence: tuple[Evidence, ...] = ()
    do: str = ""


class Assessment(Frozen):
    """A recommendation's judgement of a snapshot.

    ``now`` is the few words of the overview's "Now" column; ``explanation`` a sentence or two for
    the overview's lower part.
    """

    recommendation: str
    status: Status
    now: str
    explanation: str = ""
    findings: tuple[Finding, ...] = ()


class Choices(Frozen):
    """Base of the choices models: what the operator decided for one recommendation."""


class Problem(Frozen):
    """What is wrong with a choice. ``field`` is the name in the choices model, empty: the whole.

    ``blocks`` False: a warning that lets the operator go on.
    """

    field: str
    what: str
    allowed: str = ""
    blocks: bool = True


def refuse_blocking(problems: Iterable[Problem]) -> None:
    """Raises PreconditionError with every reason against a plan, if there is any."""
    if blocking := [problem.what for problem in problems if problem.blocks]:
        raise PreconditionError("; ".join(blocking), do="choose otherwise")


@dataclass(frozen=True)
class Option:
    """One value of a field. ``note`` stands beside it, ``explain`` is told when it is highlighted.

    ``warning`` marks the row with a "!" and says why; ``enabled`` False: it cannot be chosen.
    """

    value: str
    label: str
    note: str = ""
    explain: str = ""
    recommended: bool = False
    warning: str = ""
    enabled: bool = True


FieldKind = Literal["many", "one", "number", "list", "text", "secret", "path", "flag", "matrix"]


@dataclass(frozen=True)
class FormField:
    """How a field of the choices model is asked.

    ``kind``: ``many`` (tick boxes), ``one`` (radio), ``number``, ``list`` (free words, separated by
    spaces or commas), ``text``, ``secret`` (a ``SecretStr``, empty by default; it is kept in no file),
    ``path`` (a file on this machine), ``flag`` (a bool), ``matrix`` (a dict of option to the list of
    ``columns`` that are ticked in its row; ``tallies`` stand below the columns). ``foot`` says below any field what
    the values come to. ``options`` and ``shown`` look at the snapshot and the
    raw values so far (a dict of field name to value).
    """

    name: str
    label: str
    kind: FieldKind
    explain: str = ""
    options: Callable[[Snapshot], Sequence[Option]] | None = None
    shown: Callable[[Snapshot, dict[str, Any]], bool] | None = None
    placeholder: str = ""
    columns: tuple[Option, ...] = ()
    tallies: Callable[[Snapshot, Any], Sequence[str]] | None = None
    foot: Callable[[Snapshot, dict[str, Any]], Sequence[str]] | None = None


@dataclass(frozen=True)
class Recommendation:
    """One of the nine. All functions are pure.

    ``questions`` are read-only commands that the probe asks on its behalf, chosen from what the
    probe's first round found. ``check_choices`` judges choices against a snapshot, beyond what the
    model itself validates. ``plan`` raises PreconditionError when there can be no plan.

    The one that is not pure is ``read``: it gets validated choices, reads the files of this machine
    that they name, and answers a copy with what they hold, in fields that are left out of JSON
    (``Field(default=None, exclude=True, repr=False)``), and what is wrong with them. A plan that was
    saved, or a run that is taken up again, reads them again: ``fingerprints`` tells whether they are
    the same, by digests that give nothing away (name in the operator's words to digest).
    ``secrets`` are the secrets that the plan's steps need, by their names in ``${secret:NAME}``. One
    that is typed has the name of its field (``-`` and ``_`` are the same).

    ``taken_back`` judges a new look after the way back of a run, by the plan of that way back: what its steps
    changed on the hosts. Keys, fleet units, metadata, members of etcd and files of this machine are judged for
    all recommendations alike (``run/undo.py``).

    ``suggested`` are values that the guided way begins with instead of the defaults: what is better, but
    needs somebody who types.
    """

    id: str
    number: int
    title: str
    why: str
    doc: str
    choices: type[Choices]
    fields: tuple[FormField, ...]
    assess: Callable[[Snapshot], Assessment]
    defaults: Callable[[Snapshot], Choices]
    check_choices: Callable[[Snapshot, Any], tuple[Problem, ...]]
    plan: Callable[[Snapshot, Any], Plan]
    verify: Callable[[Snapshot, Snapshot, Any], tuple[Check, ...]]
    taken_back: Callable[[Plan, Snapshot], tuple[Check, ...]] = field(
        default=lambda plan, after: ()
    )
    questions: Callable[[Snapshot], tuple[Question, ...]] = field(default=lambda snapshot: ())
    read: Callable[[Any], tuple[Any, tuple[Problem, ...]]] | None = None
    secrets: Callable[[Any], Mapping[str, SecretStr]] = field(default=lambda choices: {})
    fingerprints: Callable[[Any], Mapping[str, str]] = field(default=lambda choices: {})
    suggested: Mapping[str, Any] = field(default_factory=dict)
