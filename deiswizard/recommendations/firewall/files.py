"""What the hosts' firewall puts on a host: files, units, and the commands that load and unload.

``next`` are the rules on trial, ``now`` those that are kept. Only ``now`` is loaded at boot, so a host
that is switched off during a trial comes back without it. Every change of the packet filter is one
transaction of ``iptables-restore`` for each family; a jump of ours that is there already is taken out and
put first in the same one, so that loading twice is loading once, and Docker's rules never come before.
"""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.recommendations.firewall.rules import FORWARD, INPUT, JUMPS

FOLDER = "/etc/deiswizard"
UNITS = "/etc/systemd/system"
BASE = f"{FOLDER}/firewall"
LOAD, UNLOAD, BACK = f"{BASE}-load.sh", f"{BASE}-unload.sh", f"{BASE}-back.sh"
AFTER_DOCKER = f"{BASE}-docker.sh"
MARK = f"{BASE}-taken-back"
"""When the host has last taken a trial back by itself."""

UNIT, DOCKER_UNIT = "deiswizard-firewall.service", "deiswizard-firewall-docker.service"
ROLLBACK = "deiswizard-firewall-back"
"""The transient unit that takes a trial back; its timer has the same name."""

IPTABLES = {4: "iptables", 6: "ip6tables"}
TRIES = 3
"""iptables before 1.6.2 cannot wait for another's change of the same table: it fails, and is run again."""

DOCKER_SECONDS = 20
"""How long Docker may take to have its rules in, once systemd has started it."""

Families = tuple[int, ...]


def rules_path(which: str, family: int) -> str:
    """Where the rules stand: ``which`` is ``now`` or ``next``."""
    return f"{BASE}-{which}.v{family}"


def unit_path(name: str) -> str:
    """Where a unit of ours stands."""
    return f"{UNITS}/{name}"


def _made(what: str, family: int) -> str:
    """What iptables-restore is given: apart for each use, for a unit may load while a step does."""
    return f"/run/deiswizard-firewall-{what}.v{family}"


def _jumps_out(family: int, made: str) -> Iterator[str]:
    """Adds to ``made`` what takes out every jump of ours that is there now, however many."""
    for chain, ours in JUMPS:
        yield (
            f"{IPTABLES[family]} -w -S {chain} | grep -x -e '-A {chain} -j {ours}' | "
            f"sed 's/^-A/-D/' >> {made}"
        )


def _put_in(which: str, family: int) -> Iterator[str]:
    made = _made(which, family)
    yield f"cp {rules_path(which, family)} {made}"
    yield from _jumps_out(family, made)
    for chain, ours in JUMPS:
        yield f"echo '-I {chain} 1 -j {ours}' >> {made}"
    yield f"echo COMMIT >> {made}"
    yield f"{IPTABLES[family]}-restore --noflush < {made}"


def _take_out(family: int) -> Iterator[str]:
    made = _made("out", family)
    yield f"echo '*filter' > {made}"
    for ours in (INPUT, FORWARD):
        yield f"echo ':{ours} - [0:0]' >> {made}"
    yield from _jumps_out(family, made)
    for ours in (INPUT, FORWARD):
        yield f"echo '-X {ours}' >> {made}"
    yield f"echo COMMIT >> {made}"
    yield f"{IPTABLES[family]}-restore --noflush < {made}"


def load_command(which: str, families: Families) -> str:
    """Put the rules in, first."""
    return " && ".join(line for family in families for line in _put_in(which, family))


def unload_command(families: Families) -> str:
    """Take every jump and both chains out."""
    return " && ".join(line for family in families for line in _take_out(family))


def test_command(families: Families) -> str:
    """Whether the host's iptables takes the rules on trial; nothing is changed."""
    parts = []
    for family in families:
        made = _made("test", family)
        parts += [
            f"cp {rules_path('next', family)} {made}",
            f"echo COMMIT >> {made}",
            f"{IPTABLES[family]}-restore --noflush --test < {made}",
        ]
    return " && ".join(parts) + " && echo taken"


def arm_command(seconds: int) -> str:
    """From now on the host takes the trial back by itself, and nothing else loads what is kept."""
    return (
        f"systemctl stop {ROLLBACK}.timer 2>/dev/null; systemctl stop {DOCKER_UNIT} 2>/dev/null; "
        f"systemctl reset-failed {ROLLBACK}.service 2>/dev/null; rm -f {MARK}; "
        f"systemd-run --unit={ROLLBACK} --on-active={seconds} --timer-property=AccuracySec=1s "
        f"/bin/sh {BACK}"
    )


ARMED = f"systemctl is-active {ROLLBACK}.timer"


def in_place_command(families: Families) -> str:
    """Whether the rules are in and have not been taken back; prints ``in``."""
    jumps = " && ".join(
        f"{IPTABLES[family]} -w -S {chain} | grep -q -x -e '-A {chain} -j {ours}'"
        for family in families
        for chain, ours in JUMPS
    )
    return f"test ! -e {MARK} && {jumps} && echo in"


def keep_command(families: Families) -> str:
    """Keep what is on trial, also over a reboot, and only then disarm."""
    moves = " && ".join(
        f"mv {rules_path('next', family)} {rules_path('now', family)}" for family in families
    )
    return (
        f"{in_place_command(families)} && {moves} && systemctl daemon-reload && "
        f"systemctl enable {UNIT} {DOCKER_UNIT} && systemctl stop {ROLLBACK}.timer && "
        f"systemctl restart {UNIT} && systemctl restart {DOCKER_UNIT}"
    )


def files(families: Families) -> dict[str, str]:
    """Every file but the rules: path and content."""
    load = " || ".join([f"/bin/sh {LOAD}"] * TRIES)
    unload = " || ".join([f"/bin/sh {UNLOAD}"] * TRIES)
    leftovers = " ".join(rules_path("next", family) for family in families)
    head = "#!/bin/sh\n# Written by deiswizard: the host's firewall."
    return {
        LOAD: f"{head} Puts the kept rules in, first; twice is once.\n"
        f"{load_command('now', families)}\n",
        UNLOAD: f"{head} Takes out what is ours, and nothing else.\n{unload_command(families)}\n",
        BACK: f"{head} Takes a trial back: as it was before.\n"
        f"date -u > {MARK}\nrm -f {leftovers}\n"
        f"test ! -e {rules_path('now', 4)} || {load}\n"
        f"test -e {rules_path('now', 4)} || {unload}\n",
        AFTER_DOCKER: f"{head} Docker puts its rules first when it starts: ours go before them.\n"
        f"for second in {' '.join(map(str, range(1, DOCKER_SECONDS + 1)))}; do "
        "timeout 2 docker version >/dev/null 2>&1 && break || sleep 1; done\n"
        "# not while others are on trial: those would be proven that are not in\n"
        f"{ARMED} >/dev/null || {load}\n",
        unit_path(UNIT): f"""[Unit]
Description=The host's firewall, by deiswizard
DefaultDependencies=no
After=local-fs.target systemd-modules-load.service iptables-restore.service ip6tables-restore.service
Wants=network-pre.target
Before=network-pre.target early-docker.service docker.service shutdown.target
Conflicts=shutdown.target
ConditionPathExists={rules_path("now", 4)}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "{load}"

[Install]
WantedBy=basic.target
""",
        unit_path(DOCKER_UNIT): f"""[Unit]
Description=The host's firewall before Docker's rules again, by deiswizard
After=docker.service {UNIT}
PartOf=docker.service
ConditionPathExists={rules_path("now", 4)}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {AFTER_DOCKER}

[Install]
WantedBy=docker.service
""",
    }


OURS = (
    LOAD, UNLOAD, BACK, AFTER_DOCKER, MARK, unit_path(UNIT), unit_path(DOCKER_UNIT),
    *(rules_path(which, family) for which in ("now", "next") for family in (4, 6)),
)  # fmt: skip
"""Every path that is ours."""


def stop_command() -> str:
    """Nothing on the host loads rules any more, now or at boot; what is loaded stays.

    Before they are taken out: a unit that waits for Docker would put them in again.
    """
    names = (f"{ROLLBACK}.timer", f"{ROLLBACK}.service", DOCKER_UNIT, UNIT)
    stops = "; ".join(f"systemctl stop {name} 2>/dev/null" for name in names)
    return f"systemctl disable {UNIT} {DOCKER_UNIT} 2>/dev/null; {stops}; true"


def remove_command() -> str:
    """Nothing of ours is on the disk."""
    made = (_made(what, family) for what in ("now", "next", "out", "test") for family in (4, 6))
    return f"rm -f {' '.join((*OURS, *made))}; rm -d {FOLDER} 2>/dev/null; systemctl daemon-reload"
