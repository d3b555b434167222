"""Preseeding by fleet: the unit's file, how it stands on a cluster, and where it is worth having."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from typing import Literal

from deiswizard.cluster.image_names import split_tag
from deiswizard.cluster.snapshot import Evidence, HostFacts, Snapshot, UnitState
from deiswizard.cluster.unit_files import CONTINUED, digest, options_of
from deiswizard.errors import PreconditionError
from deiswizard.recommendations.base import Finding
from deiswizard.recommendations.preseed.choices import IMAGE_NAME, missing_on
from deiswizard.recommendations.preseed.images import needed_images
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status
from deiswizard.wording import few

UNIT = "deiswizard-preseed.service"
LAUNCHED = "launched"
MANY_HOSTS = 20
"""From so many hosts on the cluster's own scheduler is the better way."""

LONGEST_NAME = 255
"""Characters of an image name that Docker takes; a line of a unit may have 2048."""

MARK = "@IMAGES@"
LISTED = re.compile(r"\bfor image in (.*?); do\b", re.DOTALL)
STORE_KEY = re.compile(r"/deis/store/(?:hosts|osds)/(\d+\.\d+\.\d+\.\d+)")
MACHINE_ID = re.compile(r"[0-9a-f]{32}")


def is_safe(name: str) -> bool:
    """Whether an image name may stand in a shell's words inside a unit file."""
    is_plain = name.isascii() and len(name) <= LONGEST_NAME
    return is_plain and IMAGE_NAME.fullmatch(name) is not None


def unit_file(images: Sequence[str]) -> str:
    """The unit that fetches these images, in this order.

    Raises:
        PreconditionError: one of them is no image name, so it stays out of a shell.
    """
    for name in images:
        if not is_safe(name):
            raise PreconditionError(
                f"{name!r} is not an image name, so it is not put into a fleet unit",
                state="nothing was changed",
                do="correct it where it comes from: /deis/<component>/image, /deis/platform/version "
                "or the extra images",
            )
    template = resources.files("deiswizard.assets").joinpath(UNIT).read_text(encoding="utf-8")
    return template.replace(MARK, " \\\n    ".join(images))


def listed(content: str) -> tuple[str, ...]:
    """The images that a unit file fetches."""
    for option in options_of(content):
        if option.name == "ExecStart" and (
            match := LISTED.search(CONTINUED.sub(" ", option.value))
        ):
            return tuple(match[1].split())
    return ()


def readable_hosts(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """The hosts whose images can be looked at; the unit runs on the others too."""
    return tuple(host for host in snapshot.hosts if host.images is not None)


def row_of(snapshot: Snapshot, host: HostFacts) -> UnitState | None:
    """What a host's fleet reports of the unit."""
    rows = (s for s in snapshot.unit_states if s.unit == UNIT)
    return next((row for row in rows if row.machine_id == host.machine_id), None)


def is_done(row: UnitState | None) -> bool:
    """It ran to its end and every image was there."""
    return row is not None and (row.active, row.sub) == ("active", "exited")


def failed_hosts(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Where the unit ended without all images."""
    rows = ((host, row_of(snapshot, host)) for host in snapshot.hosts)
    return tuple(host for host, row in rows if row is not None and row.active == "failed")


def needed_but_not_listed(snapshot: Snapshot) -> tuple[str, ...]:
    """Images that Deis needs now and that the unit, made earlier, does not fetch."""
    unit = snapshot.unit(UNIT)
    if unit is None:
        return ()
    there = listed(unit.content)
    return tuple(i.name for i in needed_images(snapshot) if i.name not in there)


def covers_new_hosts(snapshot: Snapshot) -> bool:
    """The unit is there, launched, and fetches all that Deis needs."""
    unit = snapshot.unit(UNIT)
    return unit is not None and unit.desired == LAUNCHED and not needed_but_not_listed(snapshot)


def kept_extras(snapshot: Snapshot) -> tuple[str, ...]:
    """What the unit fetches besides Deis's own images, in any of their tags."""
    unit = snapshot.unit(UNIT)
    own = {split_tag(image.name)[0] for image in needed_images(snapshot)}
    names = listed(unit.content) if unit else ()
    return tuple(name for name in names if split_tag(name)[0] not in own)


def why_make(snapshot: Snapshot, hosts: Sequence[HostFacts], images: Sequence[str]) -> str:
    """Why the unit must be made (again), in words; empty: it does what is wanted already."""
    unit = snapshot.unit(UNIT)
    if unit is None:
        return "there is none yet"
    if digest(unit.content) != digest(unit_file(images)):
        return "it was made for other images, or by another version of this wizard"
    if unit.desired != LAUNCHED:
        return "it is not launched"
    failed = [host.name for host in failed_hosts(snapshot)]
    if failed:
        return f"it failed on {', '.join(failed)}"
    lost = [h.name for h in hosts if is_done(row_of(snapshot, h)) and missing_on(h, images)]
    if lost:
        return f"images have gone since it ran on {', '.join(lost)}"
    return ""


def departed(snapshot: Snapshot) -> tuple[str, ...]:
    """Traces of hosts that are no longer in fleet: the cluster is one whose hosts come and go.

    Ceph's addresses below /deis/store, which nobody clears when a host leaves (deis-facts 1), and
    etcd members named by a machine id. They count only where others of their kind belong to hosts
    of today: elsewhere these addresses and names mean something else.
    """
    addresses = {host.address for host in snapshot.hosts}
    stored = {m[1] for fact in snapshot.keys if (m := STORE_KEY.match(fact.key))}
    machines = {host.machine_id for host in snapshot.hosts}
    members = {m.name for m in snapshot.etcd.members if MACHINE_ID.fullmatch(m.name)}
    gone = []
    if stored & addresses:
        gone += sorted(stored - addresses)
    if members & machines:
        gone += [f"{name[:8]}..." for name in sorted(members - machines)]
    return tuple(gone)


def why_offered(snapshot: Snapshot) -> str:
    """Why this way is the default here; empty: it is not."""
    if snapshot.unit(UNIT) is not None:
        return "its unit is on this cluster already"
    if len(snapshot.hosts) >= MANY_HOSTS:
        return f"this cluster has {len(snapshot.hosts)} hosts"
    if gone := departed(snapshot):
        return f"hosts come and go here ({', '.join(gone[:2])} is no longer in fleet)"
    return ""


def best_method(snapshot: Snapshot) -> Literal["fleet", "pull"]:
    """The method that is offered first."""
    return "fleet" if why_offered(snapshot) else "pull"


def findings(snapshot: Snapshot) -> tuple[Finding, ...]:
    """What is wrong with the unit, if it is there."""
    unit = snapshot.unit(UNIT)
    if unit is None:
        return ()
    found = []
    source = f"fleet unit {UNIT}"
    if unit.desired != LAUNCHED:
        found.append(
            Finding(
                status=Status.TO_DO,
                what=f"{UNIT} is not launched: hosts that join later are not preseeded",
                evidence=(Evidence(source=source, said=unit.desired or "no target state"),),
                do="choose the method 'fleet' and run this again",
            )
        )
    if stale := needed_but_not_listed(snapshot):
        found.append(
            Finding(
                status=Status.TO_DO,
                what=f"{UNIT} was made for other images: it does not fetch "
                f"{few(stale, 2)}, which Deis needs now",
                evidence=(Evidence(source=source, said=", ".join(listed(unit.content))),),
                do="choose the method 'fleet' and run this again: the unit is made anew",
            )
        )
    for host in failed_hosts(snapshot):
        row = row_of(snapshot, host)
        said = f"{row.active}/{row.sub}" if row else ""
        found.append(
            Finding(
                status=Status.TO_DO,
                what=f"{UNIT} failed on {host.name}",
                evidence=(Evidence(source=source, host=host.name, said=said),),
                do=f"read why on {host.name}: journalctl -u {UNIT}; then run this again",
            )
        )
    return tuple(found)


def checks(after: Snapshot, hosts: Sequence[str], images: Sequence[str]) -> tuple[Check, ...]:
    """The unit is there with these images, and has ended well on each of the hosts."""
    unit = after.unit(UNIT)
    lacks = [name for name in images if unit is None or name not in listed(unit.content)]
    is_there = unit is not None and unit.desired == LAUNCHED and not lacks
    told = (
        "fleet has none" if unit is None else f"{unit.desired}, {len(listed(unit.content))} images"
    )
    if unit is not None and lacks:
        told += f"; it does not fetch {', '.join(lacks[:3])}"
    found = [Check(title=f"fleet has {UNIT} for every host", ok=is_there, evidence=told)]
    for name in hosts:
        host = after.host(name)
        row = row_of(after, host) if host else None
        how = f"{row.active}/{row.sub}" if row else "fleet tells nothing of it"
        found.append(Check(title=f"{UNIT} is done on {name}", ok=is_done(row), evidence=how))
    return tuple(found)
