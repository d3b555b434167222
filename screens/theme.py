"""The look: two themes of the Okabe-Ito palette, and symbols that hold without colour or Unicode."""

from __future__ import annotations

from dataclasses import dataclass

from textual.theme import Theme

from deiswizard.vocabulary import Danger, RunStatus, Status, StepStatus

DARK = Theme(
    name="deiswizard-dark",
    primary="#56B4E9",
    secondary="#0072B2",
    accent="#56B4E9",
    success="#2FC59B",
    warning="#E69F00",
    error="#FF7F41",
    foreground="#E4E9ED",
    background="#0F1519",
    surface="#151D23",
    panel="#1E2930",
    dark=True,
    variables={"block-cursor-background": "#24506B", "block-cursor-foreground": "#FFFFFF"},
)
LIGHT = Theme(
    name="deiswizard-light",
    primary="#0072B2",
    secondary="#56B4E9",
    accent="#0072B2",
    success="#00704F",
    warning="#8F6200",
    error="#A84300",
    foreground="#1A2328",
    background="#FBFCFC",
    surface="#F1F4F5",
    panel="#E3E9EC",
    dark=False,
    variables={"block-cursor-background": "#BFDDF0", "block-cursor-foreground": "#000000"},
)

STYLES: dict[str, str] = {
    Status.OK: "$success",
    Status.PARTLY: "$warning",
    Status.SOON: "$warning",
    Status.AT_RISK: "bold $error",
    Status.TO_DO: "bold",
    Status.UNKNOWN: "$warning",
    StepStatus.DONE: "$success",
    StepStatus.RUNNING: "$primary",
    StepStatus.FAILED: "bold $error",
    StepStatus.WARNING: "$warning",
    StepStatus.BLOCKED: "dim",
    StepStatus.SKIPPED: "dim",
    StepStatus.WAITING: "dim",
    RunStatus.NEEDS_DECISION: "bold $warning",
    RunStatus.STOPPED: "$warning",
    RunStatus.REFUSED: "$warning",
    RunStatus.INTERRUPTED: "bold $warning",
    Danger.WRITE: "$warning",
    Danger.RESTART: "bold $warning",
    Danger.DESTROY: "bold $error",
}
"""Style of a word of the vocabulary; the word itself always stands beside it."""


@dataclass(frozen=True)
class Symbols:
    """Single-cell marks. Each stands beside its word, never alone."""

    ok: str
    running: str
    waiting: str
    to_do: str
    warning: str
    failed: str
    skipped: str
    blocked: str
    unknown: str
    on: str
    off: str
    full: str
    empty: str
    rule: str
    dash: str

    def of(self, word: str) -> str:
        """The mark of a status."""
        marks: dict[str, str] = {
            Status.OK: self.ok,
            Status.TO_DO: self.to_do,
            Status.PARTLY: self.warning,
            Status.SOON: self.warning,
            Status.AT_RISK: self.failed,
            Status.BY_CHOICE: self.skipped,
            Status.CHECKING: self.waiting,
            StepStatus.DONE: self.ok,
            StepStatus.RUNNING: self.running,
            StepStatus.WAITING: self.waiting,
            StepStatus.WARNING: self.warning,
            StepStatus.FAILED: self.failed,
            StepStatus.SKIPPED: self.skipped,
            StepStatus.BLOCKED: self.blocked,
            RunStatus.NEEDS_DECISION: self.warning,
            RunStatus.STOPPED: self.blocked,
            RunStatus.REFUSED: self.skipped,
            RunStatus.INTERRUPTED: self.warning,
        }
        return marks.get(word, self.unknown)

    def bar(self, share: float, width: int) -> str:
        """A bar of ``width`` cells, ``share`` of it full (0 to 1)."""
        full = round(max(0.0, min(1.0, share)) * width)
        return self.full * full + self.empty * (width - full)


UNICODE = Symbols("✓", "▶", "…", "○", "!", "✗", "–", "■", "?", "●", "○", "█", "░", "─", "–")
ASCII = Symbols("v", ">", ".", "o", "!", "X", "-", "#", "?", "*", "o", "#", ".", "-", "-")
