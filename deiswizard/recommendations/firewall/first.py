"""The hosts' firewall for hosts to come: the same files and units, by way of their user-data.

coreos-cloudinit writes them at every start of a host. So the rules stand beside those that are kept, and
are taken only where none are kept yet: what a later run has put on the host is not taken back by a reboot.
"""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import provisioning
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.firewall.choices import FirewallChoices, kept, ruleset
from deiswizard.recommendations.firewall.facts import filters
from deiswizard.recommendations.firewall.files import (
    DOCKER_UNIT,
    UNIT,
    UNITS,
    Families,
    files,
    rules_path,
    unit_path,
)
from deiswizard.recommendations.firewall.rules import restore_text
from deiswizard.userdata.edits import HostFile, HostUnit, RoleEdits

FIRST_UNIT = "deiswizard-firewall-first.service"


def first_unit(families: Families) -> str:
    """Keeps the first rules where none are kept: whole, and the ones that the condition asks for last."""
    copies = [
        f"cp {rules_path('first', family)} {now}.part && mv {now}.part {now}"
        for family in sorted(families, reverse=True)
        for now in (rules_path("now", family),)
    ]
    return f"""[Unit]
Description=The firewall's first rules, where none are kept yet, by deiswizard
DefaultDependencies=no
After=local-fs.target
Before={UNIT} {DOCKER_UNIT}
ConditionPathExists=!{rules_path("now", 4)}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "{" && ".join(copies)}"
"""


def edits(snapshot: Snapshot, choices: FirewallChoices) -> RoleEdits:
    """What a host's user-data gets. IPv6 only where every host has it: hosts to come are made alike."""
    known = [set(one.families) for one in filters(snapshot)]
    families = tuple(sorted(set.intersection(*known))) if known else (4,)
    rules = ruleset(snapshot, choices)
    first = {rules_path("first", f): restore_text(rules, f, kept(choices)) for f in families}
    ours = files(families)
    scripts = {path: text for path, text in ours.items() if not path.startswith(f"{UNITS}/")}
    return RoleEdits(
        files=tuple(HostFile(path=p, content=text) for p, text in {**first, **scripts}.items()),
        units=(
            HostUnit(name=FIRST_UNIT, content=first_unit(families)),
            HostUnit(name=UNIT, content=ours[unit_path(UNIT)], enable=True),
            HostUnit(name=DOCKER_UNIT, content=ours[unit_path(DOCKER_UNIT)], enable=True),
        ),
    )


def check_choices(snapshot: Snapshot, choices: FirewallChoices) -> Iterator[Problem]:
    """Of the file; what is wrong with the rules themselves is judged as for running hosts."""
    if not choices.host_firewall:
        yield Problem(
            field="host_firewall",
            what="without the firewall there is nothing to put into user-data",
            allowed="the firewall on, or the running cluster",
        )
        return
    if not choices.new_hosts:
        yield Problem(
            field="new_hosts",
            what="no host to come is named: the hosts of now let none in",
            blocks=False,
        )
    yield from provisioning.problems(choices, (edits(snapshot, choices),))


def plan(snapshot: Snapshot, choices: FirewallChoices) -> Plan:
    """One file, for every host to come. The choices are right."""
    notes = (
        "a host with this user-data has the rules from its first start; they are not on trial: nobody is "
        "logged in yet",
        "the rules name the hosts of now, and new hosts: make the file again when those change",
        "what is taken out of such a host comes back at its next start, as long as its user-data has it",
    )
    return provisioning.plan(
        snapshot,
        choices,
        (edits(snapshot, choices),),
        recommendation="security",
        title="Security: the hosts' firewall, files",
        notes=notes,
    )
