"""The lab itself: an aborted one leaves nothing that stands in the way of the next."""

from __future__ import annotations

from pathlib import Path

from tests.services.lab import Lab


def test_a_lab_that_was_killed_is_gone_and_the_next_one_works(
    aborted_lab: set[int], lab: Lab
) -> None:
    assert len(aborted_lab) >= 6
    assert not [pid for pid in aborted_lab if Path(f"/proc/{pid}").exists()]
    for host in lab.hosts:
        assert host.run("uname", "-n").stdout.strip() == host.name
    assert lab.value("/deis/platform/domain")
