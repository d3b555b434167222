"""Run commands in turn, A B C A B C, and compare each with the first: ratios pair by pair.

Figures come from the operating system's own accounting of each finished process tree.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One run: wall and CPU seconds, and the largest process's peak memory in MiB."""

    wall: float
    cpu: float
    peak: float


def run_once(command: Sequence[str]) -> Sample:
    """Run a command to its end. Raises RuntimeError when it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{complaint.decode(errors='replace')}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compare(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Sample]]:
    """Run each command ``rounds`` times in turn, after one round that is not counted."""
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            sample = run_once(command)
            if number:
                samples[name].append(sample)
    return samples


def table(samples: Mapping[str, Sequence[Sample]]) -> str:
    """Markdown: medians, and the median of the pairwise ratios to the first row."""
    first = next(iter(samples.values()))
    lines = [
        "| program | wall s | CPU s | peak MiB | wall ratio | CPU ratio |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in samples.items():
        wall = statistics.median(
            row.wall / base.wall for row, base in zip(rows, first, strict=True)
        )
        cpu = statistics.median(row.cpu / base.cpu for row, base in zip(rows, first, strict=True))
        lines.append(
            f"| {name} | {statistics.median(r.wall for r in rows):.2f} "
            f"| {statistics.median(r.cpu for r in rows):.2f} "
            f"| {statistics.median(r.peak for r in rows):.0f} | {wall:.2f} | {cpu:.2f} |"
        )
    return "\n".join(lines)
