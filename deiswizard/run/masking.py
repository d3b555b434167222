"""Keeps secrets out of events: on their way to the screen, and once more on their way to disk."""

from __future__ import annotations

import json
from typing import Any

from deiswizard.redaction import Redactor
from deiswizard.run.events import Event, OutputReceived, Verified

FREE_TEXT = ("said", "do", "reason")
"""Fields in which a host's or a program's own words may stand."""

CLOSED = frozenset({"kind", "status", "stream", "danger"})
"""Fields with words of closed lists, without which an event could not be read again."""


def for_eyes(event: Event, redactor: Redactor) -> Event:
    """``event`` with the secrets masked in what hosts and programs said.

    What identifies (steps, hosts, the plan) stays: it is made without secrets.
    """
    if isinstance(event, OutputReceived):
        text = "\n".join(event.lines)
        if not redactor.finds(text):
            return event
        return event.model_copy(update={"lines": tuple(redactor.text(text).split("\n"))})
    masked: dict[str, Any] = {}
    for name in FREE_TEXT:
        text = getattr(event, name, "")
        if text and redactor.finds(text):
            masked[name] = redactor.text(text)
    if isinstance(event, Verified):
        masked["checks"] = tuple(
            check.model_copy(update={"evidence": redactor.text(check.evidence)})
            for check in event.checks
        )
    differences = getattr(event, "differences", ())
    if differences:
        masked["differences"] = tuple(redactor.text(text) for text in differences)
    return event.model_copy(update=masked) if masked else event


def as_json(event: Event, redactor: Redactor) -> str:
    """``event`` as one line of JSON without any secret, and still readable as an event.

    The values are masked, not the line: a secret such as ``8000`` may look like a part of a number.
    """
    line = event.model_dump_json()
    if not redactor.finds(line):
        return line
    return json.dumps(_masked(event.model_dump(mode="json"), redactor), ensure_ascii=False)


def _masked(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, dict):
        return {
            name: inner if name in CLOSED and isinstance(inner, str) else _masked(inner, redactor)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner, redactor) for inner in value]
    return value
