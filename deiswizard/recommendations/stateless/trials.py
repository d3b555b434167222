"""Before anything changes: the stores outside are tried, and every host of the control plane reaches them."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.backup.data import BucketSource
from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Stage
from deiswizard.plan.reach_conditions import PortsTake
from deiswizard.plan.step import GuardStep, Step
from deiswizard.plan.store_steps import FROM_ETCD, BucketStep, DatabaseStep, Task
from deiswizard.recommendations.backup.facts import REGISTRY_BUCKET, gateway, gateway_way
from deiswizard.recommendations.stateless.choices import keeps_password
from deiswizard.recommendations.stateless.facts import (
    ACCESS,
    DB_NAME,
    DB_PASSWORD,
    GATEWAY_ACCESS,
    GATEWAY_SECRET,
    PASSWORD,
    S3_ACCESS,
    S3_SECRET,
    SECRET,
    StatelessChoices,
    address_of,
    bucket_of,
    control_hosts,
    kind_of,
    way,
)
from deiswizard.recommendations.stateless.keys import named
from deiswizard.vocabulary import Danger

HOURS = 24 * 3600.0
TRY_SECONDS = 120.0


def way_of(snapshot: Snapshot) -> HostFacts:
    """As ``facts.way``. Raises PreconditionError when there is none."""
    found = way(snapshot)
    if found is None:
        raise PreconditionError("no host of the control plane can be reached", do="look again")
    return found


def bucket_step(
    snapshot: Snapshot, choices: StatelessChoices, task: Task, id: str, title: str
) -> BucketStep:
    """One of the three things that are done with the bucket."""
    access, secret = "", ""
    if choices.auth == "keep":
        keys = (S3_ACCESS, S3_SECRET) if choices.store == "s3" else (GATEWAY_ACCESS, GATEWAY_SECRET)
        access, secret = (f"{FROM_ETCD}{key}" for key in keys)
    elif choices.auth == "keys" or choices.store != "s3":
        access, secret = named(ACCESS), named(SECRET)
    is_try = task == "try"
    return BucketStep(
        id=id,
        title=title,
        host=way_of(snapshot).name,
        task=task,
        bucket=bucket_of(choices),
        access=access,
        secret=secret,
        source=None if is_try else source_of(snapshot),
        must_hold=is_try and kind_of(snapshot) != "new" and not copies_registry(snapshot, choices),
        danger=Danger.READ if task == "compare" else Danger.WRITE,
        timeout=TRY_SECONDS if is_try else HOURS,
        undo="the small object is removed again" if is_try else "what was copied stays there",
    )


def source_of(snapshot: Snapshot) -> BucketSource:
    """The cluster's own bucket of images. Raises PreconditionError when its gateway is not known."""
    found, through = gateway(snapshot), gateway_way(snapshot)
    if found is None or through is None:
        raise PreconditionError(
            "the store gateway does not say where it is, so images cannot be copied",
            do="look at deis-store-gateway@1; or choose that the bucket holds them already",
        )
    return BucketSource(
        name="registry",
        bucket=snapshot.value(REGISTRY_BUCKET, "registry"),
        through=through.name,
        gateway=found[0],
        port=found[1],
    )


def database_step(
    snapshot: Snapshot, choices: StatelessChoices, task: Task, id: str, title: str
) -> DatabaseStep:
    """One of the three things that are done with the database."""
    keeps = keeps_password(snapshot, choices)
    own = next((h for h in snapshot.where("deis-database.service") if h.reachable), None)
    is_new = kind_of(snapshot) == "new"
    return DatabaseStep(
        id=id,
        title=title,
        host=way_of(snapshot).name,
        task=task,
        address=address_of(choices),
        password=f"{FROM_ETCD}{DB_PASSWORD}" if keeps else named(PASSWORD),
        source_host=own.name if own is not None and task != "try" else "",
        source=snapshot.value(DB_NAME, "deis"),
        must_be="either" if is_new else "empty" if copies_database(snapshot, choices) else "deis",
        danger=Danger.WRITE if task == "copy" else Danger.READ,
        timeout=TRY_SECONDS if task == "try" else HOURS,
        undo="what was copied stays there" if task == "copy" else "",
    )


def copies_registry(snapshot: Snapshot, choices: StatelessChoices) -> bool:
    """Images are to be copied out of Ceph."""
    return kind_of(snapshot) == "ceph" and choices.registry_data == "copy"


def copies_database(snapshot: Snapshot, choices: StatelessChoices) -> bool:
    """The cluster's own database is to be copied."""
    return kind_of(snapshot) == "ceph" and choices.database_data == "copy"


def stage(snapshot: Snapshot, choices: StatelessChoices) -> Stage:
    """The first stage of every plan: it changes nothing that is the cluster's."""
    return Stage(id="trials", title="Try the stores", steps=tuple(_steps(snapshot, choices)))


def again(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Step, ...]:
    """The stores once more, right before the outage: the first copy may have taken hours."""
    return tuple(
        step.model_copy(update={"id": f"again:{step.id}"})
        for step in _steps(snapshot, choices)
        if isinstance(step, BucketStep | DatabaseStep)
    )


def _steps(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Step]:
    bucket, address = bucket_of(choices), address_of(choices)
    for host in control_hosts(snapshot):
        yield GuardStep(
            id=f"guard:reach:{host.name}",
            title=f"{host.name} reaches {address.host} and {bucket.address[0]}",
            host=host.name,
            condition=PortsTake(
                hosts=(host.name,), places=((address.host, address.port), bucket.address)
            ),
            otherwise=f"{host.name} does not reach both stores: registry and controller may run there. "
            "Look at names, firewalls and security groups",
        )
    tried = bucket_step(snapshot, choices, "try", "try:bucket", f"the bucket {bucket.bucket} can be used")  # fmt: skip
    yield tried
    if not tried.access:
        yield from _roles(snapshot, tried)
    yield database_step(snapshot, choices, "try", "try:database", f"the database at {address.host} can be used")  # fmt: skip


def _roles(snapshot: Snapshot, tried: BucketStep) -> Iterator[Step]:
    """The registry takes the role of the host that it comes to, so each host's is tried."""
    for host in control_hosts(snapshot):
        if host.name != tried.host:
            yield tried.model_copy(
                update={
                    "id": f"{tried.id}:{host.name}",
                    "title": f"{tried.title} with the role of {host.name}",
                    "host": host.name,
                }
            )
