"""What a check says of a cluster, and the answers that a flow gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.flows.clusters import Cluster
from tests.flows.commands import deiswizard
from tests.lab.waiting import await_that


def answers(folder: Path, text: str) -> str:
    """The path of an answers file with that text."""
    path = folder / "answers.yaml"
    path.write_text(text)
    return str(path)


def told_of(cluster: Cluster, recommendation: str) -> dict[str, Any]:
    """What a check tells of a recommendation."""
    told = json.loads(deiswizard("check", "--json", *cluster.flags()).out)
    mine: dict[str, Any] = next(
        one for one in told["recommendations"] if one["recommendation"] == recommendation
    )
    return mine


def await_status(cluster: Cluster, recommendation: str, expected: str) -> None:
    """For clusters under load: a member that is busy says now and then that it is not healthy."""
    await_that(
        lambda: told_of(cluster, recommendation)["status"] == expected,
        f"{recommendation} is {expected}",
    )


def assert_status(cluster: Cluster, recommendation: str, *expected: str) -> None:
    """A check gives the recommendation one of these statuses; else it fails with all that it said."""
    said = deiswizard("check", "--json", *cluster.flags())
    told = json.loads(said.out)
    found = {one["recommendation"]: one["status"] for one in told["recommendations"]}
    shown = json.dumps(told, indent=1)
    assert found[recommendation] in expected, f"{found}\n{shown}\n{said.err}"
