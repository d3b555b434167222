"""``WebSays`` as commands of a shell: curl for the answer, openssl for the certificate."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from deiswizard.plan.conditions import WebSays
from deiswizard.plan.patterns import as_grep
from deiswizard.plan.quoting import word

On = Callable[[str, str], str]
"""Writes a command that is run on a host."""


def web_says(condition: WebSays, on: On) -> str:
    """A command that ends with 0 when the service answers so.

    What the host's tools cannot judge is asked of whoever runs the script.
    """
    request = condition.request
    parts = [f"said=$({on(request.host, request.shown)})"]
    answer = "printf '%s\\n' \"$said\" | tr -d '\\r'"
    status = "sed -n '1s/^HTTP[^ ]* \\([0-9]*\\).*/\\1/p'"
    parts.append(_matches(f"{answer} | {status}", condition.status, whole=True))
    if condition.header is not None:
        name, pattern = condition.header
        value = f"grep -i {word(f'^{name}:')} | sed 's/^[^:]*: *//'"
        parts.append(_matches(f"{answer} | {value}", pattern))
    if condition.leaf:
        parts.append(_leaf(condition, on))
    if condition.trusted:
        checking = shlex.join(word for word in shlex.split(request.shown) if word != "-k")
        if request.roots:  # the host has no file of them
            parts.append(f"agreed {word(request.name)} 'a certificate that you trust'")
        else:
            parts.append(f"{on(request.host, checking)} >/dev/null")
    return f"{{ {' && '.join(parts)}; }}"


def _matches(text: str, pattern: str, *, whole: bool = False) -> str:
    grep = as_grep(pattern)
    if grep is None:
        return f'agreed "$({text})" {word(pattern)}'
    flags = ("-Eqi" if grep.ignores_case else "-Eq") + ("x" if whole else "")
    return f"{text} | grep {flags} -e {word(grep.pattern)}"


def _leaf(condition: WebSays, on: On) -> str:
    """Openssl of a host's age sends no PROXY line: then somebody has to look."""
    request = condition.request
    if request.proxy_from:
        return f"agreed {word(f'the certificate of {request.name}')} {word(condition.leaf)}"
    connect = shlex.join(
        ["openssl", "s_client", "-connect", f"{request.address}:{request.port}",
         "-servername", request.name]
    )  # fmt: skip
    shown = f"{connect} </dev/null 2>/dev/null | openssl x509 -outform DER | sha256sum"
    return f"{on(request.host, shown)} | grep -q '^{condition.leaf}'"
