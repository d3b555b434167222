"""Making a role's user-data on this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deiswizard.errors import PlanStaleError, StepError
from deiswizard.local_files import read_file
from deiswizard.plan.user_data_step import UserDataStep
from deiswizard.run.context import Result
from deiswizard.run.here import checksum_here
from deiswizard.userdata.checks import check
from deiswizard.userdata.edits import user_data_of
from deiswizard.vocabulary import StepStatus
from deiswizard.whole_file import write_whole


def make_user_data(step: UserDataStep) -> Result:
    """Read, compared, changed, judged, compared again, and only then written, whole or not at all.

    Raises:
        PlanStaleError: the operator's file is another one than was shown.
        StepError: it cannot be read or written, would not work, or would replace a file of somebody else.
        NotYamlError, PreconditionError, AnswersError: as ``roles.role_user_data``.
    """
    path = Path(step.path)
    there = checksum_here(path)
    if there == step.sha256:
        return Result(StepStatus.DONE, "it is there already")
    if there or path.is_symlink():
        raise StepError(
            f"{path} is there already, and is another file",
            state="it was not touched",
            do="move it away, or choose another folder",
        )
    content, problem = read_file("user_data", step.source)
    if content is None:
        raise StepError(problem.what if problem else f"{step.source} cannot be read")
    if hashlib.sha256(content).hexdigest() != step.source_sha256:
        raise PlanStaleError((f"{step.source} on this machine was changed since",))
    made = user_data_of(content.decode("utf-8"), step.edits)
    if wrong := [problem for problem in check(made) if problem.blocks]:
        raise StepError(wrong[0].said(path.name), state="nothing was written", do="correct it")
    if hashlib.sha256(made.encode()).hexdigest() != step.sha256:
        raise StepError(
            f"{path.name} would not be what was shown",
            state="nothing was written",
            do="make a new plan with this version of the wizard",
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, made.encode())
    except OSError as error:
        raise StepError(
            f"{path} cannot be written", said=error.strerror or "", do="look at the folder's rights"
        ) from error
    return Result(StepStatus.DONE)
