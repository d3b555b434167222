"""What the report says, as data: one look, every recommendation, the hosts, what was run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from deiswizard.cluster.snapshot import Evidence, HostFacts, Snapshot, Trouble
from deiswizard.frozen import Frozen
from deiswizard.recommendations.base import Assessment, Finding, Recommendation
from deiswizard.recommendations.preseed.images import release_of
from deiswizard.redaction import Redactor
from deiswizard.run.history import PastRun
from deiswizard.vocabulary import Status
from deiswizard.wording import counted, in_bytes

GOOD = (Status.OK, Status.BY_CHOICE)
UNREAD = "not looked at"
MOST_EVIDENCE = 4
"""Pieces of evidence for one finding that are told; more of the same prove nothing more."""


class HostLine(Frozen):
    """A host in the table. ``trouble`` is why it could not be read, ``do`` what to do about it."""

    name: str
    address: str
    reachable: bool
    system: str = ""
    release: str = ""
    versions: str = ""
    disk: str = ""
    trouble: str = ""
    do: str = ""


class Section(Frozen):
    """A recommendation and its assessment."""

    number: int
    title: str
    why: str
    doc: str
    assessment: Assessment

    @property
    def status(self) -> Status:
        """Of the assessment."""
        return self.assessment.status

    @property
    def way(self) -> str:
        """The command that opens it in the wizard; empty when nothing is left to do."""
        name = self.assessment.recommendation
        return "" if self.status in GOOD else f"deiswizard open {name}"


class Report(Frozen):
    """The whole report. ``looked_at`` in seconds since the epoch."""

    cluster: str
    via: str
    looked_at: float
    wizard: str
    release: str
    etcd: str
    hosts: tuple[HostLine, ...]
    sections: tuple[Section, ...]
    troubles: tuple[Trouble, ...]
    runs: tuple[PastRun, ...]

    @property
    def statuses(self) -> Mapping[Status, int]:
        """How many recommendations have each status, those that none has left out."""
        found = Counter(section.status for section in self.sections)
        return {status: found[status] for status in Status if found[status]}

    @property
    def readiness(self) -> str:
        """``1 of 2 recommendations ok, 1 to do``."""
        ok = self.statuses.get(Status.OK, 0)
        others = [f"{n} {status}" for status, n in self.statuses.items() if status is not Status.OK]
        return ", ".join([f"{ok} of {counted(len(self.sections), 'recommendation')} ok", *others])

    @property
    def verdict(self) -> str:
        """What that means, in a sentence."""
        if not self.sections or Status.UNKNOWN in self.statuses:
            return "Not everything could be looked at, so nobody can tell whether it is ready."
        left = sum(n for status, n in self.statuses.items() if status not in GOOD)
        if not left:
            return "Ready for production, as far as this report looks."
        verb = "needs" if left == 1 else "need"
        return f"Not ready for production yet: {counted(left, 'recommendation')} {verb} work."

    @property
    def scope(self) -> str:
        """What the report looks at, so that nobody takes it for more."""
        names = ", ".join(f"{section.number} {section.title}" for section in self.sections)
        return f"It looks at these recommendations of the Deis documentation: {names}."


def evidence_of(finding: Finding) -> tuple[tuple[Evidence, ...], str]:
    """The evidence to tell, and words for what is left out."""
    left = len(finding.evidence) - MOST_EVIDENCE
    return finding.evidence[:MOST_EVIDENCE], f"and {left} more of this kind" if left > 0 else ""


def report_of(
    snapshot: Snapshot,
    recommendations: Sequence[Recommendation],
    assessments: Mapping[str, Assessment],
    runs: Sequence[PastRun],
    wizard: str,
) -> Report:
    """The report on one look. Secrets that the look found are masked in what programs said."""
    redactor = Redactor([fact.secret for fact in snapshot.keys if fact.secret is not None])
    return Report(
        cluster=snapshot.cluster,
        via=snapshot.via,
        looked_at=snapshot.taken_at,
        wizard=wizard,
        release=release_of(snapshot)[0] or "not known",
        etcd=_etcd(snapshot),
        hosts=tuple(_host(host) for host in snapshot.hosts),
        sections=tuple(
            Section(
                number=recommendation.number,
                title=recommendation.title,
                why=recommendation.why,
                doc=recommendation.doc,
                assessment=_masked(assessments[recommendation.id], redactor),
            )
            for recommendation in recommendations
            if recommendation.id in assessments
        ),
        troubles=tuple(
            trouble.model_copy(update={"evidence": _evidence(trouble.evidence, redactor)})
            for trouble in snapshot.troubles
        ),
        runs=tuple(runs),
    )


def _etcd(snapshot: Snapshot) -> str:
    etcd = snapshot.etcd
    if etcd.version is None and not etcd.members:
        return "not known"
    healthy = {True: "healthy", False: "NOT healthy", None: "health not known"}[etcd.healthy]
    return (
        f"{etcd.version or 'version not known'}, {counted(len(etcd.members), 'member')}, {healthy}"
    )


def _host(host: HostFacts) -> HostLine:
    told = (("Docker", host.versions.docker), ("etcd", host.versions.etcd),
            ("fleet", host.versions.fleet), ("systemd", host.versions.systemd))  # fmt: skip
    disk = host.disk
    return HostLine(
        name=host.name,
        address=host.address,
        reachable=host.reachable,
        system=host.os_release,
        release=host.deis_release or "",
        versions=", ".join(f"{name} {version}" for name, version in told if version),
        disk=f"{in_bytes(disk.free)} of {in_bytes(disk.size)} free" if disk else "",
        trouble=host.trouble.what if host.trouble else "" if host.reachable else "not reachable",
        do=host.trouble.do if host.trouble else "",
    )


def _evidence(evidence: Evidence, redactor: Redactor) -> Evidence:
    return evidence.model_copy(update={"said": redactor.text(evidence.said)})


def _masked(assessment: Assessment, redactor: Redactor) -> Assessment:
    def finding(found: Finding) -> Finding:
        said = tuple(_evidence(evidence, redactor) for evidence in found.evidence)
        return found.model_copy(update={"evidence": said, "what": redactor.text(found.what)})

    return assessment.model_copy(
        update={"findings": tuple(finding(found) for found in assessment.findings)}
    )
