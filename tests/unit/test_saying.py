"""What is printed: harmless whatever it holds, and never an error of encoding."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deiswizard.commands.saying import result, talk
from deiswizard.wording import harmless


@given(st.text())
def test_nothing_that_is_printed_moves_the_cursor(text: str) -> None:
    shown = harmless(text)
    assert len(shown) == len(text)
    assert all(char.isprintable() or char == "\n" for char in shown)


def test_escape_sequences_of_remote_text_are_defused(capsys: pytest.CaptureFixture[str]) -> None:
    result("\x1b]0;title\x07 \x1b[2J [/b] kept")
    talk("\x9b31m")
    told = capsys.readouterr()
    assert told.out == "?]0;title? ?[2J [/b] kept\n" and told.err == "?31m\n"


def test_a_stream_that_knows_no_symbols_gets_question_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    result("✗ failed")
    assert raw.getvalue() == b"? failed\n"
