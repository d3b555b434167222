"""Control groups of a lab's own, one for each host in every hierarchy."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/sys/fs/cgroup")


def hierarchies() -> list[str]:
    """Those that are mounted here, by their folders' names: version 1's, and version 2's as ``unified``."""
    kinds = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        kinds[where] = kind
    return sorted(
        Path(where).name
        for where, kind in kinds.items()
        if kind in ("cgroup", "cgroup2") and Path(where).parent == MOUNTS
    )


def identity(pid: int) -> str:
    """A process by its number and when it began; empty when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return f"{pid} {stat.rpartition(')')[2].split()[19]}"


@dataclass(frozen=True)
class Groups:
    """The control groups of the lab with that number."""

    number: int

    def _top(self, hierarchy: str) -> Path:
        return MOUNTS / hierarchy / f"dwz{self.number}"

    def make(self, name: str) -> list[Path]:
        """A group in every hierarchy; the files that take a process in."""
        for hierarchy in hierarchies():
            top = self._top(hierarchy)
            (top / name).mkdir(parents=True, exist_ok=True)
            for group in (top, top / name) if hierarchy == "cpuset" else ():
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    (group / setting).write_text((group.parent / setting).read_text())
        return [self._top(hierarchy) / name / "cgroup.procs" for hierarchy in hierarchies()]

    def members(self, name: str = "") -> set[int]:
        """The processes of a host, or of all."""
        found = set()
        for group, _, _ in os.walk(self._top("systemd") / name):  # one that vanishes is passed over
            with contextlib.suppress(OSError):
                found |= {int(line) for line in Path(group, "cgroup.procs").read_text().split()}
        return found

    def identities(self) -> set[str]:
        """The processes of all hosts, each by its number and when it began: numbers are given again."""
        return {name for pid in self.members() if (name := identity(pid))}

    def clear(self) -> None:
        """Remove all groups. Raises OSError while there is a process in one."""
        for hierarchy in hierarchies():
            top = self._top(hierarchy)
            groups = [path for path in top.rglob("*") if path.is_dir()]
            for group in (*sorted(groups, reverse=True), top):
                with contextlib.suppress(FileNotFoundError):
                    group.rmdir()
