"""Backing up data as pure functions: what is seen, what is asked, what is planned, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr

from deiswizard.answers import AnswersFile, judged
from deiswizard.backup.data import Place, backup_name
from deiswizard.cluster.snapshot import Answer, BackupFact, KeyFact, Snapshot, Unit, UnitState
from deiswizard.errors import AnswersError, PreconditionError
from deiswizard.plan.backup_steps import BackupStep, BackupTaskStep
from deiswizard.plan.plan import Plan
from deiswizard.plan.preview import as_text
from deiswizard.plan.reach import Reach
from deiswizard.plan.script import script
from deiswizard.plan.step import GuardStep
from deiswizard.recommendations.backup.assess import age_words, assess
from deiswizard.recommendations.backup.declaration import (
    RECOMMENDATION,
    check_choices,
    defaults,
    read,
    verify,
)
from deiswizard.recommendations.backup.facts import (
    BACKUPS,
    HEALTH,
    MOUNT,
    BackupChoices,
    HereFacts,
    available,
    questions,
    wale_newest,
)
from deiswizard.recommendations.backup.plan import plan
from deiswizard.vocabulary import Danger, Status
from tests.builders import NOW, host, snapshot

STORE = ("store-monitor", "store-daemon", "store-metadata", "store-volume", "store-gateway@1")
WALE_LIST = (
    "name\tlast_modified\texpanded_size_bytes\n"
    "base_000000010000000000000001_00000040\t{first}\t\n"
    "base_000000010000000000000002_00000040\t{second}\t\n"
)
KEPT = Place(path="/kept")
REACH = Reach(entry="core@10.21.2.11", entry_name="deis-1")


def stamp(hours: float) -> str:
    import datetime

    at = datetime.datetime.fromtimestamp(NOW - hours * 3600, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def wale(*hours: float) -> Answer:
    first, second = (stamp(h) for h in hours)
    out = WALE_LIST.format(first=first, second=second)
    return Answer(id=BACKUPS, host="deis-1", command="wal-e", code=0, out=out)


def ceph(text: str) -> Answer:
    return Answer(id=HEALTH, host="deis-1", command="ceph health", code=0, out=f"{text}\n")


MOUNTED = Answer(id=MOUNT, host="deis-2", command="grep", code=0)


def with_ceph(*answers: Answer, **changes: Any) -> Snapshot:
    """Three hosts with the whole platform."""
    seen = snapshot(
        keys={"/deis/store/gateway/host": "10.21.2.12", "/deis/store/gateway/port": "8888"}
    )
    first = seen.hosts[0].machine_id
    names = [f"deis-{name}.service" for name in STORE]
    running = tuple(
        UnitState(unit=name, machine_id=first, load="loaded", active="active", sub="running")
        for name in names
    )
    return seen.model_copy(
        update={
            "units": (*seen.units, *(Unit(name=name) for name in names)),
            "unit_states": (*seen.unit_states, *running),
            "answers": answers or (wale(3, 1), MOUNTED),
            **changes,
        }
    )


def stateless() -> Snapshot:
    seen = snapshot()
    gone = "deis-database.service"
    return seen.model_copy(
        update={
            "units": tuple(u for u in seen.units if u.name != gone),
            "unit_states": tuple(s for s in seen.unit_states if s.unit != gone),
            "answers": (),
        }
    )


def backed_up(hours: float, seen: Snapshot, **changes: Any) -> Snapshot:
    fact = BackupFact(
        backup="deiswizard-prod-eu-1",
        cluster="prod-eu",
        machines=tuple(h.machine_id for h in seen.hosts),
        place=KEPT,
        verified_at=NOW - hours * 3600,
        bytes=4_100_000_000,
        parts=("etcd", "database", "db_wal", "registry", "volume"),
        is_there=True,
    )
    return seen.model_copy(update={"backups": (fact.model_copy(update=changes),)})


def choices(**changes: Any) -> BackupChoices:
    fields = {"what": ("etcd", "database"), "folder": "/kept", **changes}
    return BackupChoices.model_validate(fields)


def test_without_a_backup_the_cluster_is_at_risk() -> None:
    found = assess(with_ceph())
    assert (found.status, found.now) == (Status.AT_RISK, "no backup found")
    assert (
        "wal-e's own newest base backup is 1 hour old, but it lies on the same cluster"
        in found.explanation
    )


@pytest.mark.parametrize(
    ("hours", "status", "now"),
    [(3, Status.OK, "backup 3 hours old, verified"), (24 * 8, Status.AT_RISK, "last backup 8 days old")],
)  # fmt: skip
def test_the_age_of_the_last_verified_one_decides(hours: float, status: Status, now: str) -> None:
    found = assess(backed_up(hours, with_ceph()))
    assert (found.status, found.now) == (status, now)


def test_one_that_is_gone_or_of_another_cluster_does_not_count() -> None:
    gone = assess(backed_up(3, with_ceph(), is_there=False))
    assert gone.status is Status.AT_RISK and gone.now == "no backup found"
    assert any("is no longer at /kept" in finding.what for finding in gone.findings)
    other = assess(backed_up(3, with_ceph(), machines=("f" * 32,)))
    assert other.now == "no backup found"


def test_one_without_the_database_is_not_all() -> None:
    found = assess(backed_up(3, with_ceph(), parts=("etcd",)))
    assert found.status is Status.PARTLY
    assert (
        found.findings[-1].what == "the last backup is without database, registry, db_wal, volume"
    )


def whats(seen: Snapshot) -> str:
    return " | ".join(finding.what for finding in assess(seen).findings)


def test_what_else_was_seen_is_told_with_its_evidence() -> None:
    assert "Ceph's health is not known" in whats(with_ceph())
    sick = with_ceph(ceph("HEALTH_WARN 64 pgs degraded"), wale(3, 1), MOUNTED)
    assert "Ceph is not healthy: HEALTH_WARN 64 pgs degraded" in whats(sick)
    assert assess(backed_up(1, sick)).status is Status.SOON
    late = with_ceph(wale(30, 20), MOUNTED)
    assert "wal-e's newest base backup is 20 hours old; it makes one every 3 hours" in whats(late)
    empty = Answer(id=BACKUPS, host="deis-1", command="wal-e", code=0, out="name\tlast_modified\n")
    assert "wal-e has no base backup" in whats(with_ceph(empty, MOUNTED))
    broken = Answer(id=BACKUPS, host="deis-1", command="wal-e", code=1, err="boto: 403")
    assert "wal-e could not be asked" in whats(with_ceph(broken, MOUNTED))
    bucket = with_ceph()
    key = KeyFact(key="/deis/database/bucketName", value="my-wal", index=3)
    bucket = bucket.model_copy(update={"keys": (*bucket.keys, key)})
    assert "Deis makes only the bucket db_wal" in whats(bucket)


def test_a_cluster_that_keeps_no_data_has_only_its_settings() -> None:
    found = assess(stateless())
    assert "back up your own database and your own S3 bucket" in found.explanation
    why = available(stateless())
    assert [name for name, words in why.items() if not words] == ["etcd"]
    assert defaults(stateless()).what == ("etcd",)


def test_an_etcd_that_does_not_answer_is_unknown() -> None:
    assert assess(with_ceph(keys_read=False)).status is Status.UNKNOWN


def test_the_probe_asks_read_only_questions_where_they_can_be_answered() -> None:
    asked = {q.id: q for q in questions(with_ceph())}
    assert asked[BACKUPS].command.endswith("wal-e --terse backup-list")
    assert "/proc/mounts" in asked[MOUNT].command and HEALTH not in asked
    assert questions(stateless()) == ()


def test_the_list_of_wal_e_is_read_whatever_else_it_says() -> None:
    assert wale_newest(with_ceph()) == (2, NOW - 3600)
    odd = wale(3, 1).model_copy(update={"out": "name\nbase_1\tnot a time\nWARNING: x\n"})
    assert wale_newest(with_ceph(odd, MOUNTED)) == (1, None)


@pytest.mark.parametrize(("seconds", "words"), [(59, "less than a minute"), (60, "1 minute"), (7200, "2 hours"), (86_400, "1 day")])  # fmt: skip
def test_ages_are_words(seconds: float, words: str) -> None:
    assert age_words(seconds) == words


HERE = HereFacts(
    program=("/usr/bin/deiswizard",), config="/home/ann/.config/deiswizard", has_systemd=True,
    units="/home/ann/.config/systemd/user", is_root=False, has_cron=True,
)  # fmt: skip

BAD: list[tuple[dict[str, Any], str, str, str]] = [
    ({"what": ()}, "what", "nothing is chosen", "database, registry, db_wal, volume, etcd"),
    ({"folder": " "}, "folder", "no folder is named", "a path such as ~/deiswizard-backups"),
    ({"folder": "/"}, "folder", "'/' cannot be used", "a path such as ~/deiswizard-backups"),
    ({"where": "s3", "bucket": "kept"}, "bucket", "'kept' names no bucket", "s3://bucket or s3://bucket/prefix"),
    ({"where": "s3", "bucket": "s3://My_Bucket!"}, "bucket", "'s3://My_Bucket!' names no bucket", "s3://bucket or s3://bucket/prefix"),
    ({"where": "s3", "bucket": "s3://kept", "endpoint": "s3.example.com"}, "endpoint",
     "'s3.example.com' is not the URL of a store", "https://host or https://host:port"),
    ({"encryption": "passphrase"}, "backup_passphrase", "no passphrase was given", "12 characters or more"),
    ({"encryption": "passphrase", "backup_passphrase": "short"}, "backup_passphrase",
     "the passphrase is too short", "12 characters or more"),
    ({"encryption": "recipient"}, "recipient", "no public key file is named", "an X25519 public key in PEM"),
    ({"schedule": "timer", "schedule_at": "25:00"}, "schedule_at", "'25:00' is no time of day", "00:00 to 23:59"),
    ({"schedule": "timer", "encryption": "passphrase", "backup_passphrase": "correct horse battery"}, "schedule",
     "nobody is there at night to type the passphrase", "none, or encryption for a recipient's key"),
    ({"schedule": "timer", "here": HERE.model_copy(update={"has_systemd": False})}, "schedule",
     "this machine does not run systemd", "cron, or none"),
    ({"schedule": "cron", "here": HERE.model_copy(update={"has_cron": False})}, "schedule",
     "this machine has no crontab command", "timer, or none"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "field", "what", "allowed"), BAD)
def test_a_bad_choice_is_named_beside_its_field(
    given: dict[str, Any], field: str, what: str, allowed: str
) -> None:
    problems = [p for p in check_choices(with_ceph(), choices(**given)) if p.blocks]
    assert [(p.field, p.what, p.allowed) for p in problems] == [(field, what, allowed)]


def test_what_is_not_there_cannot_be_chosen_and_sick_ceph_is_a_decision() -> None:
    [problem] = [p for p in check_choices(stateless(), choices()) if p.blocks]
    assert problem.what.startswith("database cannot be copied: this cluster has none")
    sick = with_ceph(ceph("HEALTH_ERR"), MOUNTED)
    [problem] = [p for p in check_choices(sick, choices()) if p.blocks]
    assert problem.what == "Ceph is not healthy (HEALTH_ERR): the run would stop at its guard"
    assert not [p for p in check_choices(sick, choices(despite_ceph=True)) if p.blocks]


def test_warnings_let_one_go_on() -> None:
    warned = {p.field: p.what for p in check_choices(with_ceph(), choices(what=("database",)))}
    assert "will not be encrypted" in warned["encryption"]
    assert "without etcd the restored cluster gets new secret keys" in warned["what"]
    plain = choices(where="s3", bucket="s3://kept", endpoint="http://s3.local:9000")
    assert any("plain http" in p.what and not p.blocks for p in check_choices(with_ceph(), plain))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssh-ed25519 AAAA", "it holds no public key in PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it is a private key"),
    ],
)
def test_a_file_that_is_no_recipient_is_said_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    _, [problem] = read(choices(encryption="recipient", recipient=str(path)))
    assert (problem.field, said in problem.what) == ("recipient", True), problem.what
    _, [missing] = read(choices(encryption="recipient", recipient=str(tmp_path / "none")))
    assert "cannot be read: No such file" in missing.what


def test_a_recipient_s_key_is_read_and_makes_a_plan(tmp_path: Path) -> None:
    pem = X25519PrivateKey.generate().public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    (tmp_path / "key.pub").write_bytes(pem)
    raw = {
        **choices().model_dump(),
        "encryption": "recipient",
        "recipient": str(tmp_path / "key.pub"),
    }
    made, problems = judged(RECOMMENDATION, with_ceph(), raw)
    assert made is not None and not [p for p in problems if p.blocks]
    found = plan(with_ceph(), made)  # type: ignore[arg-type]
    assert next(s for s in found.steps if isinstance(s, BackupStep)).seal.recipient == pem.decode()
    with pytest.raises(PreconditionError, match="public key was not read"):
        plan(with_ceph(), choices(encryption="recipient"))


def test_a_passphrase_in_the_answers_file_is_refused_with_its_line(tmp_path: Path) -> None:
    section = {"encryption": "passphrase", "backup_passphrase": "correct horse battery"}
    lines = {("backup", "backup_passphrase"): 3}
    file = AnswersFile(tmp_path / "prod.yaml", {"backup": section}, lines)
    with pytest.raises(AnswersError, match=r"prod\.yaml:3: .*does not belong in this file"):
        file.choices_for(RECOMMENDATION, with_ceph())


EVERYTHING = ("database", "registry", "db_wal", "volume", "etcd")


def test_the_plan_guards_copies_reads_again_and_only_then_believes() -> None:
    found = plan(with_ceph(ceph("HEALTH_OK"), wale(3, 1), MOUNTED), choices(what=EVERYTHING))
    assert [stage.id for stage in found.stages] == ["guards", "begin", "copy", "verify", "finish"]
    names = [step.source.name for step in found.steps if isinstance(step, BackupStep)]
    assert names == ["etcd", "database", "db_wal", "registry", "volume"]
    read_again = [
        s.part for s in found.steps if isinstance(s, BackupTaskStep) and s.task == "verify"
    ]
    assert read_again == names
    assert {s.host for s in found.steps if isinstance(s, GuardStep)} == {"deis-1", "deis-2"}
    assert found.impact.danger is Danger.WRITE
    back = [s for stage in found.undo for s in stage.steps]
    assert [(s.id, s.undoes) for s in back] == [("remove", ("begin",))]


def test_ceph_is_a_guard_where_it_can_be_asked_and_the_operator_did_not_decide() -> None:
    admin = "deis-store-admin.service"
    seen = with_ceph(ceph("HEALTH_OK"), wale(3, 1), MOUNTED)
    state = UnitState(unit=admin, machine_id=seen.hosts[2].machine_id, load="loaded", active="active", sub="running")  # fmt: skip
    seen = seen.model_copy(update={"unit_states": (*seen.unit_states, state)})
    guards = [s.id for s in plan(seen, choices(what=EVERYTHING)).steps if isinstance(s, GuardStep)]
    assert guards[0] == "guard:ceph"
    despite = plan(seen, choices(what=EVERYTHING, despite_ceph=True))
    assert "guard:ceph" not in [s.id for s in despite.steps]


def test_the_passphrase_is_a_place_in_the_plan_and_never_itself() -> None:
    words = SecretStr("correct horse battery")
    found = plan(with_ceph(), choices(encryption="passphrase", backup_passphrase=words))
    assert "correct horse" not in found.model_dump_json()
    assert found.secrets == ("backup_passphrase",)
    assert RECOMMENDATION.secrets(choices(backup_passphrase=words)) == {"backup_passphrase": words}


def test_what_retention_will_remove_is_shown_before() -> None:
    seen = backed_up(30, with_ceph())
    kept = plan(seen, choices(keep=2))
    assert kept.impact.danger is Danger.WRITE
    gone = plan(seen, choices(keep=1))
    assert gone.impact.danger is Danger.DESTROY
    assert "- /kept/deiswizard-prod-eu-1" in as_text(gone, "changes")
    all_stay = plan(seen, choices(keep=0))
    assert "keep" not in [s.id for s in all_stay.steps]


def test_two_backups_of_the_same_second_have_names_of_their_own() -> None:
    name = "deiswizard-prod-eu-20261123-031500"
    assert backup_name("prod-eu", "20261123-031500") == name
    assert backup_name("prod-eu", "20261123-031500", {name}) == f"{name}-2"
    assert backup_name("prod-eu", "20261123-031500", {name, f"{name}-2", "other"}) == f"{name}-3"
    seen = with_ceph()
    first = copied_to(plan(seen, choices()))
    assert copied_to(plan(backed_up(0, seen, backup=first), choices())) == f"{first}-2"


def copied_to(made: Plan) -> str:
    """The backup's name."""
    [name] = {step.backup for step in made.steps if isinstance(step, BackupTaskStep)}
    return name


def test_a_plan_for_what_has_gone_is_refused() -> None:
    with pytest.raises(PreconditionError, match="database cannot be copied"):
        plan(stateless(), choices())


def test_the_runbook_does_what_a_shell_can() -> None:
    text = script(plan(with_ceph(), choices(what=EVERYTHING)), REACH)
    assert "pg_dumpall' >" in text and "umask 077" in text
    assert "grep -q 'PostgreSQL database cluster dump complete'" in text
    sealed = choices(encryption="passphrase", backup_passphrase="correct horse battery")
    assert "encryption and buckets are done by deiswizard alone" in script(plan(with_ceph(), sealed), REACH)  # fmt: skip


def test_only_a_backup_of_now_at_that_place_verifies_a_run() -> None:
    before = with_ceph()
    assert [c.ok for c in verify(before, before, choices())] == [False]
    old = backed_up(3, before)
    assert [c.ok for c in verify(before, old, choices())] == [False]
    new = backed_up(-0.1, before)
    assert [c.ok for c in verify(before, new, choices())] == [True, True]
    without = backed_up(-0.1, before, parts=("etcd",))
    assert [c.ok for c in verify(before, without, choices())] == [True, False]
    assert host(1).name == "deis-1"
