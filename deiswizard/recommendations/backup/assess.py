"""How a cluster's backups stand: the age of the last verified one, and what else was seen."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Evidence, Snapshot
from deiswizard.recommendations.backup.facts import (
    BACKUPS,
    FRESH,
    HEALTH,
    WAL_BUCKET,
    WALE,
    WALE_FRESH,
    admin_host,
    available,
    ceph_health,
    database_host,
    gateway,
    has_database,
    has_store,
    known_backups,
    wale_newest,
)
from deiswizard.recommendations.base import Assessment, Finding
from deiswizard.vocabulary import Status
from deiswizard.wording import at_time, in_bytes


def age_words(seconds: float) -> str:
    """``3 hours``, ``12 days``."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"


def assess(snapshot: Snapshot) -> Assessment:
    """The last verified backup that this machine knows of, and the cluster's own."""
    findings = list(_findings(snapshot))

    def result(status: Status, now: str, explanation: str) -> Assessment:
        return Assessment(
            recommendation="backup",
            status=status,
            now=now,
            explanation=explanation,
            findings=tuple(findings),
        )

    if not snapshot.keys_read:
        return result(Status.UNKNOWN, "could not be read", "etcd did not answer.")
    known = known_backups(snapshot)
    own = _own_words(snapshot)
    if not known:
        lost = [fact for fact in snapshot.backups if fact.is_there is False]
        if lost:
            findings.append(
                Finding(
                    status=Status.AT_RISK,
                    what=f"the backup of {at_time(lost[0].verified_at)} is no longer at {lost[0].place.text}",
                    evidence=(Evidence(source=lost[0].place.file(lost[0].backup)),),
                    do="make a new one",
                )
            )
        return result(
            Status.AT_RISK,
            "no backup found",
            f"This machine knows of no verified backup of this cluster. {own}",
        )
    newest = known[0]
    age = max(0.0, snapshot.taken_at - newest.verified_at)
    sealed = {"none": "not encrypted", "passphrase": "encrypted", "recipient": "encrypted"}
    words = (
        f"The last verified backup is {age_words(age)} old: {newest.place.file(newest.backup)}, "
        f"{in_bytes(newest.bytes)}, {sealed.get(newest.sealed, '')}. {own}"
    )
    missing = [name for name, why in available(snapshot).items() if not why and name not in newest.parts]  # fmt: skip
    if missing:
        findings.append(
            Finding(
                status=Status.PARTLY,
                what=f"the last backup is without {', '.join(missing)}",
                evidence=(Evidence(source=newest.place.file(newest.backup, "manifest.json")),),
                do="choose them the next time",
            )
        )
    if age > FRESH:
        return result(Status.AT_RISK, f"last backup {age_words(age)} old", words)
    if missing and {"database", "etcd"} & set(missing):
        return result(Status.PARTLY, f"backup {age_words(age)} old, not all", words)
    status = Status.SOON if any(f.status is Status.AT_RISK for f in findings) else Status.OK
    return result(status, f"backup {age_words(age)} old, verified", words)


def _own_words(snapshot: Snapshot) -> str:
    """What backs itself up, and what is the operator's own."""
    if not has_database(snapshot) and not has_store(snapshot):
        return (
            "This cluster keeps no data itself: back up your own database and your own S3 bucket "
            "where they are (snapshots, versioning). What remains here are the settings in etcd."
        )
    wale = wale_newest(snapshot)
    if wale is None or not wale[0]:
        return "Nothing restarts; everything is copied in streams."
    newest = wale[1]
    if newest is None:
        return "wal-e's own backups lie on the same cluster, and go with it."
    age = age_words(max(0.0, snapshot.taken_at - newest))
    return f"wal-e's own newest base backup is {age} old, but it lies on the same cluster."


def _findings(snapshot: Snapshot) -> Iterator[Finding]:
    health = ceph_health(snapshot)
    answer = snapshot.answer(HEALTH)
    evidence = (answer.evidence,) if answer else ()
    if health and not health.startswith("HEALTH_OK"):
        yield Finding(
            status=Status.AT_RISK,
            what=f"Ceph is not healthy: {health.splitlines()[0]}",
            evidence=evidence,
            do="docker exec deis-store-admin ceph -s; a backup reads from all of it",
        )
    elif has_store(snapshot) and not health:
        do = "deisctl install store-admin && deisctl start store-admin, then look again"
        if admin_host(snapshot):
            do = "see why: docker logs deis-store-admin"
        yield Finding(
            status=Status.UNKNOWN,
            what="Ceph's health is not known: store-admin, which tells it, does not answer",
            evidence=evidence,
            do=do,
        )
    if database_host(snapshot) is not None:
        yield from _wale(snapshot)
    bucket = snapshot.value(WAL_BUCKET, "db_wal")
    if has_store(snapshot) and bucket != "db_wal":
        yield Finding(
            status=Status.AT_RISK,
            what=f"{WAL_BUCKET} is '{bucket}', but Deis makes only the bucket db_wal: "
            "if nobody has made the other, wal-e backs up nothing",
            evidence=(Evidence(source=WAL_BUCKET, said=bucket),),
            do="see that the bucket exists, or remove the key",
        )
    if has_store(snapshot) and gateway(snapshot) is None:
        yield Finding(
            status=Status.AT_RISK,
            what="the store gateway does not say where it is: the buckets cannot be copied",
            evidence=(Evidence(source="/deis/store/gateway/host", said="absent"),),
            do="look at deis-store-gateway@1",
        )


def _wale(snapshot: Snapshot) -> Iterator[Finding]:
    answer = snapshot.answer(BACKUPS)
    evidence = (answer.evidence,) if answer else (Evidence(source=WALE),)
    found = wale_newest(snapshot)
    if found is None:
        yield Finding(
            status=Status.UNKNOWN,
            what="wal-e could not be asked for its backups of the database",
            evidence=evidence,
            do="look at the database: docker logs deis-database",
        )
        return
    count, newest = found
    if not count:
        yield Finding(
            status=Status.AT_RISK,
            what="wal-e has no base backup: a database that moves to another host begins empty",
            evidence=evidence,
            do="look at the database: docker logs deis-database",
        )
    elif newest is not None and snapshot.taken_at - newest > WALE_FRESH:
        yield Finding(
            status=Status.AT_RISK,
            what=f"wal-e's newest base backup is {age_words(snapshot.taken_at - newest)} old; "
            "it makes one every 3 hours",
            evidence=evidence,
            do="look at the database and the store gateway: docker logs deis-database",
        )
