"""How the hosts' firewall is judged: findings before, checks after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deiswizard.cluster.packet_rules import Table, published_ports
from deiswizard.cluster.snapshot import Evidence, Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.plan.step import UploadStep
from deiswizard.recommendations.base import Finding
from deiswizard.recommendations.firewall import facts, files
from deiswizard.recommendations.firewall.choices import (
    FirewallChoices,
    ruleset,
)
from deiswizard.recommendations.firewall.facts import HostFilter, filters
from deiswizard.recommendations.firewall.plan import is_as_chosen
from deiswizard.recommendations.firewall.problems import REMOVE_CONTRIBUTED
from deiswizard.recommendations.firewall.rules import INPUT, PRIVATE
from deiswizard.recommendations.firewall.table import STRANGER, rows
from deiswizard.run.events import Check
from deiswizard.vocabulary import Danger, Status
from deiswizard.wording import few

SOURCE = "sudo iptables -S"
AGAIN = "choose the hosts' firewall here, and run it again"


def findings(snapshot: Snapshot) -> Iterator[Finding]:
    """What the hosts let in, and whether what keeps it out is as it should be."""
    known = filters(snapshot)
    if unread := [host for host in facts.unread(snapshot) if host.reachable]:
        said = next((a.err for a in snapshot.answers if a.id == facts.FACTS and a.err), "no answer")
        yield Finding(
            status=Status.UNKNOWN,
            what=f"how {few([host.name for host in unread])} filters packets could not be read",
            evidence=(Evidence(source=SOURCE, host=unread[0].name, said=said),),
            do="see that sudo needs no password there",
        )
    if not known:
        return
    ours = [one for one in known if has_rules(one)]
    lacking = [one for one in known if not has_rules(one)]
    yield from _trials(known)
    yield from _open_ports(snapshot, known, bool(ours))
    if ours and lacking:
        yield Finding(
            status=Status.PARTLY,
            what=f"{few([one.host for one in lacking])} has no firewall yet, {len(ours)} of {len(known)} have",
            evidence=tuple(Evidence(source=SOURCE, host=one.host, said=f"no {INPUT}") for one in lacking),
            do=AGAIN,
        )  # fmt: skip
    for one in ours:
        yield from _ours(snapshot, one)
    yield from _contributed(known)


def has_rules(one: HostFilter) -> bool:
    """Whether our chain is in its packet filter."""
    return INPUT in one.v4.chains


def summary(snapshot: Snapshot) -> str:
    """In two words, for the overview."""
    known = filters(snapshot)
    count = sum(has_rules(one) for one in known)
    if not known:
        return "hosts unknown"
    if count == len(known):
        return "hosts closed"
    if count:
        return f"hosts {count}/{len(known)}"
    return "hosts open" if any(_exposed(one) for one in known) else "hosts' own rules"


def _exposed(one: HostFilter) -> tuple[int, ...]:
    """Private ports that something listens on and that a stranger is let in to."""
    published = {rule.port for rule in published_ports(one.nat)}
    return tuple(
        port
        for port in PRIVATE
        if (port in one.listens or port in published) and one.lets_in(STRANGER, port) != "closed"
    )


def _open_ports(
    snapshot: Snapshot, known: tuple[HostFilter, ...], has_ours: bool
) -> Iterator[Finding]:
    by_port: dict[int, list[str]] = {}
    for one in known:
        for port in _exposed(one):
            by_port.setdefault(port, []).append(one.host)
    tried = facts.tried(snapshot.answer(facts.FROM_HERE))
    answered = sorted({port for (_, port), is_open in tried.items() if is_open and port in PRIVATE})
    if not by_port:
        if not has_ours:
            yield Finding(
                status=Status.BY_CHOICE,
                what="rules of others keep strangers from the private ports of every host",
                evidence=(_filter_words(known[0]),),
            )
        return
    told = [f"{port} ({PRIVATE[port]})" for port in by_port]
    evidence = [
        Evidence(source=SOURCE, said=f"{port}: nothing keeps {STRANGER} out on {few(hosts)}")
        for port, hosts in by_port.items()
    ]
    if answered:
        ports = ", ".join(map(str, answered))
        evidence.append(Evidence(source="a connection from this machine", said=f"open: {ports}"))
    hosts = {host for found in by_port.values() for host in found}
    yield Finding(
        status=Status.AT_RISK if has_ours else Status.TO_DO,
        what=f"strangers are let in to {few(told)} on {len(hosts)} of {len(known)} hosts, unless something "
        "in front of the hosts keeps them away",
        evidence=tuple(evidence),
        do=AGAIN,
    )


def _filter_words(one: HostFilter) -> Evidence:
    said = ", ".join(f"{chain} {policy}" for chain, policy in one.v4.policies.items())
    return Evidence(source=SOURCE, host=one.host, said=f"policies: {said}")


def _trials(known: tuple[HostFilter, ...]) -> Iterator[Finding]:
    for one in known:
        if one.is_armed:
            yield Finding(
                status=Status.PARTLY,
                what=f"rules are on trial on {one.host}, which takes them back by itself unless they are "
                "proven first",
                evidence=(Evidence(source=files.ARMED, host=one.host, said="active"),),
            )
        elif one.taken_back:
            yield Finding(
                status=Status.TO_DO,
                what=f"{one.host} has taken rules back by itself, because they were not proven in time",
                evidence=(Evidence(source=files.MARK, host=one.host, said=one.taken_back),),
                do="see why (deiswizard show last), then run it again",
            )


def _ours(snapshot: Snapshot, one: HostFilter) -> Iterator[Finding]:
    """Whether rules of ours still do what they were put in for."""

    def wrong(what: str, said: str, do: str = AGAIN) -> Finding:
        return Finding(
            status=Status.AT_RISK,
            what=f"{one.host}: {what}",
            evidence=(Evidence(source=SOURCE, host=one.host, said=said),),
            do=do,
        )

    for family in one.families:
        if not one.is_first(family):
            first = next((rule.text for rule in one.table(family).rules("FORWARD")), "nothing")
            yield wrong(
                f"the firewall is not first (IPv{family}): what stands before it, such as Docker's rules, lets "
                "in what it would refuse",
                first,
                f"sudo systemctl restart {files.UNIT} there, or run it again",
            )
    if one.has_ipv6 and one.v6 is None:
        yield wrong("it has IPv6, and ip6tables does not answer: open by IPv6", "no answer")
    for family in () if one.is_armed else one.families:
        if (stays := facts.kept_lines(one, family)) != one.lines(family):
            yield wrong(
                f"the rules in place are not those that are kept for the next boot (IPv{family})",
                f"{len(one.lines(family))} rules in place, {len(stays)} kept",
            )
    if not one.is_enabled and not one.is_armed:
        yield wrong(f"{files.UNIT} is not enabled: the firewall is gone after a reboot", "disabled")
    cut_off = [h for h in snapshot.hosts if one.lets_in(h.address, 4001) != "open"]
    if cut_off:
        yield wrong(
            f"{few([host.name for host in cut_off])} is not let in: etcd, fleet and Docker there are cut off "
            "from it",
            ", ".join(host.address for host in cut_off[:4]),
        )


def _contributed(known: tuple[HostFilter, ...]) -> Iterator[Finding]:
    """Deis's own script, and what is wrong with what it leaves (deis-facts 5a)."""
    for one in known:
        if facts.CONTRIBUTED not in one.v4.chains:
            continue
        defects = tuple(contributed_defects(one))
        yield Finding(
            status=Status.AT_RISK if defects else Status.BY_CHOICE,
            what=f"{one.host} has the chain of Deis's own script ({facts.CONTRIBUTED})"
            + (": " + "; ".join(defects) if defects else ""),
            evidence=tuple(
                Evidence(source=SOURCE, host=one.host, said=rule.text)
                for chain in ("INPUT", "FORWARD")
                for rule in one.v4.rules(chain)
            ),
            do=f"put this firewall in, then take that one out: {REMOVE_CONTRIBUTED}",
        )


def contributed_defects(one: HostFilter) -> Iterator[str]:
    """The defects that are there, each in words."""
    table: Table = one.v4
    places = [n for n, r in enumerate(table.rules("FORWARD")) if r.target == facts.CONTRIBUTED]
    if places and places[0] > 0 and not has_rules(one):
        ports = sorted({rule.port for rule in published_ports(one.nat)})
        shown = f" ({', '.join(map(str, ports))})" if ports else ""
        yield f"Docker's rules come before it, so published ports{shown} are open to everyone"
    doubled = [
        chain
        for chain in ("INPUT", "FORWARD")
        if sum(rule.target == facts.CONTRIBUTED for rule in table.rules(chain)) > 1
    ]
    if doubled:
        yield f"it was run more than once, and is jumped to twice in {' and '.join(doubled)}"
    rules = table.rules(facts.CONTRIBUTED)
    words = " ".join(rule.text for rule in rules)
    if rules and "9090" not in words:
        yield "9090 is not open: a load balancer that asks there takes the host for dead"
    if not rules:
        yield "it is empty: a run of it broke off half-way, with policy DROP nobody gets in"
    if rules and not _knows_flannel(words):
        yield "containers of other hosts (flannel) are refused"
    if one.has_ipv6 and (one.v6 is None or one.v6.policies.get("INPUT") != "DROP"):
        yield "it does nothing about IPv6, by which the host is open"
    if one.restore_enabled:
        yield "at boot it is restored before Docker puts its rules in front of it"


def _knows_flannel(words: str) -> bool:
    """Whether some rule names flannel's network or interface."""
    return "10.244." in words or "flannel" in words


def verify(after: Snapshot, choices: FirewallChoices) -> tuple[Check, ...]:
    """On every host as chosen; then the table: each port from everywhere, expected and found."""
    known = {one.host: one for one in filters(after)}
    if not choices.host_firewall:
        return tuple(_gone(host.name, known.get(host.name)) for host in after.hosts)
    rules = ruleset(after, choices)
    checks = [
        Check(
            title=f"the firewall is in place on {host.name}, first, and loaded at boot",
            ok=None if (one := known.get(host.name)) is None else is_as_chosen(one, rules, choices),
            evidence=f"{len(one.lines(4))} rules, {'IPv4 and IPv6' if one.v6 else 'IPv4 only'}"
            if one
            else "not read",
        )
        for host in after.reachable_hosts
    ]
    for row in rows(after, rules):
        if row.expected is not None:
            state = "open" if row.expected else "closed"
            checks.append(
                Check(
                    title=f"{row.name} is {state} to {row.where}",
                    ok=row.is_right,
                    evidence=row.said,
                    cells=(row.name, row.where, state, row.said),
                )
            )
    return tuple(checks)


def _gone(host: str, one: HostFilter | None) -> Check:
    return Check(
        title=f"nothing of ours is on {host}",
        ok=None if one is None else not one.has_ours,
        evidence=SOURCE if one else "not read",
    )


def taken_back(plan: Plan, after: Snapshot) -> tuple[Check, ...]:
    """On every host that the way back changes: nothing of ours, or the rules from before, as at first."""
    known = {one.host: one for one in filters(after)}
    texts: dict[str, dict[str, str]] = {}
    for step in plan.steps:
        if step.host and step.danger is not Danger.READ:
            uploads = texts.setdefault(step.host, {})
            if isinstance(step, UploadStep):
                uploads[step.path] = step.content
    paths = {family: files.rules_path("next", family) for family in (4, 6)}
    return tuple(
        _as_before(host, known.get(host), {f: uploads[p] for f, p in paths.items() if p in uploads})
        if paths[4] in uploads
        else _gone(host, known.get(host))
        for host, uploads in texts.items()
    )


def _as_before(host: str, one: HostFilter | None, texts: Mapping[int, str]) -> Check:
    return Check(
        title=f"the rules from before are in place on {host}, first, and loaded at boot",
        ok=None
        if one is None
        else one.is_in_place
        and all(one.kept_text(family) == text for family, text in texts.items()),
        evidence=f"{SOURCE}: {len(one.lines(4))} rules" if one else "not read",
    )
