"""The choices of running without Ceph: what is taken up from the cluster, and what may not be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.backup.facts import (
    GATEWAY_HOST,
    GATEWAY_PORT,
    REGISTRY_BUCKET,
    known_backups,
)
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.logs.choices import STORAGE_KEY
from deiswizard.recommendations.logs.drain import KEY as DRAIN
from deiswizard.recommendations.logs.drain import why_no_drain
from deiswizard.recommendations.planes.facts import (
    BOTH_TRUE,
    FALSE,
    FLAG,
    ceph_asker,
    ceph_said,
    is_ceph_well,
)
from deiswizard.recommendations.restore.declaration import DOMAIN
from deiswizard.recommendations.stateless import files
from deiswizard.recommendations.stateless.facts import (
    ACCESS,
    DB_HOST,
    DB_NAME,
    DB_PASSWORD,
    DB_PORT,
    DB_USER,
    GATEWAY_SECRET,
    PASSWORD,
    REMOVE,
    S3_BUCKET,
    S3_ENCRYPT,
    S3_PATH,
    S3_REGION,
    S3_SECRET,
    SECRET,
    StatelessChoices,
    address_of,
    bucket_of,
    flavour_of,
    is_database_outside,
    kind_of,
    leftovers,
    store_units,
    units_of,
    way,
)
from deiswizard.stores.database import problem_of_value
from deiswizard.stores.trial import bucket_problem, region_problem, value_problem

HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
MEMORY = re.compile(r"memory:(\d+)")
FRESH_SECONDS = 24 * 3600.0


def defaults(snapshot: Snapshot) -> StatelessChoices:
    """What is set already, as far as it is no secret; else what is advised."""
    flavour = flavour_of(snapshot)
    raw: dict[str, object] = {"routers": min(3, max(1, len(snapshot.reachable_hosts)))}
    if flavour == "s3":
        has_keys = snapshot.key(S3_SECRET) is not None
        raw |= {
            "store": "s3",
            "bucket": snapshot.value(S3_BUCKET),
            "region": snapshot.value(S3_REGION),
            "path": snapshot.value(S3_PATH, "/registry"),
            "encrypt": snapshot.value(S3_ENCRYPT, "true") == "true",
            "auth": "keep" if has_keys else "role",
        }
    elif flavour == "compatible":
        raw |= {
            "store": "compatible",
            "bucket": snapshot.value(REGISTRY_BUCKET),
            "store_host": snapshot.value(GATEWAY_HOST),
            "store_port": _number(snapshot.value(GATEWAY_PORT), 80),
            "auth": "keep",
        }
    if is_database_outside(snapshot):
        raw |= {
            "database_host": snapshot.value(DB_HOST),
            "database_port": _number(snapshot.value(DB_PORT), 5432),
            "database_name": snapshot.value(DB_NAME, "deis"),
            "database_user": snapshot.value(DB_USER, "deis"),
            "database_data": "there",
        }
    lines = MEMORY.fullmatch(snapshot.value(STORAGE_KEY))
    if lines:
        raw["memory_lines"] = int(lines[1])
    return StatelessChoices.model_validate(raw)


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and 0 < int(text) < 65536 else default


Judge = Callable[[Snapshot, StatelessChoices], Iterator[Problem]]


def check_choices(snapshot: Snapshot, choices: StatelessChoices) -> tuple[Problem, ...]:
    """What cannot work, and what is to be known before."""
    if choices.makes_files:
        return tuple(files.check_choices(choices))
    leave: tuple[Judge, ...] = (_cluster, _store, _keys, _database, _elsewhere, _logs, _move)
    judges: tuple[Judge, ...] = leave if choices.part == "leave" else (_removal,)
    return tuple(problem for judge in judges for problem in judge(snapshot, choices))


def _cluster(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    if way(snapshot) is None:
        yield Problem(field="", what="no host of the control plane can be reached")
    unreachable = [host.name for host in snapshot.hosts if not host.reachable]
    if unreachable and kind_of(snapshot) == "ceph":
        yield Problem(
            field="",
            what=f"{', '.join(unreachable)} cannot be reached: whether Ceph ends there is not seen",
            allowed="every host answers",
        )
    if kind_of(snapshot) != "new":
        return
    if not snapshot.value(DOMAIN):
        yield Problem(
            field="",
            what="Deis is not installed without a domain",
            allowed="deisctl config platform set domain=NAME, then look again",
        )
    if (flag := snapshot.value(FLAG)) not in ("", *BOTH_TRUE, *FALSE):
        yield Problem(
            field="",
            what=f"enablePlacementOptions is '{flag}': deisctl makes no unit with it, or keeps units to planes that "
            "the controller does not keep apps to",
            allowed="true, false, or absent: etcdctl set /deis/platform/enablePlacementOptions false",
        )
    if choices.routers > len(snapshot.reachable_hosts):
        yield Problem(
            field="routers",
            what=f"{choices.routers} routers need as many hosts, one to a host: deisctl would wait for "
            "a place for ever",
            allowed=f"1 to {len(snapshot.reachable_hosts)}",
        )
    if snapshot.key("/deis/platform/sshPrivateKey") is None:
        yield Problem(
            field="",
            what="/deis/platform/sshPrivateKey is not set: 'deis run' will not work",
            blocks=False,
        )


def _store(_snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    if not choices.bucket:
        yield Problem(field="bucket", what="no bucket is named", allowed="the name of a bucket that is there")  # fmt: skip
    elif why := bucket_problem(choices.bucket) or value_problem("bucket", choices.bucket):
        yield Problem(field="bucket", what=why, allowed="small letters, digits and '-', 3 to 63")
    if choices.store != "s3":
        if not HOST_NAME.fullmatch(choices.store_host):
            what = "no host is named" if not choices.store_host else "this is no name of a host"
            yield Problem(field="store_host", what=what, allowed="a name or an address, no URL")
        yield Problem(
            field="store",
            what="the registry speaks to such a store without TLS: who listens on the way reads along",
            blocks=False,
        )
        return
    if why := value_problem("region", choices.region) if choices.region else "":
        yield Problem(field="region", what=why, allowed="us-east-1, eu-west-1 ...")
    elif choices.region and (why := region_problem(choices.region)):
        yield Problem(field="region", what=why, blocks=False)
    if not choices.path.startswith("/") or value_problem("path", choices.path):
        yield Problem(field="path", what="the path does not begin with '/', or has odd characters", allowed="/registry")  # fmt: skip
    if not choices.encrypt:
        yield Problem(
            field="encrypt",
            what="images will lie in the bucket as they are: S3's own encryption costs nothing",
            blocks=False,
        )


def _keys(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    is_kept = choices.auth == "keep"
    if choices.auth == "role":
        if choices.store != "s3":
            yield Problem(
                field="auth", what="an instance role is for Amazon S3 alone", allowed="keys"
            )
        return
    if is_kept:
        key = S3_SECRET if choices.store == "s3" else GATEWAY_SECRET
        wanted = "s3" if choices.store == "s3" else "compatible"
        if snapshot.key(key) is None or flavour_of(snapshot) != wanted:
            yield Problem(
                field="auth", what="there are no keys of this store to keep", allowed="keys"
            )
        return
    for field, value in ((ACCESS, choices.access_key), (SECRET, choices.secret_key)):
        text = value.get_secret_value()
        if not text:
            yield Problem(field=field, what="this key is missing: both are needed, or none", allowed="both keys")  # fmt: skip
        elif why := value_problem(field, text):
            yield Problem(field=field, what=why)


def _database(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    if not HOST_NAME.fullmatch(choices.database_host):
        what = "no host is named" if not choices.database_host else "this is no name of a host"
        yield Problem(field="database_host", what=what, allowed="a name or an address, no URL")
    for field in ("database_name", "database_user"):
        if why := problem_of_value(field, getattr(choices, field)):
            yield Problem(field=field, what=why)
    text = choices.database_password.get_secret_value()
    if text:
        if why := problem_of_value(PASSWORD, text):
            yield Problem(field=PASSWORD, what=why)
    elif not keeps_password(snapshot, choices):
        yield Problem(field=PASSWORD, what="the password is missing", allowed="the password of that user")  # fmt: skip


def _elsewhere(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    """Other stores for a cluster that has left Ceph already: nothing is copied from those of now."""
    if kind_of(snapshot) != "stateless":
        return
    was = defaults(snapshot)
    if was.bucket and bucket_of(was).text != bucket_of(choices).text:
        yield Problem(
            field="bucket",
            what=f"images are not copied from {was.bucket}: an app whose image is not in the new place does not "
            "start any more",
            allowed="copied there by you before",
            blocks=False,
        )
    tables = [address_of(one).model_copy(update={"user": ""}) for one in (was, choices)]
    if is_database_outside(snapshot) and tables[0] != tables[1]:
        yield Problem(
            field="database_host",
            what=f"tables are not copied from {was.database_host}: a database without them stops the run",
            allowed="copied there by you before (pg_dump), with the controller stopped",
            blocks=False,
        )


def keeps_password(snapshot: Snapshot, choices: StatelessChoices) -> bool:
    """None was typed, and the one that is set is of the same database."""
    return (
        not choices.database_password.get_secret_value()
        and is_database_outside(snapshot)
        and snapshot.key(DB_PASSWORD) is not None
        and snapshot.value(DB_HOST) == choices.database_host
    )


def _logs(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    if choices.drain and (why := why_no_drain(choices.drain)):
        yield Problem(field="drain", what=why, allowed="udp://host:port or tcp://host:port")
    if not choices.drain and not (fact.text if (fact := snapshot.key(DRAIN)) else ""):
        yield Problem(
            field="drain",
            what="without a drain app logs are in logger's memory only, and gone when it restarts",
            blocks=False,
        )


def _move(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    """What leaving Ceph needs."""
    if kind_of(snapshot) != "ceph":
        return
    unread = [unit.name for unit in store_units(snapshot) if not unit.content]
    if unread:
        yield Problem(
            field="",
            what=f"{', '.join(unread)}: its file seems to hold a secret, so it could not be brought back",
            allowed="units as Deis makes them",
        )
    copies = {choices.registry_data, choices.database_data}
    if "copy" in copies and ceph_asker(snapshot) is not None and not is_ceph_well(snapshot):
        said = ceph_said(snapshot) or "it could not be asked"
        yield Problem(
            field="",
            what=f"Ceph is not well ({said}): what is on it cannot be copied for sure",
            allowed="'ceph health' says HEALTH_OK",
        )
    if choices.database_data == "copy" and not snapshot.where("deis-database.service"):
        yield Problem(
            field="database_data",
            what="the cluster's database does not run, so it cannot be copied",
            allowed="it runs, or its data is at the new place already (there)",
        )
    newest = next(iter(known_backups(snapshot)), None)
    if newest is None or snapshot.taken_at - newest.verified_at > FRESH_SECONDS:
        yield Problem(
            field="",
            what="no verified backup of the last day is known: back up first (recommendation 6)",
            blocks=False,
        )


def _not_serving(snapshot: Snapshot) -> Iterator[str]:
    """What of the new stores is not seen to be in use."""
    for component in ("registry", "controller"):
        if not any(
            h.reachable for u in units_of(snapshot, component) for h in snapshot.where(u.name)
        ):
            yield f"the {component} runs nowhere"
    if flavour_of(snapshot) == "ceph":
        yield "the registry has no store outside"
    if not is_database_outside(snapshot):
        yield "the database is not outside"


def _removal(snapshot: Snapshot, choices: StatelessChoices) -> Iterator[Problem]:
    if kind_of(snapshot) != "stateless":
        yield Problem(
            field="part",
            what="the data is in use: this cluster still runs on it",
            allowed="leave, and this later",
        )
        return
    if not leftovers(snapshot):
        yield Problem(field="part", what="no host has old data any more", allowed="leave")
        return
    if missing := tuple(_not_serving(snapshot)):
        yield Problem(
            field="part",
            what=f"{' and '.join(missing)}: the old data may be all that there is",
            allowed="registry and controller run on stores outside; or take back the run that left Ceph",
        )
    unasked = [host.name for host in snapshot.hosts if not host.reachable]
    if unasked:
        yield Problem(
            field="part",
            what=f"{', '.join(unasked)} cannot be reached: old data there stays",
            blocks=False,
        )
    if choices.confirm.strip() != REMOVE:
        yield Problem(
            field="confirm",
            what="after this nothing brings Ceph's data back: no undo, no other plan",
            allowed=f"type: {REMOVE}",
        )
