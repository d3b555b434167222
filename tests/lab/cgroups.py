"""Control groups of a lab's own, one for each host in every version 1 hierarchy."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/sys/fs/cgroup")


def controllers() -> list[str]:
    """The version 1 hierarchies that are mounted here, by their folders' names."""
    kinds = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        kinds[where] = kind
    return sorted(
        Path(where).name
        for where, kind in kinds.items()
        if kind == "cgroup" and Path(where).parent == MOUNTS
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

    def _top(self, controller: str) -> Path:
        return MOUNTS / controller / f"dwz{self.number}"

    def make(self, name: str) -> list[Path]:
        """A group in every hierarchy; the files that take a process in."""
        for controller in controllers():
            top = self._top(controller)
            (top / name).mkdir(parents=True, exist_ok=True)
            for group in (top, top / name) if controller == "cpuset" else ():
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    (group / setting).write_text((group.parent / setting).read_text())
        return [self._top(controller) / name / "cgroup.procs" for controller in controllers()]

    def members(self, name: str = "") -> set[int]:
        """The processes of a host, or of all."""
        found = set()
        for group in (self._top("systemd") / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found |= {int(line) for line in group.read_text().split()}
        return found

    def identities(self) -> set[str]:
        """The processes of all hosts, each by its number and when it began: numbers are given again."""
        return {name for pid in self.members() if (name := identity(pid))}

    def clear(self) -> None:
        """Remove all groups. Raises OSError while there is a process in one."""
        for controller in controllers():
            top = self._top(controller)
            groups = [path for path in top.rglob("*") if path.is_dir()]
            for group in (*sorted(groups, reverse=True), top):
                with contextlib.suppress(FileNotFoundError):
                    group.rmdir()
