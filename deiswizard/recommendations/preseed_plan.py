"""The plan of preseeding: guards, the pulls or the hosts' script, a look at every image."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.image_names import registry_of
from deiswizard.cluster.probe_script import COMPONENTS, DOCKER_DISK
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays, DiskRoom, ImagePresent
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.step import CommandStep, GuardStep, PullStep, Step
from deiswizard.recommendations.preseed_choices import (
    ROOM_FACTOR,
    SCRIPT,
    PreseedChoices,
    bytes_missing,
    in_gb,
    missing_on,
    wanted,
)
from deiswizard.recommendations.preseed_images import components_in_use, image_of
from deiswizard.vocabulary import Danger

PULL_TIMEOUT = 3600.0
SCRIPT_TIMEOUT = 4 * 3600.0


def plan(snapshot: Snapshot, choices: PreseedChoices) -> Plan:
    """Guards, the pulls (or the hosts' script), and a look at every image on every host."""
    images = wanted(snapshot, choices)
    if not images:
        raise PreconditionError(
            "which images Deis needs here is not known",
            do="set /deis/platform/version, then look again",
        )
    hosts = [host for name in choices.hosts if (host := snapshot.host(name)) is not None]
    lacking = {host.name: missing_on(host, images) for host in hosts}
    busy = [host for host in hosts if lacking[host.name]]
    stages = []
    if busy:
        stages.append(_guards(snapshot, busy, lacking))
        if choices.method == "script":
            stages += _script_stages(snapshot, choices, busy, lacking)
        else:
            stages.append(_pull_stage("pull", "Pull", choices, busy, lacking))
    stages.append(_look_stage(hosts, images))
    size = sum(bytes_missing(snapshot, names) for names in lacking.values())
    keys = [f"/deis/{name}/image" for name in components_in_use(snapshot)]
    keys.append("/deis/platform/version")
    return Plan(
        recommendation="preseed",
        title="Preseeding containers",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(
            Change(where=f"{host.name}  {name}", current=None, desired="present")
            for host in busy
            for name in lacking[host.name]
        ),
        stages=tuple(stages),
        impact=Impact(
            danger=Danger.WRITE if busy else Danger.READ,
            duration=f"about {in_gb(size)} to fetch in all, {choices.hosts_at_a_time} hosts at a time",
            undo="not needed: an image that is there does no harm (docker rmi NAME removes one)",
            notes=_notes(snapshot, choices),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=tuple(
                KeyBasis(key=key, index=fact.index if (fact := snapshot.key(key)) else 0)
                for key in keys
            ),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _notes(snapshot: Snapshot, choices: PreseedChoices) -> tuple[str, ...]:
    """What the operator should know besides: no host is left out in silence."""
    notes = ["an image that is there already is not fetched again"]
    left_out = [host for host in snapshot.hosts if host.name not in choices.hosts]
    unread = [host.name for host in left_out if host.images is None]
    chosen = [host.name for host in left_out if host.images is not None]
    if unread:
        notes.append(f"not on {', '.join(unread)}: the images there could not be read")
    if chosen:
        notes.append(f"not on {', '.join(chosen)}: not chosen")
    return tuple(notes)


def _guards(
    snapshot: Snapshot, hosts: Sequence[HostFacts], lacking: dict[str, tuple[str, ...]]
) -> Stage:
    steps: list[Step] = []
    for host in hosts:
        needed = int(bytes_missing(snapshot, lacking[host.name]) * ROOM_FACTOR)
        steps.append(
            GuardStep(
                id=f"room:{host.name}",
                title="room on Docker's disk",
                host=host.name,
                condition=DiskRoom(host=host.name, path=DOCKER_DISK, needed=needed),
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
    ask = "curl -s -o /dev/null -m 10 -w '%{http_code}\\n'"
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


def _pull_stage(
    stage: str,
    title: str,
    choices: PreseedChoices,
    hosts: Sequence[HostFacts],
    lacking: dict[str, tuple[str, ...]],
) -> Stage:
    return Stage(
        id=stage,
        title=title,
        hosts_at_a_time=choices.hosts_at_a_time,
        steps=tuple(
            PullStep(
                id=f"{stage}:{host.name}:{name}",
                title=f"pull {name}",
                host=host.name,
                image=name,
                danger=Danger.WRITE,
                timeout=PULL_TIMEOUT,
                undo=f"docker rmi {name}",
            )
            for host in hosts
            for name in lacking[host.name]
        ),
    )


def _script_stages(
    snapshot: Snapshot,
    choices: PreseedChoices,
    hosts: Sequence[HostFacts],
    lacking: dict[str, tuple[str, ...]],
) -> list[Stage]:
    """The script knows only its twelve components: what is missing besides is pulled after it."""
    by_script = {i.name for name in COMPONENTS if (i := image_of(snapshot, name)) is not None}
    stages = [
        Stage(
            id="script",
            title="The hosts' own preseed script",
            hosts_at_a_time=choices.hosts_at_a_time,
            steps=tuple(
                CommandStep(
                    id=f"script:{host.name}",
                    title="run the preseed script",
                    host=host.name,
                    command=f"{SCRIPT} 2>&1",
                    danger=Danger.WRITE,
                    timeout=SCRIPT_TIMEOUT,
                    progress="preseed",
                    undo="docker rmi of what was pulled",
                )
                for host in hosts
            ),
        )
    ]
    extras = {
        host.name: tuple(name for name in lacking[host.name] if name not in by_script)
        for host in hosts
    }
    if any(extras.values()):
        stages.append(_pull_stage("extras", "Images besides the script's", choices, hosts, extras))
    return stages


def _look_stage(hosts: Sequence[HostFacts], images: Sequence[str]) -> Stage:
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
