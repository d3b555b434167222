"""Writing the report from the overview, without keeping the screen waiting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deiswizard import __version__
from deiswizard.background import Task, background
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Assessment
from deiswizard.report.files import write_all
from deiswizard.report.model import report_of
from deiswizard.run.history import runs_of


class Reporting:
    """One report at a time, into the folder in which the wizard was started."""

    def __init__(self) -> None:
        self._task: Task[tuple[Path, ...]] | None = None

    def start(self, snapshot: Snapshot, assessments: Mapping[str, Assessment]) -> None:
        """Write the report on a look that was made already."""
        folder = Path.cwd()

        def write() -> tuple[Path, ...]:
            runs = runs_of(snapshot.cluster)
            report = report_of(snapshot, catalogue.ALL, assessments, runs, __version__)
            return write_all(report, folder)

        if self._task is None:
            self._task = background(write, name="report")

    def take(self) -> tuple[str, bool] | None:
        """Once, when it is written or could not be: what to say, and whether it went well."""
        task = self._task
        if task is None or not task.done:
            return None
        self._task = None
        try:
            paths = task.result()
        except OSError as error:
            return f"the report could not be written: {error}", False
        names = " and ".join(path.name for path in paths)
        return f"report written: {names}, in {paths[0].parent}", True
