"""Which settings of a backup belong on a new cluster, and why the others do not (deis-facts 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deiswizard.wording import counted

NOT_RESTORED: tuple[tuple[str, str], ...] = (
    (r"/deis/store/", "Ceph makes its own: identity, keyrings, hosts, the gateway's keys"),
    (r"/deis/(services|domains|config|certs|builder/users|scheduler)(/|$)",
     "the controller publishes it again from the database"),
    (r"/deis/[^/]+/(host|port|protocol)$", "a component says itself where it runs"),
    (r"/deis/database/(initId|[^/]*[iI]nit[^/]*)$",
     "the database restores itself only where this is another one"),
    (r"/deis/(publisher|cache|logspout)(/|$)", "made anew when the component starts"),
    (r"/deis/registry/[^/]+/?.*(masterLock|lock)$", "a lock of a running component"),
    (r"/coreos\.com/network/subnets(/|$)", "a lease of a host of the old cluster"),
    (r"/coreos\.com/network/", "the new cluster's hosts are on this network already"),
    (r"/deis/platform/version$", "the release is the new cluster's"),
    (r"/deis/[^/]+/image$", "the image is the new cluster's release"),
)  # fmt: skip

EXTERNAL = re.compile(r"/deis/database/(host|port|protocol)$")
"""Of a database outside the cluster these are settings, not what a component says."""


PLACEHOLDER = "/deis/store/gateway"
"""A plain key only where there is no Ceph: the registry does not start without it (deis-facts 3)."""


def why_not(key: str, *, external_database: bool = False, is_stateless: bool = False) -> str:
    """Why a key of the backup is not written to a new cluster; empty: it is."""
    if is_stateless and key == PLACEHOLDER:
        return ""
    if external_database and EXTERNAL.search(key):
        return ""
    for pattern, why in NOT_RESTORED:
        if re.match(pattern, key):
            return why
    return ""


def left_out(whys: Mapping[str, str]) -> tuple[str, ...]:
    """How many keys are not written, for each reason; ``whys`` are the keys with theirs."""
    counts: dict[str, list[str]] = {}
    for key, why in whys.items():
        if why:
            counts.setdefault(why, []).append(key)
    return tuple(
        f"not written: {counted(len(keys), 'key')} such as {keys[0]}: {why}"
        for why, keys in counts.items()
    )
