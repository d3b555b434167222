"""Everything that can be said about a user-data file without a host."""

from __future__ import annotations

from deiswizard.userdata.check_etcd import etcd_problems
from deiswizard.userdata.check_fleet import fleet_problems
from deiswizard.userdata.check_structure import structure_problems
from deiswizard.userdata.discovery import Discovered
from deiswizard.userdata.nodes import NotYamlError, parsed
from deiswizard.userdata.problems import LineProblem

HEADER = "#cloud-config"
BYTE_ORDER_MARK = "\ufeff"


def check(
    text: str, *, members: int | None = None, discovered: Discovered | None = None
) -> tuple[LineProblem, ...]:
    """What is wrong, in the order of the lines; empty: nothing that can be known here.

    ``members``: how many members etcd is to have; ``discovered``: what the discovery service told.
    """
    if problem := unreadable(text):
        return (problem,)
    document = parsed(text)
    found = [problem] if (problem := header_problem(text)) else []
    found += structure_problems(document.root)
    found += etcd_problems(document, members, discovered)
    found += fleet_problems(document.root)
    return tuple(sorted(found, key=lambda problem: problem.line))


def unreadable(text: str) -> LineProblem | None:
    """Why there is nothing more to say: it is no cloud-config, or no YAML."""
    header = header_problem(text)
    try:
        parsed(text)
    except NotYamlError as error:
        # A file that is something else altogether is told so first.
        return header or LineProblem(error.line, error.why, "YAML", column=error.column)
    return None


def header_problem(text: str) -> LineProblem | None:
    """coreos-cloudinit knows the file by its first line alone; only spaces after it do not matter."""
    first = text.split("\n", 1)[0].rstrip()
    if first == HEADER:
        return None
    if text.startswith(BYTE_ORDER_MARK):
        what = "the file begins with a byte order mark, so its first line is not known"
    elif first.startswith("#!"):
        what = "the file is a script"
    elif first.strip() == "":
        what = "the first line is empty, so coreos-cloudinit does not know what the file is"
    else:
        what = (
            f"the first line is '{first:.40}', so coreos-cloudinit does not know what the file is"
        )
    return LineProblem(1, what, HEADER)
