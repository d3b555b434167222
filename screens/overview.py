"""The overview: a row for each recommendation, what is so now, and why it matters."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Assessment, Recommendation
from deiswizard.screens.base import WizardScreen
from deiswizard.screens.continuing import unfinished_line
from deiswizard.screens.panes.lock import title
from deiswizard.screens.text import clean, cut
from deiswizard.screens.theme import STYLES
from deiswizard.screens.widgets.cursor import PointedTable
from deiswizard.vocabulary import RunStatus, Status

RICH_STYLES = {
    Status.OK: "green",
    Status.PARTLY: "yellow",
    Status.SOON: "yellow",
    Status.UNKNOWN: "yellow",
    Status.AT_RISK: "bold red",
    Status.TO_DO: "bold",
}


class OverviewScreen(WizardScreen):
    """Home. The table keeps its cursor over every look."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", id="open"),
        Binding("r", "look", "look again", id="look"),
        Binding("R", "report", "write the report to files", id="report"),
        Binding("h", "history", "history: what was run", id="history"),
        Binding("l", "log", "log of the run", id="log"),
        Binding("c", "continue", "go on with a run", show=False, id="continue"),
        Binding("o", "run", "the run going on", id="run"),
        *(Binding(str(n), f"jump({n})", "", show=False, id=f"jump-{n}") for n in range(1, 10)),
        Binding("j", "cursor(1)", "down", show=False, id="down"),
        Binding("k", "cursor(-1)", "up", show=False, id="up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, tuple[str, ...]] = {}
        self._detail: object = None

    def body(self) -> ComposeResult:
        """Banner, table, explanation."""
        yield Static("", id="banner", markup=False)
        yield PointedTable(id="recommendations", cursor_type="row", zebra_stripes=False)
        with VerticalScroll(id="detail", can_focus=False):
            yield Static("", id="explanation", markup=False)
        yield Static("", id="counts", markup=False)

    def on_mount(self) -> None:
        """Rows are made once and only ever updated."""
        table = self._table
        for label, key in (
            (" ", "number"),
            ("Recommendation", "title"),
            ("Now", "now"),
            ("Status", "status"),
        ):
            table.add_column(label, key=key)
        for recommendation in catalogue.ALL:
            table.add_row(*(Text() for _ in range(4)), key=recommendation.id)
        table.focus()
        super().on_mount()

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one("#recommendations", DataTable)

    @property
    def highlighted(self) -> Recommendation:
        """The recommendation under the cursor."""
        return catalogue.ALL[max(0, self._table.cursor_row)]

    def title_text(self) -> tuple[str, str]:
        """With the lock, as far as it fits."""
        left, _ = super().title_text()
        wizard, room = self.wizard, self.app.size.width - len(left) - 3
        return left, title(wizard.demo_text, wizard.look_text, wizard.lock_texts, room)

    def keys(self) -> list[tuple[str, str]]:
        """What can be done now."""
        run = [("o", "the run")] if self.wizard.run_handle is not None else []
        keys = [("enter", "open"), ("r", "look again"), *run, ("h", "history"), ("R", "report")]
        return [*keys, ("?", "help"), ("q", "quit")]

    def pump(self) -> None:
        """Update cells whose text changed; the explanation when its subject did."""
        wizard = self.wizard
        width = self.app.size.width
        now_width = max(12, width - 24 - 12 - 10)
        for recommendation in catalogue.ALL:
            assessment = wizard.assessments.get(recommendation.id)
            status = (
                Status.CHECKING
                if wizard.is_looking
                else (assessment.status if assessment else Status.UNKNOWN)
            )
            now = assessment.now if assessment else "not looked at yet"
            cells = (
                f"{recommendation.number}",
                cut(recommendation.title, 24).ljust(24),
                cut(now, now_width).ljust(now_width),
                f"{wizard.symbols.of(status)} {status}".ljust(11),
            )
            if self._rows.get(recommendation.id) == cells:
                continue
            self._rows[recommendation.id] = cells
            for key, text in zip(("number", "title", "now", "status"), cells, strict=True):
                style = RICH_STYLES.get(status, "") if key == "status" else ""
                self._table.update_cell(
                    recommendation.id, key, Text(text, style=style), update_width=True
                )
        self._show_banner()
        self._show_detail()

    def _show_banner(self) -> None:
        wizard = self.wizard
        lines: list[str | tuple[str, str]] = []
        run = wizard.run_handle
        if run is not None:
            state = run.hub.state
            if state.status is RunStatus.RUNNING:
                lines.append(
                    (
                        f" {wizard.symbols.running} {run.plan.title} is going on: o shows it\n",
                        "bold $primary",
                    )
                )
            elif state.status is RunStatus.NEEDS_DECISION:
                lines.append(
                    (f" ! {run.plan.title} needs a decision: o shows it\n", "bold $warning")
                )
        if wizard.unfinished is not None:
            told = cut(unfinished_line(wizard.unfinished, wizard.clock()), self.app.size.width - 4)
            lines.append((f" ! {told}\n", "bold $warning"))
        if wizard.look_error is not None:
            lines.append(
                (
                    f" ! could not look: {cut(str(wizard.look_error), 200)}   r tries again\n",
                    "bold $error",
                )
            )
        down = [
            host
            for host in (wizard.snapshot.hosts if wizard.snapshot else ())
            if host.trouble is not None
        ]
        for host in down[:3]:
            assert host.trouble is not None
            lines.append(
                (
                    f" {wizard.symbols.failed} {cut(host.name, 20)}: {cut(host.trouble.what, self.app.size.width - 26)}\n",
                    "$error",
                )
            )
        if len(down) > 3:
            lines.append(
                (
                    f" {wizard.symbols.failed} and {len(down) - 3} more hosts are out of reach\n",
                    "$error",
                )
            )
        for trouble in wizard.snapshot.troubles if wizard.snapshot else ():
            if not trouble.evidence.host:
                words = f"{trouble.what}" + (f"; {trouble.do}" if trouble.do else "")
                lines.append((f" ! {cut(words, self.app.size.width - 4)}\n", "$warning"))
        banner = self.query_one("#banner", Static)
        banner.display = bool(lines)
        banner.update(Content.assemble(*lines).rstrip())

    def _show_detail(self) -> None:
        recommendation = self.highlighted
        assessment = self.wizard.assessments.get(recommendation.id)
        subject = (recommendation.id, assessment)
        if subject != self._detail:
            self._detail = subject
            self.query_one("#explanation", Static).update(
                _explain(recommendation, assessment, self.wizard.symbols.of)
            )
        counted = list(self.wizard.assessments.values())
        ok = sum(a.status is Status.OK for a in counted)
        open_ = sum(a.status not in (Status.OK, Status.BY_CHOICE) for a in counted)
        self.query_one("#counts", Static).update(
            Content(f"{ok} of {len(catalogue.ALL)} ok   {open_} to decide ")
        )

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self.pump()

    @on(DataTable.RowSelected)
    def _chosen(self) -> None:
        self.action_open()

    def point_at(self, name: str) -> None:
        """Put the cursor on a recommendation."""
        self._table.move_cursor(row=self._table.get_row_index(name))

    def action_open(self) -> None:
        """Open what is under the cursor."""
        self.wizard.open_recommendation(self.highlighted.id)

    def action_jump(self, number: int) -> None:
        """Open by number."""
        row = next(row for row, one in enumerate(catalogue.ALL) if one.number == number)
        self._table.move_cursor(row=row)
        self.wizard.open_recommendation(catalogue.ALL[row].id)

    def action_cursor(self, by: int) -> None:
        """J and k."""
        self._table.move_cursor(row=self._table.cursor_row + by)

    def action_look(self) -> None:
        """Look again."""
        self.wizard.look_again()

    def action_report(self) -> None:
        """Markdown and HTML, into the current folder."""
        self.wizard.write_report()

    def action_history(self) -> None:
        """What was run, and how to take it back."""
        self.wizard.open_history()

    def action_log(self) -> None:
        """The whole log of the run."""
        self.wizard.open_log()

    def action_continue(self) -> None:
        """Go on with a run that was cut off."""
        if self.wizard.unfinished is not None:
            self.wizard.continue_run(self.wizard.unfinished.folder)

    def action_run(self) -> None:
        """Back to the run that is going on."""
        if self.wizard.run_handle is not None:
            self.wizard.open_run()


def _explain(
    recommendation: Recommendation, assessment: Assessment | None, mark: object
) -> Content:
    parts: list[str | tuple[str, str]] = [f"{recommendation.why}"]
    if assessment is not None:
        parts.append(f"  {clean(assessment.explanation)}\n")
        for finding in assessment.findings:
            symbol = mark(finding.status) if callable(mark) else ""
            parts.append((f"\n{symbol} ", STYLES.get(finding.status, "")))
            parts.append(clean(finding.what))
            evidence = [
                f"{e.host}: {e.source}" if e.host else e.source for e in finding.evidence[:2]
            ]
            if evidence:
                parts.append((f"   evidence: {clean(', '.join(evidence))}", "dim"))
            if finding.do:
                parts.append(f"\n    do: {clean(finding.do)}")
    return Content.assemble(*parts)
