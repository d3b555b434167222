"""Our patterns, as grep knows them: the real grep must judge as Python does."""

from __future__ import annotations

import re
import subprocess

import pytest

from deiswizard.plan.patterns import as_grep

TEXTS = (
    "", "1", "0", "  12 \n", "0\n5", "401", "{}\n401", "{}\n401\n", "x401", "active", "inactive",
    "a.b", "a+b", "deis-1", "v1.13.4", "ACTIVE", "a-b_c.d", "[x]", "a\\b", "x]y", "aab", "a b", "401 x",
    "}{", "two words\nof two lines",
)  # fmt: skip
KNOWN = (
    r"^\s*[1-9]\d*\s*$", r"(?m)^40[13]$", r"(?m)^[1-5]\d\d$", r"^active$", r"active", r"(?m)^active\b?",
    r"a\.b", r"a\+b", r"^v\d+\.\d+\.\d+$", r"(?i)^active$", r"[\w.-]+", r"^[^\s]+$", r"(?:a|b)+b", r"a.*?b",
    r"\[x\]", r"a\\b", r"[]x]y", r"[^]x]", r"a{2}b", r"\S+ \S+", r"(?mi)^OF", r"^$", r"\W", r"^\D+$", r"\{\}",
    r"x[\]y]", r"[a\-c]-", r"^a|1$", r"\Aactive\Z", r"(?=a)", r"(?P<n>a)\1", r"a{,2}b", r"[[:x]", r"a++", "a\nb",
    r"(?s)a.b", r"\bactive", r"\x41", r"[a", r"a\\",
)  # fmt: skip
LINE_BY_LINE = (r"\W",)
"""What may match a line end, which grep never sees."""

NOT_GREPS = (
    r"\Aactive\Z", r"(?=a)", r"(?P<n>a)\1", r"a{,2}b", r"[[:x]", r"a++", "a\nb", r"(?s)a.b", r"\bactive",
    r"(?m)^active\b?", r"\x41", r"[a", r"x[\]y]",
)  # fmt: skip


@pytest.mark.parametrize("pattern", KNOWN)
def test_grep_finds_what_python_finds(pattern: str) -> None:
    grep = as_grep(pattern)
    if grep is None:
        assert pattern in NOT_GREPS
        return
    for text in TEXTS:
        shown = text.rstrip("\n")
        given = (shown.replace("\n", " ") if grep.whole else shown) + "\n"
        flags = "-Eqi" if grep.ignores_case else "-Eq"
        done = subprocess.run(
            ["grep", flags, "-e", grep.pattern], input=given, text=True, capture_output=True
        )
        assert done.returncode in (0, 1), done.stderr
        found = bool(re.search(pattern, text))
        if pattern in LINE_BY_LINE and "\n" in text:
            assert found or done.returncode  # nothing is found that is not there
        else:
            assert (done.returncode == 0) == found, text


@pytest.mark.parametrize("pattern", NOT_GREPS)
def test_what_grep_does_not_know_is_not_guessed(pattern: str) -> None:
    assert as_grep(pattern) is None
