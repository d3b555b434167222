"""The pretend routers answer as a real nginx does with the same keys."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab import root
from tests.lab.lab import why_no_lab


@pytest.mark.lab
@pytest.mark.xdist_group("lab")
@pytest.mark.timeout(400)
def test_the_rules_of_the_pretend_routers_are_nginx_s_own() -> None:
    if why := why_no_lab():
        pytest.skip(why)
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "--net",
            sys.executable,
            "-m",
            "tests.lab.router_trial",
            root.path(),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
