"""The steps by which one host leaves Ceph, and comes back.

A removal that was made already is answered with exit status 0, so each of these commands may be run again. Read
for monitors in ceph/ceph, src/mon/MonmapMonitor.cc, of a release after hammer; for OSDs, CRUSH and keys it is
taken to hold likewise, and each removal is followed by a look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.plan import Stage, chained
from deiswizard.plan.step import CommandStep, GuardStep, RemoveKeyStep, Step, WaitStep
from deiswizard.recommendations.planes.ceph_facts import MONITOR
from deiswizard.recommendations.planes.facts import CEPH_ASK
from deiswizard.vocabulary import Danger

CLEAN = (
    r"v[0-9]+: [0-9]+ pgs: ([0-9]+ active\+clean(\+scrubbing)?(\+deep)?(, )?)+;"  # of ceph pg stat
)
PG_STAT = f"{MONITOR} ceph pg stat"
LISTED = r"[^_]*pg_stat\s*$"
"""Only the heading of ``ceph pg ls-by-osd`` is left: no placement group has a copy there."""

DATA_TIMEOUT = 12 * 3600.0
STOP_TIMEOUT = 5 * 60.0
DATA, MONITOR_DATA = "deis-store-daemon-data", "deis-store-monitor-data"
"""A monitor that was removed refuses to start on its old store ("must have been removed"), and a daemon that
finds a keyring of its id does not make its OSD: what is kept there must not be found again."""


@dataclass(frozen=True)
class Removal:
    """What leaves, and where Ceph is asked: on ``asker``, which stays.

    ``osds`` and ``monitors`` are how many there are before. ``units``: Ceph's on every host.
    ``mark`` tells what is set aside now from what a former removal set aside.
    """

    host: str
    asker: str
    osd: int
    monitor: str
    host_key: str
    osd_key: str
    osds: int
    monitors: int
    units: tuple[str, ...]
    mark: str

    def kept(self, container: str) -> str:
        """The name under which a data container is set aside: another one for each plan."""
        return f"{container}-left-{self.mark}"

    def changes(self, *whats: str) -> tuple[str, ...]:
        """The ids of steps that change something."""
        return tuple(f"ceph-{what}:{self.host}" for what in whats)

    @property
    def without_copies(self) -> str:
        """Asks for every placement group, and for those with a copy on the OSD."""
        listed = f"{MONITOR} ceph pg ls-by-osd osd.{self.osd}"
        return f"{PG_STAT} && {listed} | grep -oE '^(pg_stat|[0-9]+[.][0-9a-f]+)'"


def out(removal: Removal) -> Stage:
    """Guards, ``osd out``, and every copy elsewhere before anything stops.

    From ``osd out`` on Ceph is not clean by our own doing, so its guards hold until then.
    """
    name, osd = removal.host, removal.osd
    steps: list[Step] = [
        *_guards(removal),
        CommandStep(
            id=f"ceph-out:{name}",
            title=f"Ceph takes no more data to osd.{osd}, and copies what is there",
            host=removal.asker,
            command=f"{MONITOR} ceph osd out {osd}",
            is_repeatable=True,
            danger=Danger.WRITE,
            undo="ceph osd in: its data is still there",
        ),
        WaitStep(
            id=f"ceph-empty:{name}",
            title=f"every placement group is active+clean without osd.{osd}",
            host=removal.asker,
            condition=CommandSays(
                host=removal.asker,
                command=f"{CEPH_ASK} && {removal.without_copies}",
                pattern=rf"^HEALTH_OK\s+{CLEAN}{LISTED}",
            ),
            waiting_for=f"Ceph to copy the data of {name} to the other hosts",
            timeout=DATA_TIMEOUT,
            interval=5.0,
            on_timeout=f"nothing is lost: see ceph -s, and go on later, or undo (ceph osd in {osd})",
        ),
    ]
    return Stage(id=f"ceph-out:{name}", title=f"{name}: its data leaves", steps=chained(steps))


def _guards(removal: Removal) -> Iterator[GuardStep]:
    name = removal.host
    yield GuardStep(
        id=f"guard:ceph-key:{name}",
        title=f"its OSD is still osd.{removal.osd}",
        condition=KeyIs(key=removal.osd_key, value=str(removal.osd)),
        otherwise=f"another OSD than osd.{removal.osd} is that of {name} now. Make a new plan",
        until=removal.changes("rm"),
    )
    yield _asks(
        removal,
        "well",
        "Ceph is well",
        CEPH_ASK,
        r"^HEALTH_OK",
        f"Ceph is not well, so copies may be missing that {name} still has. See ceph health detail",
    )
    yield _asks(
        removal,
        "clean",
        "every placement group is active+clean",
        PG_STAT,
        rf"^{CLEAN}",
        f"not every copy of the data is there, and {name} may hold the last one. See ceph pg stat",
    )
    yield _asks(
        removal,
        "osds",
        f"{removal.osds} OSDs are up and in",
        f"{MONITOR} ceph osd stat && {MONITOR} ceph osd dump | grep '^osd.{removal.osd} '",
        rf"osdmap e[0-9]+: {removal.osds} osds: {removal.osds} up, "
        # cut off in the middle of `osd out`, it is out already
        rf"({removal.osds} in|{removal.osds - 1} in[^_]*osd\.{removal.osd} up +out )",
        "an OSD was added, is down or out: there may be no room for the data. See ceph osd tree",
    )
    yield _majority(removal, "majority", removal.monitors)


def _asks(
    removal: Removal,
    what: str,
    title: str,
    command: str,
    pattern: str,
    otherwise: str,
    until: str = "out",
) -> GuardStep:
    return GuardStep(
        id=f"guard:ceph-{what}:{removal.host}",
        title=title,
        host=removal.asker,
        condition=CommandSays(host=removal.asker, command=command, pattern=pattern),
        otherwise=otherwise,
        until=removal.changes(until),
    )


def _majority(removal: Removal, what: str, least: int, until: str = "out") -> GuardStep:
    """That many monitors are in the quorum."""
    return _asks(
        removal,
        what,
        f"{least} monitors of Ceph agree",
        f"{MONITOR} ceph mon stat",
        rf"quorum [0-9]+(,[0-9]+){{{least - 1},}} ",
        f"a monitor is missing: without that of {removal.host} they might lose their majority, and Ceph "
        "would stand still. See ceph mon stat",
        until,
    )


def removed(removal: Removal) -> Stage:
    """Its units have stopped, nothing has its only copy there: out of Ceph's maps, and well again.

    A CRUSH map without the OSD moves data once more: that nothing is there was seen by then.
    """
    name = removal.host
    steps: list[Step] = [
        WaitStep(
            id=f"ceph-stopped:{name}",
            title="fleet has taken Ceph's units from it",
            host=name,
            condition=CommandSays(
                host=name,
                command=f"systemctl is-active {' '.join(removal.units)}; true",
                pattern=r"^((inactive|unknown|failed)\s*)+$",
            ),
            waiting_for=f"Ceph's units to stop on {name}",
            timeout=STOP_TIMEOUT,
            interval=1.0,
            on_timeout=f"see what keeps them on {name}: systemctl status deis-store-daemon",
        ),
        _asks(
            removal,
            "copies",
            f"every placement group is active+clean, none on osd.{removal.osd}",
            removal.without_copies,
            rf"^{CLEAN}{LISTED}",
            f"not every copy is elsewhere, so osd.{removal.osd} is not removed. See ceph pg stat",
            "crush",
        ),
        _majority(removal, "rest", removal.monitors - 1, "monitor"),
        *_removal(removal, ""),
        _well(removal, f"ceph-well:{name}", removal.osds - 1),
    ]
    return Stage(id=f"ceph-gone:{name}", title=f"{name} leaves Ceph", steps=chained(steps))


def _removal(removal: Removal, prefix: str) -> Iterator[Step]:
    """Clients first, then the maps; what it held is set aside, never deleted."""
    name, osd = removal.host, removal.osd
    gone = "not by itself: the host comes back with a new one"
    yield _without_key(
        removal,
        prefix,
        "host-key",
        "Ceph's clients no longer look for a monitor there",
        "the monitor's unit writes it when it starts",
    )
    for what, title, command in (
        (
            "monitor",
            f"monitor {removal.monitor} is no longer counted",
            f"mon remove {removal.monitor}",
        ),
        ("crush", f"no data is meant for osd.{osd}", f"osd crush remove osd.{osd}"),
        ("auth", f"osd.{osd} has no key any more", f"auth del osd.{osd}"),
        ("rm", f"osd.{osd} is removed", f"osd rm {osd}"),
    ):
        yield CommandStep(
            id=f"{prefix}ceph-{what}:{name}",
            title=title,
            host=removal.asker,
            command=f"{MONITOR} ceph {command}",
            is_repeatable=True,
            # Ceph gives a free id to the next OSD: without the key, osd.N may be another host's by now
            unless=KeyIs(key=removal.osd_key, value=None) if prefix and what != "monitor" else None,
            danger=Danger.WRITE,
            undo=gone,
        )
    yield _without_key(removal, prefix, "osd-key", f"{name} has no OSD any more", gone)
    for what, now in (("data", DATA), ("store", MONITOR_DATA)):
        left = removal.kept(now)
        yield CommandStep(
            id=f"{prefix}ceph-{what}:{name}",
            title=f"{now} is kept as {left}",
            host=name,
            command=f"docker inspect {left} >/dev/null 2>&1 || docker rename {now} {left}",
            is_repeatable=True,
            danger=Danger.WRITE,
            undo="stays aside: it belongs to what was removed",
        )


def _without_key(removal: Removal, prefix: str, what: str, title: str, undo: str) -> Step:
    """On the way back as a command: the host writes the key again, so it is not absent at the end."""
    key = removal.host_key if what == "host-key" else removal.osd_key
    step = f"{prefix}ceph-{what}:{removal.host}"
    if not prefix:
        return RemoveKeyStep(id=step, title=title, key=key, danger=Danger.WRITE, undo=undo)
    return CommandStep(
        id=step,
        title=title,
        host=removal.asker,
        command=f"etcdctl rm {key}",
        unless=KeyIs(key=key, value=None),
        is_repeatable=True,
        danger=Danger.WRITE,
    )


def _well(removal: Removal, step: str, osds: int) -> WaitStep:
    """A CRUSH map without the OSD moves data once more, so this may take long as well."""
    everyone = rf"osdmap e[0-9]+: {osds} osds: {osds} up, {osds} in"
    return WaitStep(
        id=step,
        title=f"Ceph is well with {osds} OSDs",
        host=removal.asker,
        condition=CommandSays(
            host=removal.asker,
            command=f"{CEPH_ASK} && {PG_STAT} && {MONITOR} ceph osd stat",
            pattern=rf"^HEALTH_OK\s+{CLEAN}[^_]*{everyone}",
        ),
        waiting_for="Ceph to say HEALTH_OK, every placement group active+clean",
        timeout=DATA_TIMEOUT,
        interval=5.0,
        on_timeout="see why: docker exec deis-store-monitor ceph health detail; go on when it is well",
    )


def finished(removal: Removal) -> Stage:
    """A removal that was begun, brought to its end, before the host may run Ceph's units again."""
    whats = ("host-key", "monitor", "crush", "auth", "rm", "osd-key", "data", "store")
    return Stage(
        id=f"back:ceph-gone:{removal.host}",
        title=f"{removal.host} has left Ceph for good, and may come as a new one",
        steps=chained(_removal(removal, "back:")),
    ).undoing(*removal.changes(*whats))


def well_again(removal: Removal, step: Step) -> Step:
    """Data comes to the new OSD, for as long as that takes."""
    assert isinstance(step, WaitStep)
    return step.model_copy(
        update={
            "host": removal.asker,
            "timeout": DATA_TIMEOUT,
            "waiting_for": "Ceph to say HEALTH_OK, its data copied to this host again",
        }
    )


def back_in(removal: Removal) -> Stage:
    """Whichever OSD the host has by now takes data again, and every one is well."""
    steps: tuple[Step, ...] = (
        CommandStep(
            id=f"back:ceph-out:{removal.host}",
            title=f"the OSD of {removal.host} takes data again",
            host=removal.asker,
            command=f"{MONITOR} ceph osd in $(etcdctl get {removal.osd_key})",
            is_repeatable=True,
            danger=Danger.WRITE,
        ),
        _well(removal, f"back:ceph-empty:{removal.host}", removal.osds),
    )
    return Stage(
        id=f"back:ceph-out:{removal.host}",
        title=f"{removal.host} holds data again",
        steps=chained(steps),
    ).undoing(f"ceph-out:{removal.host}")
