"""Where runs are kept: one folder each, below the XDG state folder.

``DEISWIZARD_STATE`` and ``DEISWIZARD_CONFIG`` take the place of the standard folders.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from deiswizard.errors import PreconditionError

JOURNAL = "journal.jsonl"
TARGET = "target.json"
BACKGROUND_LOG = "background.log"


def state_folder() -> Path:
    """Where runs, reports and the like are kept."""
    if override := os.environ.get("DEISWIZARD_STATE"):
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_state_dir("deiswizard"))


def config_folder() -> Path:
    """Where answers are kept."""
    if override := os.environ.get("DEISWIZARD_CONFIG"):
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_config_dir("deiswizard"))


def runs_folder() -> Path:
    """Where each run has a folder of its own."""
    return state_folder() / "runs"


def new_run_folder(now: float) -> Path:
    """Make the folder of a new run, named by local time; a suffix when the name is taken.

    Raises:
        OSError: it could not be made.
    """
    runs = runs_folder()
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    for number in range(1, 1000):
        folder = runs / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            continue
    raise FileExistsError(stamp)


def list_runs() -> tuple[Path, ...]:
    """The folders of all runs, newest first."""
    runs = runs_folder()
    if not runs.is_dir():
        return ()
    found = [folder for folder in runs.iterdir() if (folder / JOURNAL).is_file()]
    return tuple(sorted(found, key=lambda folder: folder.name, reverse=True))


def find_run(name: str) -> Path:
    """The run of that name, ``last`` for the newest, or the only one that begins or ends so.

    Raises:
        PreconditionError: there is none, or more than one; says which there are.
    """
    runs = list_runs()
    if name == "last" and runs:
        return runs[0]
    exact = [folder for folder in runs if folder.name == name]
    near = [f for f in runs if f.name.startswith(name) or f.name.endswith(name)]
    found = exact or near
    if len(found) == 1:
        return found[0]
    known = ", ".join(folder.name for folder in (found or runs)[:10]) or "there is none yet"
    raise PreconditionError(
        f"'{name}' names {'no run' if not found else 'more than one run'}",
        do=f"choose one of: {known}",
    )
