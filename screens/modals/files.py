"""Picking a file of this machine: one folder at a time, by keyboard or mouse."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from deiswizard.background import Task, background
from deiswizard.screens.text import clean, cut, fit
from deiswizard.wording import in_bytes

MOST = 2000
"""Entries of a folder that are listed."""

NAME_WIDTH = 54
PUMP_SECONDS = 0.05
UP = ".."


@dataclass(frozen=True)
class Entry:
    """Something in a folder; ``size`` in bytes, None of a folder."""

    name: str
    size: int | None


def entries(folder: Path) -> list[Entry]:
    """Folders first, hidden ones last of their kind. Raises OSError."""
    found = []
    with os.scandir(folder) as here:
        for entry in here:
            try:
                is_folder = entry.is_dir()
                size = None if is_folder else entry.stat().st_size
            except OSError:  # a link to nowhere
                continue
            found.append(Entry(entry.name, size))
            if len(found) == MOST:
                break
    found.sort(key=lambda e: (e.size is not None, e.name.startswith("."), e.name.lower()))
    return found


def folder_of(path: str) -> Path:
    """Where to begin for a value that may be half typed: its folder, else home."""
    typed = Path(path).expanduser().absolute() if path.strip() else Path.home()
    return next((p for p in (typed, *typed.parents) if p.is_dir()), Path("/"))


class FilePicker(ModalScreen[str | None]):
    """A folder's entries; enter opens a folder or takes a file, esc answers None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "back", id="files-back"),
        Binding("backspace,left", "up", "the folder above", id="files-up"),
        Binding("tilde", "home", "home folder", id="files-home"),
    ]

    def __init__(self, title: str, path: str) -> None:
        super().__init__()
        self._title = title
        self._path = path
        self._folder = Path("/")
        self._entries: list[Entry] = []
        self._wanted = ""
        self._listing: Task[tuple[Path, list[Entry]]] | None = None

    def compose(self) -> ComposeResult:
        """Where one is, what is there, the keys."""
        with Vertical(classes="dialog"):
            yield Static(Content(clean(self._title)), classes="dialog-title", markup=False)
            yield Static("", id="files-folder", markup=False)
            yield OptionList(id="files", markup=False)
            yield Static("", id="files-said", classes="error", markup=False)
            yield Static(
                Content("enter open or take   backspace folder above   ~ home   esc back"),
                classes="dialog-keys",
                markup=False,
            )

    def on_mount(self) -> None:
        """Begin in the folder of the current value, on that file."""
        self.query_one(OptionList).focus()
        self.set_interval(PUMP_SECONDS, self._pump)
        path = self._path
        self._wanted = Path(path).name if path.strip() else ""
        self._listing = background(lambda: _listed(folder_of(path)), name="list-folder")

    def _open(self, folder: Path, wanted: str = "") -> None:
        """List a folder in a thread: it may be on a disk that is slow to answer."""
        self._wanted = wanted
        self._listing = background(lambda: _listed(folder), name="list-folder")

    def _pump(self) -> None:
        task = self._listing
        if task is None or not task.done:
            return
        self._listing = None
        said = self.query_one("#files-said", Static)
        try:
            self._folder, self._entries = task.result()
        except OSError as error:
            said.update(Content(clean(f"{error.filename}: {error.strerror}")))
            return
        more = (
            f"only the first {MOST} are shown: type the path" if len(self._entries) == MOST else ""
        )
        said.update(Content(more))
        self.query_one("#files-folder", Static).update(Content(cut(str(self._folder), 72)))
        rows = self.query_one(OptionList)
        rows.clear_options()
        rows.add_options([Option(Content(f"{UP}/"), id=UP)])
        rows.add_options([Option(Content(_row(e)), id=str(n)) for n, e in enumerate(self._entries)])
        names = [entry.name for entry in self._entries]
        at = names.index(self._wanted) + 1 if self._wanted in names else min(1, len(names))
        rows.highlighted = at

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id == UP:
            self.action_up()
            return
        entry = self._entries[int(event.option_id or 0)]
        if entry.size is None:
            self._open(self._folder / entry.name)
        else:
            self.dismiss(str(self._folder / entry.name))

    def action_up(self) -> None:
        """The folder above, on the one that was left."""
        self._open(self._folder.parent, self._folder.name)

    def action_home(self) -> None:
        """The operator's home folder."""
        self._open(Path.home())

    def action_cancel(self) -> None:
        """The value stays."""
        self.dismiss(None)


def _listed(folder: Path) -> tuple[Path, list[Entry]]:
    return folder, entries(folder)


def _row(entry: Entry) -> str:
    if entry.size is None:
        return cut(f"{entry.name}/", NAME_WIDTH + 10)
    return f"{fit(entry.name, NAME_WIDTH)} {in_bytes(entry.size):>9}"
