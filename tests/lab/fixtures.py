"""One lab for all tests of a worker; it is put back before each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.lab.lab import Lab, running, why_no_lab
from tests.lab.place import Place


@dataclass(frozen=True)
class Ruins:
    """Where a lab was that has been killed in the middle of its life, and the processes of its hosts."""

    place: Place
    processes: frozenset[str]


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
    had = place.groups.identities()
    process.kill()
    process.wait()
    return Ruins(place, frozenset(had))


class Labs:
    """A worker's lab, at most one at a time: the one of another size makes room."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._stack = ExitStack()
        self._lab: Lab | None = None

    def of(self, hosts: int) -> Lab:
        """A lab of so many hosts, as it was when it started."""
        if self._lab is None or len(self._lab.hosts) != hosts:
            self.end()
            self._lab = self._stack.enter_context(running(hosts, number=self._number))
        else:
            self._lab.reset()
        return self._lab

    def end(self) -> None:
        """Nothing of it stays."""
        self._lab = None
        self._stack.close()


LABS = pytest.StashKey[Labs]()


@pytest.fixture(scope="session")
def labs(aborted_lab: Ruins, pytestconfig: pytest.Config) -> Iterator[Labs]:
    """The first is started over the ruins of one that was killed, as after an aborted test run."""
    made = pytestconfig.stash[LABS] = Labs(aborted_lab.place.number)
    yield made
    made.end()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The lab ends after the last test on it; the tests that follow have the machine for themselves."""
    made = item.config.stash.get(LABS, None)
    if made and not (nextitem and nextitem.get_closest_marker("lab")):
        made.end()


@pytest.fixture
def lab(labs: Labs) -> Lab:
    """Three hosts, as they were when they started."""
    return labs.of(3)


@pytest.fixture
def lab_of_five(labs: Labs) -> Iterator[Lab]:
    """Five hosts, all of them members of etcd; ended afterwards, because its members may be others then."""
    yield labs.of(5)
    labs.end()
