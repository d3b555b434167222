"""The plan of logging and monitoring: guards, units, settings, and the proof that lines arrive."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays
from deiswizard.plan.fleet_steps import SubmitUnitStep
from deiswizard.plan.plan import Basis, Impact, KeyBasis, Plan, Stage, worst
from deiswizard.plan.step import GuardStep, Step
from deiswizard.recommendations.logs.checks import check_choices
from deiswizard.recommendations.logs.choices import STORAGE_KEY, LoggingChoices
from deiswizard.recommendations.logs.drain import (
    KEY,
    Receiver,
    parse_drain,
    parse_receiver,
)
from deiswizard.recommendations.logs.facts import (
    drain_value,
)
from deiswizard.recommendations.logs.marker import (
    logger_host,
)
from deiswizard.recommendations.logs.notes import notes
from deiswizard.recommendations.logs.plan_settings import Settings
from deiswizard.recommendations.logs.plan_units import of_units
from deiswizard.recommendations.logs.units import FORWARDER
from deiswizard.vocabulary import Danger

MUTED = "logger gives up after 5 failed dials and then sends nothing for 5 minutes, without a word"


def plan(snapshot: Snapshot, choices: LoggingChoices) -> Plan:
    """Guards, units, settings, proof. Raises PreconditionError."""
    if not snapshot.keys_read:
        raise PreconditionError("the settings could not be read from etcd", do="look again")
    wrong = [problem for problem in check_choices(snapshot, choices) if problem.blocks]
    if wrong:
        raise PreconditionError(
            f"{wrong[0].field}: {wrong[0].what}", do=f"allowed: {wrong[0].allowed}"
        )
    parts = of_units(snapshot, choices)
    settings = Settings(snapshot, choices)
    settings.add_to(parts)
    submitted = {
        s.unit for stage in parts.stages for s in stage.steps if isinstance(s, SubmitUnitStep)
    }
    guards = tuple(_guards(snapshot, choices, forwards=FORWARDER in submitted))
    is_changing = bool(parts.changes) or any(
        step.danger is not Danger.READ for stage in parts.stages for step in stage.steps
    )
    if guards and is_changing:
        parts.stages.insert(0, Stage(id="guards", title="Guards", steps=guards))
    kept = choices.model_dump(
        mode="json", exclude={f"{n}_key" for n in ("datadog", "newrelic", "sematext")}
    )
    if choices.drain == "send" and choices.drain_to == drain_value(snapshot):
        kept |= {"drain": "keep", "drain_to": ""}  # the key's value is kept out of every file
    return Plan(
        recommendation="logging",
        title="Logging and monitoring",
        cluster=snapshot.cluster,
        choices=kept,
        changes=tuple(parts.changes),
        stages=tuple(parts.stages),
        undo=_backwards(parts.stages, parts.undo),
        impact=Impact(
            danger=worst(step for stage in parts.stages for step in stage.steps),
            restarts=tuple(parts.restarts),
            duration="logger follows within about 10 s; units run once their image is there",
            undo="units and key files go, the keys are put back; images stay where they are"
            if parts.undo
            else "",
            notes=notes(snapshot, choices),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=(
                *(
                    KeyBasis(key=key, index=fact.index if (fact := snapshot.key(key)) else 0)
                    for key in (KEY, STORAGE_KEY)
                ),
                *parts.keys,
            ),
            files=tuple(parts.files),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _backwards(stages: Sequence[Stage], undo: Sequence[Stage]) -> tuple[Stage, ...]:
    """The way back, what was changed last first."""
    numbers = {step.id: n for n, stage in enumerate(stages) for step in stage.steps}

    def last(stage: Stage) -> int:
        return max(numbers[name] for step in stage.steps for name in step.undoes)

    return tuple(sorted(undo, key=last, reverse=True))


def _guards(snapshot: Snapshot, choices: LoggingChoices, *, forwards: bool) -> Iterator[Step]:
    drain = parse_drain(choices.drain_to) if choices.drain == "send" else None
    own = logger_host(snapshot)
    if drain is not None and own is not None and choices.drain_to != drain_value(snapshot):
        if drain.protocol == "tcp":
            yield _dial_guard(own, drain.to, "drain", MUTED)
        elif any(char.isalpha() for char in drain.to.host) and ":" not in drain.to.host:
            yield GuardStep(
                id=f"resolve:{own.name}",
                title=f"{drain.to.host} has an address, as seen from logger's host",
                host=own.name,
                condition=CommandSays(
                    host=own.name,
                    command=f"getent hosts {shlex.quote(drain.to.host)}",
                    pattern=r"\S",
                ),
                otherwise=f"{own.name} does not know the name {drain.to.host}: {MUTED}",
            )
    to = parse_receiver(choices.forward_to) if forwards else None
    if to is None:
        return
    for host in snapshot.reachable_hosts:
        yield GuardStep(
            id=f"ncat:{host.name}",
            title="ncat is there",
            host=host.name,
            condition=CommandSays(host=host.name, command="command -v ncat", pattern="ncat"),
            otherwise=f"{host.name} has no ncat, which sends the journal",
        )
        yield _dial_guard(host, to, "forward", "the unit would only be started again and again")


def _dial_guard(host: HostFacts, to: Receiver, what: str, otherwise: str) -> GuardStep:
    path = shlex.quote(f"/dev/tcp/{to.host}/{to.port}")
    return GuardStep(
        id=f"dial:{what}:{host.name}",
        title=f"{to.shown} takes connections",
        host=host.name,
        timeout=30,
        condition=CommandSays(
            host=host.name,
            command=f"timeout 10 bash -c {shlex.quote(f'true < {path}')} && echo open",
            pattern="^open$",
        ),
        otherwise=f"{host.name} cannot connect to {to.shown}: {otherwise}",
    )
