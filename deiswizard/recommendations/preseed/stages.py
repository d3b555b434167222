"""The stages that every way of preseeding has: guards before, a look at every image after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deiswizard.cluster.image_names import registry_of
from deiswizard.cluster.probe_script import DOCKER_DISK
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.plan.conditions import CommandSays, DiskRoom, ImagePresent
from deiswizard.plan.plan import Stage
from deiswizard.plan.step import GuardStep, Step
from deiswizard.recommendations.preseed.choices import ROOM_FACTOR, bytes_missing, in_gb


def guard_stage(
    snapshot: Snapshot, hosts: Sequence[HostFacts], lacking: Mapping[str, Sequence[str]]
) -> Stage:
    """Room on Docker's disk, and a registry that answers, on each host that lacks images."""
    steps: list[Step] = []
    for host in hosts:
        sizes = tuple(
            (name, int(bytes_missing(snapshot, [name]) * ROOM_FACTOR))
            for name in lacking[host.name]
        )
        needed = sum(size for _, size in sizes)
        steps.append(
            GuardStep(
                id=f"room:{host.name}",
                title="room on Docker's disk",
                host=host.name,
                condition=DiskRoom(host=host.name, path=DOCKER_DISK, needed=needed, images=sizes),
                otherwise=f"less than {in_gb(needed)} free on {DOCKER_DISK}: free some space, "
                "or leave this host out",
            )
        )
        for registry in dict.fromkeys(registry_of(name) for name in lacking[host.name]):
            steps.append(_registry_guard(host, registry))
    return Stage(id="guards", title="Guards", steps=tuple(steps))


def _registry_guard(host: HostFacts, registry: str) -> GuardStep:
    """Any HTTP answer will do, a refusal too: it shows that the registry is there."""
    address = "registry-1.docker.io" if registry == "docker.io" else registry
    ask = "curl -sS -o /dev/null -m 10 -w '%{http_code}\\n'"
    return GuardStep(
        id=f"registry:{host.name}:{registry}",
        title=f"registry {registry} answers",
        host=host.name,
        timeout=30,
        condition=CommandSays(
            host=host.name,
            command=f"{ask} https://{address}/v2/ || {ask} http://{address}/v2/",
            pattern=r"(?m)^[1-5]\d\d$",
        ),
        otherwise=f"{host.name} cannot reach the registry {registry}: look at its network, its proxy "
        "and its DNS",
    )


def look_stage(hosts: Sequence[HostFacts], images: Sequence[str]) -> Stage:
    """Every image on every host, as the engine has it."""
    return Stage(
        id="look",
        title="Look at every image",
        steps=tuple(
            GuardStep(
                id=f"look:{host.name}:{name}",
                title=f"{name} is there",
                host=host.name,
                condition=ImagePresent(host=host.name, image=name),
                otherwise=f"{name} is not on {host.name}",
            )
            for host in hosts
            for name in images
        ),
    )
