"""Unit files as fleet keeps them: a list of options, and the text that is the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from deiswizard.frozen import Frozen

CONTINUED = re.compile(r"(?:\\\n|\s)+")
"""What systemd reads as a space between words: a line's end with a backslash is one."""


class UnitOption(Frozen):
    """``name=value`` in a section. A value may go on over lines that end with a backslash."""

    section: str
    name: str
    value: str


def options_of(text: str) -> tuple[UnitOption, ...]:
    """The options of a unit file, in order; comments and what is no option are passed over."""
    found: list[UnitOption] = []
    section = ""
    lines = iter(text.split("\n"))
    for line in lines:
        line = line.strip()
        if line.startswith(("#", ";")) or not line:
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        name, equals, value = line.partition("=")
        while value.endswith("\\"):
            value += "\n" + next(lines, "").rstrip()
        if equals:
            found.append(UnitOption(section=section, name=name.strip(), value=value.strip()))
    return tuple(found)


def text_of(options: Sequence[UnitOption]) -> str:
    """The unit file of these options, written as fleet writes it."""
    sections = dict.fromkeys(option.section for option in options)
    return "\n".join(
        f"[{section}]\n" + "".join(f"{o.name}={o.value}\n" for o in options if o.section == section)
        for section in sections
    )


def environment_drop_in(variables: Mapping[str, str]) -> str:
    """A drop-in that sets variables of a service to exactly these values."""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        for name, value in variables.items()
    }
    lines = (f'Environment="{name}={value}"\n' for name, value in escaped.items())
    return "[Service]\n" + "".join(lines)


def digest(text: str) -> str:
    """The same for two unit files that mean the same: comments, line breaks and how wide a gap is do not count."""
    plain = [
        (option.section, option.name, CONTINUED.sub(" ", option.value))
        for option in options_of(text)
    ]
    return hashlib.sha256(repr(plain).encode()).hexdigest()
