"""Markdown of hostile text, judged by a Markdown parser: it is shown as it is, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from deiswizard.markdown import LONGEST, code, plain, table

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
SHOWN = st.text(
    st.characters(max_codepoint=0x250, exclude_categories=["Cc", "Cf", "Cn", "Cs", "Zs"])
    | st.just(" ")
)
HARD = st.text("\\`*_[]()<>#|~&;!-+=1.) \nax", max_size=30)


def tokens(markdown: str) -> list[Token]:
    found: list[Token] = []
    for token in PARSER.parse(markdown):
        found += [token, *(token.children or [])]
    return found


def words(markdown: str) -> str:
    return "".join(t.content for t in tokens(markdown) if t.type in ("text", "code_inline"))


@settings(deadline=None)
@given(SHOWN | HARD)
def test_plain_text_stays_text_in_a_list_and_in_a_table(text: str) -> None:
    expected = " ".join(text.strip().replace("\n", "\\n").split())
    for markdown, before in (
        (f"- {plain(text)}", ""),
        ("\n".join(table(("h",), [(plain(text),)])), "h"),
    ):
        kinds = {token.type for token in tokens(markdown)}
        assert not kinds & {
            "html_inline", "html_block", "link_open", "image", "em_open", "strong_open", "s_open",
            "code_inline", "heading_open", "ordered_list_open", "blockquote_open", "hr", "fence",
        }  # fmt: skip
        told = words(markdown).removeprefix(before)
        assert " ".join(told.split()) == expected


@settings(deadline=None)
@given(SHOWN | HARD)
def test_code_is_one_span_that_shows_the_value_as_it_is(text: str) -> None:
    shown = text.replace("\n", "\\n")
    for markdown in (f"- {code(text)}", "\n".join(table(("h",), [(code(text),)]))):
        found = [token.content for token in tokens(markdown) if token.type == "code_inline"]
        if shown.strip():
            assert found == [shown]
        else:
            assert found == [] and "(empty)" in markdown


@pytest.mark.parametrize("make", [plain, code])
def test_what_cannot_be_seen_does_not_reach_the_paper(make: Callable[[str], str]) -> None:
    told = make("a\x1b[2Jb\u202ec\x00d\te\r\nf")
    assert all(char.isprintable() for char in told)
    assert "?[2J" in told.replace("\\[", "[") and "\\n" in told


def test_a_long_value_is_told_by_its_beginning() -> None:
    told = code("x" * 5000)
    assert len(told) < LONGEST + 40 and "(5000 characters)" in told
