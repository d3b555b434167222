"""What holds for every test of a screen."""

from __future__ import annotations

import pytest

from deiswizard.screens.app import WizardApp


@pytest.fixture(autouse=True)
def words_in_the_corner_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a machine may be busy with something else."""
    monkeypatch.setattr(WizardApp, "NOTIFICATION_TIMEOUT", 600.0)
