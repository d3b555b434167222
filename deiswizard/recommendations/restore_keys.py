"""Which settings of a backup belong on a new cluster, and why the others do not (deis-facts 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def why_not(key: str, *, external_database: bool = False) -> str:
    """Why a key of the backup is not written to a new cluster; empty: it is."""
    if external_database and EXTERNAL.search(key):
        return ""
    for pattern, why in NOT_RESTORED:
        if re.match(pattern, key):
            return why
    return ""


def chosen_keys(values: Mapping[str, str], *, external_database: bool = False) -> tuple[str, ...]:
    """The keys to write, in their order."""
    return tuple(k for k in values if not why_not(k, external_database=external_database))


def left_out(values: Mapping[str, str], *, external_database: bool = False) -> tuple[str, ...]:
    """How many are not written, for each reason."""
    counts: dict[str, list[str]] = {}
    for key in values:
        if why := why_not(key, external_database=external_database):
            counts.setdefault(why, []).append(key)
    return tuple(
        f"{len(keys)} keys such as {keys[0]} are not written: {why}" for why, keys in counts.items()
    )
