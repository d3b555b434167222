"""What units add to the plan of logging: images, key files, the units, and the way back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from deiswizard.cluster.fleet import job_key
from deiswizard.cluster.snapshot import HostFacts, Snapshot, Unit
from deiswizard.cluster.unit_files import digest
from deiswizard.plan.conditions import UnitRunning
from deiswizard.plan.fleet_steps import SubmitUnitStep
from deiswizard.plan.former_file import back_command, keep_command
from deiswizard.plan.plan import Change, FileBasis, KeyBasis, Stage
from deiswizard.plan.step import CommandStep, PullStep, Step, UploadStep, WaitStep
from deiswizard.recommendations.logs.choices import LoggingChoices
from deiswizard.recommendations.logs.facts import on_host
from deiswizard.recommendations.logs.units import (
    AGENTS,
    FOLDER,
    FORWARDER,
    Agent,
    eligible_hosts,
    image_in,
    our_units,
    receiver_in,
    row_of,
    runs,
    wanted_units,
)
from deiswizard.recommendations.unit_removal import removal
from deiswizard.vocabulary import Danger

LAUNCHED = "launched"
RUNNING_TIMEOUT = 25 * 60.0
"""A unit may pull its image first: 20 minutes (TimeoutStartSec), and some to spare."""

STEADY = 5.0
"""A unit that ends at once is started again after 10 s: seen twice within 5 s, it goes on."""

PULL_TIMEOUT = 3600.0
SECRET_MODE = 0o600


@dataclass
class Parts:
    """What is to be done, in order, and what takes it back, the last first."""

    changes: list[Change] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    undo: list[Stage] = field(default_factory=list)
    keys: list[KeyBasis] = field(default_factory=list)
    files: list[FileBasis] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)


def of_units(snapshot: Snapshot, choices: LoggingChoices) -> Parts:
    """Images, key files, then units. Raises PreconditionError."""
    parts = Parts()
    wanted = wanted_units(snapshot, choices)
    _pull(parts, snapshot, [choices.image(name) for name in choices.agents if name in AGENTS])
    replaced = [
        (agent, host)
        for name in choices.agents
        if name in AGENTS and AGENTS[name].file
        for agent, host in _put_key(parts, snapshot, choices, AGENTS[name])
    ]
    now = {unit.name: unit for unit in our_units(snapshot)}
    fresh = {
        name: content
        for name, content in wanted.items()
        if name not in now
        or now[name].desired != LAUNCHED
        or digest(now[name].content) != digest(content)
    }
    going = [unit for name, unit in now.items() if name in fresh or name not in wanted]
    _destroy(parts, going, wanted)
    _submit(parts, fresh, now)
    _wait(parts, snapshot, wanted, fresh)
    again = [
        (agent, host) for agent, host in replaced if agent.unit in now and agent.unit not in fresh
    ]
    _restart(parts, again)
    return parts


def _pull(parts: Parts, snapshot: Snapshot, images: Sequence[str]) -> None:
    """Before a unit asks for it on every host: a name that no registry has is told here."""
    steps = [
        PullStep(
            id=f"pull:{host.name}:{image}",
            title=f"pull {image}",
            host=host.name,
            image=image,
            way=host.job_way,
            danger=Danger.WRITE,
            timeout=PULL_TIMEOUT,
            undo=f"docker rmi {image}",
        )
        for host in snapshot.reachable_hosts
        if host.images is not None
        for image in dict.fromkeys(images)
        if not host.has_image(image)
    ]
    if steps:
        parts.stages.append(
            Stage(id="pull", title="Fetch the images", steps=tuple(steps), hosts_at_a_time=3)
        )


def _put_key(
    parts: Parts, snapshot: Snapshot, choices: LoggingChoices, agent: Agent
) -> list[tuple[Agent, HostFacts]]:
    """The agent's key on every reachable host; answers where it took another one's place."""
    key = choices.key(agent.id).get_secret_value()
    if not key:
        return []
    content = agent.environment(f"{agent.id}_key")
    filled = "".join(f"{name}={key}\n" for name in agent.variables)
    checksum = hashlib.sha256(filled.encode()).hexdigest()
    hosts = []
    replaced = []
    for host in snapshot.reachable_hosts:
        has = on_host(snapshot, host)
        before = has.checksum(agent.file) if has else ""
        if before == checksum:
            continue
        hosts.append((host, before))
        if before:
            replaced.append((agent, host))
    if not hosts:
        return []
    steps: list[Step] = []
    back: list[Step] = []
    for host, before in hosts:
        folder, upload = f"folder:{agent.id}:{host.name}", f"key:{agent.id}:{host.name}"
        keep = f" && {keep_command(agent.file)}" if before else ""
        steps += [
            CommandStep(
                id=folder,
                title=f"make {FOLDER}" + (", and keep the file of before" if before else ""),
                host=host.name,
                sudo=True,
                command=f"mkdir -p -m 0700 {FOLDER}{keep}",
                danger=Danger.WRITE,
            ),
            UploadStep(
                id=upload,
                title=f"put {agent.title}'s key there, for root only",
                host=host.name,
                needs=(folder,),
                path=agent.file,
                content=content,
                mode=SECRET_MODE,
                sudo=True,
                expect=before,
                danger=Danger.WRITE,
                undo="the file is removed" if not before else "the file of before is put back",
            ),
        ]
        back.append(
            CommandStep(
                id=f"back:{upload}",
                title=f"put the former {agent.file} back" if before else f"remove {agent.file}",
                host=host.name,
                sudo=True,
                command=back_command(agent.file, was_there=bool(before)),
                danger=Danger.WRITE,
                undoes=(upload,),
            )
        )
        parts.files.append(FileBasis(host=host.name, path=agent.file, sha256=before))
    parts.stages.append(
        Stage(
            id=f"keys:{agent.id}", title=f"{agent.title}'s key, on every host", steps=tuple(steps)
        )
    )
    parts.undo.insert(0, Stage(id=f"back:keys:{agent.id}", title="Key files", steps=tuple(back)))
    parts.changes.append(
        Change(
            where=agent.file,
            current="another key" if any(before for _, before in hosts) else None,
            desired=f"the key, readable by root only (0600), on {len(hosts)} hosts",
            steps=tuple(step.id for step in steps if isinstance(step, UploadStep)),
        )
    )
    return replaced


def _destroy(parts: Parts, units: Sequence[Unit], wanted: dict[str, str]) -> None:
    """Destroyed and gone everywhere before one of the same name is submitted."""
    if not units:
        return
    steps: list[Step] = []
    for unit in units:
        step = f"destroy:{unit.name}"
        steps += removal(unit.name, step, f"{step}:gone", (digest(unit.content),))
        if unit.name not in wanted:
            parts.changes.append(
                Change(
                    where=f"fleet unit {unit.name}",
                    current=shown_unit(unit.name, unit.content),
                    desired=None,
                    steps=(f"destroy:{unit.name}",),
                )
            )
        parts.keys.append(KeyBasis(key=job_key(unit.name), index=unit.index))
    parts.stages.append(Stage(id="destroy", title="Units of before go", steps=tuple(steps)))
    again = [u for u in units if u.desired == LAUNCHED and u.content]
    if again:
        parts.undo.insert(
            0,
            Stage(
                id="back:destroyed",
                title="Submit the units of before",
                steps=tuple(
                    submission(u.name, f"again:{u.name}", u.content).model_copy(
                        update={"undoes": (f"destroy:{u.name}",)}
                    )
                    for u in again
                ),
            ),
        )


def _submit(parts: Parts, fresh: dict[str, str], now: dict[str, Unit]) -> None:
    if not fresh:
        return
    parts.stages.append(
        Stage(
            id="submit",
            title="Submit the units",
            steps=tuple(submission(n, f"submit:{n}", content) for n, content in fresh.items()),
        )
    )
    back: list[Step] = []
    for name, content in fresh.items():
        old = now.get(name)
        expect = [digest(content)] + ([digest(old.content)] if old else [])
        back += [
            step.model_copy(update={"undoes": (f"submit:{name}",)})
            for step in removal(
                name, f"back:{name}", f"back:{name}:gone", tuple(dict.fromkeys(expect))
            )
        ]
        parts.changes.append(
            Change(
                where=f"fleet unit {name}",
                current=shown_unit(name, old.content) if old else None,
                desired=f"{shown_unit(name, content)}, on every host",
                steps=(f"submit:{name}",),
            )
        )
        if old is None:
            parts.keys.append(KeyBasis(key=job_key(name), index=0))
        else:
            parts.restarts.append(f"{name} on every host")
    parts.undo.insert(0, Stage(id="back:submitted", title="The units go", steps=tuple(back)))


def _wait(parts: Parts, snapshot: Snapshot, wanted: dict[str, str], fresh: dict[str, str]) -> None:
    """A step for each unit and host, so that each has its own progress, failure and retry."""
    steps: list[Step] = []
    hosts = 1
    for name, content in wanted.items():
        places = [h for h in places_of(snapshot, name, content) if h.reachable]
        waited = [h for h in places if name in fresh or not runs(row_of(snapshot, name, h))]
        hosts = max(hosts, len(waited))
        steps += [
            WaitStep(
                id=f"runs:{name}:{host.name}",
                title=f"{name} runs",
                host=host.name,
                condition=UnitRunning(
                    unit=name, host=host.name, machine=host.machine_id, steady=STEADY
                ),
                waiting_for=f"{name} to run on {host.name}, and to go on running",
                timeout=RUNNING_TIMEOUT,
                on_timeout=f"read why on {host.name}: journalctl -u {name}",
                on_retry=f"systemctl restart --no-block {name}",
            )
            for host in waited
        ]
    if steps:
        parts.stages.append(
            Stage(
                id="running",
                title="Every host runs them",
                steps=tuple(steps),
                hosts_at_a_time=hosts,
            )
        )


def _restart(parts: Parts, places: Sequence[tuple[Agent, HostFacts]]) -> None:
    """An agent reads its key only when it starts."""
    if not places:
        return
    steps = [
        CommandStep(
            id=f"restart:{agent.id}:{host.name}",
            title=f"start {agent.unit} again, with the new key",
            host=host.name,
            sudo=True,
            command=f"systemctl restart --no-block {agent.unit}",
            danger=Danger.RESTART,
        )
        for agent, host in places
    ]
    parts.stages.append(Stage(id="restart", title="Agents take their new keys", steps=tuple(steps)))
    back = [
        step.model_copy(
            update={
                "id": f"back:{step.id}",
                "title": step.title.replace("the new key", "the former key"),
                "undoes": (f"key:{agent.id}:{host.name}",),
            }
        )
        for step, (agent, host) in zip(steps, places, strict=True)
    ]
    parts.undo.append(
        Stage(id="back:restart", title="Agents take their former keys", steps=tuple(back))
    )
    parts.restarts += [f"{agent.unit} on {host.name}" for agent, host in places]


def submission(name: str, step: str, content: str) -> SubmitUnitStep:
    """A unit submitted and launched."""
    return SubmitUnitStep(
        id=step,
        title=f"submit and launch {name}",
        unit=name,
        content=content,
        danger=Danger.WRITE,
        undo=f"fleetctl destroy {name}",
    )


def places_of(snapshot: Snapshot, name: str, content: str) -> tuple[HostFacts, ...]:
    """The hosts on which fleet will run a unit with this file."""
    from deiswizard.cluster.fleet import unit_options

    metadata = tuple(unit_options(content).get("MachineMetadata", ()))
    return eligible_hosts(snapshot, Unit(name=name, machine_metadata=metadata))


def shown_unit(name: str, content: str) -> str:
    """A unit in a few words: its image, or where it sends to."""
    if name == FORWARDER:
        to, is_encrypted = receiver_in(content)
        return f"the journal to {to}{' with TLS' if is_encrypted else ', readable on its way'}"
    return image_in(content) if any(name == a.unit for a in AGENTS.values()) else "your unit file"
