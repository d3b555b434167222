"""Snapshots of the hosts' packet filters: what the probe would have found on a cluster of three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deiswizard.cluster.probe_script import new_marker, script
from deiswizard.cluster.snapshot import Answer, HostFacts, Member, Snapshot
from deiswizard.recommendations.firewall import facts, files
from deiswizard.recommendations.firewall.choices import FirewallChoices, kept, ruleset
from deiswizard.recommendations.firewall.rules import (
    FORWARD,
    INPUT,
    JUMPS,
    Ruleset,
    chain_lines,
    restore_text,
)
from deiswizard.recommendations.security.facts import SecurityChoices

HOSTS = ("10.21.2.11", "10.21.2.12", "10.21.2.13")
FLANNEL = '{"Network": "10.244.0.0/16"}'
DOCKERS = (
    "-A FORWARD -o docker0 -j DOCKER",
    "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
    "-A FORWARD -i docker0 -o docker0 -j ACCEPT",
    "-A DOCKER -d 10.244.3.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 5000 -j ACCEPT",
    "-A DOCKER -d 10.244.3.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
)
NAT = """-P PREROUTING ACCEPT
-N DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 5000 -j DNAT --to-destination 10.244.3.2:5000
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.3.3:80
"""
POLICIES = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
LISTENS = "LISTEN 0 128 *:22 *:*\nLISTEN 0 128 *:2375 *:*\nLISTEN 0 128 :::4001 :::*\n"
CONTRIBUTED = """-P INPUT DROP
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N Firewall-INPUT
-A INPUT -j Firewall-INPUT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -j Firewall-INPUT
-A DOCKER -d 10.244.3.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 5000 -j ACCEPT
-A Firewall-INPUT -i lo -j ACCEPT
-A Firewall-INPUT -p icmp -j ACCEPT
-A Firewall-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A Firewall-INPUT -s 10.21.2.11/32 -j ACCEPT
-A Firewall-INPUT -s 10.21.2.12/32 -j ACCEPT
-A Firewall-INPUT -s 10.21.2.13/32 -j ACCEPT
-A Firewall-INPUT -i docker0 -j ACCEPT
-A Firewall-INPUT -p tcp -m conntrack --ctstate NEW -m multiport --dports 22,2222,80,443 -j ACCEPT
-A Firewall-INPUT -j LOG
-A Firewall-INPUT -j REJECT --reject-with icmp-port-unreachable
"""
"""What contrib/util/custom-firewall.sh leaves, once Docker has started (deis-facts 5a)."""


def rules(**more: Any) -> Ruleset:
    """Of a cluster of three, with what is open by default."""
    from tests.builders import host, snapshot

    now = snapshot(host(1), host(2), host(3)).model_copy(update={"answers": (flannel(),)})
    return ruleset(now, FirewallChoices.model_validate(more))


def flannel(code: int | None = 0) -> Answer:
    return Answer(id=facts.FLANNEL, host="deis-1", command="etcdctl get", code=code, out=FLANNEL)


def bare(family: int = 4) -> str:
    """``iptables -S`` of a host with Docker and nothing else."""
    return POLICIES + ("-N DOCKER\n" + "\n".join(DOCKERS) + "\n" if family == 4 else "")


def with_ours(lines: Sequence[str], family: int = 4, *, first: bool = True) -> str:
    """The same with our chains, first or after Docker's rules."""
    jumps = [f"-A {chain} -j {ours}" for chain, ours in JUMPS]
    body = bare(family).splitlines()
    heads = [line for line in body if not line.startswith("-A")]
    others = [line for line in body if line.startswith("-A")]
    order = [*jumps, *others] if first else [*others, *jumps]
    return "\n".join([*heads, f"-N {FORWARD}", f"-N {INPUT}", *order, *lines]) + "\n"


def told(
    host: str,
    v4: str,
    *,
    v6: str | None = None,
    nat: str = NAT,
    kept4: str = "",
    kept6: str = "",
    enabled: bool = False,
    taken_back: str = "",
    restored_at_boot: bool = False,
    **more: str,
) -> Answer:
    """A host's answer to the one question; ``more`` by section."""
    parts: dict[str, str] = {
        "v4": v4,
        "nat": nat,
        "v6": bare(6) if v6 is None else v6,
        "inet6": "fe80000 eth0",
        "listens": LISTENS,
        "talks": "",
        "now4": kept4,
        "now6": kept6,
        "sums": "",
        "enabled": "enabled" if enabled else "disabled",
        "enabled-docker": "enabled" if enabled else "disabled",
        "enabled-restore": "enabled" if restored_at_boot else "disabled",
        "armed": "inactive",
        "taken-back": taken_back,
        **more,
    }
    marker = new_marker()
    out = "".join(f"{marker} {name}\n{text}\n" for name, text in parts.items())
    asked = script(marker, facts.SECTIONS)
    return Answer(id=facts.FACTS, host=host, command=asked, code=0, out=out)


def bare_answers() -> tuple[Answer, ...]:
    """No firewall on any of three hosts."""
    return (flannel(), *(told(f"deis-{n}", bare()) for n in (1, 2, 3)))


def closed(host: str, choices: FirewallChoices | None = None, **more: Any) -> Answer:
    """A host with the firewall as it is put in."""
    chosen = choices or FirewallChoices()
    made = rules(**chosen.model_dump(include=set(FirewallChoices.model_fields)))
    texts = {family: restore_text(made, family, kept(chosen)) for family in (4, 6)}
    paths = (*files.files((4, 6)), files.rules_path("now", 4), files.rules_path("now", 6))
    fields: dict[str, Any] = {
        "v4": with_ours(chain_lines(made, 4)),
        "v6": with_ours(chain_lines(made, 6), 6),
        "kept4": texts[4].rstrip("\n"),
        "kept6": texts[6].rstrip("\n"),
        "enabled": True,
        "sums": "".join(f"{'a' * 64}  {path}\n" for path in paths),
        **more,
    }
    return told(host, **fields)


def closed_answers() -> tuple[Answer, ...]:
    """The firewall on all three."""
    return (flannel(), *(closed(f"deis-{n}") for n in (1, 2, 3)))


def members(hosts: Sequence[HostFacts]) -> tuple[Member, ...]:
    """As etcd tells them."""
    return tuple(
        Member(
            id=f"{n:016x}",
            name=host.machine_id,
            healthy=True,
            peer_urls=(f"http://{host.address}:2380",),
            client_urls=(f"http://{host.address}:2379", f"http://{host.address}:4001"),
        )
        for n, host in enumerate(hosts)
    )


def replaced(now: Snapshot, answers: Mapping[str, Answer]) -> Snapshot:
    """The same snapshot with other answers about some hosts' filters."""
    kept_answers = [a for a in now.answers if not (a.id == facts.FACTS and a.host in answers)]
    return now.model_copy(update={"answers": (*kept_answers, *answers.values())})


def choose(**more: Any) -> SecurityChoices:
    return SecurityChoices.model_validate({"part": "hosts", **more})
