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
from deiswizard.screens.panes.ports import port_rows
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
    "stateless": {"copies": copy_rows},
    "firewall": {"ports": port_rows},
}


OWN_FIRST = ("etcd",)
"""Where the view of its own tells more than the steps do."""


def views_of(plan: Plan) -> Mapping[str, View]:
    """Name to view, in the order in which they are shown."""
    name = plan.recommendation
    if name == "security" and plan.choices.get("part") == "hosts":
        name = "firewall"
    if name == "etcd" and plan.choices.get("way") == "files":
        return COMMON
    own = OWN.get(name, {})
    return {**own, **COMMON} if name in OWN_FIRST else {**COMMON, **own}
