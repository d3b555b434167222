"""``deiswizard check``: an audit. 0 all ok, 2 something to do, 1 could not look."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter

from deiswizard.cluster.lock_key import said_of
from deiswizard.cluster.snapshot import Snapshot
from deiswizard.commands.opening import opened
from deiswizard.commands.saying import result
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Assessment
from deiswizard.recommendations.preseed.images import release_of
from deiswizard.vocabulary import Status, symbol_of

ALL_OK, COULD_NOT_LOOK, TO_DO = 0, 1, 2


def can_print(text: str) -> bool:
    """Whether stdout's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def exit_status(statuses: list[Status]) -> int:
    """What the statuses mean for a script."""
    if not statuses or Status.UNKNOWN in statuses:
        return COULD_NOT_LOOK
    good = (Status.OK, Status.BY_CHOICE)
    return ALL_OK if all(status in good for status in statuses) else TO_DO


def as_lines(snapshot: Snapshot, assessments: list[Assessment], ascii_only: bool) -> list[str]:
    """The audit for people."""
    counted = Counter(assessment.status for assessment in assessments)
    total = ", ".join(f"{counted[status]} {status}" for status in Status if counted[status])
    release = release_of(snapshot)[0]
    count = len(snapshot.hosts)
    hosts = f"{count} host{'' if count == 1 else 's'}"
    lines = [f"{snapshot.cluster}  {hosts}  Deis {release or '?'}    {total}"]
    if snapshot.lock is not None:
        lines.append(f"  ! lock: held by {said_of(snapshot.lock, snapshot.taken_at)}")
    for host in snapshot.hosts:
        if host.trouble is not None:
            lines.append(f"  {'X' if ascii_only else '✗'} {host.name}: {host.trouble.what}")
    for assessment in assessments:
        symbol = symbol_of(assessment.status, ascii_only=ascii_only)
        lines.append(
            f"  {symbol} {assessment.recommendation:14} {assessment.now}  [{assessment.status}]"
        )
        for finding in assessment.findings:
            where = ", ".join(
                f"{e.host}: {e.source}" if e.host else e.source for e in finding.evidence[:2]
            )
            lines.append(f"      {finding.what}" + (f"    evidence: {where}" if where else ""))
    for trouble in snapshot.troubles:
        lines.append(f"  ! {trouble.evidence.host or 'cluster'}: {trouble.what}")
    return lines


def run(args: argparse.Namespace) -> int:
    """Look once and print what is so."""
    with opened(args) as session:
        snapshot = session.look()
    assessments = [recommendation.assess(snapshot) for recommendation in catalogue.ALL]
    status = exit_status([assessment.status for assessment in assessments])
    if args.json:
        result(
            json.dumps(
                {
                    "cluster": snapshot.cluster,
                    "taken_at": snapshot.taken_at,
                    "exit_status": status,
                    "recommendations": [a.model_dump(mode="json") for a in assessments],
                    "hosts": [
                        {
                            "name": h.name,
                            "address": h.address,
                            "reachable": h.reachable,
                            "trouble": h.trouble.model_dump(mode="json") if h.trouble else None,
                        }
                        for h in snapshot.hosts
                    ],
                    "lock": snapshot.lock.model_dump(mode="json") if snapshot.lock else None,
                    "troubles": [t.model_dump(mode="json") for t in snapshot.troubles],
                },
                indent=2,
            )
        )
    else:
        ascii_only = args.ascii or not can_print("✓○✗–…")
        result("\n".join(as_lines(snapshot, assessments, ascii_only)))
    return status
