"""Hosts to come of a cluster without Ceph: user-data that does not start what takes a host out of Ceph."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import provisioning
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.stateless.facts import StatelessChoices
from deiswizard.userdata.edits import RoleEdits, user_data_of
from deiswizard.userdata.roles import CEPH_SHUTDOWN

ROLES = (RoleEdits(off=(CEPH_SHUTDOWN,)),)
"""Deis's user-data starts it on every host; without Ceph it must not be (deis-facts 3)."""

NOTES = (
    "stores and units are no matter of user-data: a new cluster gets them with 'install without Ceph', "
    "or by deisctl install stateless-platform",
)


def check_choices(choices: StatelessChoices) -> Iterator[Problem]:
    """Of the file only. One that is right already is told, and makes a file that is the same."""
    found = tuple(provisioning.problems(choices, ROLES))
    yield from found
    text = choices.user_data_text
    if text is None or any(problem.blocks for problem in found):
        return
    if user_data_of(text.get_secret_value(), ROLES[0]) == text.get_secret_value():
        told = f"it does not start {CEPH_SHUTDOWN}: the file that is made is the same as yours"
        yield Problem(field="user_data", what=told, blocks=False)


def plan(snapshot: Snapshot, choices: StatelessChoices) -> Plan:
    """One file. The choices are right."""
    return provisioning.plan(
        snapshot,
        choices,
        ROLES,
        recommendation="stateless",
        title="Running without Ceph: files",
        notes=NOTES,
    )
