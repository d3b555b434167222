"""etcd's members in the runbook: the same question, by hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from deiswizard.cluster.etcd_host import RUNS_AS_MEMBER
from deiswizard.plan.etcd_stands import EtcdStands

On = Callable[[str, str], str]
"""The words that run a command on a host."""


def etcd_stands(condition: EtcdStands, on: On) -> str:
    """A command that ends with 0 when the condition holds."""
    return "{ " + " && ".join(_parts(condition, on)) + "; }"


def _parts(condition: EtcdStands, on: On) -> Iterator[str]:
    listed = len(condition.others) + (condition.change == "remove")
    listed += condition.change == "none" and condition.target is not None
    yield f"said=$({on('', 'etcdctl member list')})"
    yield f'[ "$(printf \'%s\\n\' "$said" | grep -c peerURLs=)" = {listed} ]'
    for peer in condition.others:
        url = shlex.quote(f"peerURLs={peer.peer_url}")
        yield f"printf '%s\\n' \"$said\" | grep -qwF {url}"
    for peer in condition.others:
        yield on(peer.host, RUNS_AS_MEMBER)
    if condition.is_gone and condition.target is not None:
        lives = (
            f"/^member {condition.target.id} is healthy/ {{ bad = 1 }} /^cluster is/ {{ n = 1 }}"
        )
        program = shlex.quote(f"{lives} END {{ exit bad || !n }}")
        yield f"{{ {on('', 'etcdctl cluster-health')} | awk {program}; }}"
    if condition.ready:
        yield on(condition.ready, "true")
