"""How a host's fleetd gets its metadata: the service, its variables, its drop-ins (deis-facts 1)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from deiswizard.cluster.etcd_host import parse_environment
from deiswizard.cluster.snapshot import HostFacts, Question, Snapshot
from deiswizard.cluster.unit_files import environment_drop_in
from deiswizard.userdata.metadata import pairs, with_planes

FLEETD, DROP_IN = "planes.fleetd", "50-deiswizard.conf"
UNIT = "fleet.service"
FOLDER = f"/etc/systemd/system/{UNIT}.d"
PATH = f"{FOLDER}/{DROP_IN}"

VARIABLE = "FLEET_METADATA"
ASK = (
    f"systemctl show {UNIT} -p Environment -p EnvironmentFiles -p Restart -p RestartUSec "
    f"-p ActiveState && systemctl cat {UNIT}; sha256sum {PATH} 2>/dev/null; true"
)
LEASE_SECONDS = 20.0
"""fleet's other machines take a fleetd for dead 30 s after its last news, which come every 15 s. What is back in
20 s is safely back, when it was killed right after it gave news (``NEWS``).
"""

NEWS = ("TTL: 2[5-9]", "TTL: [3-9][0-9]", "TTL: 0")
"""What ``etcdctl -o extended`` says of a machine's key after news of it; 0: it is believed for ever."""
NEWS_SECONDS = 20
"""How long news may be waited for: more than the 15 s between two."""

SPAN = re.compile(r"(?:(\d+)min)?\s*(?:([\d.]+)s)?\s*(?:(\d+)ms)?")
FILE_HEADER = re.compile(r"# (/\S+)")


@dataclass(frozen=True)
class Fleetd:
    """One host's fleetd. ``metadata`` is its variable as systemd has it, with all that it holds.

    ``restarts`` is ``Restart=``; ``pause`` RestartSec in seconds, None: not understood.
    ``setters`` are the files that set the variable, by which the last by name wins;
    ``checksum`` of the wizard's own drop-in, empty: there is none.
    """

    metadata: str
    restarts: str
    pause: float | None
    setters: tuple[str, ...]
    from_file: bool
    checksum: str
    is_active: bool

    @property
    def comes_back(self) -> bool:
        """Systemd starts it again soon enough after it was killed that nobody misses it."""
        is_soon = self.pause is not None and self.pause <= LEASE_SECONDS - 5.0
        return self.restarts == "always" and is_soon

    @property
    def beaten_by(self) -> str:
        """A file whose setting would win over the wizard's drop-in; empty: none."""
        later = [path for path in self.setters if path.rpartition("/")[2] > DROP_IN]
        return later[-1] if later else ""


def await_news(machine_id: str) -> str:
    """A command that ends when fleetd has just told the others that this machine is there, or after some time."""
    key = f"/_coreos.com/fleet/machines/{machine_id}/object"
    fresh = " ".join(f"-e '{words}'" for words in NEWS)
    return (
        f"for second in {' '.join(map(str, range(1, NEWS_SECONDS + 1)))}; do "
        f"etcdctl -o extended get {key} | grep -q -x {fresh} && break || sleep 1; done"
    )


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """One for each host."""
    return tuple(Question(id=FLEETD, host=h.name, command=ASK) for h in snapshot.reachable_hosts)


def fleetd_of(snapshot: Snapshot, host: HostFacts) -> Fleetd | None:
    """What the host answered; None: it did not."""
    answer = snapshot.answer(FLEETD, host.name)
    if answer is None or answer.code != 0:
        return None
    head, _, files = answer.out.partition("\n# ")
    shown = dict(line.partition("=")[::2] for line in head.splitlines() if "=" in line)
    if "Restart" not in shown:
        return None
    last = answer.out.rstrip().rpartition("\n")[2]
    checksum = re.fullmatch(rf"([0-9a-f]{{64}})\s+{re.escape(PATH)}", last)
    return Fleetd(
        metadata=variable_in(shown.get("Environment", ""), names=_names(files)),
        restarts=shown.get("Restart", ""),
        pause=seconds_in(shown.get("RestartUSec", "")),
        setters=_setters(f"# {files}"),
        from_file=bool(shown.get("EnvironmentFiles", "").strip()),
        checksum=checksum[1] if checksum else "",
        is_active=shown.get("ActiveState") == "active",
    )


def variable_in(environment: str, name: str = VARIABLE, names: Collection[str] = ()) -> str:
    """A variable of ``systemctl show``'s Environment.

    systemd 229 prints values with spaces as they are, later ones put the whole in quotes. Without quotes a
    value ends where one of ``names`` begins: ``ZONE=eu`` may be a part of it. None known: at any name.
    """
    try:
        words = shlex.split(environment) if '"' in environment else []
    except ValueError:
        words = []
    either = "|".join(map(re.escape, names)) or "[A-Z][A-Z0-9_]*"
    words = words or re.split(rf"\s+(?=(?:{either})=)", environment.strip())
    return next((word[len(name) + 1 :] for word in words if word.startswith(f"{name}=")), "")


def _names(files: str) -> tuple[str, ...]:
    """Of ``systemctl cat``: the variables that the unit's own files set."""
    found = dict[str, None]()
    for line in files.replace("\\\n", " ").splitlines():
        if not line.startswith("Environment="):
            continue
        found |= dict.fromkeys(parse_environment(line.removeprefix("Environment=")))
    return tuple(found)


def seconds_in(span: str) -> float | None:
    """``10s``, ``1min 30s``, ``100ms`` in seconds."""
    match = SPAN.fullmatch(span.strip())
    if match is None or not span.strip():
        return None
    minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return minutes * 60 + seconds + milliseconds / 1000


def _setters(files: str) -> tuple[str, ...]:
    """Of ``systemctl cat``: the drop-ins that set the variable, in the order in which they count."""
    path, found = "", dict[str, None]()
    for line in files.splitlines():
        if header := FILE_HEADER.fullmatch(line):
            path = header[1]
        elif line.startswith("Environment=") and f"{VARIABLE}=" in line and ".d/" in path:
            found[path] = None
    return tuple(found)


def drop_in(metadata: str) -> str:
    """The file that gives fleetd this metadata, whatever cloudinit has said."""
    return environment_drop_in({VARIABLE: metadata})


def known(metadata: str) -> tuple[tuple[str, str], ...]:
    """What fleet makes of it: sorted, of a repeated key the last."""
    return tuple(sorted(dict(pairs(metadata)).items()))


def shown(metadata: Mapping[str, str] | tuple[tuple[str, str], ...]) -> str:
    """As fleetctl prints it."""
    return ",".join(f"{key}={value}" for key, value in dict(metadata).items())


def wanted(fleetd: Fleetd, planes: tuple[str, ...]) -> str:
    """The metadata of a host of exactly these planes; what else it has stays."""
    return with_planes(fleetd.metadata, planes)
