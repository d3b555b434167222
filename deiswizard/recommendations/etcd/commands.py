"""The texts that make a host's etcd a member or a proxy, and the ones that ask whether it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from deiswizard.cluster.etcd_host import ETCD_SHUTDOWN, LOCAL, RUNS_AS_MEMBER, UNIT, EtcdHost
from deiswizard.cluster.snapshot import Member
from deiswizard.cluster.unit_files import environment_drop_in
from deiswizard.plan.etcd_stands import EtcdPeer

PORTS = (2379, 4001)
CHECK_KEY = "/deiswizard/etcd-check"
"""Written on every host for a minute, to see that it can be."""

DISABLE_GRACEFUL = f"systemctl disable {ETCD_SHUTDOWN}"
ENABLE_GRACEFUL = f"systemctl enable {ETCD_SHUTDOWN} && systemctl start --no-block {ETCD_SHUTDOWN}"
RELOAD = "systemctl daemon-reload"


def drop_in(**variables: str) -> str:
    """A drop-in of etcd2's unit."""
    return f"# Made by deiswizard (Isolating etcd).\n{environment_drop_in(variables)}"


def proxy_drop_in(cluster: Sequence[tuple[str, str]]) -> str:
    """A read-write proxy of these members (name and peer URL), whatever discovery would say."""
    return drop_in(ETCD_PROXY="on", ETCD_INITIAL_CLUSTER=_cluster(cluster), ETCD_DISCOVERY="")


def member_drop_in(name: str, cluster: Sequence[tuple[str, str]]) -> str:
    """A member that joins these, itself among them. Read only until it has joined."""
    return drop_in(
        ETCD_PROXY="off",
        ETCD_NAME=name,
        ETCD_INITIAL_CLUSTER=_cluster(cluster),
        ETCD_INITIAL_CLUSTER_STATE="existing",
        ETCD_DISCOVERY="",
    )


def _cluster(cluster: Sequence[tuple[str, str]]) -> str:
    return ",".join(f"{name}={url}" for name, url in cluster)


def aside(etcd: EtcdHost, stamp: str) -> str:
    """Where a host's data is moved to: beside its folder, or in it where that is a disk of its own."""
    name = f"before-{stamp}"
    return f"{etcd.data_dir}/{name}" if etcd.is_mount else f"{etcd.data_dir}-{name}"


def to_proxy(data: str, aside: str, *, forgets: bool = False) -> str:
    """Stop, move a member's data aside, start: one command, so that the host ends it alone.

    Run again it moves nothing more. What is there is never overwritten. ``forgets``: what a proxy knew is
    moved aside, too, so that it starts from its variables.
    """
    folder = shlex.quote(aside)
    moves = "; ".join(
        f"test ! -d {old} || mv -T --backup=numbered {old} {folder}/{name}"
        for name, old in ((name, shlex.quote(f"{data}/{name}")) for name in ("member", "proxy"))
        if name == "member" or forgets
    )
    return (
        f"set -e; systemctl stop {UNIT}; mkdir -p {folder}; {moves}; "
        f"{RELOAD}; systemctl start --no-block {UNIT}"
    )


def to_member(data: str, aside: str) -> str:
    """Stop, move what is there aside once, start with a clean folder; run again it moves nothing.

    A member that has joined must never lose its data, so a file tells that the move was made.
    """
    folder, done = shlex.quote(aside), shlex.quote(f"{aside}/moved-to-join")
    moves = "; ".join(
        f"test -e {done} || test ! -d {old} || mv -T --backup=numbered {old} {folder}/{name}"
        for name, old in ((name, shlex.quote(f"{data}/{name}")) for name in ("member", "proxy"))
    )
    return (
        f"set -e; systemctl stop {UNIT}; mkdir -p {folder}; {moves}; touch {done}; "
        f"{RELOAD}; systemctl start --no-block {UNIT}"
    )


def restart() -> str:
    """The unit with its new variables."""
    return f"{RELOAD} && systemctl restart --no-block {UNIT}"


def _reads_and_writes(machine: str) -> str:
    parts = []
    for port in PORTS:
        url = f"http://127.0.0.1:{port}/v2/keys{CHECK_KEY}/{machine}"
        word = f"check-{port}"
        parts.append(f"curl -sf -m 10 -X PUT -d value={word} -d ttl=60 {url} | grep -q {word}")
        parts.append(f"curl -sf -m 10 {url} | grep -q {word}")
    return " && ".join(parts)


def serves(machine: str) -> str:
    """The host reads and writes through its own two ports; prints ``serves``."""
    return f"{_reads_and_writes(machine)} && echo serves"


def serves_as_proxy(data: str, machine: str, members: Sequence[Member]) -> str:
    """By its data directory and its port it is a proxy of these, and reads and writes."""
    ask = f"curl -sf -m 3 {LOCAL}/v2/config/local/proxy"
    known = " && ".join(f"{ask} | grep -q {shlex.quote(url)}" for m in members for url in m.client_urls[:1])  # fmt: skip
    return (
        f"test -d {shlex.quote(f'{data}/proxy')} && test ! -d {shlex.quote(f'{data}/member')} && "
        f"{known or f'{ask} | grep -q http'} && {serves(machine)}"
    )


def serves_as_member(data: str, machine: str) -> str:
    """By its data directory and its port it is a healthy member, and reads and writes."""
    return (
        f"test -d {shlex.quote(f'{data}/member')} && test ! -d {shlex.quote(f'{data}/proxy')} && "
        f"{RUNS_AS_MEMBER} && {serves(machine)}"
    )


def backup_command(data: str, target: str) -> str:
    """The program's own copy of a member's data, on its host.

    etcdctl copies into no folder that has a copy in it, whole or not. So each try begins anew, and what
    has the name of the copy is whole.
    """
    part, whole = shlex.quote(f"{target}.part"), shlex.quote(target)
    return (
        f"set -e; rm -rf {part}; etcdctl backup --data-dir {shlex.quote(data)} --backup-dir {part}; "
        f"mv -T --backup=numbered {part} {whole}"
    )


def is_before(deadline: float) -> str:
    """By the host's clock it is not that late yet; prints ``fresh``."""
    return f'now=$(date +%s); test {round(deadline)} -ge "$now" && echo fresh'


def names_of(peers: Sequence[EtcdPeer], names: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Name and peer URL of each, by peer URL to name."""
    return tuple((names[peer.peer_url], peer.peer_url) for peer in peers)
