"""etcdctl, fleetctl and deisctl of a pretend host, with the exit codes that were recorded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypedDict

from deiswizard.cluster.probe_script import release_value
from deiswizard.cluster.unit_files import options_of
from deiswizard.demo.etcd_members import MembershipError
from deiswizard.demo.etcd_store import StoreError
from deiswizard.demo.shell import Process
from deiswizard.demo.starting import install, start, stop, uninstall

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost


class Compared(TypedDict, total=False):
    """What a key must still be."""

    prev_index: int


def image_name(host: PretendHost, path: str) -> str:
    """What Deis's get_image answers for ``/deis/<component>``."""
    store = host.cluster.store
    if host.has_etcdctl:
        if image := store.value(f"{path}/image"):
            return image
        if version := store.value("/deis/platform/version"):
            return f"{path.lstrip('/')}:{version}"
    text = (host.read_file("/etc/deis-release") or b"").decode()
    return f"{path.lstrip('/')}:{release_value(text, 'DEIS_RELEASE')}"


def etcdctl(host: PretendHost, process: Process) -> int:
    """get, set, mk, rm, ls, member list, cluster-health; a value may come from standard input."""
    words = [word for word in process.args[1:] if word != "--no-sync"]
    is_extended = words[:2] == ["-o", "extended"]
    words = words[2:] if is_extended else words
    words, options = _compared(words)
    if words[:1] in (["set"], ["mk"], ["update"]) and len(words) == 2 and process.stdin:
        words.append(process.stdin.decode("utf-8", "replace"))
    store = host.cluster.store
    if words[:1] == ["--version"]:
        process.out("etcdctl version 2.3.8\n")
        return 0
    if not host.has_etcdctl or not host.etcd.mode:
        process.err(
            "Error:  client: etcd cluster is unavailable or misconfigured\n"
            "error #0: dial tcp 127.0.0.1:2379: getsockopt: connection refused\n"
            "error #1: dial tcp 127.0.0.1:4001: getsockopt: connection refused\n\n"
        )
        return 4
    try:
        match words:
            case ["get", key]:
                node = store.get(key)["node"]
                if node.get("dir"):
                    process.err(f"{key}: is a directory\n")
                    return 1
                process.out(_extended(node, store.index) if is_extended else "")
                process.out(f"{node['value']}\n")
            case ["set" | "mk" | "update", key, value]:
                exist = {"mk": False, "update": True}.get(words[0])
                store.put(key, value, prev_exist=exist, **options)
                process.out(f"{value}\n")
            case ["rm", *flags, key]:
                body = store.delete(key, recursive="--recursive" in flags, **options)
                process.out(f"PrevNode.Value: {body['prevNode'].get('value', '')}\n")
            case ["ls", *flags]:
                path = next((word for word in flags if word.startswith("/")), "/")
                node = store.get(path, recursive="--recursive" in flags)["node"]
                _ls(node, process)
            case ["member", *rest]:
                return _member(host, process, rest)
            case ["backup", "--data-dir", source, "--backup-dir", target]:
                return _backup(host, process, source, target)
            case ["cluster-health"]:
                return _health(host, process)
            case _:
                process.out(f"No help topic for '{' '.join(words[:1])}'\n")
                return 3
    except StoreError as error:
        words_of = f"{error.code}: {error.body['message']} ({error.cause}) [{error.index}]"
        process.err(f"Error:  {words_of}\n")
        return 4
    return 0


def _compared(words: list[str]) -> tuple[list[str], Compared]:
    """Words without ``--swap-with-index N`` and ``--with-index N``, and what is to be compared."""
    for flag in ("--swap-with-index", "--with-index"):
        if flag in words:
            at = words.index(flag)
            return [*words[:at], *words[at + 2 :]], {"prev_index": int(words[at + 1])}
    return words, {}


def _extended(node: dict[str, Any], index: int) -> str:
    return (
        f"Key: {node['key']}\nCreated-Index: {node['createdIndex']}\n"
        f"Modified-Index: {node['modifiedIndex']}\nTTL: {node.get('ttl', 0)}\nIndex: {index}\n\n"
    )


def _ls(node: dict[str, object], process: Process) -> None:
    children = node.get("nodes") or []
    assert isinstance(children, list)
    for child in children:
        process.out(f"{child['key']}\n")
        _ls(child, process)


def _member(host: PretendHost, process: Process, words: list[str]) -> int:
    """list, add and remove."""
    etcd = host.cluster.etcd
    etcd.settle()
    leader = etcd.leader()
    try:
        match words:
            case ["list"]:
                for voter in etcd.members.listed():
                    is_new = not voter.name
                    names = "" if is_new else f"name={voter.name} "
                    leads = "true" if voter is leader else "false"
                    end = "" if is_new else f" clientURLs={voter.client_url} isLeader={leads}"
                    mark = "[unstarted]" if is_new else ""
                    process.out(f"{voter.id}{mark}: {names}peerURLs={voter.peer_url}{end}\n")
            case ["add", name, url]:
                voter = etcd.add(url)
                process.out(f"Added member named {name} with ID {voter.id} to cluster\n")
            case ["remove", name]:
                etcd.remove(name)
                process.out(f"Removed member {name} from cluster\n")
            case _:
                process.err("etcdctl: unknown member command\n")
                return 3
    except MembershipError as error:
        process.err(f"{error.message}\n")
        return 1
    return 0


def _backup(host: PretendHost, process: Process, source: str, target: str) -> int:
    """A member's files copied; never into a folder that has been copied to."""
    if host.below(f"{target}/member/wal"):
        process.err("file already exists\n")
        return 1
    files = host.below(f"{source}/member")
    if not files:
        process.err(f"open {source}/member/snap: no such file or directory\n")
        return 1
    for path in files:
        host.write_file(target + path.removeprefix(source), host.read_file(path) or b"")
    return 0


def _health(host: PretendHost, process: Process) -> int:
    """Exit status 0 as long as any one member is healthy. A proxy answers in a dead voter's place."""
    cluster = host.cluster
    cluster.etcd.settle()
    bad = 0
    voters = cluster.etcd.members.listed()
    for voter in voters:
        if not voter.client_url:
            bad += 1
            process.out(f"member {voter.id} is unreachable: no available published client urls\n")
            continue
        there = next((one for one in cluster.hosts if one.client_url == voter.client_url), None)
        if there is not None and not there.is_down and there.etcd.mode:
            url = voter.client_url
            process.out(f"member {voter.id} is healthy: got healthy result from {url}\n")
        else:
            bad += 1
            urls = f"[{voter.client_url}]"
            process.out(f"member {voter.id} is unreachable: {urls} are all unreachable\n")
    is_healthy = cluster.etcd.members.has_quorum
    process.out(f"cluster is {'healthy' if is_healthy else 'unhealthy'}\n")
    return 0 if bad < len(voters) else 5


def fleetctl(host: PretendHost, process: Process) -> int:
    """Lists, with and without the legend; start, stop, destroy and cat of one unit."""
    words = process.args[1:]
    cluster = host.cluster
    if words[:1] == ["--version"]:
        process.out("fleetctl version 0.11.7\n")
        return 0
    has_legend = "--no-legend" not in words and "-no-legend" not in words
    if words[:1] == ["list-machines"]:
        is_long = "-l" in words or "--full" in words
        process.out("MACHINE\t\tIP\t\tMETADATA\n" if has_legend else "")
        for machine in cluster.hosts:
            name = machine.machine_id if is_long else f"{machine.machine_id[:8]}..."
            metadata = ",".join(f"{k}={v}" for k, v in sorted(machine.metadata.items()))
            process.out(f"{name}\t{machine.address}\t{metadata}\n")
        return 0
    if words[:1] == ["list-units"]:
        process.out("UNIT\t\t\tMACHINE\t\t\t\tACTIVE\tSUB\n" if has_legend else "")
        addresses = {machine.machine_id: machine.address for machine in cluster.hosts}
        for row in cluster.fleet.states():
            name = row["machineID"] if "--full" in words else f"{row['machineID'][:8]}..."
            where = f"{name}/{addresses[row['machineID']]}"
            how = f"{row['systemdActiveState']}\t{row['systemdSubState']}"
            process.out(f"{row['name']}\t{where}\t{how}\n")
        return 0
    words = [word for word in words if not word.startswith("--no-block")]
    if words[:1] in (["start"], ["stop"], ["destroy"], ["cat"]) and len(words) == 2:
        return _fleetctl_unit(host, process, *words)
    process.err(f"fleetctl: unknown subcommand: {' '.join(words[:1])!r}\n")
    return 2


def _fleetctl_unit(host: PretendHost, process: Process, verb: str, path: str) -> int:
    """A unit by its name, or by the path of a file of that name."""
    fleet, name = host.cluster.fleet, path.rpartition("/")[2]
    file = fleet.file(name)
    if verb == "start":
        local = host.read_file(path)
        if file is None and local is None:
            process.err(
                f"Error creating units: unable to find Unit({name}) in Registry or on filesystem\n"
            )
            return 1
        if file is None:
            fleet.submit(name, list(options_of((local or b"").decode())), "launched")
        else:
            fleet.aim(name, "launched")
        process.out(f"Triggered global unit {name} start\n")
        return 0
    if file is None:
        process.err(f"Unit {name} not found\n" if verb == "cat" else "")
        return 1 if verb == "cat" else 0
    if verb == "cat":
        process.out(file)
    elif verb == "stop":
        fleet.aim(name, "loaded")
        process.out(f"Triggered unit {name} stop\n")
    else:
        fleet.destroy(name)
        process.out(f"Destroyed {name}\n")
    return 0


def deisctl(host: PretendHost, process: Process) -> int:
    """list, machines, config, install, uninstall, start and stop, traps included: exit status 0 proves nothing."""
    words = process.args[1:]
    cluster, store = host.cluster, host.cluster.store
    match words:
        case ["--version"]:
            process.out("1.13.4\n")
            return 0
        case ["list"]:
            process.out("UNIT\t\t\tMACHINE\t\t\tLOAD\tACTIVE\tSUB\n")
            for unit, hosts in sorted(cluster.placement.items()):
                for machine in hosts:
                    where = f"{machine.machine_id[:8]}.../{machine.address}"
                    process.out(f"{unit}\t{where}\tloaded\tactive\trunning\n")
            return 0
        case ["machines"]:
            process.out("MACHINE\t\tIP\t\tMETADATA\n")
            for machine in cluster.hosts:
                process.out(f"{machine.machine_id[:8]}...\t{machine.address}\t-\n")
            return 0
        case ["install", name]:
            return install(host, process, name)
        case ["install", name, size] if size.startswith("--router-mesh-size="):
            return install(host, process, name, routers=int(size.partition("=")[2]))
        case ["start", name]:
            return start(host, process, name)
        case ["stop", name]:
            return stop(host, process, name)
        case ["uninstall", name]:
            return uninstall(host, process, name)
        case ["config", target, "set", *pairs] if pairs:
            for pair in pairs:
                # The real pattern is greedy: it splits at the last "=" with a character after it.
                match = re.fullmatch(r"([^\s]+)=(.+)", pair, re.DOTALL)
                if not match:
                    process.out(f"Error: invalid value for key '{pair}'\n")
                    return 1
                store.put(f"/deis/{target}/{match[1]}", match[2])
                process.out(f"{match[2]}\n")
            return 0
        case ["config", target, "get" | "rm", *keys] if keys:
            try:
                for key in keys:
                    path = f"/deis/{target}/{key}"
                    if words[2] == "rm":
                        store.delete(path)
                    else:
                        process.out(f"{store.get(path)['node'].get('value', '')}\n")
            except StoreError as error:
                words_of = f"{error.body['message']} ({error.cause}) [{error.index}]"
                process.out(f"Error: {error.code}: {words_of}\n")
                return 1
            return 0
    process.out(f"Error: no such command '{' '.join(words[:1])}'\n")
    return 1
