"""Columns as Go's tabwriter sets them for fleetctl and deisctl: padded with tabs of eight."""

from __future__ import annotations

from collections.abc import Sequence

TAB = 8


def table(rows: Sequence[Sequence[str]]) -> str:
    """Every line; the last column is not padded."""
    if not rows:
        return ""
    widths = [(max(map(len, column)) // TAB + 1) * TAB for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + "\t" * -((len(cell) - width) // TAB)
            for cell, width in zip(row[:-1], widths, strict=False)
        ]
        lines.append("".join(cells) + row[-1] + "\n")
    return "".join(lines)


def short(machine_id: str) -> str:
    """As both show a machine when they are not told to show all of it."""
    return f"{machine_id[:8]}..."
