"""How an operator's own ssh reaches the hosts of a cluster, for the runbook."""

from __future__ import annotations

import re

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.frozen import Frozen
from deiswizard.inventory import Target

PLAIN_WORD = re.compile(r"[\w@%+=:,./-]+")
"""What stays one word in a variable that the shell splits at spaces."""


class Reach(Frozen):
    """How to log in by hand.

    ``entry`` is what the first host is dialled as (``core@10.21.2.11``), ``entry_name`` its name in
    the snapshot. ``hosts`` maps names to ``user@address``. ``through_entry``: the others are reached
    through the first host. ``options`` are words for every ssh; ``notes`` say what they lack.
    """

    entry: str
    entry_name: str = ""
    port: int = 22
    jumps: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    through_entry: bool = False
    options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def reach_of(target: Target, snapshot: Snapshot, *, entry_name: str, dialled: str) -> Reach:
    """The same way that the connection took (``cluster/connection.py``).

    ``dialled`` is the address at which the first host answered.
    """
    pairs = [("-i", str(path)) for path in target.identities]
    if target.identities_only or not target.use_agent:
        pairs.append(("-o", "IdentitiesOnly=yes"))
    if target.ssh_config is not None:
        pairs.append(("-F", str(target.ssh_config)))
    pairs += [("-o", f"UserKnownHostsFile={path}") for path in target.explicit_known_hosts[:1]]
    words = [word for pair in pairs if PLAIN_WORD.fullmatch(pair[1]) for word in pair]
    left_out = [pair for pair in pairs if not PLAIN_WORD.fullmatch(pair[1])]
    addresses = {host.address for host in snapshot.hosts}
    return Reach(
        entry=f"{target.user}@{target.host}",
        entry_name=entry_name,
        port=target.port,
        jumps=",".join(f"{jump.user}@{_bracketed(jump.host)}:{jump.port}" for jump in target.jumps),
        hosts=tuple((host.name, f"{target.user}@{host.address}") for host in snapshot.hosts),
        through_entry=bool(target.jumps) or dialled not in addresses,
        options=tuple(words),
        notes=tuple(f"left out, because of the spaces: {flag} '{word}'" for flag, word in left_out),
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
