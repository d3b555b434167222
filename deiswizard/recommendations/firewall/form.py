"""How the hosts' firewall is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option
from deiswizard.recommendations.firewall.choices import PORT_FORM, READS_ETCD
from deiswizard.recommendations.provisioning import fields, on_cluster

ROUTERS, HOSTS = "routers", "hosts"
PARTS = (
    Option(
        ROUTERS,
        "the routers: attacks, and who may reach what",
        explain="Settings in etcd that the routers follow. The hosts' firewall stays as it is.",
        recommended=True,
    ),
    Option(
        HOSTS,
        "the hosts: which ports the world reaches",
        explain="Rules in the packet filter of every host. Without them etcd and Docker answer everyone "
        "who reaches a host, and whoever reaches Docker owns it. The routers' settings stay as they are.",
    ),
)
REFUSALS = (
    Option(
        "reject",
        "say no at once",
        explain="A reset or an ICMP word: whoever asks need not wait.",
        recommended=True,
    ),
    Option(
        "drop",
        "say nothing",
        explain="Whoever asks waits for nothing. Scans take longer; so does finding your own mistakes.",
    ),
)
ISOLATION = (
    Option(
        "none",
        "everything, as Deis has it",
        explain="etcd, Docker and all else of their host.",
        recommended=True,
    ),
    Option(
        "docker",
        "etcd, but not Docker or etcd's members",
        explain="Closes 2375, 2380 and 7001 of every host to containers. Nothing of Deis needs them from a "
        "container; a tool of yours that asks Docker over TCP from one breaks (one with its socket does not).",
    ),
    Option(
        "etcd",
        "neither etcd nor Docker",
        explain="Closes 2379 and 4001, too. What of Deis runs in containers reads etcd by the same way ("
        + ", ".join(READS_ETCD)
        + "), so it is refused while any of it runs: apps would answer 404 within 20 s.",
    ),
)


def only(part: str, fields: tuple[FormField, ...]) -> tuple[FormField, ...]:
    """The fields, shown only when that part is chosen."""

    def shown(
        before: Callable[[Snapshot, dict[str, Any]], bool] | None,
    ) -> Callable[[Snapshot, dict[str, Any]], bool]:
        return lambda snapshot, raw: (
            raw.get("part", ROUTERS) == part and (before is None or before(snapshot, raw))
        )

    return tuple(replace(field, shown=shown(field.shown)) for field in fields)


PART = FormField(
    "part",
    "What to set",
    "one",
    "One run sets one of the two; the other is left as it is.",
    options=lambda snapshot: PARTS,
)


def _is_on(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return bool(raw.get("host_firewall", True))


RULES = (
    FormField(
        "host_firewall",
        "Firewall on every host",
        "flag",
        "Rules of our own, first in the packet filter, for IPv4 and IPv6. The cluster's hosts reach each "
        "other; the world reaches ssh, the routers, and what you open here. Off: they are taken out.",
    ),
    FormField(
        "open_ports",
        "Open to the world",
        "list",
        "Besides ssh (22): 80 and 443 are the routers, 2222 is git push. A port of your own, perhaps for one "
        f"network only: {PORT_FORM}.",
        shown=_is_on,
        placeholder="80 443 2222",
    ),
    FormField(
        "ssh_from",
        "Who may log in over ssh",
        "list",
        "Addresses and networks; empty: everyone may try. Your own must be among them. A host that locks "
        "you out all the same takes the rules back by itself.",
        shown=_is_on,
        placeholder="everyone, or such as 198.51.100.0/24",
    ),
    FormField(
        "health_from",
        "Load balancer's addresses",
        "list",
        "From where the routers' health is asked at 9090. Closed to it, a load balancer that asks there "
        "takes every host for dead.",
        shown=_is_on,
        placeholder="none: 9090 is closed",
    ),
    FormField(
        "trusted_networks",
        "Reach every port",
        "list",
        "Such as a VPN or the machine that watches the cluster. Whoever is in there reaches Docker without a "
        "password.",
        shown=_is_on,
        placeholder="nobody",
    ),
    FormField(
        "new_hosts",
        "Hosts that may join",
        "list",
        "Addresses or the network of hosts to come. One that is not named cannot reach etcd here, and so "
        "never joins; look here again after every change of hosts.",
        shown=_is_on,
        placeholder="such as 10.21.2.0/24",
    ),
    FormField(
        "isolate",
        "Containers reach of their host",
        "one",
        options=lambda snapshot: ISOLATION,
        shown=_is_on,
    ),
    FormField("refuse", "How it refuses", "one", options=lambda snapshot: REFUSALS, shown=_is_on),
)
TRIAL = (
    FormField(
        "rollback_seconds",
        "Seconds for the proof",
        "number",
        "60 to 1800. A host takes the rules back by itself unless, within that time, a new login, etcd, "
        "fleet and its neighbours are proven to work.",
        shown=_is_on,
    ),
)
FIELDS = (*fields("hosts that get the firewall from their first start"), *RULES, *on_cluster(TRIAL))
