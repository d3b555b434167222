"""The runbook's questions: how it logs in, and the conditions of guards and waits."""

from __future__ import annotations

import shlex
from typing import assert_never

from deiswizard.cluster.port_tries import shown_tries
from deiswizard.plan.conditions import (
    CommandSays,
    Condition,
    DiskRoom,
    ImagePresent,
    KeyIs,
    MemberListed,
    NoMember,
    UnitDone,
    UnitGone,
    UnitRunning,
    WebSays,
)
from deiswizard.plan.etcd_stands import EtcdStands
from deiswizard.plan.fleet_conditions import (
    BUSY,
    MachinesCarry,
    MetadataIs,
    UnitRunsOn,
    UnitsElsewhere,
    UnitsStay,
    UnitStopped,
)
from deiswizard.plan.patterns import as_grep
from deiswizard.plan.quoting import word
from deiswizard.plan.reach import Reach
from deiswizard.plan.reach_conditions import (
    AnyReach,
    ClusterWhole,
    FreshLogin,
    PortsTake,
    ReachCondition,
)
from deiswizard.plan.script_etcd import etcd_stands
from deiswizard.plan.script_web import web_says
from deiswizard.plan.step import shown_condition

IS_BUSY = f"$3 ~ /^({'|'.join(BUSY)})$/"
"""awk's question whether a row of fleet's is one of a unit that has not ended."""


class Asking:
    """Commands on the hosts for one way to log in."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._hosts = dict(reach.hosts)

    def _host(self, host: str, *, reads: bool = False) -> str:
        """The words that log in to a host; an empty name is the first one. ``reads``: its stdin."""
        quiet = "" if reads else " -n"
        if host in ("", self._reach.entry_name) and self._reach.entry:
            port = self._reach.port
            own = f" -p {port}" if self._reach.through_entry and port != 22 else ""
            return f"$SSH{quiet}{own} {word(self._reach.entry)}"
        address = self._hosts.get(host) or f"{self._reach.entry.partition('@')[0]}@{host}"
        return f"{'inside' if self._reach.through_entry else '$SSH'}{quiet} {word(address)}"

    def _on(self, host: str, command: str, *, reads: bool = False) -> str:
        return f"{self._host(host, reads=reads)} {word(command)}"

    def _absent(self, key: str) -> str:
        """Not there: not the same as an etcd that does not answer."""
        get = self._on("", f"etcdctl get {shlex.quote(key)}")
        return (
            f"{{ ! said=$({get} 2>&1) && printf '%s' \"$said\" | grep -q '100: Key not found'; }}"
        )

    def _condition(self, condition: Condition) -> str:
        """A command that ends with 0 when the condition holds."""
        match condition:
            case CommandSays():
                return self._says(condition)
            case KeyIs(value=None):
                return self._absent(condition.key)
            case KeyIs():
                ask = self._on("", shown_condition(condition))
                value = word((condition.value or "").rstrip("\n"))
                return f'{{ said=$({ask}) && [ "$said" = {value} ]; }}'
            case ImagePresent():
                return f"{self._on(condition.host, shown_condition(condition))} >/dev/null"
            case DiskRoom():
                ask = self._on(condition.host, shown_condition(condition))
                return f"{ask} | awk 'END {{ exit !(NR && $4 * 1024 >= {condition.needed}) }}'"
            case UnitDone():
                return self._row(condition, "exited")
            case UnitRunning():
                running = self._row(condition, "running")
                again = f"sleep {round(condition.steady)} && {running}"
                return f"{{ {running} && {again}; }}" if condition.steady else running
            case UnitGone():
                ask = self._on("", shown_condition(condition))
                row = f'$1 == "{condition.unit}" {{ found = 1 }} END {{ exit found }}'
                return f"{{ said=$({ask}) && printf '%s\\n' \"$said\" | awk {word(row)}; }}"
            case UnitStopped():
                mine = f'$1 == "{condition.unit}" && {IS_BUSY}'
                return self._rows(condition, f"{mine} {{ bad = 1 }} END {{ exit bad }}")
            case UnitRunsOn():
                return self._run_on(condition)
            case UnitsStay():
                stay = self._run_on(*condition.units)
                again = f"stay && sleep {round(condition.steady)} && stay"
                return f"{{ stay() {stay}; {again}; }}"
            case UnitsElsewhere():
                return self._elsewhere(condition)
            case MachinesCarry():
                has = f'index("," $3 ",", ",{condition.pair},")'
                counted = f'$1 != "{condition.but}" && {has} {{ n++ }}'
                return self._rows(condition, f"{counted} END {{ exit n < {condition.least} }}")
            case MetadataIs():
                same = " || ".join(f'$3 == "{text or "-"}"' for text in condition.either)
                row = f'$1 == "{condition.machine}" && ({same}) {{ found = 1 }}'
                return self._rows(condition, f"{row} END {{ exit !found }}")
            case WebSays():
                says = web_says(condition, self._on)
                return f"{{ {says} && sleep 1 && {says}; }}" if condition.steady else says
            case ReachCondition():
                return self._reaches(condition)
            case MemberListed():
                return self._on("", shown_condition(condition)) + " >/dev/null"
            case NoMember():
                ask = self._on("", "etcdctl member list")
                url = word(f"peerURLs={condition.peer_url}")
                return f"{{ said=$({ask}) && ! printf '%s\\n' \"$said\" | grep -qwF {url}; }}"
            case EtcdStands():
                return etcd_stands(condition, self._on)
            case _:
                assert_never(condition)

    def _rows(self, condition: Condition, program: str) -> str:
        """What awk makes of fleet's rows; an answer that did not come is no answer."""
        ask = self._on("", shown_condition(condition))
        return f"{{ said=$({ask}) && printf '%s\\n' \"$said\" | awk {word(program)}; }}"

    def _run_on(self, *units: UnitRunsOn) -> str:
        """Each running on its machines, and reported by no other."""
        rows, ends = [], ["bad"]
        for number, unit in enumerate(units):
            here = " || ".join(f'index($2, "{name}/") == 1' for name in unit.machines)
            runs = f'({here}) && $3 == "active" && $4 == "running"'
            rows.append(f'$1 == "{unit.unit}" {{ if ({runs}) n{number}++; else bad = 1 }}')
            ends.append(f"n{number} < {len(unit.machines) if unit.every else 1}")
        return self._rows(units[0], f"{' '.join(rows)} END {{ exit {' || '.join(ends)} }}")

    def _elsewhere(self, condition: UnitsElsewhere) -> str:
        """Stricter than the wizard: one that was destroyed meanwhile keeps it waiting."""
        mine = " || ".join(f'$1 == "{unit}"' for unit in condition.units)
        there = f'index($2, "{condition.machine}/") == 1'
        rows = f'{mine} {{ if ({there}) {{ if ({IS_BUSY}) bad = 1 }} else if ($4 == "running") n[$1] = 1 }}'
        ends = f"for (unit in n) runs++; exit bad || runs < {len(condition.units)}"
        return self._rows(condition, f"{rows} END {{ {ends} }}")

    def _reaches(self, condition: AnyReach) -> str:
        """Every command of the runbook is a new login."""
        match condition:
            case FreshLogin():
                return self._on(condition.host, "true")
            case PortsTake():
                tries = shown_tries(condition.places)
                asks = [self._on(host, tries) if host else tries for host in condition.hosts]
                state = "open" if condition.open else "closed"
                count = len(condition.hosts) * len(condition.places)
                is_so = f"/ {state}$/ {{ n++ }} END {{ exit n != {count} }}"
                return f"{{ {'; '.join(asks)}; }} | awk {word(is_so)}"
            case ClusterWhole():
                members = self._on("", "etcdctl cluster-health")
                is_well = f"/ is healthy/ {{ n++ }} END {{ exit n != {condition.members} }}"
                machines = self._on("", "fleetctl list-machines --no-legend -l")
                wanted = " && ".join(
                    f"printf '%s\\n' \"$said\" | grep -q '^{machine}'"
                    for machine in condition.machines
                )
                return f"{{ {members} | awk {word(is_well)} && said=$({machines}) && {wanted}; }}"

    def _row(self, condition: UnitDone | UnitRunning, sub: str) -> str:
        """Fleet's row of a unit on one machine."""
        row = (
            f'$1 == "{condition.unit}" && index($2, "{condition.machine}/") == 1'
            f' && $3 == "active" && $4 == "{sub}"'
        )
        ask = self._on("", shown_condition(condition))
        return f"{ask} | awk {word(row + ' { found = 1 } END { exit !found }')}"

    def _says(self, condition: CommandSays) -> str:
        ask = f"said=$({self._on(condition.host, shown_condition(condition))})"
        grep = as_grep(condition.pattern)
        if grep is None:
            return f'{{ {ask} && agreed "$said" {word(condition.pattern)}; }}'
        flags = "-Eqi" if grep.ignores_case else "-Eq"
        lines = "printf '%s\\n' \"$said\""
        if grep.whole:
            lines = "{ printf '%s' \"$said\" | tr '\\n' ' '; echo; }"
        look = f"{lines} | grep {flags} -e {word(grep.pattern)}"
        return f"{{ {ask} && {look}; }}"
