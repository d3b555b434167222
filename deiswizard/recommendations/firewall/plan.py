"""The plan of the hosts' firewall: one host first, which is not the one that leads to the others; then each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.plan import Basis, Change, FileBasis, Impact, Plan, Stage
from deiswizard.plan.reach_conditions import ClusterWhole
from deiswizard.recommendations.base import refuse_blocking
from deiswizard.recommendations.firewall import facts, files, first
from deiswizard.recommendations.firewall.choices import (
    FirewallChoices,
    entry_host,
    is_insider,
    is_let_in,
    kept,
    ruleset,
    ssh_sources,
)
from deiswizard.recommendations.firewall.facts import HostFilter, filters
from deiswizard.recommendations.firewall.problems import check_choices, contributed
from deiswizard.recommendations.firewall.rules import (
    FORWARD,
    INPUT,
    JUMPS,
    PRIVATE,
    Ruleset,
    chain_lines,
    restore_text,
)
from deiswizard.recommendations.firewall.steps import (
    Proof,
    Target,
    changing_ids,
    guards,
    removal,
    trial,
)
from deiswizard.recommendations.planes.facts import ceph_asker, is_ceph_well
from deiswizard.vocabulary import Danger
from deiswizard.wording import few

SPOKEN_TO = (4001, 2380)
"""What hosts must reach of each other; tried is what is listened on. For ssh there is a new login."""

SECONDS_A_HOST = 20
FAMILY_WORDS = {4: "IPv4", 6: "IPv6"}


def plan(snapshot: Snapshot, choices: FirewallChoices) -> Plan:
    """Guards, then a trial on each host that is not as chosen; or the removal on each that has ours.

    Raises PreconditionError where the choices cannot be, with the reasons.
    """
    refuse_blocking(check_choices(snapshot, choices))
    if choices.makes_files:
        return first.plan(snapshot, choices)
    rules = ruleset(snapshot, choices)
    wanted = choices.host_firewall
    hosts = tuple(
        one
        for one in in_order(snapshot)
        if (one.has_ours if not wanted else not is_as_chosen(one, rules, choices))
    )
    stages: tuple[Stage, ...] = ()
    if hosts and wanted:
        stages = (
            guards(
                tuple(one.host for one in hosts), whole_of(snapshot, choices), _ceph_of(snapshot)
            ),
            *(trial(_target(snapshot, choices, rules, one)) for one in hosts),
        )
    elif hosts:
        stages = tuple(removal(one.host, one.families) for one in hosts)
    return Plan(
        recommendation="security",
        title="Security: the hosts' firewall",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(_changes(snapshot, choices, rules, hosts, stages)),
        stages=stages,
        undo=tuple(_undo(snapshot, choices, hosts, stages, rules)),
        impact=Impact(
            danger=Danger.WRITE if hosts else Danger.READ,
            duration=f"about {SECONDS_A_HOST} s a host, one after the other: {len(hosts)} of "
            f"{len(snapshot.hosts)}; nothing restarts",
            undo=_undo_words(choices, hosts),
            notes=tuple(_notes(snapshot, choices, hosts)),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            files=tuple(
                FileBasis(host=one.host, path=facts.RULES_SAVE, sha256=one.sums.get(facts.RULES_SAVE, ""))
                for one in hosts
            ),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )  # fmt: skip


def _undo_words(choices: FirewallChoices, hosts: tuple[HostFilter, ...]) -> str:
    if not hosts:
        return "not needed: nothing changes"
    if not choices.host_firewall:
        return "the rules that were kept are put in again, on trial as at first"
    if any(one.kept for one in hosts):
        return (
            "the rules of before are put in again, on trial; where there were none, ours is taken out. Rules of "
            "others stay as they are"
        )
    return "ours is taken out of each host, the last one first; rules of others stay as they are"


def whole_of(snapshot: Snapshot, choices: FirewallChoices) -> ClusterWhole:
    """The cluster as it is to stay. Who joins meanwhile is cut off, unless new hosts are let in."""
    known = () if choices.new_hosts else tuple(sorted(h.machine_id for h in snapshot.hosts))
    return ClusterWhole(
        members=len(snapshot.etcd.members),
        machines=tuple(sorted(host.machine_id for host in snapshot.hosts if host.reachable)),
        known=known,
    )


def _ceph_of(snapshot: Snapshot) -> str:
    """The host that is asked whether Ceph stays well; empty: there is none, or it is not well now."""
    asker = ceph_asker(snapshot)
    return asker.name if asker is not None and is_ceph_well(snapshot) else ""


def in_order(snapshot: Snapshot) -> tuple[HostFilter, ...]:
    """The host that leads to the others comes last."""
    entry = entry_host(snapshot)
    name = entry.name if entry else ""
    return tuple(sorted(filters(snapshot), key=lambda one: one.host == name))


def is_as_chosen(one: HostFilter, rules: Ruleset, choices: FirewallChoices) -> bool:
    """Nothing has to be done on a host: loaded, first, kept, and loaded again at boot."""
    return one.is_in_place and all(
        one.lines(family) == chain_lines(rules, family)
        and one.kept_text(family) == restore_text(rules, family, kept(choices))
        for family in one.families
    )


def _target(
    snapshot: Snapshot, choices: FirewallChoices, rules: Ruleset, one: HostFilter
) -> Target:
    texts = {family: restore_text(rules, family, kept(choices)) for family in one.families}
    return Target(
        host=one.host,
        rules=texts,
        proof=_proof(snapshot, choices, rules, one),
        seconds=choices.rollback_seconds,
        sums=one.sums,
    )


def _proof(snapshot: Snapshot, choices: FirewallChoices, rules: Ruleset, one: HostFilter) -> Proof:
    addresses = {host.name: host.address for host in snapshot.reachable_hosts}
    others = tuple(other for other in filters(snapshot) if other.host != one.host)
    sources = ssh_sources(snapshot)
    is_stranger = bool(sources) and not any(is_insider(rules, source) for source in sources)
    closed = tuple(
        (addresses[one.host], port)
        for port in PRIVATE
        if is_stranger
        and port in one.listens
        and not any(is_let_in(rules, source, port) for source in sources)
    )
    return Proof(
        whole=whole_of(snapshot, choices),
        ceph=_ceph_of(snapshot),
        others=tuple(other.host for other in others),
        outgoing=tuple(
            (addresses[other.host], port)
            for other in others
            for port in SPOKEN_TO
            if port in other.listens
        ),
        incoming=tuple((addresses[one.host], port) for port in SPOKEN_TO if port in one.listens),
        closed=closed,
    )


def _undo(
    snapshot: Snapshot,
    choices: FirewallChoices,
    hosts: tuple[HostFilter, ...],
    stages: tuple[Stage, ...],
    rules: Ruleset,
) -> Iterator[Stage]:
    """Backwards. What was there of ours before comes back as it came in: on trial."""
    for one in reversed(hosts):
        done = changing_ids(stages, one.host)
        if not one.kept:
            yield removal(one.host, one.families, "back").undoing(*done)
            continue
        kept_before = {family: one.kept_text(family) for family in one.families}
        # what the rules of before leave open to this machine is not for these to say
        proof = replace(_proof(snapshot, choices, rules, one), closed=())
        target = Target(one.host, kept_before, proof, seconds=choices.rollback_seconds)
        yield trial(target, "back").undoing(*done)


def _changes(
    snapshot: Snapshot,
    choices: FirewallChoices,
    rules: Ruleset,
    hosts: tuple[HostFilter, ...],
    stages: tuple[Stage, ...],
) -> Iterator[Change]:
    """Per host how its traffic is judged; then each rule, which is the same on every host."""
    wanted = choices.host_firewall
    for one in filters(snapshot):
        steps = changing_ids(stages, one.host)
        for chain, ours in JUMPS:
            is_there = any(rule.target == ours for rule in one.v4.rules(chain))
            now = f"to {ours}" if is_there else None
            after = (f"to {ours}, first" if wanted else None) if one in hosts else now
            yield Change(
                where=f"{one.host} {chain}",
                current=now,
                desired=after,
                steps=steps if one in hosts else (),
            )
    before = next((one for one in hosts if one.kept), None) or next(
        (one for one in filters(snapshot) if one.kept), None
    )
    for family in (4, 6):
        had = [] if before is None or family not in before.families else before.lines(family)
        want = chain_lines(rules, family) if wanted else ()
        for line in dict.fromkeys([*had, *want]):
            name, _, text = line.removeprefix("-A ").partition(" ")
            if name not in (INPUT, FORWARD):
                continue
            yield Change(
                where=f"{FAMILY_WORDS[family]} {name}",
                current=text if line in had else None,
                desired=text if line in want else None,
            )


def _notes(
    snapshot: Snapshot, choices: FirewallChoices, hosts: tuple[HostFilter, ...]
) -> Iterator[str]:
    for problem in check_choices(snapshot, choices):
        if not problem.blocks:
            yield problem.what
    if not hosts:
        return
    if not choices.host_firewall:
        ports = sorted({port for one in hosts for port in PRIVATE if port in one.listens})
        yield (
            f"without it {few([f'{port} ({PRIVATE[port]})' for port in ports])} answer everybody who reaches "
            "these hosts, unless something else keeps them out"
        )
        return
    yield (
        f"each host takes the rules back by itself after {choices.rollback_seconds} s, unless a new login, "
        "etcd, fleet and the neighbours are proven to work; first comes "
        f"{hosts[0].host}, last {hosts[-1].host}"
    )
    yield (
        "a host that joins later must be among new hosts, or it cannot reach the others: "
        + (few(choices.new_hosts) or "none is named")
        + ". It gets the rules itself by its user-data: run this again as user-data files"
    )
    if contributed(snapshot):
        yield f"{facts.CONTRIBUTED} of Deis's own script stays where it is, behind these"
    yield (
        f"rules are in {files.FOLDER}; {files.UNIT} loads them at boot, {files.DOCKER_UNIT} puts them "
        "first again when Docker has started"
    )
