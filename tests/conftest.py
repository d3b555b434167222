"""What all tests share: folders of their own, so that no test sees the operator's."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.lab.fixtures"]
settings.register_profile("house", deadline=None)  # how long an example takes tells of the machine
settings.load_profile("house")
LAB_LIMIT = 400
"""Seconds for a test of the lab: the first one may have to build the hosts' root file system."""

LABS = 2
"""How many labs the tests share at most; each belongs to a worker."""

TESTS = Path(__file__).parent
SLOW = ("flows", "screens", "demo")
"""The folders whose tests take long, the longest first."""

ALONE = ("flows", "screens")
"""Those in which a test shares nothing with the others of its file."""


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and configuration below the test's own folder; no agent, no tunnel from outside."""
    monkeypatch.setenv("DEISWIZARD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DEISWIZARD_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("DEISCTL_TUNNEL", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def on_lab(item: pytest.Item) -> bool:
    """By a fixture, or because the real one of the two clusters is its turn."""
    turn = item.callspec.params.get("cluster") if hasattr(item, "callspec") else None
    return turn == "lab" or "labs" in getattr(item, "fixturenames", ())


def turn(item: pytest.Item) -> int:
    """What takes longest begins first, so that nobody waits for it at the end."""
    if on_lab(item):
        return 1 if "lab_of_five" in getattr(item, "fixturenames", ()) else 0
    folder = item.path.relative_to(TESTS).parts[0]
    return 2 + SLOW.index(folder) if folder in SLOW else 2 + len(SLOW)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side by file, or each for itself; those that use a lab are dealt out to as many workers as there are labs."""
    items.sort(key=turn)
    dealt = itertools.cycle(f"lab-{number}" for number in range(LABS))
    for number, item in enumerate(items):
        needs_lab = on_lab(item)
        beside = f"alone-{number}" if item.path.parent.name in ALONE else str(item.path)
        item.add_marker(pytest.mark.xdist_group(next(dealt) if needs_lab else beside))
        if needs_lab:
            item.add_marker(pytest.mark.lab)
            item.add_marker(pytest.mark.timeout(LAB_LIMIT))
