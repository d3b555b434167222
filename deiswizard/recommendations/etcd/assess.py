"""How etcd stands: every member by its own host, every other host by what its data makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from deiswizard.cluster.quorum import FEWEST, MOST, in_words, quorum
from deiswizard.cluster.snapshot import Evidence, Snapshot
from deiswizard.recommendations.base import Assessment, Finding
from deiswizard.recommendations.etcd.facts import Node, View, may_live, missing, view
from deiswizard.vocabulary import Status
from deiswizard.wording import counted, named

WORST = (Status.AT_RISK, Status.TO_DO, Status.PARTLY, Status.UNKNOWN)


def assess(snapshot: Snapshot) -> Assessment:
    """Members and proxies, and everything that is not as it should be."""
    now = view(snapshot)
    if not now.members:
        return _said(Status.UNKNOWN, "could not be read", "etcd did not list its members.", ())
    findings = tuple(_findings(now))
    worst = next((s for s in WORST if any(f.status is s for f in findings)), Status.OK)
    proxies = sum(node.is_proxy for node in now.nodes)
    what = f"{counted(len(now.members), 'member')}, {_proxies(proxies)}"
    words = in_words(len(now.members), len(now.healthy))
    end = (
        "Few members on hosts that stay keep etcd fast and whole; every other host runs a proxy that "
        "passes on what it is asked."
    )
    if worst is Status.OK and len(now.nodes) <= FEWEST:
        end = "There is no host left that could be a proxy: nothing to isolate."
    return _said(worst, what, f"{words}. {end}", findings)


def _proxies(count: int) -> str:
    return "no proxy" if not count else f"{count} {'proxy' if count == 1 else 'proxies'}"


def _said(status: Status, now: str, explanation: str, findings: tuple[Finding, ...]) -> Assessment:
    return Assessment(
        recommendation="etcd", status=status, now=now, explanation=explanation, findings=findings
    )


def _findings(now: View) -> Iterator[Finding]:
    yield from _quorum(now)
    for member in now.unstarted:
        url = next(iter(member.peer_urls), "no URL")
        yield Finding(
            status=Status.AT_RISK,
            what=f"a member was added and never started ({url}): it counts as a voter",
            evidence=(Evidence(source="GET /v2/members", said=f"{member.id}[unstarted] {url}"),),
            do="start it, or remove it, before anything else is added: a second one ends the quorum",
        )
    for member in now.strangers:
        if member.is_started:
            url = next(iter(member.client_urls or member.peer_urls), "")
            yield Finding(
                status=Status.AT_RISK,
                what=f"the member {member.id} is on no host that fleet knows ({url})",
                evidence=(Evidence(source="GET /v2/members", said=f"{member.id}: {member.name}"),),
                do="start fleetd on its host: it may be alive, and is not removed"
                if may_live(member)
                else "a host that is gone for good: choose the members, and it is taken from the list",
            )
    yield from _together([found for node in now.nodes for found in _node(node)])
    yield from _size(now)


def _together(found: Sequence[tuple[Node, Finding]]) -> Iterator[Finding]:
    """What is the same on many hosts is one finding."""
    groups: dict[str, list[tuple[Node, Finding]]] = {}
    for node, finding in found:
        groups.setdefault(finding.what, []).append((node, finding))
    for what, same in groups.items():
        evidence = tuple(piece for _, finding in same for piece in finding.evidence)
        update = {"what": f"{named([node.name for node, _ in same])}: {what}", "evidence": evidence}
        yield same[0][1].model_copy(update=update)


def _quorum(now: View) -> Iterator[Finding]:
    if now.has_quorum or not any(node.is_asked for node in now.nodes):
        return
    yield Finding(
        status=Status.AT_RISK,
        what=f"etcd has no quorum: {now.running} of {len(now.members)} members run, "
        f"{quorum(len(now.members))} are needed",
        evidence=tuple(n.evidence for n in now.nodes if n.member is not None and n.why_unhealthy),
        do=f"{named([n.name for n in missing(now)])} never started, and can be started: choose to bring "
        "the quorum back"
        if missing(now)
        else "bring back the members that are down; until then nothing can be written",
    )


def _size(now: View) -> Iterator[Finding]:
    count, hosts = len(now.members), len(now.nodes)
    evidence = (Evidence(source="GET /v2/members", said=counted(count, "member")),)
    if count < FEWEST:
        yield Finding(
            status=Status.AT_RISK,
            what=f"{counted(count, 'member')}: losing one is the end of etcd",
            evidence=evidence,
            do="choose three or five hosts",
        )
    elif count > MOST:
        yield Finding(
            status=Status.TO_DO,
            what=f"{count} members: every write waits for a majority of them",
            evidence=evidence,
            do="choose five hosts",
        )
    elif count % 2 == 0:
        yield Finding(
            status=Status.TO_DO,
            what=f"{count} members can lose no more than {count - 1}",
            evidence=evidence,
            do="choose an odd number",
        )
    if count == hosts and hosts > FEWEST:
        yield Finding(
            status=Status.TO_DO,
            what="every host is a member: none of them can come or go without etcd",
            evidence=evidence,
            do="choose the hosts that stay; the others become proxies",
        )


def _node(node: Node) -> Iterator[tuple[Node, Finding]]:
    def found(status: Status, what: str, do: str) -> tuple[Node, Finding]:
        return node, Finding(status=status, what=what, evidence=(node.evidence,), do=do)

    etcd = node.etcd
    if not node.is_asked:
        why = "it cannot be reached" if not node.facts.reachable else "its etcd could not be asked"
        voter = ", and it is a voter" if node.member is not None else ""
        status = Status.AT_RISK if node.member is not None else Status.UNKNOWN
        yield found(status, f"{why}{voter}", "look at the host")
        return
    if node.member is not None:
        if node.member.is_started and node.why_unhealthy:
            yield found(
                Status.AT_RISK,
                node.why_unhealthy,
                "bring it back, or leave the host out of the members: the voter is then removed",
            )
        return
    if etcd.role == "both":
        yield found(
            Status.AT_RISK,
            f"{etcd.data_dir} holds both member and proxy: etcd refuses to start",
            "as a proxy its old member's data is moved aside",
        )
    elif etcd.role == "member":
        yield found(
            Status.AT_RISK,
            "it holds a member's data and is no member: its etcd ends again and again",
            "as a proxy its old data is moved aside",
        )
    elif not etcd.runs_as:
        yield found(
            Status.AT_RISK,
            f"its etcd does not answer ({etcd.active or 'unknown'}): fleet and Deis there are without it",
            "it is started as a proxy",
        )
    elif node.is_cut_off:
        yield found(
            Status.AT_RISK,
            f"a proxy of none of the members (it knows {named(etcd.endpoints) if etcd.endpoints else 'nobody'}): "
            "fleet and Deis there are without etcd",
            "its proxy's data is moved aside, and it starts as a proxy of the members of now",
        )
    elif etcd.setting("ETCD_PROXY") == "readonly":
        yield found(
            Status.AT_RISK,
            "a read-only proxy: every write of Deis there is refused (HTTP 501)",
            "it becomes a read-write proxy",
        )
    elif not etcd.is_persisted_proxy:
        yield found(
            Status.PARTLY,
            "a proxy by accident: discovery was full when it came" + _discovery(node),
            "a file that says proxy makes it stay one; nothing restarts",
        )
    elif etcd.setting("ETCD_DISCOVERY"):
        yield found(
            Status.PARTLY,
            "a proxy that would ask discovery if its data is lost" + _discovery(node),
            "a file that names the members",
        )


def _discovery(node: Node) -> str:
    """Which service, never the token: it lets anyone join."""
    url = node.etcd.setting("ETCD_DISCOVERY")
    host = urlsplit(url).hostname
    return f"; {host} forgets its entries" if url and host else ""
