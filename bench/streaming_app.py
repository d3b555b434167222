"""The interface over a real run: one command on each host, whose output streams. For bench.streaming.

python -m bench.streaming_app FOLDER FIFOS KEY KNOWN_HOSTS USER PORT ADDRESS...
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from bench.our_run import links_to
from deiswizard.cluster.access import ClusterAccess, DockerAccess, EtcdAccess
from deiswizard.cluster.connection import POOL
from deiswizard.cluster.host import HostLink
from deiswizard.plan.plan import Basis, Impact, Plan, Stage
from deiswizard.plan.step import CommandStep
from deiswizard.run.runner import Run
from deiswizard.screens.app import WizardApp
from deiswizard.vocabulary import Danger


class Hosts:
    """Hosts without a cluster. Implements ``access.ClusterAccess`` as far as commands go."""

    def __init__(self, links: dict[str, HostLink]) -> None:
        self._links = links

    def host(self, name: str) -> HostLink:
        """An open link."""
        return self._links[name]

    def docker(self, name: str) -> DockerAccess:
        """There is none."""
        raise NotImplementedError(name)

    def etcd(self) -> EtcdAccess:
        """There is none."""
        raise NotImplementedError

    def machine_ids(self) -> frozenset[str]:
        """There is no registry."""
        return frozenset()


def main(folder: str, fifos: str, *login: str) -> None:
    """Connect, then show the run."""
    key, known_hosts, user, port, *addresses = login
    links = {
        f"host-{n}": link
        for n, link in enumerate(links_to(key, known_hosts, user, port, addresses))
    }
    with ThreadPoolExecutor(POOL) as pool:
        list(pool.map(HostLink.open, links.values()))
    steps = tuple(
        CommandStep(
            id=name, title=f"stream {name}", host=name, command=f"cat {fifos}/{name}",
            danger=Danger.READ, timeout=600,
        )
        for name in links
    )  # fmt: skip
    plan = Plan(
        recommendation="preseed",
        title="Streaming",
        cluster="bench",
        stages=(Stage(id="stream", title="Stream", steps=steps, hosts_at_a_time=len(steps)),),
        impact=Impact(danger=Danger.READ),
        basis=Basis(taken_at=0.0),
    )
    run = Run(plan, cast(ClusterAccess, Hosts(links)), folder=Path(folder))
    shown: Any = run  # what the screen needs of a replay, a run has as well
    WizardApp(start=None, replay=shown).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
