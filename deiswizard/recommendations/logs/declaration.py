"""8. Logging and monitoring: where logs go, what keeps them, and what watches the hosts."""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.snapshot import Evidence, Snapshot, Unit
from deiswizard.recommendations.base import Assessment, Finding, Recommendation
from deiswizard.recommendations.logs.checks import NO_CEPHFS, check_choices
from deiswizard.recommendations.logs.choices import PROTOCOL_KEY, STORAGE_KEY, LoggingChoices
from deiswizard.recommendations.logs.drain import KEY, parse_drain, shown_drain, why_no_drain
from deiswizard.recommendations.logs.facts import (
    LOGGER_SAYS,
    MARKERS,
    MOUNTS,
    MUTED,
    NOT_TAKEN,
    ON_HOST,
    drain_value,
    has_cephfs,
    hosts_without,
    is_heard,
    is_proven,
    is_storage,
    is_stuck,
    logger_said,
    on_host,
    questions,
    sent_marker,
    storage_now,
)
from deiswizard.recommendations.logs.form import FIELDS, defaults, fingerprints, read, secrets
from deiswizard.recommendations.logs.marker import CONTAINER, LOGSPOUT, MARKER_KEY, logger_host
from deiswizard.recommendations.logs.notes import STATUS_IS_PUBLIC, STATUS_KEY
from deiswizard.recommendations.logs.plan import plan
from deiswizard.recommendations.logs.units import (
    AGENTS,
    PRIVATE,
    bad_tags,
    eligible_hosts,
    how,
    is_forwarder,
    option_values,
    row_of,
    runs,
    watching_units,
)
from deiswizard.recommendations.logs.verify import verify
from deiswizard.vocabulary import Status
from deiswizard.wording import few

WORST = (Status.AT_RISK, Status.PARTLY, Status.TO_DO, Status.OK)


def assess(snapshot: Snapshot) -> Assessment:
    """The keys, what logger says of them, and every unit that watches hosts, row by row."""
    if not snapshot.keys_read:
        return Assessment(
            recommendation="logging",
            status=Status.UNKNOWN,
            now="could not be read",
            explanation="etcd did not answer.",
        )
    drain = drain_value(snapshot)
    watching = watching_units(snapshot)
    agents = [unit for unit in watching if not is_forwarder(unit)]
    forwarders = [unit for unit in watching if is_forwarder(unit)]
    spouts = [unit for unit in (snapshot.unit(LOGSPOUT),) if unit is not None]
    findings = [
        *_drain_findings(snapshot, drain, forwarders),
        *_logger_findings(snapshot),
        *(finding for unit in (*spouts, *watching) for finding in _row_findings(snapshot, unit)),
        *_agent_findings(snapshot, agents),
        *_host_findings(snapshot),
    ]
    ships, watches = bool(drain) or bool(forwarders), bool(agents)
    status = Status.OK if ships and watches else Status.PARTLY if ships or watches else Status.TO_DO
    worst = [finding.status for finding in findings if finding.status in WORST]
    if ships or watches:
        status = min((status, *worst), key=WORST.index)
    elif Status.AT_RISK in worst:
        status = Status.AT_RISK
    return Assessment(
        recommendation="logging",
        status=status,
        now=_now(drain, forwarders, agents),
        explanation=_explanation(snapshot, drain, ships, watches),
        findings=tuple(findings),
    )


def _now(drain: str, forwarders: Sequence[Unit], agents: Sequence[Unit]) -> str:
    found = parse_drain(drain)
    words = ["no drain"]
    if drain:
        words = [f"drain to {found.to.shown}" if found else "a drain that cannot work"]
    elif forwarders:
        words = ["journal forwarded"]
    count = len(agents)
    words.append(f"{count} agent{'' if count == 1 else 's'}" if count else "no agent")
    return ", ".join(words)


def _explanation(snapshot: Snapshot, drain: str, ships: bool, watches: bool) -> str:
    words = []
    if not ships:
        words.append(
            "Logs stay on the cluster: they are gone with it, and after a crash nobody can read why."
        )
    elif drain and not is_proven(snapshot, drain):
        words.append("Nobody has seen a line arrive at the receiver yet.")
    elif drain:
        words.append("A line was seen to arrive at the receiver.")
    if not watches:
        words.append("No agent watches the hosts.")
    return " ".join(words)


def _drain_findings(snapshot: Snapshot, drain: str, forwarders: Sequence[Unit]) -> list[Finding]:
    fact = snapshot.key(KEY)
    said = shown_drain(drain) if fact else "absent"
    evidence = Evidence(source=KEY, said=said)
    if not drain:
        if forwarders:
            return []
        return [
            Finding(
                status=Status.TO_DO,
                what="no drain: the apps' logs leave the cluster nowhere",
                evidence=(evidence,),
                do="choose a receiver",
            )
        ]
    if why := why_no_drain(drain):
        return [
            Finding(
                status=Status.AT_RISK,
                what=f"the drain cannot work: {why}",
                evidence=(evidence,),
                do="choose a receiver that logger can dial",
            )
        ]
    if is_proven(snapshot, drain):
        return []
    answer = snapshot.answer(MARKERS)
    heard = is_heard(snapshot, drain)
    sent = sent_marker(snapshot, drain) is not None
    return [
        Finding(
            status=Status.PARTLY,
            what="the drain is not proven"
            + (": lines leave the cluster, but nobody has said that they arrive" if heard else ""),
            evidence=(
                evidence,
                *(
                    (
                        Evidence(
                            source=f"etcdctl get {MARKER_KEY}",
                            host=answer.host,
                            said="a marker was sent" if sent else "no marker was sent",
                        ),
                    )
                    if answer
                    else ()
                ),
            ),
            do=f"look for '{CONTAINER} WORD' at the receiver, and type the word here"
            if sent
            else "run this: a marker is sent through the cluster",
        )
    ]


def _logger_findings(snapshot: Snapshot) -> list[Finding]:
    """What logger's own words, its storage key and its mount tell."""
    found = []
    answer, own = snapshot.answer(LOGGER_SAYS), logger_host(snapshot)
    where = own.name if own else ""
    source = answer.command if answer else "docker logs deis-logger"
    said = logger_said(snapshot)

    def words(status: Status, what: str, line: str, do: str) -> Finding:
        evidence = Evidence(source=source, host=where, said=line)
        return Finding(status=status, what=what, evidence=(evidence,), do=do)

    if is_stuck(snapshot):
        found.append(
            words(
                Status.AT_RISK,
                "a line without an app's tag has stopped logger: it keeps and drains nothing since",
                "Could not find app name in message",
                "deisctl restart logger; then rename the container that logger cannot read",
            )
        )
    if any(NOT_TAKEN in line for line in said[-1:]):
        found.append(
            words(
                Status.AT_RISK,
                "logger does not take the drain's value and keeps the drain it had",
                NOT_TAKEN,
                "choose a receiver that logger can dial",
            )
        )
    if any(MUTED in line for line in said):
        found.append(
            words(
                Status.PARTLY,
                "logger could not dial the drain 5 times and sent nothing for 5 minutes",
                MUTED,
                "see whether the receiver answers; the marker tells whether it does now",
            )
        )
    protocol = snapshot.value(PROTOCOL_KEY, "udp")
    if protocol != "udp":
        found.append(
            Finding(
                status=Status.AT_RISK,
                what=f"logspout sends to logger by '{protocol}', but logger takes udp only: no line arrives",
                evidence=(Evidence(source=PROTOCOL_KEY, said=protocol),),
                do="deisctl config logs rm protocol, then restart deis-logspout on every host",
            )
        )
    adapter = storage_now(snapshot)
    if not is_storage(adapter):
        found.append(
            Finding(
                status=Status.AT_RISK,
                what=f"'{adapter}' is no storage adapter: logger keeps the one it had",
                evidence=(Evidence(source=STORAGE_KEY, said=adapter),),
                do="choose file or memory",
            )
        )
    if adapter == "file" and has_cephfs(snapshot) is False:
        found.append(
            Finding(
                status=Status.AT_RISK,
                what=NO_CEPHFS,
                evidence=(
                    Evidence(source=STORAGE_KEY, said=snapshot.value(STORAGE_KEY) or "absent"),
                    Evidence(source="cat /proc/mounts", host=where, said="no ceph mount"),
                ),
                do="keep logs in memory, or mount CephFS (deis-store-volume)",
            )
        )
    if snapshot.answer(MOUNTS) is None and own is None and snapshot.units:
        found.append(
            Finding(
                status=Status.AT_RISK,
                what="deis-logger runs on no host that can be reached: logs are lost now",
                evidence=(Evidence(source="fleet: deis-logger.service", said="no running row"),),
                do="deisctl start logger",
            )
        )
    return found


def _row_findings(snapshot: Snapshot, unit: Unit) -> list[Finding]:
    """A global unit has one running row for each host that it may run on."""
    hosts = eligible_hosts(snapshot, unit)
    rows = [(host, row_of(snapshot, unit.name, host)) for host in hosts]
    bad = [(host, row) for host, row in rows if not runs(row)]
    if not bad:
        return []
    named = few([f"{host.name} ({how(row)})" for host, row in bad], 3)
    return [
        Finding(
            status=Status.PARTLY,
            what=f"{unit.name} runs on {len(hosts) - len(bad)} of {len(hosts)} hosts: not on {named}",
            evidence=tuple(
                Evidence(source=f"fleet: {unit.name}", host=host.name, said=how(row))
                for host, row in bad
            ),
            do=f"read why there: journalctl -u {unit.name}",
        )
    ]


def _agent_findings(snapshot: Snapshot, agents: Sequence[Unit]) -> list[Finding]:
    found = []
    if not agents:
        found.append(
            Finding(
                status=Status.TO_DO,
                what="no agent watches the hosts",
                evidence=(Evidence(source="fleet: global units", said="none besides Deis's"),),
                do="choose an agent, or give your own unit file",
            )
        )
    for unit in agents:
        for value in option_values(unit.content, "ExecStart"):
            if "--publish=8080:8080" in value and PRIVATE not in value:
                found.append(
                    Finding(
                        status=Status.AT_RISK,
                        what="cAdvisor answers everybody on port 8080 of every host, without a login",
                        evidence=(
                            Evidence(source=f"fleet: {unit.name}", said="--publish=8080:8080"),
                        ),
                        do="bind it to the private address, or close the port outside",
                    )
                )
    names = {unit.name for unit in agents}
    for agent in AGENTS.values():
        lacking = hosts_without(snapshot, agent.file) if agent.file and agent.unit in names else ()
        for host in lacking:
            found.append(
                Finding(
                    status=Status.PARTLY,
                    what=f"{host.name} has no {agent.file}: {agent.title} cannot start there",
                    evidence=(
                        Evidence(source=f"stat {agent.file}", host=host.name, said="absent"),
                    ),
                    do="it joined later: run this again and type the key",
                )
            )
    return found


def _host_findings(snapshot: Snapshot) -> list[Finding]:
    """Containers that logger cannot read, key files that others may read, the routers' status page."""
    found = []
    for host in snapshot.reachable_hosts:
        has = on_host(snapshot, host)
        answer = snapshot.answer(ON_HOST, host.name)
        if has is None or answer is None:
            continue
        for name in bad_tags(has.containers)[:3]:
            found.append(
                Finding(
                    status=Status.AT_RISK,
                    what=f"the next line of the container {name} on {host.name} stops all logging: logger "
                    "cannot read such a name as a tag",
                    evidence=(Evidence(source="docker ps", host=host.name, said=name),),
                    do="rename it (small letters, digits, - and _), then deisctl restart logger",
                )
            )
        for path, mode in has.modes:
            if mode.lstrip("0") != "600":
                found.append(
                    Finding(
                        status=Status.AT_RISK,
                        what=f"{path} on {host.name} holds a key, and its mode is {mode}",
                        evidence=(Evidence(source=f"stat {path}", host=host.name, said=mode),),
                        do=f"chmod 0600 {path}",
                    )
                )
    if snapshot.value(STATUS_KEY) == "true":
        found.append(
            Finding(
                status=Status.AT_RISK,
                what=STATUS_IS_PUBLIC,
                evidence=(Evidence(source=STATUS_KEY, said="true"),),
                do="deisctl config router rm enableNginxStatus",
            )
        )
    return found


RECOMMENDATION = Recommendation(
    id="logging",
    number=8,
    title="Logging and monitoring",
    why="Sends logs to a place that outlives the cluster, and lets an agent watch every host.",
    doc="Production deployments, Enable logging and monitoring",
    choices=LoggingChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    questions=questions,
    read=read,
    secrets=secrets,
    fingerprints=fingerprints,
)
