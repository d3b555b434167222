"""What may be chosen for the hosts' firewall: nobody is to lock out the operator, a host, or a load balancer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from deiswizard.cluster.snapshot import HostFacts, Snapshot
from deiswizard.recommendations.firewall import facts
from deiswizard.recommendations.firewall.rules import (
    HEALTH,
    PUBLIC,
    OpenPort,
    Ruleset,
    networks_of,
)
from deiswizard.recommendations.provisioning import ProvisioningChoices

PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp))?(?:@(.+))?")
PORT_FORM = "80, 53/udp, or 8443@198.51.100.0/24"
READS_ETCD = (
    "builder", "controller", "database", "logger", "logspout", "publisher", "registry", "router",
)  # fmt: skip
"""Components in containers that read etcd at port 4001 of their host, through docker0."""


class FirewallChoices(ProvisioningChoices):
    """The part of Security that is about the hosts. ``host_firewall`` False: ours is taken out.

    ``open_ports`` are ``PORT[/udp][@NETWORK]``; ``ssh_from`` empty: everyone may try to log in.
    ``rollback_seconds``: after that a host takes rules back that were not proven.
    """

    host_firewall: bool = True
    open_ports: tuple[str, ...] = tuple(str(port) for port in PUBLIC if port != 22)
    ssh_from: tuple[str, ...] = ()
    health_from: tuple[str, ...] = ()
    trusted_networks: tuple[str, ...] = ()
    new_hosts: tuple[str, ...] = ()
    isolate: Literal["none", "docker", "etcd"] = "none"
    refuse: Literal["reject", "drop"] = "reject"
    rollback_seconds: int = Field(default=180, ge=60, le=1800)


KEPT_FIELDS = (
    "open_ports",
    "ssh_from",
    "health_from",
    "trusted_networks",
    "new_hosts",
    "isolate",
    "refuse",
)
"""The choices that the rules are made from; they are kept beside them on the hosts."""


def kept(choices: FirewallChoices) -> dict[str, object]:
    """Those choices as they are kept."""
    return choices.model_dump(mode="json", include=set(KEPT_FIELDS))


def network_of(text: str) -> str | None:
    """An address or network of either family, whole; None: it is neither."""
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError:
        return None


def open_port(text: str) -> OpenPort | None:
    """``PORT[/udp][@NETWORK]``; None: it is no such thing."""
    match = PORT.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 65535:
        return None
    source = ""
    if match[3]:
        found = network_of(match[3])
        if found is None:
            return None
        source = found
    return OpenPort(port=int(match[1]), protocol=match[2] or "tcp", source=source)


def host_addresses(snapshot: Snapshot) -> tuple[str, ...]:
    """Of every machine that fleet knows, sorted, so that the order of a list changes no rule."""
    return tuple(sorted({host.address for host in snapshot.hosts if facts.is_ip(host.address)}))


def ruleset(snapshot: Snapshot, choices: FirewallChoices) -> Ruleset:
    """The rules of every host. The choices are right: ``check_choices`` has seen them."""
    ssh = [OpenPort(port=22, source=network) for network in networks_of(choices.ssh_from)]
    health = [OpenPort(port=HEALTH, source=one) for one in networks_of(choices.health_from)]
    own = [found for text in choices.open_ports if (found := open_port(text)) is not None]
    return Ruleset(
        hosts=networks_of((*host_addresses(snapshot), *choices.new_hosts)),
        containers=facts.flannel_network(snapshot),
        trusted=networks_of(choices.trusted_networks),
        ports=(*(ssh or [OpenPort(port=22)]), *own, *health),
        isolate=choices.isolate,
        refuse=choices.refuse,
    )


def is_let_in(rules: Ruleset, address: str, port: int = 22) -> bool:
    """Whether the rules let an address in to a port."""
    ports = [one.source for one in rules.ports if one.port == port]
    return "" in ports or is_in(address, (*rules.hosts, *rules.trusted, *ports))


def is_insider(rules: Ruleset, address: str) -> bool:
    """Whether every port is open to an address."""
    return is_in(address, (*rules.hosts, *rules.trusted))


def is_in(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is in one of the networks."""
    own = ipaddress.ip_address(address)
    return any(own in ipaddress.ip_network(network) for network in networks if network)


def defaults(snapshot: Snapshot) -> dict[str, object]:
    """As the rules that are kept on the hosts were made; else what the world must reach."""
    found = facts.kept_choices(snapshot)
    try:
        return FirewallChoices.model_validate(
            {name: value for name, value in found.items() if name in KEPT_FIELDS}
        ).model_dump()
    except ValueError:
        return FirewallChoices().model_dump()


def ssh_sources(snapshot: Snapshot) -> tuple[str, ...]:
    """From where the wizard's own connections come, as hosts say ($SSH_CONNECTION), their own left out.

    A host that is reached through another one sees that one.
    """
    inside = {host.address for host in snapshot.hosts}
    firsts = (
        next(iter(answer.out.split()), "")
        for answer in snapshot.answers
        if answer.id == facts.OPERATOR
    )
    return tuple(
        dict.fromkeys(
            address
            for address in firsts
            if facts.is_ip(address)
            and address not in inside
            and not ipaddress.ip_address(address).is_loopback
        )
    )


def entry_host(snapshot: Snapshot) -> HostFacts | None:
    """The host that the wizard logged in to first: it comes last."""
    via = snapshot.via.rpartition("@")[2]
    found = next(
        (host for host in snapshot.hosts if via in (host.address, f"{host.address}:22")), None
    )
    if found is None:
        outside = ssh_sources(snapshot)
        names = [
            answer.host
            for answer in snapshot.answers
            if answer.id == facts.OPERATOR and answer.out.split()[:1] in [[s] for s in outside]
        ]
        found = next((host for host in snapshot.hosts if host.name in names), None)
    return found or next(iter(snapshot.hosts), None)
