"""Does the steps about stores outside the cluster."""

from __future__ import annotations

from pydantic import SecretStr

from deiswizard.backup.gateway import client_of
from deiswizard.errors import LinkError, ServiceError, StepError
from deiswizard.plan.store_steps import FROM_ETCD, BucketStep, DatabaseStep
from deiswizard.run.backing_up import teller
from deiswizard.run.context import Context, Result
from deiswizard.run.folders import runs_folder
from deiswizard.stores.bucket import Credentials, client, role_credentials
from deiswizard.stores.database import Content, DatabaseFound, differences, look_at
from deiswizard.stores.database_copy import contents_here, copy_tables
from deiswizard.stores.registry_copy import RegistryCopy
from deiswizard.stores.trial import try_bucket
from deiswizard.vocabulary import StepStatus
from deiswizard.wording import counted, few, grouped, in_bytes

DEIS_TABLES = ("api_app", "auth_user")
"""Tables that every database of the controller has (deis/deis controller/api/models.py, and Django)."""


def _secret(name: str, context: Context) -> SecretStr:
    """What a step names: a secret that was given, or the value of an etcd key."""
    if not name.startswith(FROM_ETCD):
        return SecretStr(context.filled(name))
    key = name.removeprefix(FROM_ETCD)
    fact = context.access.etcd().get(key, quorum=True)
    if fact is None or not fact.text:
        raise StepError(f"{key} is not in etcd any more", do="make a new plan, and type it")
    return SecretStr(fact.text)


def do_bucket(step: BucketStep, context: Context) -> Result:
    """Try the bucket, fill it, or compare it."""
    try:
        return _do_bucket(step, context)
    except (LinkError, ServiceError) as error:
        return Result(StepStatus.FAILED, str(error), error.do or "try again: what was sent stays")


def _do_bucket(step: BucketStep, context: Context) -> Result:
    host = context.access.host(step.host)
    keys = (
        Credentials(access=_secret(step.access, context), secret=_secret(step.secret, context))
        if step.access
        else role_credentials(host)
    )
    target = client(step.bucket, keys, host.open_tcp)
    if step.task == "try":
        found = try_bucket(target, step.bucket)
        if step.must_hold and found is None:
            raise StepError(
                f"there are no images in {step.bucket.text}",
                do="look at bucket and path; or choose to copy what there is",
            )
        there = "there are images" if found else "nothing is there yet"
        return Result(StepStatus.DONE, f"listed, written, read and deleted; {there}")
    assert step.source is not None, "only a trial has no source"
    folder = runs_folder() / context.run
    both = RegistryCopy(
        client_of(step.source, context.access), step.source.bucket, target, step.bucket, folder
    )
    moved = teller(step.id, context)
    if step.task == "copy":
        return Result(StepStatus.DONE, both.copy(moved, context.interrupted).words)
    return Result(StepStatus.DONE, both.compare(moved, context.interrupted))


def do_database(step: DatabaseStep, context: Context) -> Result:
    """Try the database, fill it, or compare it."""
    password = _secret(step.password, context)
    host, address = context.access.host(step.host), step.address
    found = look_at(address, password, lambda: host.open_tcp(address.host, address.port))
    match step.task:
        case "try":
            return _tried(step, found)
        case "copy":
            return _copied(step, context, found, password)
        case "compare":
            return _compared(step, context, found)


def _tried(step: DatabaseStep, found: DatabaseFound) -> Result:
    tables = [table for table, _ in found.tables]
    where = f"{step.address.name} at {step.address.host}"
    has_deis = all(table in tables for table in DEIS_TABLES)
    if step.must_be == "empty" and tables:
        raise StepError(
            f"the database {where} is not empty: {few(tables)}",
            state="nothing was changed",
            do="choose an empty one; or, if it holds what is to be used, choose that it holds it already",
        )
    if (step.must_be == "deis" and not has_deis) or (tables and not has_deis):
        raise StepError(
            f"the database {where} holds no data of Deis",
            said=f"tables: {few(tables)}" if tables else "no tables",
            do="look at the name of the database",
        )
    safe = "with TLS" if found.encrypted else "without TLS"
    holds = counted(len(tables), "table") if tables else "empty"
    return Result(StepStatus.DONE, f"PostgreSQL {found.version}, {safe}; may make tables; {holds}")


def _copied(
    step: DatabaseStep, context: Context, found: DatabaseFound, password: SecretStr
) -> Result:
    """All tables or none: what an earlier attempt did is seen by what is there."""
    source = context.access.host(step.source_host)
    here = contents_here(source, step.source)
    if found.tables:
        if not differences(here, found.contents):
            return Result(StepStatus.DONE, f"it is there already: {_rows(here)}")
        raise StepError(
            f"the database {step.address.name} at {step.address.host} is not empty any more",
            said="; ".join(differences(here, found.contents)[:3]),
            do="somebody else writes to it: look, empty it, then try again",
        )
    moved = teller(step.id, context)
    size = copy_tables(
        source,
        step.source,
        step.address,
        password,
        moved=lambda done: moved(done, None, 0, 0),
        interrupted=context.interrupted,
    )
    return Result(StepStatus.DONE, f"{_rows(here)}, {in_bytes(size)}")


def _compared(step: DatabaseStep, context: Context, found: DatabaseFound) -> Result:
    here = contents_here(context.access.host(step.source_host), step.source)
    if different := differences(here, found.contents):
        raise StepError(
            f"{counted(len(different), 'table')} of the two databases differ",
            said="; ".join(different[:3]),
            do="does somebody write to one of them? Empty the new one, then copy again",
        )
    return Result(StepStatus.DONE, f"{_rows(here)}, the same on both sides")


def _rows(contents: dict[str, Content]) -> str:
    rows = sum(content.rows for content in contents.values())
    return f"{counted(len(contents), 'table')}, {grouped(rows)} rows"
