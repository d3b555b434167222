"""Preview: three views of the same plan."""

from __future__ import annotations

from typing import get_args

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from deiswizard.plan import preview
from deiswizard.plan.plan import Plan
from deiswizard.screens.text import broken, clean, hanging
from deiswizard.screens.theme import STYLES
from deiswizard.screens.widgets.bars import tabs

VIEWS: tuple[preview.View, ...] = get_args(preview.View)
SIGN_STYLES = {"+": "$success", "-": "$error", "~": "$warning", "=": "dim"}


class PreviewPane(Container):
    """``tell`` shows a plan; ``turn`` goes to the next view."""

    def __init__(self) -> None:
        super().__init__(id="preview")
        self.plan: Plan | None = None
        self.view: preview.View = "changes"

    def compose(self) -> ComposeResult:
        """The views' names, then the view."""
        yield Static("", id="views", markup=False)
        with VerticalScroll(id="preview-scroll"):
            yield Static("", id="preview-text", markup=False)
        yield Static("", id="same", markup=False)

    @property
    def _room(self) -> int:
        """Cells beside a label of the impact."""
        return self.app.size.width - 14

    def on_resize(self) -> None:
        """Lines are broken for the width."""
        self._show()

    def tell(self, plan: Plan) -> None:
        """Show a plan from its first view."""
        self.plan = plan
        self.view = "changes"
        self._show()

    def turn(self) -> None:
        """The next view."""
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
        self._show()

    def _show(self) -> None:
        plan = self.plan
        if plan is None:
            return
        commands = sum(len(group.commands) for group in preview.commands(plan))
        labels = {
            "changes": f"Changes {len(plan.changes)}",
            "commands": f"Commands {commands}",
            "impact": "Impact",
        }
        self.query_one("#views", Static).update(tabs(labels, self.view))
        self.query_one("#preview-text", Static).update(self._content(plan))
        self.query_one("#preview-scroll", VerticalScroll).scroll_home(animate=False)
        same = f"apply {plan.recommendation} --answers FILE --yes"
        if plan.undo_of:
            same = f"undo {plan.undo_of} --yes"
        self.query_one("#same", Static).update(
            Content(clean(f" Without this screen:  deiswizard {same}"))
        )

    def _content(self, plan: Plan) -> Content:
        parts: list[str | tuple[str, str]] = []
        if self.view == "changes":
            if plan.is_empty:
                parts.append(
                    "  Nothing to do: everything is as wanted already. Enter checks it once more.\n\n"
                )
            value = preview.value_column(plan) + 1
            for line in preview.changes(plan):
                text = broken(f" {line}", self.app.size.width - 2, value)
                parts.append((f"{text}\n", SIGN_STYLES.get(line[:1], "")))
        elif self.view == "commands":
            for group in preview.commands(plan):
                parts.append((f" {clean(group.stage)}: {clean(group.host) or 'etcd'}\n", "bold"))
                for command in group.commands:
                    label = f"   {command.danger:8}"
                    how = f"   ({command.how})" if command.how else ""
                    first, *more = command.text.split("\n")
                    parts.append((label, STYLES.get(command.danger, "dim")))
                    parts.append(f"{self._beside(label, f'{first}{how}')}\n")
                    parts += [f"{' ' * len(label)}{self._beside(label, line)}\n" for line in more]
        else:
            for label, lines in preview.impact(plan):
                wrapped = [part for line in lines for part in hanging("", line, 0, self._room)]
                parts.append((f" {label:10} ", "bold"))
                parts.append(f"{f'{chr(10)}            '.join(wrapped)}\n")
        return Content.assemble(*parts)

    def _beside(self, label: str, line: str) -> str:
        """A line of a command to the right of ``label``; what is broken begins a little further right."""
        indent = len(label)
        return broken(" " * indent + line, self.app.size.width - 2, indent + 2)[indent:]

    def as_text(self) -> str:
        """The view as plain text, to copy."""
        return preview.as_text(self.plan, self.view) if self.plan else ""
