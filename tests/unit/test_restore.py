"""Restoring as pure functions: how the database comes back, which settings, which platform."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from deiswizard.backup.data import (
    BucketSource,
    DatabaseSource,
    EtcdSource,
    Manifest,
    Part,
    Place,
    Source,
    StoredFile,
    Versions,
)
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.plan.preview import as_text
from deiswizard.recommendations.restore.declaration import (
    RestoreChoices,
    check_choices,
    way_of_database,
)
from deiswizard.recommendations.restore.plan import plan
from tests.builders import NOW, snapshot

DOMAIN = "/deis/platform/domain"
INTERNAL = {
    DOMAIN: "old.example.com",
    "/deis/controller/secretKey": "k",
    "/deis/database/initId": "old",
    "/deis/router/gzip": "on",
}
STATELESS = {
    DOMAIN: "old.example.com",
    "/deis/registry/s3bucket": "images",
    "/deis/database/host": "db.example.com",
    "/deis/store/gateway": " ",
}


def part(source: Source) -> Part:
    file = StoredFile(name=source.file, size=1, sha256="0", plain_size=1, plain_sha256="0", count=1)
    return Part(source=source, file=file, bytes=1)


WAL = part(
    BucketSource(name="db_wal", bucket="db_wal", through="deis-1", gateway="10.1.1.1", port=8888)
)
DUMP, ETCD = part(DatabaseSource(host="deis-1")), part(EtcdSource())


def choices(*parts: Part, settings: dict[str, str] = INTERNAL, **more: Any) -> RestoreChoices:
    manifest = Manifest(
        backup="deiswizard-old-1", cluster="old", machines=("other",), parts=parts,
        versions=Versions(wizard="1", deis="v1.12.0"), began_at=NOW - 60, verified_at=NOW - 30,
    )  # fmt: skip
    return RestoreChoices(
        place=Place(path="/kept"),
        backup=manifest.backup,
        manifest=manifest,
        settings={key: SecretStr(value) for key, value in settings.items()},
        **more,
    )


def new_cluster(**keys: str) -> Snapshot:
    """Deis is not installed yet."""
    return snapshot(keys={f"/deis/{name}": value for name, value in keys.items()}).model_copy(
        update={"units": (), "unit_states": ()}
    )


def way(seen: Snapshot, chosen: RestoreChoices) -> str:
    assert chosen.manifest is not None
    return way_of_database(seen, chosen, chosen.manifest)


def made(seen: Snapshot, chosen: RestoreChoices) -> tuple[Plan, list[str]]:
    found = plan(seen, chosen)
    return found, [step.id for step in found.steps]


def test_a_database_that_has_run_is_never_given_the_wal_of_another() -> None:
    new, ran = new_cluster(), new_cluster(**{"database/initId": "its own"})
    assert [way(new, choices(*parts)) for parts in ((WAL, DUMP), (WAL,), (DUMP,), ())] == [
        "wal", "wal", "sql", "none",
    ]  # fmt: skip
    assert way(ran, choices(WAL, DUMP)) == way(snapshot(), choices(WAL, DUMP)) == "sql"
    for chosen in (choices(WAL), choices(WAL, DUMP, database="wal")):
        [problem] = check_choices(ran, chosen)
        assert problem.blocks and "it has base backups of its own in db_wal" in problem.what
    assert check_choices(new, choices(WAL, database="wal")) == ()
    found, steps = made(snapshot(), choices(ETCD, WAL, DUMP))
    assert "restore:database" in steps and "restore:db_wal" not in steps
    assert "segments of two histories have the same names" in as_text(found, "impact")
    _, steps = made(new, choices(ETCD, WAL, DUMP))
    assert steps.index("restore:db_wal") < steps.index("start") and "restore:database" not in steps


def test_a_cluster_without_ceph_comes_back_without_ceph() -> None:
    found, steps = made(new_cluster(), choices(ETCD, settings=STATELESS))
    text = as_text(found, "commands")
    assert "deisctl install stateless-platform" in text
    assert "deisctl start stateless-platform" in text
    assert not [step for step in steps if "store" in step and step != "restore:etcd"]
    [written] = [step for step in found.steps if step.id == "restore:etcd"]
    assert set(written.model_dump()["keys"]) == set(STATELESS)
    with_ceph, _ = made(new_cluster(), choices(ETCD, WAL))
    assert "deisctl install platform" in as_text(with_ceph, "commands")


def test_what_another_release_means_is_said() -> None:
    seen = new_cluster(**{"platform/version": "v1.13.4"})
    found, _ = made(seen, choices(ETCD, WAL))
    assert "the cluster is Deis v1.13.4" in as_text(found, "impact")
    assert "not written: 1 key such as /deis/database/initId" in as_text(found, "impact")


def test_settings_that_others_notice_are_told() -> None:
    drained = choices(
        ETCD, settings={DOMAIN: "d", "/deis/logs/drain": "udp://logs.example.com:514"}
    )
    assert "its receiver gets this cluster's lines too" in as_text(
        made(new_cluster(), drained)[0], "impact"
    )
    off = choices(ETCD, settings={DOMAIN: "d", "/deis/logs/drain": ""})
    assert "receiver" not in as_text(made(new_cluster(), off)[0], "impact")


def test_deis_is_not_installed_without_a_domain() -> None:
    """deisctl would abort with exit status 1, after the settings were written."""
    [problem] = check_choices(new_cluster(), choices(DUMP, settings={}, database="none"))
    assert problem.blocks and "has a domain" in problem.what
    assert check_choices(new_cluster(**{"platform/domain": "d"}), choices(WAL, settings={})) == ()
