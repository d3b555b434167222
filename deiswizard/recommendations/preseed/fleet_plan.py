"""What the method 'fleet' adds to the plan of preseeding: the unit, the wait for it, the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deiswizard.cluster.fleet import job_key
from deiswizard.cluster.snapshot import HostFacts, Snapshot, Unit
from deiswizard.cluster.unit_files import digest
from deiswizard.plan.conditions import UnitDone
from deiswizard.plan.fleet_steps import SubmitUnitStep
from deiswizard.plan.plan import Change, KeyBasis, Stage
from deiswizard.plan.step import WaitStep
from deiswizard.recommendations.preseed.choices import in_gb
from deiswizard.recommendations.preseed.fleet import (
    LAUNCHED,
    UNIT,
    is_done,
    listed,
    row_of,
    unit_file,
    why_make,
)
from deiswizard.recommendations.unit_removal import removal
from deiswizard.vocabulary import Danger

DONE_TIMEOUT = 4 * 3600.0
IMAGES_STAY = "images stay where they are: they do no harm (docker rmi NAME removes one)"


@dataclass(frozen=True)
class UnitParts:
    """What the unit contributes to a plan."""

    changes: tuple[Change, ...] = ()
    stages: tuple[Stage, ...] = ()
    notes: tuple[str, ...] = ()
    basis: tuple[KeyBasis, ...] = ()
    undo: tuple[Stage, ...] = ()
    undo_words: str = ""


NO_UNIT = UnitParts()


def parts(
    snapshot: Snapshot, hosts: Sequence[HostFacts], images: Sequence[str], size: int
) -> UnitParts:
    """The unit for these images, waited for on these hosts; ``size`` bytes are to be fetched.

    Raises:
        PreconditionError: an image name cannot stand in a unit.
    """
    old, content = snapshot.unit(UNIT), unit_file(images)
    why = why_make(snapshot, hosts, images)
    stages: list[Stage] = []
    if why and old is not None:
        stages.append(_removal("old-unit", "The unit of before goes", (digest(old.content),)))
    if why:
        stages.append(_submission("unit", "Submit the fleet unit", content))
    waited = [host for host in hosts if why or not is_done(row_of(snapshot, host))]
    if waited:
        stages.append(_wait(waited))
    undo = _way_back(old, content) if why else ()
    return UnitParts(
        changes=(_change(old, images, why),) if why else (),
        stages=tuple(stages),
        notes=_notes(snapshot, hosts, size, why),
        basis=(KeyBasis(key=job_key(UNIT), index=old.index if old else 0),),
        undo=undo,
        undo_words=_undo_words(undo) if why else "",
    )


def _change(old: Unit | None, images: Sequence[str], why: str) -> Change:
    return Change(
        where=f"fleet unit {UNIT}",
        current=f"{len(listed(old.content))} images" if old else None,
        desired=f"{len(images)} images on every host",
        note="" if old is None else why,
        steps=("unit:submit",),
    )


def _removal(stage: str, title: str, expect: tuple[str, ...]) -> Stage:
    return Stage(id=stage, title=title, steps=removal(UNIT, "unit:destroy", "unit:gone", expect))


def _submission(stage: str, title: str, content: str) -> Stage:
    return Stage(
        id=stage,
        title=title,
        steps=(
            SubmitUnitStep(
                id="unit:submit",
                title=f"submit and launch {UNIT}",
                unit=UNIT,
                content=content,
                danger=Danger.WRITE,
                undo=f"fleetctl destroy {UNIT}",
            ),
        ),
    )


def _wait(hosts: Sequence[HostFacts]) -> Stage:
    """A step for each host, so that each has its own progress, failure and retry."""
    return Stage(
        id="wait",
        title="Every host fetches",
        hosts_at_a_time=len(hosts),
        steps=tuple(
            WaitStep(
                id=f"unit:{host.name}",
                title="fetch every image",
                host=host.name,
                condition=UnitDone(unit=UNIT, host=host.name, machine=host.machine_id),
                waiting_for=f"{host.name} to have every image",
                timeout=DONE_TIMEOUT,
                on_timeout=f"the unit goes on there: journalctl -u {UNIT}",
                on_retry=f"systemctl restart --no-block {UNIT}",
            )
            for host in hosts
        ),
    )


def _way_back(old: Unit | None, content: str) -> tuple[Stage, ...]:
    """Destroyed, whichever of the two is there; the file of before is put back."""
    expect = [digest(content)]
    if old is None:
        return (_removal("undo", "The fleet unit goes", tuple(expect)).undoing("unit:submit"),)
    expect.append(digest(old.content))
    gone = _removal("undo", "The fleet unit goes", tuple(dict.fromkeys(expect)))
    back = [gone.undoing("unit:destroy", "unit:submit")]
    if old.desired == LAUNCHED and old.content:
        again = _submission("undo-unit", "Submit the unit of before", old.content)
        back.append(again.undoing("unit:destroy"))
    return tuple(back)


def _undo_words(undo: Sequence[Stage]) -> str:
    is_put_back = any(isinstance(step, SubmitUnitStep) for stage in undo for step in stage.steps)
    if is_put_back:
        return f"puts the fleet unit of before back; {IMAGES_STAY}"
    return f"destroys the fleet unit: hosts that join later fetch nothing then; {IMAGES_STAY}"


def _notes(snapshot: Snapshot, hosts: Sequence[HostFacts], size: int, why: str) -> tuple[str, ...]:
    notes = ["an image that is there already is not fetched again"]
    if size:
        notes.append(
            f"all {len(hosts)} hosts pull at the same time, one image each: about {in_gb(size)} "
            "through the line to the registry; a public registry may slow them down or refuse "
            "(too many requests)"
        )
    notes.append(
        "a host that joins later does the same by itself; one that boots again looks, and fetches "
        "what is missing"
    )
    if why:
        notes.append("the unit's whole file stands in the view Commands")
    unread = [host.name for host in snapshot.hosts if host not in hosts]
    if unread:
        notes.append(
            f"not waited for on {', '.join(unread)}: the images there could not be read; the unit "
            "runs there too"
        )
    return tuple(notes)
