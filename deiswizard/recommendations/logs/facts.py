"""What is known of logging on a cluster: its keys, what logger says, the hosts' files and containers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deiswizard.cluster.snapshot import Answer, HostFacts, Question, Snapshot
from deiswizard.recommendations.logs.choices import STORAGE_KEY, LoggingChoices, storage_value
from deiswizard.recommendations.logs.drain import KEY, drain_digest
from deiswizard.recommendations.logs.marker import (
    HEARD_KEY,
    MARKER_KEY,
    PROVEN_KEY,
    Sent,
    heard_value,
    logger_host,
    parse_sent,
)
from deiswizard.recommendations.logs.units import AGENTS

LOGGER_SAYS, MOUNTS, ON_HOST, MARKERS = (
    "logging.logger",
    "logging.mounts",
    "logging.host",
    "logging.markers",
)
STORE = "/var/lib/deis/store"
"""What logger's ``/data`` is on its host; CephFS where the store-volume runs."""

FILES = tuple(agent.file for agent in AGENTS.values() if agent.file)

NO_TAG = "Could not find app name"
MUTED = "muting drain"
NOT_TAKEN = "Error creating new drain"
STORAGE_NOT_TAKEN = "Error creating new storage adapter"
TAKEN = "Activated new drain"
LOGGER_WORDS = (
    NO_TAG,
    MUTED,
    NOT_TAKEN,
    TAKEN,
    "Deactivated drain",
    STORAGE_NOT_TAKEN,
    "Activated new storage adapter: [a-z0-9:]+",
)
"""Nothing of what stands beside them is read: that may be the drain, or an app's line."""


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Ask logger's own words, the mount below it, each host's files, and the markers."""
    found = []
    if host := logger_host(snapshot):
        said = "|".join(LOGGER_WORDS)
        command = f"docker logs --tail 2000 deis-logger 2>&1 | grep -oE '{said}'"
        found.append(Question(id=LOGGER_SAYS, host=host.name, command=command))
        found.append(Question(id=MOUNTS, host=host.name, command="cat /proc/mounts"))
    files = " ".join(FILES)
    found += [
        Question(
            id=ON_HOST,
            host=host.name,
            command=f"docker ps --format 'container {{{{.Names}}}}'; sha256sum {files}; "
            f"stat -c '%a %n' {files}; true",
            sudo=True,
        )
        for host in snapshot.reachable_hosts
    ]
    if asker := next(iter(snapshot.reachable_hosts), None):
        keys = (MARKER_KEY, PROVEN_KEY, HEARD_KEY)
        ask = "; echo --; ".join(f"etcdctl get {key}" for key in keys) + "; true"
        found.append(Question(id=MARKERS, host=asker.name, command=ask))
    return tuple(found)


def drain_value(snapshot: Snapshot) -> str:
    """The drain's key; empty when it is absent or empty, which mean the same: off."""
    fact = snapshot.key(KEY)
    return fact.text if fact else ""


def storage_now(snapshot: Snapshot) -> str:
    """The storage adapter's key; absent means ``file``."""
    return snapshot.value(STORAGE_KEY) or "file"


def is_storage(value: str) -> bool:
    """Whether logger takes this adapter (else the old one stays)."""
    return value == "file" or bool(re.fullmatch(r"memory(:0*[1-9]\d*)?", value))


def logger_said(snapshot: Snapshot) -> tuple[str, ...]:
    """What logger has said since it started, as far as it is of interest, in order."""
    answer = snapshot.answer(LOGGER_SAYS)
    return tuple(answer.out.splitlines()) if answer is not None and answer.code is not None else ()


def is_stuck(snapshot: Snapshot) -> bool:
    """A line without an app's tag has ended what takes lines in (until logger restarts)."""
    return any(NO_TAG in line for line in logger_said(snapshot))


def has_cephfs(snapshot: Snapshot) -> bool | None:
    """Whether CephFS is mounted where logger keeps its files; None: not known."""
    answer = snapshot.answer(MOUNTS)
    if answer is None or answer.code != 0:
        return None
    mounts = [line.split() for line in answer.out.splitlines()]
    return any(m[1] == STORE and "ceph" in m[2] for m in mounts if len(m) > 2)


def keeps_lines(snapshot: Snapshot, choices: LoggingChoices) -> bool:
    """Whether a line can be looked for at logger: not without CephFS below its files."""
    wanted = storage_value(choices)
    adapter = storage_now(snapshot) if wanted == "keep" else wanted
    return logger_host(snapshot) is not None and not (
        adapter == "file" and has_cephfs(snapshot) is False
    )


@dataclass(frozen=True)
class OnHost:
    """What a host has: its containers, and checksum and mode of each key file that is there."""

    containers: tuple[str, ...] = ()
    checksums: tuple[tuple[str, str], ...] = ()
    modes: tuple[tuple[str, str], ...] = ()

    def checksum(self, path: str) -> str:
        """Empty: there is no such file."""
        return dict(self.checksums).get(path, "")


def on_host(snapshot: Snapshot, host: HostFacts) -> OnHost | None:
    """What is there; None: the host did not tell."""
    answer = snapshot.answer(ON_HOST, host.name)
    if answer is None or answer.code != 0:
        return None
    containers: list[str] = []
    checksums, modes = [], []
    for line in answer.out.splitlines():
        if line.startswith("container "):
            containers += [name.rpartition("/")[2] for name in line.split()[-1].split(",")]
        elif match := re.fullmatch(r"([0-9a-f]{64})\s+\*?(/\S+)", line):
            checksums.append((match[2], match[1]))
        elif match := re.fullmatch(r"([0-7]{3,4}) (/\S+)", line):
            modes.append((match[2], match[1]))
    return OnHost(tuple(containers), tuple(checksums), tuple(modes))


def hosts_without(snapshot: Snapshot, path: str) -> tuple[HostFacts, ...]:
    """Reachable hosts that have told, and have no such file."""
    told = ((host, on_host(snapshot, host)) for host in snapshot.reachable_hosts)
    return tuple(host for host, has in told if has is not None and not has.checksum(path))


def _notes(snapshot: Snapshot) -> tuple[str, str, str]:
    """The three keys of the proof, as they stand; empty where there is none."""
    answer: Answer | None = snapshot.answer(MARKERS)
    sent, proven, heard, *_ = [*(answer.out if answer else "").split("--\n"), "", "", ""]
    return sent.strip(), proven.strip(), heard.strip()


def sent_marker(snapshot: Snapshot, drain: str) -> Sent | None:
    """The last marker, if it was sent for this drain."""
    sent = parse_sent(_notes(snapshot)[0])
    return sent if sent is not None and sent.drain == drain_digest(drain) else None


def is_proven(snapshot: Snapshot, drain: str) -> bool:
    """A marker's word was told at this drain's other end."""
    proven = parse_sent(_notes(snapshot)[1])
    return proven is not None and proven.drain == drain_digest(drain)


def is_heard(snapshot: Snapshot, drain: str) -> bool:
    """When this drain was tried out, a marker reached a listener on a host."""
    return _notes(snapshot)[2] == heard_value(drain)
