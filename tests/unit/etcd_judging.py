"""Isolating etcd as it is judged on the pretend cluster."""

from __future__ import annotations

from deiswizard.recommendations.base import Assessment
from deiswizard.recommendations.etcd import declaration as etcd
from deiswizard.recommendations.etcd.choices import EtcdChoices
from tests.unit.etcd_world import EtcdWorld

ALL = ("deis-1", "deis-2", "deis-3", "deis-4", "deis-5")


THREE = ALL[:3]


def judged(world: EtcdWorld) -> Assessment:
    return etcd.RECOMMENDATION.assess(world.direct.look())


def findings(world: EtcdWorld) -> str:
    return "\n".join(finding.what for finding in judged(world).findings)


def problems(world: EtcdWorld, *members: str, **more: str) -> str:
    chosen = EtcdChoices.model_validate({"members": members, **more})
    found = etcd.RECOMMENDATION.check_choices(world.direct.look(), chosen)
    return "\n".join(problem.what for problem in found if problem.blocks)


def as_dead_voter(world: EtcdWorld, name: str) -> None:
    """The wrong order: a member's data moved away, a proxy started, nothing removed."""
    host = world.host(name)
    host.etcd.stop()
    for path in host.below(f"{host.etcd.data_dir}/member"):
        host.remove_file(path)
    host.etcd.files_of_proxy([world.host("deis-1").peer_url])
    host.etcd.start()
