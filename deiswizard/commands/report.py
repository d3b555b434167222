"""``deiswizard report``: production readiness on paper. Exit status as check."""

from __future__ import annotations

import argparse

from deiswizard import __version__
from deiswizard.commands.check import exit_status
from deiswizard.commands.opening import opened
from deiswizard.commands.saving import save
from deiswizard.commands.saying import result, talk
from deiswizard.recommendations import catalogue
from deiswizard.report.files import FORMS
from deiswizard.report.model import report_of
from deiswizard.run.history import runs_of


def run(args: argparse.Namespace) -> int:
    """Look once; print the report or write it to a file."""
    with opened(args) as session:
        snapshot = session.look()
    assessments = {r.id: r.assess(snapshot) for r in catalogue.ALL}
    report = report_of(snapshot, catalogue.ALL, assessments, runs_of(snapshot.cluster), __version__)
    is_page = args.output is not None and args.output.suffix.lower() in (".html", ".htm")
    text = FORMS[args.format or ("html" if is_page else "md")](report)
    if args.output:
        save(args.output, text)
        talk(f"{report.cluster}: {report.readiness}\nsaved: {args.output}")
    else:
        result(text.rstrip("\n"))
    return exit_status([assessment.status for assessment in assessments.values()])
