"""Conditions about who reaches whom: logins, ports, and whether the cluster still holds together."""

from __future__ import annotations

import shlex
from typing import Literal

from deiswizard.cluster.port_tries import shown_tries
from deiswizard.frozen import Frozen


class ReachCondition(Frozen):
    """Base of the conditions here."""


class FreshLogin(ReachCondition):
    """A new connection to a host, beside the one in use, can be made and logged in on."""

    kind: Literal["fresh-login"] = "fresh-login"
    host: str


class PortsTake(ReachCondition):
    """Ports, as address and number, all take a connection from each host, or (``open`` False) none does.

    An empty name in ``hosts`` is the operator's machine; where that does not reach the hosts itself,
    there is nothing to be seen from it, and the condition holds.
    """

    kind: Literal["ports-take"] = "ports-take"
    hosts: tuple[str, ...]
    places: tuple[tuple[str, int], ...]
    open: bool = True


class ClusterWhole(ReachCondition):
    """Every etcd member is healthy, ``members`` of them, and fleet sees each of these machines; of others only
    those that are ``known``, if any are.
    """

    kind: Literal["cluster-whole"] = "cluster-whole"
    members: int
    machines: tuple[str, ...]
    known: tuple[str, ...] = ()


AnyReach = FreshLogin | PortsTake | ClusterWhole


def shown_reach(condition: AnyReach) -> str:
    """The command that asks what a condition asks."""
    match condition:
        case FreshLogin():
            return f"ssh core@{shlex.quote(condition.host)} true    # a new connection"
        case PortsTake():
            where = ", ".join(host or "this machine" for host in condition.hosts)
            return f"{shown_tries(condition.places)}    # on {where}"
        case ClusterWhole():
            return "etcdctl cluster-health; fleetctl list-machines --no-legend -l"
