"""One lab for all tests of a worker; it is put back before each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.lab import Lab, running, why_no_lab
from tests.lab.place import Place


@dataclass(frozen=True)
class Ruins:
    """Where a lab was that has been killed in the middle of its life, and the processes of its hosts."""

    place: Place
    processes: frozenset[int]


@pytest.fixture(scope="session")
def aborted_lab() -> Ruins:
    """What a lab leaves that is killed."""
    if reason := why_no_lab():
        can_install = "needs" in reason and os.geteuid() == 0
        assert not (os.environ.get("CI") and can_install), f"CI must run the lab: {reason}"
        pytest.skip(reason)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    number, said = process.stdout.readline().removeprefix("lab ").split(":", 1)
    assert said.startswith(" 3 hosts")
    place = Place(int(number))
    had = place.groups.members()
    process.kill()
    process.wait()
    return Ruins(place, frozenset(had))


@pytest.fixture(scope="session")
def started_lab(aborted_lab: Ruins) -> Iterator[Lab]:
    """Started over the ruins of one that was killed, as after an aborted test run."""
    with running(number=aborted_lab.place.number) as lab:
        yield lab


@pytest.fixture
def lab(started_lab: Lab) -> Lab:
    """The lab, as it was when it started."""
    started_lab.reset()
    return started_lab
