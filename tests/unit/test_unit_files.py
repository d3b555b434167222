"""Unit files: text to options and back, as fleet and systemd read them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deiswizard.cluster.fleet import unit_options, units
from deiswizard.cluster.snapshot import KeyFact
from deiswizard.cluster.unit_files import UnitOption, digest, options_of, text_of

TEXT = """\
# a comment
[Unit]
Description=two words

[Service]
ExecStart=/bin/sh -c 'a=1; \\
  echo "$$a=2"'
; another comment
ExecStart=

[X-Fleet]
Global=true
"""

words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
options = st.builds(UnitOption, section=words, name=words, value=words)


def test_sections_repeated_options_empty_values_and_continued_lines() -> None:
    found = [(o.section, o.name, o.value) for o in options_of(TEXT)]
    assert found == [
        ("Unit", "Description", "two words"),
        ("Service", "ExecStart", "/bin/sh -c 'a=1; \\\n  echo \"$$a=2\"'"),
        ("Service", "ExecStart", ""),
        ("X-Fleet", "Global", "true"),
    ]
    assert unit_options(TEXT) == {"Global": ["true"]}


@given(st.lists(options, max_size=6))
def test_options_survive_their_text(found: list[UnitOption]) -> None:
    sections = list(dict.fromkeys(option.section for option in found))
    ordered = sorted(found, key=lambda option: sections.index(option.section))
    assert list(options_of(text_of(found))) == ordered


def test_the_digest_is_of_the_meaning() -> None:
    assert digest(TEXT) == digest(text_of(options_of(TEXT)))
    for joined in (" ", "   "):
        assert digest(TEXT) == digest(TEXT.replace(" \\\n  ", joined))
    assert digest(TEXT) != digest(TEXT.replace("true", "false"))


def test_only_our_own_units_are_read_whole() -> None:
    job, raw = '{"Name": "x", "UnitHash": [1, 255]}', '{"Raw": "[X-Fleet]\\nGlobal=true\\n"}'
    names = ("datadog.service", "deiswizard-preseed.service")
    prefix = "/_coreos.com/fleet"
    keys = [KeyFact(key=f"{prefix}/job/{n}/object", value=job, index=9) for n in names]
    keys.append(KeyFact(key=f"{prefix}/unit/01ff", value=raw))
    assert [(u.name, u.is_global, u.index, bool(u.content)) for u in units(keys)] == [
        ("datadog.service", True, 9, False),
        ("deiswizard-preseed.service", True, 9, True),
    ]
