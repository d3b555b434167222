"""The plans of running without Ceph: a new cluster, one that leaves Ceph, one whose stores change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deiswizard.cluster.fleet import job_key
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.keeping import token_of
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage, chained, worst
from deiswizard.recommendations import settings
from deiswizard.recommendations.base import refuse_blocking
from deiswizard.recommendations.deis_units import short
from deiswizard.recommendations.planes.facts import ceph_asker, is_ceph_well
from deiswizard.recommendations.settings import Setting
from deiswizard.recommendations.stateless import ceph_down, components, files, installing, trials
from deiswizard.recommendations.stateless.choices import check_choices
from deiswizard.recommendations.stateless.copying import (
    ceph_guard,
    compare_steps,
    copy_steps,
    first_copy,
    guards,
    silent,
)
from deiswizard.recommendations.stateless.facts import (
    StatelessChoices,
    graceful_hosts,
    is_plain_gateway,
    kind_of,
    place_words,
    store_units,
    units_of,
)
from deiswizard.recommendations.stateless.keys import (
    database_settings,
    logs_settings,
    registry_settings,
)
from deiswizard.recommendations.stateless.removing import removal
from deiswizard.userdata.roles import CEPH_SHUTDOWN
from deiswizard.vocabulary import Danger
from deiswizard.wording import counted, few

ALL = ("logger", "registry", "controller", "builder")


def plan(snapshot: Snapshot, choices: StatelessChoices) -> Plan:
    """Raises PreconditionError when a choice cannot be, or something could not be read."""
    if not snapshot.keys_read:
        raise PreconditionError("the settings could not be read from etcd", do="look again")
    refuse_blocking(check_choices(snapshot, choices))
    if choices.makes_files:
        return files.plan(snapshot, choices)
    if choices.part == "remove":
        return removal(snapshot, choices)
    wanted = (
        *logs_settings(choices),
        *registry_settings(snapshot, choices),
        *database_settings(snapshot, choices),
    )
    group = settings.changed(snapshot, wanted)
    if kind_of(snapshot) == "stateless" and not group:
        return _assembled(snapshot, choices, group, [], [], _nothing())
    token = token_of(snapshot, "stateless")
    backs, forgets = settings.backs(snapshot, group, token)
    set_stages = [
        Stage(id="keep", title="Keep", steps=settings.keeps(snapshot, group, token)),
        Stage(id="set", title="Settings", steps=settings.writes(snapshot, group)),
    ]
    match kind_of(snapshot):
        case "new":
            stages = [trials.stage(snapshot, choices).vital, *set_stages, *installing.stages(snapshot, choices)]  # fmt: skip
            undo = [*installing.undo(snapshot, choices), *backs, *forgets]
            impact = _impact_of_new(stages)
        case "ceph":
            stages, undo = _leaving(snapshot, choices, set_stages, (*backs, *forgets))
            impact = _impact_of_leaving(snapshot, choices, stages)
        case "stateless":
            stages, undo = _changing(snapshot, choices, group, set_stages, (*backs, *forgets))
            impact = _impact_of_changing(stages, group)
    return _assembled(snapshot, choices, group, stages, undo, impact)


def _assembled(
    snapshot: Snapshot,
    choices: StatelessChoices,
    group: Sequence[Setting],
    stages: Sequence[Stage],
    undo: Sequence[Stage],
    impact: Impact,
) -> Plan:
    return Plan(
        recommendation="stateless",
        title="Running without Ceph",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(_changes(snapshot, choices, group)),
        stages=tuple(stage for stage in stages if stage.steps),
        undo=tuple(stage for stage in undo if stage.steps),
        impact=impact,
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=(
                *settings.basis(snapshot, group),
                *(KeyBasis(key=job_key(u.name), index=u.index) for u in store_units(snapshot)),
            ),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _leaving(
    snapshot: Snapshot,
    choices: StatelessChoices,
    set_stages: Sequence[Stage],
    backs: Sequence[Stage],
) -> tuple[list[Stage], list[Stage]]:
    """The order of deis-facts 3, except that the database is copied while both run, so that they can be
    compared; what does not use a store (routers, publisher, apps) runs on.
    """
    writers, readers = components.WRITERS, components.READERS
    stops, down = components.down(snapshot, readers), ceph_down.down_stage(snapshot)
    ended = tuple(step.id for step in down.steps)
    believed = tuple(step.id for step in stops or down.steps[:1])
    again = trials.again(snapshot, choices)
    before = [
        trials.stage(snapshot, choices),
        guards(snapshot, choices),
        first_copy(snapshot, choices),
        Stage(id="again", title="Still as before the copy", steps=(*again, *ceph_guard(snapshot, choices, "again"))),
        Stage(id="writers", title="Nobody writes any more", steps=components.down(snapshot, writers)),
        Stage(id="copy", title="Copy what is left", steps=chained((*silent(snapshot, "copy", ended), *copy_steps(snapshot, choices)))),
        Stage(id="compare", title="Compare", steps=chained((*silent(snapshot, "compare", ended), *compare_steps(snapshot, choices, believed)))),
        ceph_down.disarm_stage(snapshot),
        Stage(id="silent", title="Still nobody writes", steps=silent(snapshot, "down", ended)),
        Stage(id="readers", title="What stands on Ceph stops", steps=stops),
        down,
        ceph_down.expired_stage(snapshot),
        *set_stages,
    ]  # fmt: skip
    up = components.up_stage(snapshot, ALL, "Start on the new stores")
    stages = [*(stage.vital for stage in before), up]
    undo = [
        ceph_down.data_stage(snapshot),
        components.back_down_stage(snapshot, tuple(reversed(ALL)), "Stop again"),
        *backs,
        ceph_down.up_stage(snapshot),
        components.back_up_stage(snapshot, readers, "What stands on Ceph starts"),
        ceph_down.arm_stage(snapshot),
        components.back_up_stage(snapshot, writers, "Builds and the controller start"),
    ]
    return stages, undo


def _changing(
    snapshot: Snapshot,
    choices: StatelessChoices,
    group: Sequence[Setting],
    set_stages: Sequence[Stage],
    backs: Sequence[Stage],
) -> tuple[list[Stage], list[Stage]]:
    """Only what reads a changed setting at its start is started again."""
    again = _restarted(group)
    stages = [
        trials.stage(snapshot, choices).vital,
        Stage(id="stop", title="Stop what reads them", steps=components.down(snapshot, again)),
        *set_stages,
        components.up_stage(snapshot, again, "Start it again"),
    ]
    undo = [
        components.back_down_stage(snapshot, again, "Stop again"),
        *backs,
        components.back_up_stage(snapshot, again, "Start it again"),
    ]
    return stages, undo


def _restarted(group: Sequence[Setting]) -> tuple[str, ...]:
    """The registry makes sure of its bucket only at its start; the controller migrates the database then."""
    keys = [setting.key for setting in group]
    found = []
    if any(key.startswith("/deis/database/") for key in keys):
        found.append("controller")
    if any(key.startswith(("/deis/registry/", "/deis/store/")) for key in keys):
        found.append("registry")
    return tuple(found)


def _changes(
    snapshot: Snapshot, choices: StatelessChoices, group: Sequence[Setting]
) -> Iterator[Change]:
    if kind_of(snapshot) == "ceph":
        yield from _moved(snapshot, choices)
    if kind_of(snapshot) == "new":
        yield Change(
            where="platform",
            current=None,
            desired=f"installed without Ceph, {counted(choices.routers, 'router')}",
            steps=installing.STEPS,
        )
    for setting in group:
        yield settings.change(snapshot, setting)


def _moved(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Change]:
    if trials.copies_registry(snapshot, choices):
        yield Change(
            where="images",
            current="Ceph's store gateway",
            desired=place_words(choices),
            steps=("copy:registry", "compare:registry"),
        )
    if trials.copies_database(snapshot, choices):
        yield Change(
            where="data of the controller",
            current="deis-database",
            desired=f"{choices.database_name} at {choices.database_host}",
            steps=("copy:database", "compare:database"),
        )
    units = [unit.name for unit in store_units(snapshot)]
    yield Change(
        where="fleet units",
        current=few([short(name) for name in units], 8),
        desired=None,
        note="their data stays on the hosts",
        steps=tuple(f"destroy:{name}" for name in units),
    )
    for host in graceful_hosts(snapshot):
        yield Change(
            where=f"{host.name}: {CEPH_SHUTDOWN}",
            current="takes the host out of Ceph",
            desired="does nothing",
            steps=(f"graceful:{host.name}",),
        )


def _nothing() -> Impact:
    return Impact(
        danger=Danger.READ, duration="nothing changes", undo="not needed: nothing changes"
    )


def _impact_of_new(stages: Sequence[Stage]) -> Impact:
    return Impact(
        danger=worst(step for stage in stages for step in stage.steps),
        restarts=("the platform starts for the first time",),
        duration="10 to 30 min, most of it for images (preseed first)",
        undo="what was installed is taken off again, and the settings with it; the stores outside keep what "
        "was written to them",
        notes=(BACKUPS, CLEAR),
    )


BACKUPS = "backing up bucket and database is yours from now on: versioning, snapshots"
CLEAR = "the password, and the keys where there are any, stand in etcd in clear text"


def _impact_of_leaving(
    snapshot: Snapshot, choices: StatelessChoices, stages: Sequence[Stage]
) -> Impact:
    gone = [short(unit.name) for unit in store_units(snapshot)]
    notes = [
        "apps, routers and publisher run on; nobody can deploy, scale or log in from the copying of the "
        "database until the end",
        "images and tables go through this machine in a stream: start the wizard near the cluster if there "
        "is much",
        "lines that logger has written so far stay on Ceph: 'deis logs' begins anew (back up the volume)",
        "the old data stays on the hosts until you remove it: choose 'remove what Ceph has left' later",
        "undo brings back the data of before: what is deployed or registered after the switch stays in the "
        "new stores",
        BACKUPS,
        CLEAR,
        "hosts that join later: make their user-data by this recommendation too ('as user-data files'); with "
        "upgrades of Deis name stateless-platform instead of platform",
    ]
    if is_plain_gateway(snapshot) and choices.store != "s3":
        notes.append("/deis/store/gateway is a plain key now: on the way back it stays a folder, which serves the same")  # fmt: skip
    if ceph_asker(snapshot) is not None and not is_ceph_well(snapshot):
        notes.append(
            "Ceph is not well now: undo brings it back as it is, and does not wait for HEALTH_OK"
        )
    apart = [u.name for c in ALL for u in units_of(snapshot, c) if u.desired != "launched"]
    if apart:
        notes.append(f"stopped already, and stays so: {few(apart)}")
    return Impact(
        danger=worst(step for stage in stages for step in stage.steps),
        restarts=(
            f"ends: {few(gone, 8)}",
            "stops and comes back: builder, controller, registry, logger",
        ),
        duration="the first copy takes as long as there are images, without an outage; then about 5 min "
        "without deploys, longer for a large database",
        undo="settings as they were, Ceph and the database as they were, with their data of before",
        notes=tuple(notes),
    )


def _impact_of_changing(stages: Sequence[Stage], group: Sequence[Setting]) -> Impact:
    again = _restarted(group)
    return Impact(
        danger=worst(step for stage in stages for step in stage.steps),
        restarts=again,
        duration="about 1 min without deploys" if again else "live within 10 s",
        undo="the settings as they were, with the same restarts",
        notes=("nothing is copied: what the new place does not hold is missing", CLEAR),
    )
