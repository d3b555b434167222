"""The views of a run: the two that every run has, and those that a recommendation adds.

A new recommendation plugs its own pane in here: a pure function from the run state to rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deiswizard.plan.plan import Plan
from deiswizard.run.state import RunState
from deiswizard.screens.panes.copies import copy_rows
from deiswizard.screens.panes.hosts import host_rows, image_rows
from deiswizard.screens.panes.members import member_rows
from deiswizard.screens.panes.progress import Row, rows
from deiswizard.screens.theme import Symbols

View = Callable[[Plan, RunState, int, int, Symbols], list[Row]]
"""Plan, state, width and height in cells, symbols -> at most ``height`` rows."""

COMMON: Mapping[str, View] = {"steps": rows, "hosts": host_rows}
OWN: Mapping[str, Mapping[str, View]] = {
    "etcd": {"members": member_rows},
    "preseed": {"images": image_rows},
    "backup": {"copies": copy_rows},
    "restore": {"copies": copy_rows},
}


OWN_FIRST = ("etcd",)
"""Where the view of its own tells more than the steps do."""


def views_of(recommendation: str) -> Mapping[str, View]:
    """Name to view, in the order in which they are shown."""
    own = OWN.get(recommendation, {})
    return {**own, **COMMON} if recommendation in OWN_FIRST else {**COMMON, **own}
