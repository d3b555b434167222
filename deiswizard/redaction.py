"""Keeps secrets out of text that goes to a file, a screen or an error."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

MASK = "<secret>"
SHORTEST = 4
"""A shorter secret would mask half of every text; it is only kept out where it is typed."""

ORDINARY = frozenset({"true", "false", "null", "none", "enabled", "disabled"})
"""Values of secret keys (an app's settings, say) that tell nobody anything."""

WRAPPED_AT = (64, 76)
"""Where openssl and coreutils break the lines of base64."""

SHORTEST_WITHIN = 8
"""Fewer characters of base64 may be there by chance."""

URL_SAFE = str.maketrans("+/", "-_")


class Redactor:
    """Replaces known secrets in all the forms in which programs print them."""

    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            value = secret.get_secret_value()
            if len(value) < SHORTEST or value.lower() in ORDINARY:
                continue
            raw = value.encode()
            forms |= {
                value,
                base64.b64encode(raw).decode(),
                base64.b64encode(raw + b"\n").decode(),
                base64.urlsafe_b64encode(raw).decode(),
                shlex.quote(value),
                quote(value, safe=""),
                quote_plus(value),
                *_base64_within(raw),
            }
            forms |= {line for line in value.splitlines() if len(line) >= 16}
        for form in tuple(forms):
            forms |= {json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1]}
        self._pattern = (
            re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
            if forms
            else None
        )

    def finds(self, text: str) -> bool:
        """Whether a secret stands in ``text``."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def text(self, text: str) -> str:
        """``text`` with every secret masked."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _base64_within(raw: bytes) -> set[str]:
    """How a secret looks inside the base64 of something longer, and in base64 of several lines."""
    forms = set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        first = (0, 2, 3)[before]
        last = len(text) - (1 if (before + len(raw)) % 3 else 0)
        if last - first >= SHORTEST_WITHIN:
            forms |= {text[first:last], text[first:last].translate(URL_SAFE)}
    for width in WRAPPED_AT:
        text = base64.b64encode(raw).decode()
        if len(text) > width:
            lines = (text[at : at + width] for at in range(0, len(text), width))
            forms |= {line for line in lines if len(line) >= SHORTEST_WITHIN}
    return forms
