"""The plan of preseeding: guards, the pulls or the hosts' script, a look at every image."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.probe_script import COMPONENTS
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.step import JobStep, PullStep, WaitStep
from deiswizard.recommendations.jobs import job_notes
from deiswizard.recommendations.preseed import fleet_plan as preseed_fleet_plan
from deiswizard.recommendations.preseed.choices import (
    SCRIPT,
    PreseedChoices,
    bytes_missing,
    in_gb,
    missing_on,
    wanted,
)
from deiswizard.recommendations.preseed.fleet import UNIT, readable_hosts
from deiswizard.recommendations.preseed.fleet_plan import NO_UNIT
from deiswizard.recommendations.preseed.images import components_in_use, image_of
from deiswizard.recommendations.preseed.stages import guard_stage, look_stage
from deiswizard.vocabulary import Danger

NO_UNDO = "not needed: an image that is there does no harm (docker rmi NAME removes one)"
PULL_TIMEOUT = 3600.0
SCRIPT_TIMEOUT = 4 * 3600.0


def plan(snapshot: Snapshot, choices: PreseedChoices) -> Plan:
    """Guards, the pulls (or the hosts' script, or the fleet unit), and a look at every image."""
    images = wanted(snapshot, choices)
    if not images:
        raise PreconditionError(
            "which images Deis needs here is not known",
            do="set /deis/platform/version, then look again",
        )
    is_fleets = choices.method == "fleet"
    hosts = [host for name in choices.hosts if (host := snapshot.host(name)) is not None]
    if is_fleets:
        hosts = list(readable_hosts(snapshot))
    lacking = {host.name: missing_on(host, images) for host in hosts}
    busy = [host for host in hosts if lacking[host.name]]
    size = sum(bytes_missing(snapshot, names) for names in lacking.values())
    unit = preseed_fleet_plan.parts(snapshot, hosts, images, size) if is_fleets else NO_UNIT
    stages = []
    if busy and is_fleets:
        stages.append(guard_stage(snapshot, busy, lacking))
    elif busy:
        stages.append(guard_stage(snapshot, busy, lacking))
        if choices.method == "script":
            stages += _script_stages(snapshot, choices, busy, lacking)
        else:
            stages.append(_pull_stage("pull", "Pull", choices, busy, lacking))
    stages += [*unit.stages, look_stage(hosts, images)]
    keys = [f"/deis/{name}/image" for name in components_in_use(snapshot)]
    keys.append("/deis/platform/version")
    return Plan(
        recommendation="preseed",
        title="Preseeding containers",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=unit.changes
        + tuple(
            Change(
                where=f"{host.name}  {name}",
                current=None,
                desired="present",
                steps=_makers(stages, host.name, name),
            )
            for host in busy
            for name in lacking[host.name]
        ),
        stages=tuple(stages),
        impact=Impact(
            danger=Danger.WRITE if busy or unit.changes else Danger.READ,
            duration=f"about {in_gb(size)} to fetch in all, {at_once(choices, hosts)}",
            undo=unit.undo_words or NO_UNDO,
            notes=unit.notes if is_fleets else (*_notes(snapshot, choices), *job_notes(busy)),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=tuple(
                KeyBasis(key=key, index=fact.index if (fact := snapshot.key(key)) else 0)
                for key in keys
            )
            + unit.basis,
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
        undo=unit.undo,
    )


def at_once(choices: PreseedChoices, hosts: Sequence[HostFacts]) -> str:
    """How many hosts pull side by side, in words."""
    if choices.method == "fleet":
        return f"all {len(hosts)} hosts at once"
    return f"{choices.hosts_at_a_time} hosts at a time"


def _makers(stages: Sequence[Stage], host: str, image: str) -> tuple[str, ...]:
    """The pull; or what runs there, which must be followed by a look that finds the image."""
    steps = [step for stage in stages for step in stage.steps if step.host == host]
    pulls = [s.id for s in steps if isinstance(s, PullStep) and s.image == image]
    scripts = [s.id for s in steps if isinstance(s, JobStep | WaitStep)]
    return tuple(pulls) or (*scripts, f"look:{host}:{image}")


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
    if snapshot.unit(UNIT) is not None:
        notes.append(f"the fleet unit {UNIT} stays as it is: the method 'fleet' makes it anew")
    return tuple(notes)


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
                way=host.job_way,
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
                JobStep(
                    id=f"script:{host.name}",
                    title="run the preseed script",
                    host=host.name,
                    command=SCRIPT,
                    way=host.job_way,
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
