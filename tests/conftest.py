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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side by file; those that use a lab are dealt out to as many workers as there are labs."""
    dealt = itertools.cycle(f"lab-{number}" for number in range(LABS))
    for item in items:
        needs_lab = on_lab(item)
        item.add_marker(pytest.mark.xdist_group(next(dealt) if needs_lab else str(item.path)))
        if needs_lab:
            item.add_marker(pytest.mark.lab)
            item.add_marker(pytest.mark.timeout(LAB_LIMIT))
