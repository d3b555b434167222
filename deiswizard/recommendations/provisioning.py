"""The other way of a recommendation: instead of the running cluster, user-data files for hosts to come.

One file for each role, made of the operator's own user-data. What that holds is read, judged and
compared here, and stands in no plan: the steps name the file, its checksum and the edits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import WizardError
from deiswizard.local_files import absolute, read_file
from deiswizard.plan.here_steps import HereFileStep
from deiswizard.plan.plan import Basis, Change, Impact, Plan, Stage
from deiswizard.plan.user_data_step import UserDataStep
from deiswizard.recommendations.base import Choices, FormField, Option, Problem
from deiswizard.redaction import Redactor
from deiswizard.userdata.checks import check, header_problem, unreadable
from deiswizard.userdata.diff import DiffLine, difference
from deiswizard.userdata.edits import RoleEdits, user_data_of
from deiswizard.userdata.problems import LineProblem
from deiswizard.userdata.roles import advice
from deiswizard.vocabulary import Danger
from deiswizard.wording import counted

FOLDER = "~/deiswizard-user-data"
FILES = "files"
NO_LOCK = "only files of this machine are written: nothing of the cluster is changed"
SECRET_LIKE = re.compile(r"(?i)discovery|secret|token|passw|key|credential|://[^/\s]*@")
NOT_SHOWN = "(not shown: it may hold a secret)"


class ProvisioningChoices(Choices):
    """``way`` ``files``: the running cluster stays as it is, and files are written to ``user_data_folder``.

    ``user_data`` is the operator's own file on this machine, ``user_data_text`` what was read there, and
    ``user_data_there`` the files of that folder, name and sha256.
    """

    way: Literal["cluster", "files"] = "cluster"
    user_data: str = ""
    user_data_folder: str = FOLDER
    user_data_text: SecretStr | None = Field(default=None, exclude=True, repr=False)
    user_data_there: tuple[tuple[str, str], ...] = Field(default=(), exclude=True, repr=False)

    @property
    def makes_files(self) -> bool:
        """Files for hosts to come, and nothing of the cluster."""
        return self.way == FILES


Chosen = TypeVar("Chosen", bound=ProvisioningChoices)
Shown = Callable[[Snapshot, dict[str, Any]], bool]


def makes_files(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    """Whether raw values say so."""
    return raw.get("way") == FILES


def fields(who: str) -> tuple[FormField, ...]:
    """How the way is asked; ``who`` are the hosts that take their part from the files."""
    ways = (
        Option(
            "cluster",
            "on the running cluster, over SSH",
            recommended=True,
            explain="The hosts that are there now are changed.",
        ),
        Option(
            FILES,
            "as user-data files, for hosts to come",
            explain=f"One file for each role is made of your own user-data, for {who}. Nothing of the cluster is "
            "changed: hosts take their part from user-data when they are made.",
        ),
    )
    return (FormField("way", "Which way", "one", options=lambda snapshot: ways), *FILE_FIELDS)


FILE_FIELDS = (
    FormField(
        "user_data",
        "Your user-data",
        "path",
        "The cloud-config that your hosts are made with now, on this machine. It is read, and stays as it is.",
        shown=makes_files,
    ),
    FormField(
        "user_data_folder",
        "Folder for the files",
        "text",
        "A folder of this machine. The files are for you alone (0600): who knows a discovery URL can join etcd.",
        shown=makes_files,
    ),
)


def on_cluster(those: Sequence[FormField]) -> tuple[FormField, ...]:
    """The same fields, asked only for the running cluster."""

    def shown(before: Shown | None) -> Shown:
        return lambda snapshot, raw: (
            not makes_files(snapshot, raw) and (before is None or before(snapshot, raw))
        )

    return tuple(replace(one, shown=shown(one.shown)) for one in those)


def read(choices: Chosen) -> tuple[Chosen, tuple[Problem, ...]]:
    """The user-data that the choices name, and what is in the folder."""
    if not choices.makes_files:
        return choices, ()
    if not choices.user_data.strip():
        lacking = Problem(field="user_data", what="no file is named", allowed="your cloud-config")
        return choices, (lacking,)
    path, folder = absolute(choices.user_data), absolute(choices.user_data_folder.strip())
    content, problem = read_file("user_data", path)
    if content is None:
        return choices, (problem,) if problem else ()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = Problem(field="user_data", what=f"line {line} is not UTF-8", allowed="UTF-8")
        return choices, (wrong,)
    if line_problem := unreadable(text) or header_problem(text):
        return choices, (_problem(line_problem),)
    if not folder:
        return choices, (Problem(field="user_data_folder", what="no folder is named"),)
    filled = {
        "user_data": path,
        "user_data_folder": folder,
        "user_data_text": SecretStr(text),
        "user_data_there": _there(Path(folder)),
    }
    return choices.model_copy(update=filled), ()


def _there(folder: Path) -> tuple[tuple[str, str], ...]:
    """What might be written over; a file that cannot be read has no sum, and is no less in the way."""
    found = []
    for path in sorted(folder.glob("user-data-*")) if folder.is_dir() else ():
        content, _ = read_file("user_data_folder", str(path))
        found.append((path.name, _sum(content) if content is not None else ""))
    return tuple(found)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fingerprints(choices: ProvisioningChoices) -> Mapping[str, str]:
    """What tells the operator's file from another."""
    text = choices.user_data_text
    return {"your user-data": _sum(text.get_secret_value().encode())} if text else {}


@lru_cache(maxsize=16)
def _judged(text: str, members: int | None) -> tuple[LineProblem, ...]:
    """A form judges its values at every key; the same text is judged once."""
    return check(text, members=members)


@lru_cache(maxsize=16)
def _made(text: str, edits: RoleEdits) -> str:
    return user_data_of(text, edits)


def problems(
    choices: ProvisioningChoices, roles: Sequence[RoleEdits], members: int | None = None
) -> Iterator[Problem]:
    """What is wrong with the file or the folder. ``members``: how many etcd is to have.

    What is wrong in the operator's own, and right in every file that is made of it, is only told.
    """
    if choices.user_data_text is None:
        return
    text = choices.user_data_text.get_secret_value()
    left: dict[str, LineProblem] = {}
    for edits in roles:
        try:
            made = _made(text, edits)
        except WizardError as error:
            yield Problem(field="user_data", what=str(error), allowed=error.do)
            return
        for one in _judged(made, members):
            left.setdefault(one.what, one)
        was = dict(choices.user_data_there).get(edits.file_name)
        if was is not None and was != _sum(made.encode()):
            yield Problem(
                field="user_data_folder",
                what=f"{edits.file_name} is there already, and is another file",
                allowed="another folder, or without that file",
            )
    yield from (_problem(one) for one in left.values())
    for one in _judged(text, members):
        if one.what not in left:
            told = f"line {one.line}: {one.what}; the files that are made have it right"
            yield Problem(field="user_data", what=told, blocks=False)


def _problem(one: LineProblem) -> Problem:
    where = f"line {one.line}: " if one.line else ""
    return Problem(
        field="user_data", what=f"{where}{one.what}", allowed=one.allowed, blocks=one.blocks
    )


def plan(
    snapshot: Snapshot,
    choices: ProvisioningChoices,
    roles: Sequence[RoleEdits],
    *,
    recommendation: str,
    title: str,
    notes: Sequence[str] = (),
) -> Plan:
    """A file for each role; one that is there with just this content stays. The choices are right."""
    assert choices.user_data_text is not None
    text = choices.user_data_text.get_secret_value()
    there = dict(choices.user_data_there)
    steps: list[UserDataStep] = []
    changes: list[Change] = []
    told: dict[str, None] = dict.fromkeys(notes)
    for edits in roles:
        made, path = _made(text, edits), f"{choices.user_data_folder}/{edits.file_name}"
        step = UserDataStep(
            id=f"file:{edits.file_name}",
            title=f"{edits.file_name}, made of your user-data, for you alone",
            source=choices.user_data,
            source_sha256=_sum(text.encode()),
            path=path,
            sha256=_sum(made.encode()),
            edits=edits,
            danger=Danger.WRITE,
            undo="it is removed, unless somebody has changed it",
        )
        is_there = there.get(edits.file_name) == step.sha256
        what = f"a file of {counted(len(made.splitlines()), 'line')}, mode 0600"
        changes.append(
            Change(
                where=edits.file_name,
                current=what if is_there else None,
                desired=what,
                note=f"in {choices.user_data_folder}",
                steps=() if is_there else (step.id,),
            )
        )
        told |= dict.fromkeys(f"{edits.file_name}: {sentence}" for sentence in advice(made))
        if not is_there:
            steps.append(step)
            changes += _line_changes(text, made, step)
    stages = (
        (Stage(id="files", title="User-data for each role", steps=tuple(steps)),) if steps else ()
    )
    return Plan(
        recommendation=recommendation,
        title=title,
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(changes),
        stages=stages,
        undo=tuple(_back(steps)),
        impact=Impact(
            danger=Danger.WRITE if steps else Danger.READ,
            undo="the files are removed again, unless somebody has changed them"
            if steps
            else "not needed: the files are there already",
            notes=(NO_LOCK, *told),
        ),
        basis=Basis(taken_at=snapshot.taken_at),
        no_lock=NO_LOCK,
    )


def _back(steps: Sequence[UserDataStep]) -> Iterator[Stage]:
    removals = tuple(
        HereFileStep(
            id=f"remove:{step.edits.file_name}",
            title=f"without {step.edits.file_name}",
            path=step.path,
            content=None,
            expect=step.sha256,
            danger=Danger.WRITE,
            undoes=(step.id,),
        )
        for step in reversed(steps)
    )
    if removals:
        yield Stage(id="back:files", title="Without the files", steps=removals)


def _line_changes(text: str, made: str, step: UserDataStep) -> Iterator[Change]:
    """The lines that are others in the operator's file and in the one that is made."""
    gone: list[DiffLine] = []
    come: list[DiffLine] = []

    def pairs() -> Iterator[Change]:
        count = max(len(gone), len(come))
        for old, new in zip(
            [*gone, *[None] * (count - len(gone))],
            [*come, *[None] * (count - len(come))],
            strict=True,
        ):
            number = new.after if new else old.before if old else None
            yield Change(
                where=f"{step.edits.file_name} line {number}" + ("" if new else " of yours"),
                current=_shown(old.text) if old else None,
                desired=_shown(new.text) if new else None,
                steps=(step.id,),
            )
        gone.clear()
        come.clear()

    for line in difference(text, made, redactor=Redactor([]), context=0):
        if line.sign == "-":
            gone.append(line)
        elif line.sign == "+":
            come.append(line)
        else:
            yield from pairs()
    yield from pairs()


def _shown(line: str) -> str:
    """A line of user-data as a plan may hold it."""
    return NOT_SHOWN if SECRET_LIKE.search(line) else line.strip()
