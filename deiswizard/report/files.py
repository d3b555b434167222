"""The report as files."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deiswizard.report.html import as_html
from deiswizard.report.markdown import as_markdown
from deiswizard.report.model import Report

FORMS: Mapping[str, Callable[[Report], str]] = {"md": as_markdown, "html": as_html}
"""Suffix of the file to what writes it."""


def write_all(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write every form into ``folder``, named by cluster and time of the look.

    Raises:
        OSError: one could not be written.
    """
    cluster = re.sub(r"[^A-Za-z0-9._-]+", "-", report.cluster).strip("-.") or "cluster"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(report.looked_at))
    paths = []
    for suffix, written in FORMS.items():
        path = folder / f"report-{cluster[:60]}-{stamp}.{suffix}"
        path.write_text(written(report), encoding="utf-8", errors="replace")
        paths.append(path)
    return tuple(paths)
