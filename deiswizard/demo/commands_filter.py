"""iptables, ip6tables, their -restore, ss, and the timers that systemd-run makes, on a pretend host."""

from __future__ import annotations

import shlex
import threading
import time
from typing import TYPE_CHECKING

from deiswizard.demo.packet_filter import FilterError, family_of
from deiswizard.demo.shell import Process
from deiswizard.demo.systemd import exec_words

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

UNITS = "/etc/systemd/system"
ALWAYS = (22, 80, 443, 2222, 2375, 2379, 4001, 8888, 9090)
"""What may be listened on; what is, the host knows."""


def iptables(host: PretendHost, process: Process) -> int:
    """``-S`` and commands of one rule; ``-w`` changes nothing here."""
    words = [word for word in process.args[1:] if word != "-w"]
    table = "filter"
    if words[:1] == ["-t"]:
        table, words = words[1], words[2:]
    family = family_of(process.args[0])
    try:
        if words[:1] == ["-S"]:
            process.out(host.filter.listing(family, table, "".join(words[1:2])))
        else:
            host.filter.apply(family, table, words)
    except FilterError as error:
        process.err(f"{process.args[0]}: {error}\n")
        return 1
    return 0


def restore(host: PretendHost, process: Process) -> int:
    """``--noflush``, perhaps with ``--test``."""
    family = family_of(process.args[0])
    text = process.stdin.decode("utf-8", "replace")
    try:
        host.filter.restore(family, text, is_test="--test" in process.args)
    except FilterError as error:
        process.err(f"{process.args[0]}: {error}\n")
        return 2
    return 0


def ss(host: PretendHost, process: Process) -> int:
    """``-ltn``: what is listened on; nobody is ever connected."""
    if "-ltn" not in process.args:
        return 0
    process.out("State      Recv-Q Send-Q Local Address:Port  Peer Address:Port\n")
    for port in ALWAYS:
        if port == 22 or host.listens(port):
            process.out(f"LISTEN     0      128               *:{port}             *:*\n")
    return 0


def sed(host: PretendHost, process: Process) -> int:
    """``s/^FROM/TO/`` on standard input."""
    _, start, end, _ = process.args[1].split("/")
    start = start.removeprefix("^")
    for line in process.stdin.decode("utf-8", "replace").splitlines():
        process.out((end + line[len(start) :] if line.startswith(start) else line) + "\n")
    return 0


def date(host: PretendHost, process: Process) -> int:
    """Now; in seconds with +%s."""
    if process.args[1:] == ["+%s"]:
        process.out(f"{time.time():.0f}\n")
        return 0
    process.out(time.strftime("%a %b %e %H:%M:%S UTC %Y\n", time.gmtime()))
    return 0


class Timers:
    """What systemd-run --on-active makes, by the name of its unit."""

    def __init__(self, host: PretendHost) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._stops: dict[str, threading.Event] = {}

    def start(self, name: str, seconds: float, command: str) -> bool:
        """Run a command later; False when there is a timer of that name."""
        stop = threading.Event()
        with self._lock:
            if name in self._stops:
                return False
            self._stops[name] = stop
        threading.Thread(
            target=self._wait, args=(name, stop, seconds, command), name=name, daemon=True
        ).start()
        return True

    def _wait(self, name: str, stop: threading.Event, seconds: float, command: str) -> None:
        if stop.wait(seconds):
            return
        with self._lock:
            if self._stops.pop(name, None) is not stop:
                return
        self._host.execute(command, _nowhere, _nowhere, b"", threading.Event())

    def is_active(self, name: str) -> bool:
        """Whether it has not run yet."""
        return name in self._stops

    def stop(self, name: str) -> bool:
        """False when there is none."""
        with self._lock:
            stop = self._stops.pop(name, None)
        if stop is not None:
            stop.set()
        return stop is not None

    def clear(self) -> None:
        """As a boot does."""
        for name in tuple(self._stops):
            self.stop(name)


def _nowhere(text: str) -> None:
    """Nobody reads it."""


def systemd_run_later(host: PretendHost, process: Process, seconds: float) -> int:
    """``--on-active=SECONDS --unit=NAME COMMAND``."""
    options = [word for word in process.args[1:] if word.startswith("--")]
    command = [word for word in process.args[1:] if word not in options]
    name = next(word.partition("=")[2] for word in options if word.startswith("--unit="))
    if host.timers.start(f"{name}.timer", seconds / host.cluster.speed, shlex.join(command)):
        process.err(
            f"Running timer as unit {name}.timer.\nWill run service as unit {name}.service.\n"
        )
        return 0
    process.err(f"Failed to start transient timer unit: Unit {name}.timer already exists.\n")
    return 1


def systemctl_files(host: PretendHost, process: Process, words: list[str]) -> int | None:
    """What concerns timers and units with a file in /etc; None: it is neither."""
    match words:
        case ["is-active", name] if name.endswith(".timer"):
            is_active = host.timers.is_active(name)
            process.out("active\n" if is_active else "inactive\n")
            return 0 if is_active else 3
        case ["stop", name] if name.endswith(".timer"):
            if host.timers.stop(name):
                return 0
            process.err(f"Failed to stop {name}: Unit {name} not loaded.\n")
            return 5
        case ["show", name, *options] if host.read_file(f"{UNITS}/{name}") is not None:
            is_on = name in host.enabled
            values = {
                "LoadState": "loaded",
                "ActiveState": "active" if is_on else "inactive",
                "UnitFileState": "enabled" if is_on else "disabled",
            }
            process.out("".join(f"{k}={v}\n" for k, v in values.items() if k in options))
            return 0
        case ["is-enabled", name]:
            is_enabled = name in host.enabled
            process.out("enabled\n" if is_enabled else "disabled\n")
            return 0 if is_enabled else 1
        case ["enable", *names]:
            for name in names:
                if host.read_file(f"{UNITS}/{name}") is None:
                    process.err(f"Failed to execute operation: No such file or directory: {name}\n")
                    return 1
                host.enabled.add(name)
            return 0
        case ["disable", *names]:
            host.enabled.difference_update(names)
            return 0
        case ["start" | "restart", name] if host.read_file(f"{UNITS}/{name}") is not None:
            return start_unit(host, name)
        case ["stop", name] if host.read_file(f"{UNITS}/{name}") is not None:
            return 0
    return None


def start_unit(host: PretendHost, name: str) -> int:
    """A one-shot unit with a file: its conditions, then its command; its exit status."""
    text = (host.read_file(f"{UNITS}/{name}") or b"").decode()
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    condition = values.get("ConditionPathExists", "")
    if condition and host.read_file(condition) is None:
        return 0
    command = shlex.join(exec_words(values.get("ExecStart", "true")))
    return host.execute(command, _nowhere, _nowhere, b"", threading.Event())
