"""What the pretend hosts answer about data: the database, wal-e, Ceph, the store volume."""

from __future__ import annotations

import functools
import io
import re
import tarfile
import time
from typing import TYPE_CHECKING

from deiswizard.demo import database
from deiswizard.demo.commands_ceph import CONTAINERS, ceph_exec, no_container
from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

DATABASE = "deis-database.service"
ROWS = 9000
RATE = 3_000_000
"""Bytes a second of a dump at speed 1."""

PIECE = 128 * 1024
WALE_HEADER = (
    "name\tlast_modified\texpanded_size_bytes\twal_segment_backup_start\t"
    "wal_segment_offset_backup_start\twal_segment_backup_stop\twal_segment_offset_backup_stop\n"
)


@functools.cache
def dump() -> bytes:
    """What pg_dumpall prints of a small cluster: some MB."""
    rows = "".join(
        f"{n}\tapp-{n % 97}\tuser-{n % 41}\t{n * 2654435761 % 2**64:016x}{n * 40503 % 2**64:016x}\n"
        * 8
        for n in range(1, ROWS)
    )
    return (
        "--\n-- PostgreSQL database cluster dump\n--\n\nSET default_transaction_read_only = off;\n\n"
        "CREATE ROLE deis;\nALTER ROLE deis WITH SUPERUSER LOGIN PASSWORD 'md5pretended';\n\n"
        "CREATE DATABASE deis WITH TEMPLATE = template0 OWNER = deis;\n\n\\connect deis\n\n"
        f"COPY api_config (id, app, owner, uuid) FROM stdin;\n{rows}\\.\n\n"
        "--\n-- PostgreSQL database dump complete\n--\n\n"
        "--\n-- PostgreSQL database cluster dump complete\n--\n\n"
    ).encode()


@functools.cache
def volume() -> bytes:
    """The applications' logs as a tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(24):
            line = f"2026-11-22T22:31:{number:02d}UTC app-{number}[web.1]: GET / 200\n"
            data = line.encode() * 700
            info = tarfile.TarInfo(f"store/logs/app-{number}.log")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def give(host: PretendHost, process: Process, data: bytes, rate: float = RATE) -> None:
    """Print bytes at the speed of the pretend cluster, until the reader has gone."""
    for at in range(0, len(data), PIECE):
        if process.gone.is_set():
            return
        piece = data[at : at + PIECE]
        process.out(piece.decode("utf-8", "surrogateescape"))
        process.sleep(len(piece) / rate)


def docker_exec(
    host: PretendHost, process: Process, container: str, words: list[str]
) -> int | None:
    """A command in a container; None: it is not one of these."""
    cluster = host.cluster
    if container in CONTAINERS and words[:1] == ["ceph"]:
        return ceph_exec(host, process, container, words[1:])
    if container != "deis-database":
        return None
    if host not in cluster.placement.get(DATABASE, []):
        return no_container(process, container)
    text = words[-1] if words else ""
    if words[:2] == ["sh", "-c"] and "PGPASSWORD" in text:
        return _psql_outside(host, process, text)
    if "pg_dump" in words:
        give(host, process, database.dump())
        return 0
    if "psql" in words and "query_to_xml" in text:
        for table, rows in sorted(database.TABLES.items()):
            process.out(f"{table}\t{database.content(rows)}\n")
        return 0
    if words[-1:] == ["pg_dumpall"]:
        give(host, process, cluster.database or dump())
        return 0
    if "wal-e" in words:
        process.out(WALE_HEADER + "".join(_base(n) for n in (3, 2, 1)))
        return 0
    if "psql" in words and "pg_database_size" in text:
        process.out(f"{len(cluster.database or dump())}\n")
        return 0
    if "psql" in words and "auth_user" in text:
        process.out(f"{cluster.scenario.admins}\n")
        return 0
    if "psql" in words and "-c" not in text:
        cluster.database = process.stdin
        return 0
    return None


def _psql_outside(host: PretendHost, process: Process, script: str) -> int:
    """``psql`` to a database beyond the cluster: the password, then what it is to do."""
    password, _, text = process.stdin.decode("utf-8", "replace").partition("\n")
    given = dict(re.findall(r"-([hpUd]) (\S+)", script))
    cluster = host.cluster
    if f"{given['h']}:{given['p']}" not in cluster.outside:
        process.err(f'psql: could not translate host name "{given["h"]}" to address\n')
        return 2
    if why := cluster.postgres.why_not(given["U"], password, given["d"]):
        process.err(f"psql: FATAL:  {why}\n")
        return 2
    if why := cluster.postgres.load(given["d"], text):
        process.err(f"psql:<stdin>:12: {why}\n")
        return 3
    return 0


def _base(hours: int) -> str:
    """A row of wal-e's backup-list."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - (4 - hours) * 3600))
    name = f"base_00000001000000000000000{hours}_00000040"
    return f"{name}\t{at}\t\t00000001000000000000000{hours}\t00000040\t\t\n"


def tar(host: PretendHost, process: Process) -> int:
    """``-cf -`` of the store volume, and ``-xf -`` into it."""
    words = process.args[1:]
    if "-cf" in words:
        give(host, process, volume())
        return 0
    if "-xf" in words:
        with tarfile.open(fileobj=io.BytesIO(process.stdin)) as found:
            for member in found.getmembers():
                data = found.extractfile(member)
                host.write_file(f"/var/lib/deis/{member.name}", data.read() if data else b"")
        return 0
    process.err("tar: You must specify one of the '-Acdtrux' options\n")
    return 2


def du(host: PretendHost, process: Process) -> int:
    """``-sb``."""
    process.out(f"{len(volume())}\t{process.args[-1]}\n")
    return 0


def grep(host: PretendHost, process: Process) -> int:
    """A pattern in a file or in standard input; -q says nothing, -c counts, -o shows what matched, -v what
    does not, -r looks into every file of folders, -x matches whole lines, -e comes before each of several
    patterns.
    """
    given = process.args[1:]
    at = {n + 1 for n, word in enumerate(given) if word == "-e"}
    named = ["|".join(f"(?:{given[n]})" for n in sorted(at))] if at else []
    others = [word for n, word in enumerate(given) if n not in at and n + 1 not in at]
    words = [*named, *(word for word in others if not word.startswith("-"))]
    flags = "".join(word for word in others if word.startswith("-"))
    if "r" in flags:
        return _grep_below(host, process, words[0], words[1:])
    if "x" in flags:
        words[0] = f"^(?:{words[0]})$"
    data = host.read_file(words[1]) if len(words) > 1 else process.stdin
    if data is None:
        process.err(f"grep: {words[1]}: No such file or directory\n")
        return 2
    lines = data.decode("utf-8", "replace").splitlines()
    if "v" in flags:
        left = [line for line in lines if not re.search(words[0], line)]
        process.out("".join(f"{line}\n" for line in left))
        return 0 if left else 1
    found = [match for line in lines if (match := re.search(words[0], line))]
    if "c" in flags:
        process.out(f"{len(found)}\n")
    elif "q" not in flags:
        process.out("".join(f"{m[0] if 'o' in flags else m.string}\n" for m in found))
    return 0 if found else 1


def _grep_below(host: PretendHost, process: Process, pattern: str, folders: list[str]) -> int:
    """``-r``: every line of every file in folders, after the file's name."""
    status = 1
    for folder in folders:
        for path in sorted(host.files()):
            if not path.startswith(f"{folder.rstrip('/')}/"):
                continue
            for line in (host.read_file(path) or b"").decode("utf-8", "replace").splitlines():
                if re.search(pattern, line):
                    process.out(f"{path}:{line}\n")
                    status = 0
    return status
