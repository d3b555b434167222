"""Text for a POSIX shell script: quoted, printable, with secrets as variables."""

from __future__ import annotations

import re
import shlex

from deiswizard.wording import harmless

SECRET = re.compile(r"\$\{secret:([A-Za-z0-9_./-]+)\}")
"""The place of a secret in a text."""


def variable(secret: str) -> str:
    """The variable that holds a secret. Different names stay different."""
    return "secret_" + "".join(
        char if char.isalnum() else "_" if char == "_" else f"_{ord(char):x}_" for char in secret
    )


def comment(text: str) -> str:
    """Text that stays within its line of comment."""
    return harmless(" ".join(text.splitlines()))


def quoted(text: str) -> str:
    """As ``shlex.quote``, but easier to read where the text itself has quotes."""
    return shlex.quote(text) if "'" not in text else "'" + text.replace("'", "'\\''") + "'"


def word(text: str) -> str:
    """One word with exactly this text, whatever characters and secrets it holds."""
    if not SECRET.search(text) and _is_visible(text):
        return quoted(text)
    return f'"$({printf(text)})"'


def printf(text: str) -> str:
    """The command that prints exactly this text."""
    names = SECRET.findall(text)
    pieces = SECRET.split(text)[::2]
    form = "%s".join(_escaped(piece) for piece in pieces)
    if form.startswith("-"):
        form = f"\\055{form[1:]}"
    return " ".join(["printf", quoted(form), *(f'"${variable(name)}"' for name in names)])


def heredoc(text: str) -> tuple[str, list[str]] | None:
    """``<<'END'`` and the lines that follow the command; None where only ``printf`` is exact."""
    if SECRET.search(text) or not text.endswith("\n") or not _is_visible(text):
        return None
    lines = text[:-1].split("\n")
    end = "END_OF_FILE"
    while end in lines:
        end += "_"
    return f"<<'{end}'", [*lines, end]


def _is_visible(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def _escaped(text: str) -> str:
    """For printf's format: what cannot be seen is written in octal."""
    out = ""
    for char in text.replace("\\", "\\\\").replace("%", "%%"):
        if char.isprintable() or char == "\n":
            out += char
        else:
            out += "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "replace"))
    return out
