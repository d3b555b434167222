"""``deiswizard open RECOMMENDATION``: straight to one screen."""

from __future__ import annotations

import argparse

from deiswizard.commands import guided
from deiswizard.recommendations import catalogue


def run(args: argparse.Namespace) -> int:
    """The guided set-up, with that recommendation open."""
    return guided.run(args, open_first=catalogue.named(args.recommendation).id)
