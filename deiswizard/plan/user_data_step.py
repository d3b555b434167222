"""A step that makes a role's user-data on this machine out of the operator's own.

User-data may hold secrets, and a plan may hold none: the step names the file, its checksum and the
edits, and the text is read when the step is done.
"""

from __future__ import annotations

import shlex
from typing import Literal

from deiswizard.plan.step_base import StepBase
from deiswizard.userdata.edits import RoleEdits


class UserDataStep(StepBase):
    """The file ``path`` (0600), made of ``source`` by ``edits``; there must be none, or the same.

    ``source_sha256`` is what ``source`` must still be, ``sha256`` what must come of it: the one whose
    changes were shown.
    """

    kind: Literal["user-data"] = "user-data"
    source: str
    source_sha256: str
    path: str
    sha256: str
    edits: RoleEdits


def shown_user_data(step: UserDataStep) -> str:
    """The command that makes the same file; where there is none, what is made."""
    if step.edits.files:
        units = " ".join(unit.name for unit in step.edits.units)
        return f"# {step.path}: a copy of {step.source}, with {units} and its files"
    words = ["deiswizard", "userdata", step.source]
    if step.edits.etcd:
        words += ["--etcd", step.edits.etcd]
    if step.edits.planes:
        words += ["--planes", ",".join(step.edits.planes)]
    if step.edits.members:
        words += ["--members", ",".join(f"{name}={url}" for name, url in step.edits.members)]
    return shlex.join([*words, "-o", step.path.rpartition("/")[0] or "/"])
