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


class Redactor:
    """Replaces known secrets in all the forms in which programs print them."""

    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            value = secret.get_secret_value()
            if len(value) < SHORTEST:
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
                json.dumps(value)[1:-1],
                json.dumps(value, ensure_ascii=False)[1:-1],
            }
            forms |= {line for line in value.splitlines() if len(line) >= 16}
        self._pattern = (
            re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
            if forms
            else None
        )

    def text(self, text: str) -> str:
        """``text`` with every secret masked."""
        return self._pattern.sub(MASK, text) if self._pattern else text
