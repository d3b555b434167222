"""The report: everything that the look found, nothing that it did not, harmless to open."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pydantic import SecretStr

from deiswizard.cluster.snapshot import (
    EtcdFacts,
    Evidence,
    HostFacts,
    KeyFact,
    Snapshot,
    Trouble,
    Versions,
)
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Assessment, Finding
from deiswizard.redaction import Redactor
from deiswizard.report.files import FORMS, write_all
from deiswizard.report.html import STYLE, as_html
from deiswizard.report.markdown import as_markdown
from deiswizard.report.model import Report, report_of
from deiswizard.run import events as e
from deiswizard.run.folders import new_run_folder
from deiswizard.run.history import PastRun, past_run, runs_of
from deiswizard.run.journal import JournalWriter
from deiswizard.run.replay import final_state
from deiswizard.vocabulary import RunStatus, Status
from tests.builders import NOW, answered, host, snapshot
from tests.unit.memory_cluster import plan_of

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
FORM_NAMES = sorted(FORMS)
HARD = st.text("\\`*_[]()<>#|~&;!-+=1.'\"/ \n\x1b\u202eaé", min_size=1, max_size=20)


def report(now: Snapshot, *runs: PastRun) -> Report:
    assessments = {r.id: r.assess(now) for r in catalogue.ALL}
    return report_of(now, catalogue.ALL, assessments, runs, "9.8")


def judged(*statuses: Status) -> Report:
    """A report whose recommendations have these statuses."""
    listed = catalogue.ALL[: len(statuses)]
    assessments = {
        r.id: Assessment(recommendation=r.id, status=status, now="now")
        for r, status in zip(listed, statuses, strict=True)
    }
    return report_of(snapshot(), listed, assessments, (), "9.8")


class Reader(HTMLParser):
    """What a browser would see: tags that are balanced, their attributes, the text."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


RUN = PastRun(
    run="20261122-223104", cluster="prod-eu", title="Registration mode", by="ann@pc",
    began=NOW - 100, ended=NOW - 90, status=RunStatus.DONE,
)  # fmt: skip


@pytest.mark.parametrize("form", FORM_NAMES)
def test_both_forms_say_everything_in_the_documents_order(form: str) -> None:
    versions = Versions(docker="1.12.6", etcd="2.3.8")
    now = snapshot(
        host(1, versions=versions),
        host(2, images=None, reachable=False, os_release="", disk=None, deis_release=None,
             trouble=Trouble(what="it is down", evidence=Evidence(source="ssh"), do="wake it")),
        troubles=(
            Trouble(what="fleet is odd", do="look", evidence=Evidence(source="fleetctl", said="odd")),
        ),
    )  # fmt: skip
    page = FORMS[form](report(now, RUN))
    text = Reader(page).text if form == "html" else page
    for words in (
        "prod-eu", "v1.13.4", "2.3.8, 2 members, healthy", "core@10.21.2.11",
        f"0 of {len(catalogue.ALL)} recommendations ok", "Preseeding containers", "Registration mode",
        "enabled (anyone may register)", "Why it matters:", "○ to do", "Evidence: ",
        "deiswizard open registration", "Docker 1.12.6, etcd 2.3.8", "37.0 GB of 40.0 GB free",
        "not looked at", "it is down", "wake it", "fleet is odd", "said ", "20261122-223104",
        "ann@pc", "10 s", "done", "deiswizard 9.8", "2, 1 of them" if form == "md" else "2 hosts, 1 of them",
    ):  # fmt: skip
        assert words in text, words
    assert text.index("3. Running without Ceph") < text.index("4. Preseeding")
    assert text.index("4. Preseeding") < text.index("7. Registration")


def test_readiness_counts_and_judges() -> None:
    ok, todo = Status.OK, Status.TO_DO
    told = judged(ok, Status.BY_CHOICE)
    assert told.readiness == "1 of 2 recommendations ok, 1 by choice"
    assert told.verdict.startswith("Ready for production")
    assert judged(ok, todo).verdict == (
        "Not ready for production yet: 1 recommendation needs work."
    )
    assert judged(todo, Status.AT_RISK).readiness == "0 of 2 recommendations ok, 1 to do, 1 at risk"
    assert "nobody can tell" in judged(ok, Status.UNKNOWN).verdict
    nothing = report_of(snapshot(), (), {}, (), "9.8")
    assert "nobody can tell" in nothing.verdict
    assert nothing.readiness == "0 of 0 recommendations ok"


@pytest.mark.parametrize("form", FORM_NAMES)
@pytest.mark.parametrize("status", Status)
def test_a_status_is_symbol_and_word_never_colour_alone(form: str, status: Status) -> None:
    page = FORMS[form](judged(status, status))
    text = Reader(page).text if form == "html" else page
    symbol = {"ok": "✓", "at risk": "✗", "to do": "○", "unknown": "?", "by choice": "–"}
    assert text.count(f"{symbol.get(status, '')} {status}".strip()) >= 4


@pytest.mark.parametrize("form", FORM_NAMES)
def test_an_empty_look_is_a_report_too(form: str) -> None:
    empty = Snapshot(taken_at=NOW, cluster="c", via="v", etcd=EtcdFacts())
    page = FORMS[form](report(empty))
    assert "Nothing was run on this cluster" in page and "not known" in page
    assert "nobody can tell" in page


def test_the_page_is_one_file_that_runs_and_fetches_nothing() -> None:
    page = as_html(report(snapshot(), RUN))
    reader = Reader(page)
    assert page.startswith("<!DOCTYPE html>") and 'charset="utf-8"' in page
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not any(name.startswith("on") for name in names) and "src" not in names
    links = [value for name, value in reader.attributes if name == "href"]
    assert links and all(link and link.startswith("#") for link in links)
    assert "url(" not in STYLE and "@import" not in STYLE and "http" not in STYLE
    assert "prefers-color-scheme: dark" in STYLE and "@media print" in STYLE


def hostile(evil: str) -> Report:
    """A report with ``evil`` wherever a host or a person may have put it."""
    proof = Evidence(source=evil, host=evil, said=evil)
    trouble = Trouble(what=evil, do=evil, evidence=proof)
    facts = {"name": evil, "address": evil, "os_release": evil, "deis_release": evil}
    bad = HostFacts.model_validate(
        {**host(1).model_dump(), **facts, "trouble": trouble, "versions": Versions(docker=evil)}
    )
    now = snapshot(bad, troubles=(trouble,)).model_copy(
        update={"cluster": evil, "via": evil, "etcd": EtcdFacts(version=evil)}
    )
    found = Finding(status=Status.TO_DO, what=evil, do=evil, evidence=(proof,) * 9)
    assessments = {
        r.id: Assessment(
            recommendation=r.id, status=Status.TO_DO, now=evil, explanation=evil, findings=(found,)
        )
        for r in catalogue.ALL
    }
    run = RUN.model_copy(update={"title": evil, "by": evil, "run": evil})
    return report_of(now, catalogue.ALL, assessments, (run,), "9.8")


@settings(deadline=None, max_examples=60)
@given(HARD)
def test_hostile_words_are_text_on_the_page(evil: str) -> None:
    usual, page = Reader(as_html(hostile("x"))), Reader(as_html(hostile(evil)))
    assert page.tags == usual.tags and len(page.attributes) == len(usual.attributes)
    assert all(char.isprintable() or char == "\n" for char in page.text)


@settings(deadline=None, max_examples=60)
@given(HARD)
def test_hostile_words_are_text_in_markdown(evil: str) -> None:
    text = as_markdown(hostile(evil))
    assert all(char.isprintable() or char == "\n" for char in text)
    kinds = [t.type for token in PARSER.parse(text) for t in (token, *(token.children or []))]
    usual = [
        t.type
        for token in PARSER.parse(as_markdown(hostile("x")))
        for t in (token, *(token.children or []))
    ]
    assert not {"html_inline", "html_block", "link_open", "image", "fence", "em_open"} & set(kinds)
    for kind in ("table_open", "heading_open", "list_item_open", "tr_open", "td_open"):
        assert kinds.count(kind) == usual.count(kind), kind


@pytest.mark.parametrize("form", FORM_NAMES)
def test_a_secret_that_a_program_said_is_masked(form: str) -> None:
    secret = KeyFact(key="/deis/x/password", secret=SecretStr("hunter22"), is_secret=True)
    base = snapshot(answers=answered(live="403"))
    now = base.model_copy(
        update={
            "keys": (*base.keys, secret),
            "troubles": (
                Trouble(what="odd", evidence=Evidence(source="x", said="password is hunter22")),
            ),
        }
    )
    page = FORMS[form](report(now))
    assert "hunter22" not in page and "secret" in page


def test_much_evidence_is_told_by_a_part() -> None:
    page = as_markdown(hostile("x"))
    assert page.count("and 5 more of this kind") == len(catalogue.ALL)


def journal(*events: e.Event) -> Path:
    folder = new_run_folder(0)
    writer = JournalWriter(folder, Redactor([]))
    for event in events:
        writer.write(event)
    writer.close()
    return folder


def begun(cluster: str = "prod") -> e.RunStarted:
    plan = plan_of().model_copy(update={"cluster": cluster})
    return e.RunStarted(at=5, run="r", plan=plan, by="ann@pc")


def test_runs_are_told_from_both_ends_of_their_journals() -> None:
    noise = e.OutputReceived(at=6, step="s", host="a", lines=("x" * 1000,) * 200)
    done = journal(begun(), noise, e.RunFinished(at=9, status=RunStatus.DONE))
    killed = journal(begun(), noise)
    journal(begun("other"), e.RunFinished(at=9, status=RunStatus.DONE))
    torn = journal(begun())
    (torn / "journal.jsonl").write_bytes(b'{"at": 1, "kind"')
    assert past_run(torn) is None
    (torn / "journal.jsonl").unlink()
    assert past_run(torn) is None
    told = {run.run: run for run in runs_of("prod")}
    assert set(told) == {done.name, killed.name}
    assert told[done.name].status is RunStatus.DONE and told[done.name].ended == 9
    assert told[killed.name].status is RunStatus.INTERRUPTED and told[killed.name].ended is None
    assert told[done.name].by == "ann@pc" and told[done.name].began == 5


def test_the_last_whole_line_counts() -> None:
    torn = journal(begun(), e.RunFinished(at=9, status=RunStatus.STOPPED))
    with (torn / "journal.jsonl").open("ab") as file:
        file.write(b'\n{"at": 1, "kind')
    found = past_run(torn)
    assert found is not None and found.status is RunStatus.STOPPED is final_state(torn).status


def test_a_run_that_waits_for_a_decision_says_so() -> None:
    folder = new_run_folder(0)
    writer = JournalWriter(folder, Redactor([]))
    writer.write(begun())
    writer.write(e.DecisionNeeded(at=6, stage="one", failed=()))
    found = past_run(folder)
    writer.close()
    assert found is not None and found.status is RunStatus.NEEDS_DECISION


def test_a_run_that_is_being_written_goes_on() -> None:
    folder = new_run_folder(0)
    writer = JournalWriter(folder, Redactor([]))
    writer.write(begun())
    found = past_run(folder)
    writer.close()
    assert found is not None and found.status is RunStatus.RUNNING


def test_a_run_that_ends_while_it_is_looked_at_was_not_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = new_run_folder(0)
    writer = JournalWriter(folder, Redactor([]))
    writer.write(begun())

    def ends_just_now(_: Path) -> bool:
        writer.write(e.RunFinished(at=9, status=RunStatus.DONE))
        writer.close()
        return False

    monkeypatch.setattr("deiswizard.run.history.is_being_written", ends_just_now)
    found = past_run(folder)
    assert found is not None and found.status is RunStatus.DONE


def test_files_are_named_by_cluster_and_time_and_stay_in_their_folder(tmp_path: Path) -> None:
    evil = report(snapshot()).model_copy(update={"cluster": "../core@[fd00::1]:22/é\n"})
    paths = write_all(evil, tmp_path)
    assert {path.suffix for path in paths} == {".md", ".html"}
    assert all(path.parent == tmp_path and path.is_file() for path in paths)
    assert all(path.name.startswith("report-core-fd00-1-22-2026") for path in paths)
    with pytest.raises(OSError, match="No such file"):
        write_all(evil, tmp_path / "nowhere")
