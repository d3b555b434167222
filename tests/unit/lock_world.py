"""One etcd in memory, one clock, and any number of wizards that want its lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deiswizard.cluster.lock_key import (
    KEY,
    parse_lock,
)
from deiswizard.cluster.snapshot import Lock
from deiswizard.run import events as e
from deiswizard.run.lock import RunLock
from tests.unit.memory_cluster import MemoryCluster, MemoryEtcd


@dataclass
class Wizard:
    """A run's lock, driven by hand; the clock is the etcd's too."""

    lock: RunLock
    told: list[e.Event] = field(default_factory=list)
    doing: str = "one"
    lost: int = 0

    @property
    def kinds(self) -> list[str]:
        """Without the request that goes before each first write."""
        return [event.kind for event in self.told if event.kind != "lock-requested"]


@dataclass
class World:
    """One etcd, one clock, any number of wizards."""

    runs: Path
    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    now: float = 5000.0
    wizards: list[Wizard] = field(default_factory=list)

    @property
    def etcd(self) -> MemoryEtcd:
        return self.cluster.store

    def wizard(self, *, is_needed: bool = True, break_token: str = "") -> Wizard:
        made: list[Wizard] = []

        def on_lost() -> None:
            made[0].lost += 1

        made.append(
            Wizard(
                RunLock(
                    self.cluster,
                    lambda event: made[0].told.append(event),
                    folder=self.runs / f"run-{len(self.wizards)}",
                    is_needed=is_needed,
                    doing=lambda: made[0].doing,
                    break_token=break_token,
                    on_lost=on_lost,
                    clock=lambda: self.now,
                    passing=lambda: self.now,
                )
            )
        )
        self.wizards += made
        return made[0]

    def holder(self) -> Lock | None:
        return parse_lock(self.etcd.get(KEY))

    def holding(self, wizard: Wizard) -> bool:
        holder = self.holder()
        return holder is not None and holder.run == wizard.lock._folder.name
