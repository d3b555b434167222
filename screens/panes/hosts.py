"""The hosts and the images of a run: the same steps, added up two other ways."""

from __future__ import annotations

from collections.abc import Iterable

from deiswizard.plan.plan import Plan
from deiswizard.plan.step import Step
from deiswizard.run.state import PullState, RunState, StepState
from deiswizard.screens.panes.progress import RANK, Row
from deiswizard.screens.text import cut, fit, in_bytes
from deiswizard.screens.theme import STYLES, Symbols
from deiswizard.vocabulary import StepStatus

Pairs = list[tuple[Step, StepState]]


def _worst(statuses: Iterable[StepStatus]) -> StepStatus:
    """What asks most for attention; ``done`` only if all are, ``waiting`` while nothing goes on."""
    return min(statuses, key=RANK.__getitem__)


def _folded(found: list[tuple[StepStatus, str]], width: int, height: int, what: str) -> list[Row]:
    """Worst first; what does not fit is counted."""
    found.sort(key=lambda pair: RANK[pair[0]])
    fits = found if len(found) <= height else found[: max(1, height - 1)]
    out: list[Row] = [(cut(text, width), STYLES.get(status, "")) for status, text in fits]
    if len(found) > len(fits):
        out.append((f"   and {len(found) - len(fits)} more {what}", "dim"))
    return out


def host_rows(plan: Plan, state: RunState, width: int, height: int, symbols: Symbols) -> list[Row]:
    """A row for each host: how it stands, steps done, bytes and rate, what it does now."""
    hosts: dict[str, Pairs] = {}
    for step in plan.steps:
        if step.host:
            hosts.setdefault(step.host, []).append((step, state.steps.get(step.id, StepState())))
    found = []
    for host, pairs in hosts.items():
        status = _worst(now.status for _, now in pairs)
        done = sum(now.status.is_final for _, now in pairs)
        going = next((pair for pair in pairs if pair[1].status is StepStatus.RUNNING), None)
        pulls = [pull for _, now in pairs for pull in now.pulls.values()]
        fetched = sum(pull.current for pull in pulls)
        size = in_bytes(fetched) if pulls else ""
        if pulls and not fetched and all(pull.present is not None for pull in pulls):
            size = f"{sum(bool(pull.present) for pull in pulls)}/{len(pulls)} images"
        words = "connection lost: what was begun goes on there" if host in state.lost else ""
        if not words and going is not None:
            rate = sum(p.rate for p in going[1].pulls.values())
            size += f" {in_bytes(rate)}/s" if rate else ""
            words = going[0].title
        bad = next((pair for pair in pairs if pair[1].status is status), None)
        if not words and bad is not None and RANK[status] < RANK[StepStatus.RUNNING]:
            words = f"{bad[0].title}: {bad[1].said}"
        count = f"{done}/{len(pairs)} steps"
        left = f" {symbols.of(status)} {fit(status, 8)}{fit(host, 11)} {count:>11}"
        found.append((status, f"{left}  {fit(size, 16)} {words}".rstrip()))
    return _folded(found, width, height, "hosts")


def image_rows(plan: Plan, state: RunState, width: int, height: int, symbols: Symbols) -> list[Row]:
    """A row for each image that is pulled: on how many of its hosts it is, and bytes over all."""
    images: dict[str, list[tuple[StepStatus, PullState | None]]] = {}
    for step in plan.steps:
        now = state.steps.get(step.id, StepState())
        if step.kind == "pull":
            images.setdefault(step.image, []).append((now.status, now.pulls.get(step.image)))
        elif step.kind in ("job", "wait"):
            for image, pull in now.pulls.items():
                status = StepStatus.DONE if pull.present else now.status
                images.setdefault(image, []).append((status, pull))
    found = []
    name_width = max(20, min(34, width - 34))
    for image, parts in images.items():
        status = _worst(status for status, _ in parts)
        done = sum(now is StepStatus.DONE for now, _ in parts)
        size = sum(pull.current for _, pull in parts if pull is not None)
        words = f"{done} of {len(parts)} hosts   {in_bytes(size) if size else ''}".rstrip()
        found.append(
            (status, f" {symbols.of(status)} {fit(status, 8)}{fit(image, name_width)} {words}")
        )
    return _folded(found, width, height, "images")
