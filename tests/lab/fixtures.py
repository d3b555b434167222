"""One lab for all tests of a run; it is put back before each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab import cgroups
from tests.lab.lab import Lab, running, why_no_lab


@pytest.fixture(scope="session")
def aborted_lab() -> set[int]:
    """A lab that was killed in the middle of its life; the processes that its hosts had."""
    if reason := why_no_lab():
        can_install = "needs" in reason and os.geteuid() == 0
        assert not (os.environ.get("CI") and can_install), f"CI must run the lab: {reason}"
        pytest.skip(reason)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and "3 hosts" in process.stdout.readline()
    had = cgroups.members()
    process.kill()
    process.wait()
    return had


@pytest.fixture(scope="session")
def started_lab(aborted_lab: set[int]) -> Iterator[Lab]:
    """Started over the ruins of one that was killed, as after an aborted test run."""
    with running() as lab:
        yield lab


@pytest.fixture
def lab(started_lab: Lab) -> Lab:
    """The lab, as it was when it started."""
    started_lab.reset()
    return started_lab
