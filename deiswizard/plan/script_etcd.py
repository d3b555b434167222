"""etcd's members in the runbook: the same question, by hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from deiswizard.cluster.etcd_host import LOCAL
from deiswizard.plan.etcd_stands import EtcdStands

On = Callable[[str, str], str]
"""The words that run a command on a host."""

IS_MEMBER = (
    f"curl -s -m 3 -o /dev/null -w '%{{http_code}}' {LOCAL}/v2/config/local/proxy | grep -q 404"
    f" && curl -s -m 3 {LOCAL}/health | grep -q true"
)
"""True on a host that runs a healthy member itself: through a proxy, the first would be 200."""


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
        yield on(peer.host, IS_MEMBER)
    if condition.ready:
        yield on(condition.ready, "true")
