"""How a cluster stands with its stores: on Ceph by choice, without it, or between the two."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Evidence, Snapshot
from deiswizard.recommendations.backup.facts import GATEWAY_HOST, REGISTRY_BUCKET
from deiswizard.recommendations.base import Assessment, Finding
from deiswizard.recommendations.logs.choices import STORAGE_KEY
from deiswizard.recommendations.planes.facts import ceph_hosts, ceph_said
from deiswizard.recommendations.stateless.facts import (
    DB_HOST,
    GATEWAY,
    GATEWAY_ACCESS,
    HEALTH,
    PING,
    S3_ACCESS,
    S3_BUCKET,
    S3_SECRET,
    SWIFT_URL,
    flavour_of,
    graceful_hosts,
    is_database_outside,
    is_plain_gateway,
    kind_of,
    leftovers,
    store_units,
)
from deiswizard.recommendations.stateless.verify import is_storage_memory
from deiswizard.vocabulary import Status
from deiswizard.wording import counted, few


def assess(snapshot: Snapshot) -> Assessment:
    """Ceph that is well is a choice; what is half done, or cannot work, is told."""
    findings = tuple(_findings(snapshot))

    def result(status: Status, now: str, explanation: str) -> Assessment:
        return Assessment(
            recommendation="stateless", status=status, now=now, explanation=explanation, findings=findings
        )  # fmt: skip

    if not snapshot.keys_read:
        return result(Status.UNKNOWN, "could not be read", "etcd did not answer.")
    kind, flavour = kind_of(snapshot), flavour_of(snapshot)
    if kind == "new":
        return result(
            Status.BY_CHOICE,
            "Deis is not installed yet",
            "It can be installed without Ceph: images in S3, data in a PostgreSQL of your own.",
        )
    bad = [finding for finding in findings if finding.status is Status.AT_RISK]
    if kind == "ceph":
        said = ceph_said(snapshot).split(" ")[0] or "health not known"
        hosts = len(ceph_hosts(snapshot))
        now = f"Ceph on {counted(hosts, 'host')}, {said}" if hosts else "Ceph runs on no host"
        if bad or flavour != "ceph" or is_database_outside(snapshot):
            status = Status.AT_RISK if bad else Status.PARTLY
            return result(status, f"{now}; partly left" if not bad else now, "Between the two: see the findings.")  # fmt: skip
        return result(
            Status.BY_CHOICE,
            now,
            "Ceph keeps images, data and logs on the cluster itself. Without it the control plane keeps no state, "
            "and each host saves up to 2 GB of memory; S3 and PostgreSQL are then yours to run.",
        )
    place = _place(snapshot)
    if bad:
        return result(Status.AT_RISK, f"no Ceph; {bad[0].what}", "The platform has no Ceph, but does not stand well without it.")  # fmt: skip
    status = Status.PARTLY if any(f.status is not Status.OK for f in findings) else Status.OK
    return result(status, f"no Ceph; {place}", f"Images in {place}, data at {snapshot.value(DB_HOST)}. Back those up where they are.")  # fmt: skip


def _place(snapshot: Snapshot) -> str:
    match flavour_of(snapshot):
        case "s3":
            return f"s3://{snapshot.value(S3_BUCKET)}"
        case "compatible":
            return f"{snapshot.value(GATEWAY_HOST)}/{snapshot.value(REGISTRY_BUCKET)}"
        case "swift":
            return "Swift"
    return "images nowhere"


def _findings(snapshot: Snapshot) -> Iterator[Finding]:
    kind = kind_of(snapshot)
    if kind == "new" or not snapshot.keys_read:
        return
    yield from _registry(snapshot)
    yield from _half(snapshot)
    if kind != "stateless":
        return
    if flavour_of(snapshot) == "ceph":
        yield Finding(
            status=Status.AT_RISK,
            what="the registry has no store: neither Ceph nor a bucket",
            evidence=(Evidence(source=S3_BUCKET, said="absent"),),
            do="name a bucket here",
        )
    if not is_database_outside(snapshot):
        yield Finding(
            status=Status.AT_RISK,
            what="the controller has no database",
            evidence=(Evidence(source=DB_HOST, said="absent, or expires"),),
            do="name a PostgreSQL here",
        )
    if not is_storage_memory(snapshot.value(STORAGE_KEY)):
        yield Finding(
            status=Status.AT_RISK,
            what="logger writes to a folder that is not there, so 'deis logs' is empty",
            evidence=(
                Evidence(source=STORAGE_KEY, said=snapshot.value(STORAGE_KEY) or "absent: file"),
            ),
            do="memory: choose it here",
        )
    if graceful := graceful_hosts(snapshot):
        yield Finding(
            status=Status.PARTLY,
            what=f"{few([h.name for h in graceful])}: leaves Ceph at shutdown, which is not there any more",
            do="systemctl disable graceful-ceph-shutdown.service; and in the user-data",
        )
    if old := leftovers(snapshot):
        yield Finding(
            status=Status.OK,
            what=f"old data of Ceph or of the database is still on {few(tuple(old))}",
            evidence=tuple(
                Evidence(source="docker ps -a", host=h, said=few(names)) for h, names in old.items()
            ),
            do="when you are sure: remove what Ceph has left",
        )
    yield from _answers(snapshot)


def _registry(snapshot: Snapshot) -> Iterator[Finding]:
    """What keeps the registry from its store although it is set (deis/deis registry/templates)."""
    flavour = flavour_of(snapshot)
    if flavour == "s3" and snapshot.key(GATEWAY_ACCESS) is not None:
        yield Finding(
            status=Status.AT_RISK,
            what="keys of Ceph's gateway are left over, and win over those of S3 when the registry starts",
            evidence=(Evidence(source=GATEWAY_ACCESS),),
            do="run this recommendation: it removes them",
        )
    if flavour == "s3" and (snapshot.key(S3_ACCESS) is None) != (snapshot.key(S3_SECRET) is None):
        yield Finding(
            status=Status.AT_RISK,
            what="only one of S3's two keys is set: the registry does not start",
            evidence=(Evidence(source=S3_ACCESS), Evidence(source=S3_SECRET)),
            do="set both, or none (instance role)",
        )
    has_folder = any(fact.key.startswith(f"{GATEWAY}/") for fact in snapshot.keys)
    if flavour in ("s3", "swift") and not has_folder and not is_plain_gateway(snapshot):
        yield Finding(
            status=Status.AT_RISK,
            what="there is no /deis/store/gateway: the registry cannot make its configuration",
            evidence=(Evidence(source=GATEWAY, said="absent"),),
            do="run this recommendation: it makes the folder",
        )
    if flavour == "swift":
        yield Finding(
            status=Status.AT_RISK,
            what="the registry's own Swift settings do not start: it makes its bucket by S3",
            evidence=(Evidence(source=SWIFT_URL),),
            do="Swift through its S3 middleware: choose it here",
        )


def _half(snapshot: Snapshot) -> Iterator[Finding]:
    """Ceph is there, and is not what is used."""
    if kind_of(snapshot) != "ceph":
        return
    if flavour_of(snapshot) != "ceph":
        yield Finding(
            status=Status.PARTLY,
            what=f"Ceph runs, but images go to {_place(snapshot)}",
            evidence=(Evidence(source=S3_BUCKET, said=snapshot.value(S3_BUCKET)),),
            do="finish leaving Ceph here",
        )
    has_database = any(unit.name == "deis-database.service" for unit in store_units(snapshot))
    if is_database_outside(snapshot) and has_database:
        yield Finding(
            status=Status.AT_RISK,
            what="the controller uses a database outside, and the cluster's own one will write its address over it",
            evidence=(Evidence(source=DB_HOST, said=snapshot.value(DB_HOST)),),
            do="finish leaving Ceph here",
        )


def _answers(snapshot: Snapshot) -> Iterator[Finding]:
    for question, name in ((PING, "registry"), (HEALTH, "controller")):
        found = [answer for answer in snapshot.answers if answer.id == question]
        if found and all(answer.web is None or answer.web.status != 200 for answer in found):
            yield Finding(
                status=Status.AT_RISK,
                what=f"the {name} does not answer",
                evidence=tuple(answer.evidence for answer in found),
                do=f"read why: fleetctl journal deis-{name}",
            )
