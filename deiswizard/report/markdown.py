"""The report in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.markdown import code, plain, table
from deiswizard.recommendations.base import Finding
from deiswizard.report.model import UNREAD, HostLine, Report, Section, evidence_of
from deiswizard.vocabulary import Status, symbol_of
from deiswizard.wording import at_time, in_time


def as_markdown(report: Report) -> str:
    """The whole report."""
    parts = (_head(report), _overview(report), *map(_section, report.sections), _hosts(report),
             _troubles(report), _runs(report), _foot(report))  # fmt: skip
    return "\n".join(line for part in parts for line in part).rstrip("\n") + "\n"


def _mark(status: Status) -> str:
    return f"{symbol_of(status)} {status}"


def _head(report: Report) -> Iterator[str]:
    yield f"# Production readiness of {plain(report.cluster)}"
    yield ""
    yield f"**{report.readiness}.** {report.verdict}"
    yield ""
    yield from table(
        ("", ""),
        (
            ("Cluster", plain(report.cluster)),
            ("Deis", plain(report.release)),
            ("Hosts", _reached(report)),
            ("etcd", plain(report.etcd)),
            ("Looked", f"{at_time(report.looked_at)}, over SSH through {plain(report.via)}"),
        ),
    )


def _reached(report: Report) -> str:
    """``3, all reached``."""
    reached = sum(host.reachable for host in report.hosts)
    all_ = len(report.hosts)
    return f"{all_}, all reached" if reached == all_ else f"{all_}, {reached} of them reached"


def _overview(report: Report) -> Iterator[str]:
    yield "## Recommendations"
    yield ""
    yield from table(
        ("", "Recommendation", "Now", "Status"),
        (
            (str(s.number), plain(s.title), plain(s.assessment.now), _mark(s.status))
            for s in report.sections
        ),
    )


def _section(section: Section) -> Iterator[str]:
    yield f"### {section.number}. {plain(section.title)}: {_mark(section.status)}"
    yield ""
    yield f"**Now:** {plain(section.assessment.now)}"
    yield ""
    if section.assessment.explanation:
        yield plain(section.assessment.explanation)
        yield ""
    yield f"**Why it matters:** {plain(section.why)}"
    yield ""
    for finding in section.assessment.findings:
        yield from _finding(finding)
    if section.assessment.findings:
        yield ""
    if section.way:
        yield f"**With the wizard:** {code(section.way)}"
        yield ""
    yield f"Source: {plain(section.doc)}"
    yield ""


def _finding(finding: Finding) -> Iterator[str]:
    yield f"- **{_mark(finding.status)}:** {plain(finding.what)}"
    if finding.do:
        yield f"  - To do: {plain(finding.do)}"
    told, more = evidence_of(finding)
    for evidence in told:
        where = f"{plain(evidence.host)}: " if evidence.host else ""
        said = f" said {code(evidence.said)}" if evidence.said else ""
        yield f"  - Evidence: {where}{code(evidence.source)}{said}"
    if more:
        yield f"  - {more}"


def _hosts(report: Report) -> Iterator[str]:
    yield "## Hosts"
    yield ""
    yield from table(
        ("Host", "Address", "System", "Deis", "Versions", "Docker's disk", "State"),
        (
            (
                plain(host.name),
                plain(host.address),
                plain(host.system) or UNREAD,
                plain(host.release) or UNREAD,
                plain(host.versions) or UNREAD,
                plain(host.disk) or UNREAD,
                _state(host),
            )
            for host in report.hosts
        ),
    )


def _state(host: HostLine) -> str:
    word = "reached" if host.reachable else "**not reached**"
    return ": ".join(filter(None, (word, plain(host.trouble), plain(host.do))))


def _troubles(report: Report) -> Iterator[str]:
    if not report.troubles:
        return
    yield "## What could not be read"
    yield ""
    for trouble in report.troubles:
        where = plain(trouble.evidence.host) or "cluster"
        yield f"- {where}: {plain(trouble.what)}"
        if trouble.do:
            yield f"  - To do: {plain(trouble.do)}"
        said = f" said {code(trouble.evidence.said)}" if trouble.evidence.said else ""
        yield f"  - Evidence: {code(trouble.evidence.source)}{said}"
    yield ""


def _runs(report: Report) -> Iterator[str]:
    yield "## What was run"
    yield ""
    if not report.runs:
        yield "Nothing was run on this cluster from this machine yet."
        yield ""
        return
    yield from table(
        ("Run", "Began", "Took", "What", "By", "Status"),
        (
            (
                code(run.run),
                at_time(run.began),
                in_time(max(0.0, run.ended - run.began)) if run.ended is not None else "not known",
                plain(run.title),
                plain(run.by),
                str(run.status),
            )
            for run in report.runs
        ),
    )


def _foot(report: Report) -> Iterator[str]:
    yield f"Made by deiswizard {report.wizard} from one look that changed nothing. {plain(report.scope)}"
    yield "`deiswizard show RUN --markdown` is the record of a run."
