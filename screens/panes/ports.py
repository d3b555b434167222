"""The hosts' firewall as a table: port, from where, expected, found. From the run state alone.

While the run goes on, what is tried host by host; after the new look, every port from everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deiswizard.plan.plan import Plan
from deiswizard.plan.reach_conditions import PortsTake
from deiswizard.plan.step import WaitStep
from deiswizard.run.events import Check
from deiswizard.run.state import RunState, StepState
from deiswizard.screens.panes.progress import Row
from deiswizard.screens.text import cut, fit
from deiswizard.screens.theme import STYLES, Symbols
from deiswizard.vocabulary import StepStatus
from deiswizard.wording import few

COLUMNS = ("port", "from", "expected", "found")
WIDTHS = (30, 18, 10)
NARROW = (23, 15, 9)
NARROW_BELOW = 100
STATUS = {True: StepStatus.DONE, False: StepStatus.FAILED, None: StepStatus.WARNING}


@dataclass
class _Tried:
    """One port from one place: on which hosts it is proven, is not so, or still to be tried."""

    expected: str
    proven: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def port_rows(plan: Plan, state: RunState, width: int, height: int, symbols: Symbols) -> list[Row]:
    """The table of the last look; before it, that of what the run itself tries."""
    rows = table(state.checks, width, symbols) or list(_tried_rows(plan, state, width, symbols))
    if not rows:
        return [
            (
                cut(" no port is tried in this run; the new look at its end judges them", width),
                "dim",
            )
        ]
    if len(rows) > height:
        hidden = len(rows) - max(1, height - 1)
        rows = [*rows[: max(1, height - 1)], (cut(f" and {hidden} more", width), "dim")]
    return rows[:height]


def table(checks: Sequence[Check], width: int, symbols: Symbols) -> list[Row]:
    """A head, and a row for each check that is one of the table's; what is not as expected comes first."""
    found = [check for check in checks if check.cells]
    ordered = sorted(found, key=lambda check: check.ok is True)
    rows = [_row(check.cells, STATUS[check.ok], width, symbols) for check in ordered]
    return [_head(width), *rows] if rows else []


def _head(width: int) -> Row:
    return cut(f"   {_columns(COLUMNS, width)}".rstrip(), width), "dim"


def _row(cells: Sequence[str], status: StepStatus, width: int, symbols: Symbols) -> Row:
    text = f" {symbols.of(status)} {_columns(cells, width)}".rstrip()
    return cut(text, width), STYLES.get(status, "")


def _columns(cells: Sequence[str], width: int) -> str:
    widths = NARROW if width < NARROW_BELOW else WIDTHS
    return "".join([*(fit(c, w - 1) + " " for c, w in zip(cells, widths, strict=False)), cells[-1]])


def _tried_rows(plan: Plan, state: RunState, width: int, symbols: Symbols) -> Iterator[Row]:
    tried: dict[tuple[int, str], _Tried] = {}
    for step in plan.steps:
        if not isinstance(step, WaitStep) or not isinstance(step.condition, PortsTake):
            continue
        where = "this machine" if step.condition.hosts == ("",) else "another host"
        status = state.steps.get(step.id, StepState()).status
        for port in dict.fromkeys(port for _, port in step.condition.places):
            expected = "open" if step.condition.open else "closed"
            one = tried.setdefault((port, where), _Tried(expected))
            names = (
                one.proven
                if status is StepStatus.DONE
                else one.wrong
                if status is StepStatus.FAILED
                else one.waiting
            )
            if step.host not in names:
                names.append(step.host)
    if tried:
        yield _head(width)
    for (port, where), one in sorted(tried.items()):
        yield _row((str(port), where, one.expected, _found(one)), _status(one), width, symbols)


def _found(one: _Tried) -> str:
    """``open on 2 of 3 so far``; ``not open on deis-2; open on 1 of 3``."""
    proven = [host for host in one.proven if host not in (*one.wrong, *one.waiting)]
    total = len({*one.proven, *one.wrong, *one.waiting})
    wrong = f"not {one.expected} on {few(one.wrong)}; " if one.wrong else ""
    more = " so far" if one.waiting else ""
    return f"{wrong}{one.expected} on {len(proven)} of {total}{more}"


def _status(one: _Tried) -> StepStatus:
    if one.wrong:
        return StepStatus.FAILED
    return StepStatus.WAITING if one.waiting else StepStatus.DONE
