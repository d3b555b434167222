"""The report as one HTML page: no scripts, nothing from elsewhere, fit for paper."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from deiswizard.markdown import one_line
from deiswizard.recommendations.base import Finding
from deiswizard.report.model import UNREAD, HostLine, Report, Section, evidence_of
from deiswizard.vocabulary import Status, symbol_of
from deiswizard.wording import at_time, counted, in_time

STYLE = """\
:root { color-scheme: light dark; --paper: #fff; --ink: #1a2328; --soft: #55636b; --line: #d5dde1;
  --panel: #f4f7f8; --good: #00704f; --warn: #8f6200; --bad: #a84300; --head: #0b3b57; }
@media (prefers-color-scheme: dark) { :root { --paper: #0f1519; --ink: #e4e9ed; --soft: #9fb0ba;
  --line: #2b3a44; --panel: #172128; --good: #2fc59b; --warn: #e69f00; --bad: #ff7f41;
  --head: #8fd0f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1, h2, h3 { line-height: 1.2; color: var(--head); }
h1 { margin: 0; font-size: 2rem; } h1 small { display: block; font-size: 1rem;
  font-weight: 600; letter-spacing: .04em; color: var(--soft); margin-bottom: .3rem; }
h2 { margin: 2.5rem 0 .8rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line); }
h3 { margin: 0; font-size: 1.15rem; }
p { margin: .6rem 0; } a { color: var(--head); }
code { font: .88em ui-monospace, "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
.verdict { margin: 1.5rem 0; padding: 1rem 1.25rem; background: var(--panel);
  border-left: .4rem solid var(--tone); border-radius: .3rem; }
.verdict strong { display: block; font-size: 1.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .45rem .75rem .45rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-size: .85rem; color: var(--soft); }
.why { overflow-wrap: anywhere; }
.name { white-space: nowrap; }
.status { white-space: nowrap; font-weight: 600; color: var(--tone); }
.good { --tone: var(--good); } .warn { --tone: var(--warn); } .bad { --tone: var(--bad); }
.plain { --tone: var(--ink); }
section.one { margin: 1.2rem 0; padding: 1rem 1.25rem; border: 1px solid var(--line);
  border-top: .25rem solid var(--tone); border-radius: .3rem; }
section.one header { display: flex; justify-content: space-between; gap: 1rem; }
ul { padding-left: 1.2rem; margin: .6rem 0; } ul ul { margin: .2rem 0 .5rem; }
.evidence, .source, footer { color: var(--soft); font-size: .9rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --panel: #fff; --good: #00563d; --warn: #6b4a00; --bad: #8a3700; --head: #000; }
  @page { margin: 18mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  section.one, tr, .verdict { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .wide { overflow: visible; }
}"""

TONES = {
    Status.OK: "good",
    Status.BY_CHOICE: "plain",
    Status.TO_DO: "warn",
    Status.PARTLY: "warn",
    Status.SOON: "warn",
    Status.UNKNOWN: "warn",
    Status.CHECKING: "plain",
    Status.AT_RISK: "bad",
}
"""A colour beside symbol and word; nothing is said by it alone."""


def as_html(report: Report) -> str:
    """The whole page."""
    parts = (_head(report), _overview(report), *map(_section, report.sections), _hosts(report),
             _troubles(report), _runs(report), _foot(report))  # fmt: skip
    return "\n".join(line for part in parts for line in part) + "\n"


def _text(text: str) -> str:
    return html.escape(one_line(text))


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _mark(status: Status) -> str:
    return f'<span class="status {TONES[status]}">{symbol_of(status)} {status}</span>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str] | str]) -> Iterator[str]:
    """A table; cells are HTML already, and a row that is one text is all of its cells."""
    yield '<div class="wide"><table>'
    yield "<thead><tr>" + "".join(f'<th scope="col">{cell}</th>' for cell in head) + "</tr></thead>"
    yield "<tbody>"
    for row in rows:
        cells = row if isinstance(row, str) else "".join(f"<td>{cell}</td>" for cell in row)
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def _head(report: Report) -> Iterator[str]:
    worst = {TONES[status] for status in report.statuses}
    tone = next((t for t in ("bad", "warn", "good") if t in worst), "plain")
    title = f"Production readiness of {_text(report.cluster)}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )
    yield f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>"
    yield f"<h1><small>Production readiness</small>{_text(report.cluster)}</h1>"
    yield f'<div class="verdict {tone}"><strong>{_text(report.readiness)}</strong>'
    yield f"{_text(report.verdict)}</div>"
    reached = sum(host.reachable for host in report.hosts)
    hosts = counted(len(report.hosts), "host")
    hosts += ", all reached" if reached == len(report.hosts) else f", {reached} of them reached"
    rows = (
        ("Deis", _text(report.release)),
        ("Hosts", _text(hosts)),
        ("etcd", _text(report.etcd)),
        ("Looked", f"{_text(at_time(report.looked_at))}, over SSH through {_code(report.via)}"),
    )
    yield "<dl>" + "".join(f"<dt>{label}</dt><dd>{value}</dd>" for label, value in rows) + "</dl>"


def _overview(report: Report) -> Iterator[str]:
    yield "<h2>Recommendations</h2>"
    yield from _table(
        ("", "Recommendation", "Now", "Status"),
        (
            (
                str(s.number),
                f'<a href="#r{s.number}">{_text(s.title)}</a>',
                _text(s.assessment.now),
                _mark(s.status),
            )
            for s in report.sections
        ),
    )


def _section(section: Section) -> Iterator[str]:
    found = section.assessment
    yield f'<section class="one {TONES[section.status]}" id="r{section.number}">'
    yield f"<header><h3>{section.number}. {_text(section.title)}</h3>{_mark(section.status)}</header>"
    yield f"<p><strong>Now:</strong> {_text(found.now)}</p>"
    if found.explanation:
        yield f"<p>{_text(found.explanation)}</p>"
    yield f"<p><strong>Why it matters:</strong> {_text(section.why)}</p>"
    if found.findings:
        yield "<ul>"
        for finding in found.findings:
            yield from _finding(finding)
        yield "</ul>"
    if section.way:
        yield f"<p><strong>With the wizard:</strong> {_code(section.way)}</p>"
    yield f'<p class="source">Source: {_text(section.doc)}</p>'
    yield "</section>"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"<li>{_mark(finding.status)}: {_text(finding.what)}<ul>"
    if finding.do:
        yield f"<li><strong>To do:</strong> {_text(finding.do)}</li>"
    told, more = evidence_of(finding)
    for evidence in told:
        where = f"{_text(evidence.host)}: " if evidence.host else ""
        said = f" said {_code(evidence.said)}" if evidence.said else ""
        yield f'<li class="evidence">Evidence: {where}{_code(evidence.source)}{said}</li>'
    if more:
        yield f'<li class="evidence">{more}</li>'
    yield "</ul></li>"


def _hosts(report: Report) -> Iterator[str]:
    head = ("Host", "Address", "System", "Deis", "Versions", "Docker's disk", "State")
    yield "<h2>Hosts</h2>"
    yield from _table(head, (row for host in report.hosts for row in _host(host, len(head))))


def _host(host: HostLine, columns: int) -> Iterator[Sequence[str] | str]:
    """A row; below it, as wide as the table, why a host could not be read and what to do."""
    tone, words = ("good", "✓ reached") if host.reachable else ("bad", "✗ not reached")
    told = (host.system, host.release, host.versions, host.disk)
    yield (
        f'<strong class="name">{_text(host.name)}</strong>',
        _text(host.address),
        *(_text(text or UNREAD) for text in told),
        f'<span class="status {tone}">{words}</span>',
    )
    why = "<br>".join(_text(text) for text in (host.trouble, host.do) if text)
    if why:
        yield f'<td></td><td class="why" colspan="{columns - 1}">{why}</td>'


def _troubles(report: Report) -> Iterator[str]:
    if not report.troubles:
        return
    yield "<h2>What could not be read</h2>\n<ul>"
    for trouble in report.troubles:
        yield f"<li>{_text(trouble.evidence.host or 'cluster')}: {_text(trouble.what)}<ul>"
        if trouble.do:
            yield f"<li><strong>To do:</strong> {_text(trouble.do)}</li>"
        said = f" said {_code(trouble.evidence.said)}" if trouble.evidence.said else ""
        yield f'<li class="evidence">Evidence: {_code(trouble.evidence.source)}{said}</li>'
        yield "</ul></li>"
    yield "</ul>"


def _runs(report: Report) -> Iterator[str]:
    yield "<h2>What was run</h2>"
    if not report.runs:
        yield "<p>Nothing was run on this cluster from this machine yet.</p>"
        return
    yield from _table(
        ("Run", "Began", "Took", "What", "By", "Status"),
        (
            (
                _code(run.run),
                _text(at_time(run.began)),
                in_time(max(0.0, run.ended - run.began)) if run.ended is not None else "not known",
                _text(run.title),
                _text(run.by),
                f"<strong>{run.status}</strong>",
            )
            for run in report.runs
        ),
    )


def _foot(report: Report) -> Iterator[str]:
    yield "</main>\n<footer>"
    yield (
        f"<p>Made by deiswizard {_text(report.wizard)} from one look that changed nothing. "
        f"{_text(report.scope)}</p>"
    )
    yield "</footer>\n</body>\n</html>"
