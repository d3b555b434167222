"""One recommendation on a pretend cluster: applied, taken back, judged, and what became of Deis's units."""

from __future__ import annotations

from dataclasses import dataclass

from deiswizard.cluster.unit_files import digest
from deiswizard.demo import scenario
from deiswizard.demo.cluster import PretendCluster
from tests.flows.checks import assert_status
from tests.flows.clusters import Pretended, target_flags
from tests.flows.commands import Said, deiswizard


def started(name: str, **changes: object) -> PretendCluster:
    """A scenario with some things otherwise."""
    made = scenario.load(name).model_copy(update=changes)
    return PretendCluster.start(made, speed=Pretended.fast)


def files(cluster: PretendCluster) -> dict[str, str]:
    """Each unit that is somewhere to the digest of its file."""
    return {unit: digest(cluster.fleet.file(unit) or "") for unit in cluster.placement}


@dataclass(frozen=True)
class Doing:
    """What is done with a recommendation."""

    recommendation: str

    def applied(self, cluster: PretendCluster, answers_file: str) -> Said:
        """Run with these answers."""
        flags = target_flags(cluster.target)
        return deiswizard("apply", self.recommendation, "-a", answers_file, "--yes", *flags)

    def undone(self, cluster: PretendCluster) -> Said:
        """The last run is taken back."""
        return deiswizard("undo", "last", "--yes", *target_flags(cluster.target))

    def status_of(self, cluster: PretendCluster, *expected: str) -> None:
        """It has one of these statuses."""
        assert_status(Pretended(cluster), self.recommendation, *expected)
