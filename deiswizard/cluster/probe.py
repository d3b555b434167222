"""The read-only look at the cluster: two rounds, all hosts side by side, one snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deiswizard.cluster import fleet
from deiswizard.cluster.connected_host import POOL, ConnectedHost
from deiswizard.cluster.connection import ClusterConnection
from deiswizard.cluster.lock_key import KEY as LOCK_KEY
from deiswizard.cluster.lock_key import read_lock
from deiswizard.cluster.port_tries import told
from deiswizard.cluster.probe_script import (
    new_marker,
    parse_df,
    parse_job_way,
    parse_script_images,
    parse_versions,
    release_value,
    script,
    sections,
)
from deiswizard.cluster.snapshot import (
    Answer,
    EtcdFacts,
    Evidence,
    HostFacts,
    KeyFact,
    Lock,
    Question,
    Snapshot,
    Trouble,
)
from deiswizard.errors import WizardError

HOST_TIMEOUT = 45.0
NO_MACHINES = Trouble(
    what="fleet knows no machine, so only the host that was named was looked at",
    evidence=Evidence(source=f"GET /v2/keys{fleet.PREFIX}?recursive=true", said="no machines"),
    do="look at fleet.service on the hosts: journalctl -u fleet",
)


def trouble_of(error: WizardError, source: str, host: str = "") -> Trouble:
    """An error as a finding, with where it comes from."""
    return Trouble(
        what=error.what,
        evidence=Evidence(source=source, host=host, said=error.said or error.what),
        do=error.do,
    )


def probe_host(
    connection: ClusterConnection, host: ConnectedHost
) -> tuple[HostFacts, tuple[Trouble, ...]]:
    """Everything that is read on one host: one command, and its Docker engine's images."""
    facts = HostFacts(
        name=host.name,
        machine_id=host.machine.id,
        address=host.machine.address,
        metadata=host.machine.metadata,
    )
    marker = new_marker()
    try:
        result = connection.link(host.name).run(script(marker), timeout=HOST_TIMEOUT)
    except WizardError as error:
        trouble = trouble_of(error, f"ssh {host.machine.address}", host.name)
        return facts.model_copy(update={"reachable": False, "trouble": trouble}), ()
    if result.code is None:
        trouble = Trouble(
            what=f"{host.name} did not answer the probe",
            evidence=Evidence(source="the probe's command", host=host.name, said=result.why),
        )
        return facts.model_copy(update={"reachable": False, "trouble": trouble}), ()
    found = sections(marker, result.out)
    versions = parse_versions(found)
    troubles: list[Trouble] = []
    images = None
    try:
        engine = connection.docker_adapter(host.name)
        docker_version, api = engine.versions()
        versions = versions.model_copy(update={"docker": docker_version, "docker_api": api})
        images = engine.images()
    except WizardError as error:
        troubles.append(trouble_of(error, "GET /images/json", host.name))
    return facts.model_copy(
        update={
            "os_release": release_value(found.get("os", ""), "PRETTY_NAME"),
            "deis_release": release_value(found.get("deis", ""), "DEIS_RELEASE") or None,
            "boot_id": found.get("boot-id", ""),
            "disk": parse_df(found.get("disk", "")),
            "versions": versions,
            "images": images,
            "job_way": parse_job_way(found),
            "has_preseed_script": found.get("preseed") == "there",
            "script_images": parse_script_images(found),
        }
    ), tuple(troubles)


def probe_etcd(connection: ClusterConnection) -> tuple[dict[str, Any], tuple[KeyFact, ...]]:
    """The snapshot's fields that etcd knows (its state, the /deis keys, the lock); fleet's keys."""
    troubles: list[Trouble] = []
    facts = EtcdFacts()
    try:
        etcd = connection.etcd()
    except WizardError as error:
        troubles.append(trouble_of(error, "GET /version of etcd"))
        return {"keys_read": False, "lock_read": False, "troubles": tuple(troubles)}, ()
    keys: tuple[KeyFact, ...] | None = None
    registry: tuple[KeyFact, ...] = ()
    lock: Lock | None = None
    lock_read = False
    index = 0
    try:
        keys, index = etcd.tree("/deis")
    except WizardError as error:
        troubles.append(trouble_of(error, "GET /v2/keys/deis?recursive=true"))
    try:
        registry, _ = etcd.tree(fleet.PREFIX)
        if not fleet.machines(registry):
            troubles.append(NO_MACHINES)
    except WizardError as error:
        troubles.append(trouble_of(error, f"GET /v2/keys{fleet.PREFIX}?recursive=true"))
    try:
        facts = etcd.facts().model_copy(update={"index": index})
    except WizardError as error:
        troubles.append(trouble_of(error, "GET /v2/members"))
    try:
        lock, lock_read = read_lock(etcd), True
    except WizardError as error:
        troubles.append(trouble_of(error, f"GET /v2/keys{LOCK_KEY}"))
    return {
        "etcd": facts,
        "keys": keys or (),
        "keys_read": keys is not None,
        "lock": lock,
        "lock_read": lock_read,
        "troubles": tuple(troubles),
    }, registry


NOT_FROM_HERE = (
    "the hosts are reached through the first one, so nothing can be tried from this machine"
)
QUICK_SECONDS = 5.0
"""Within that, no answer means that the connection broke, not that nobody answers."""


def ask(connection: ClusterConnection, question: Question) -> Answer:
    """One question on one host; no answer is an answer without an exit status.

    It only reads, so it is asked once more when the connection broke under it.
    """
    began = time.monotonic()
    answer = _asked(connection, question)
    if answer.code is None and time.monotonic() - began < QUICK_SECONDS:
        answer = _asked(connection, question)
    return answer


def _asked(connection: ClusterConnection, question: Question) -> Answer:
    asked = {"id": question.id, "host": question.host, "command": question.command}
    try:
        if question.web is not None:
            web = connection.link(question.host).web(question.web)
            code = None if web.status is None else 0
            return Answer.model_validate({**asked, "code": code, "err": web.said, "web": web})
        if question.tries:
            found = connection.try_ports(question.host, question.tries)
            if found is None:
                return Answer.model_validate({**asked, "code": None, "err": NOT_FROM_HERE})
            out = told(question.tries, found)
            return Answer.model_validate({**asked, "code": 0, "out": out})
        result = connection.link(question.host).run(
            question.command, sudo=question.sudo, timeout=question.timeout
        )
    except WizardError as error:
        return Answer.model_validate({**asked, "code": None, "err": str(error)})
    err = result.err or result.why
    return Answer.model_validate({**asked, "code": result.code, "out": result.out, "err": err})


def probe(
    connection: ClusterConnection,
    questions: Callable[[Snapshot], Sequence[Question]] = lambda snapshot: (),
    clock: Callable[[], float] = time.time,
) -> Snapshot:
    """Look at the whole cluster. Whatever cannot be read is in the snapshot as trouble."""
    with ThreadPoolExecutor(POOL, "probe") as pool:
        cluster = pool.submit(probe_etcd, connection)
        hosts = list(pool.map(lambda host: probe_host(connection, host), connection.hosts))
        known, registry = cluster.result()
        troubles = (*known.pop("troubles"), *(trouble for _, found in hosts for trouble in found))
        first = Snapshot(
            taken_at=clock(),
            cluster=connection.name,
            via=connection.via,
            hosts=tuple(facts for facts, _ in hosts),
            units=fleet.units(registry),
            unit_states=fleet.unit_states(registry),
            troubles=troubles,
            **known,
        )
        answers = tuple(pool.map(lambda question: ask(connection, question), questions(first)))
    return first.model_copy(update={"answers": answers})
