"""What Ceph and the database have left, removed for good: a plan of its own, later, and never taken back."""

from __future__ import annotations

import shlex

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.conditions import WebSays
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.step import CommandStep, GuardStep, RemoveKeyStep
from deiswizard.recommendations.stateless.facts import (
    StatelessChoices,
    controller_request,
    leftovers,
    registry_request,
    store_keys,
    units_of,
)
from deiswizard.vocabulary import Danger
from deiswizard.wording import few


def removal(snapshot: Snapshot, choices: StatelessChoices) -> Plan:
    """Only while the new stores serve: registry and controller answer right before."""
    old, keys = leftovers(snapshot), store_keys(snapshot)
    containers = tuple(
        CommandStep(
            id=f"remove:{host}",
            title=f"remove {few(names)}",
            host=host,
            command=f"docker rm -v {' '.join(map(shlex.quote, names))}",
            danger=Danger.DESTROY,
            undo="cannot be taken back",
        )
        for host, names in old.items()
    )
    removals = tuple(
        RemoveKeyStep(
            id=f"forget:{key}",
            title=f"remove {key}",
            key=key,
            expect=fact.index if (fact := snapshot.key(key)) else None,
            danger=Danger.DESTROY,
            undo="cannot be taken back",
        )
        for key in keys
    )
    stages = (
        Stage(id="guards", title="The new stores serve", steps=_guards(snapshot)),
        Stage(id="containers", title="Remove the data", steps=containers),
        Stage(id="keys", title="Remove its keys", steps=removals),
    )
    return Plan(
        recommendation="stateless",
        title="Removing what Ceph has left",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=(
            *(
                Change(where=f"{host}: data", current=", ".join(names), desired=None, steps=(f"remove:{host}",))
                for host, names in old.items()
            ),
            Change(
                where="keys of Ceph in etcd",
                current=f"{len(keys)} keys",
                desired=None,
                steps=tuple(step.id for step in removals),
            ),
        ),
        stages=tuple(stage for stage in stages if stage.steps),
        impact=Impact(
            danger=Danger.DESTROY,
            duration="seconds for each host",
            undo="it cannot be taken back: the data is gone",
            notes=("backups that were made before (recommendation 6) stay", "images of Ceph's components stay: docker rmi"),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=tuple(
                KeyBasis(key=key, index=fact.index if (fact := snapshot.key(key)) else 0) for key in keys
            ),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )  # fmt: skip


def _guards(snapshot: Snapshot) -> tuple[GuardStep, ...]:
    found = []
    for component, request in (("registry", registry_request), ("controller", controller_request)):
        names = [unit.name for unit in units_of(snapshot, component)]
        hosts = [h for h in snapshot.reachable_hosts if any(h in snapshot.where(n) for n in names)]
        found += [
            GuardStep(
                id=f"guard:{component}:{host.name}",
                title=f"{component} on {host.name} answers",
                host=host.name,
                condition=WebSays(request=request(host), status="200"),
                otherwise=f"the {component} does not answer: the old data may still be needed",
            )
            for host in hosts
        ]
    return tuple(found)
