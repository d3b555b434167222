"""systemctl, systemd-run and journalctl of a pretend host."""

from __future__ import annotations

import shlex
import threading
from typing import TYPE_CHECKING

from deiswizard.demo.commands_filter import systemctl_files, systemd_run_later
from deiswizard.demo.commands_fleetd import fleetd_systemctl
from deiswizard.demo.shell import Process, Write
from deiswizard.demo.systemd import number_of

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

VERSION = "systemd 229\n+PAM +AUDIT +SELINUX +IMA -APPARMOR +SMACK -SYSVINIT +UTMP\n"


def systemctl(host: PretendHost, process: Process) -> int:
    """Its version, whether units run; transient units; timers, and units that have a file."""
    words = [word for word in process.args[1:] if not word.startswith("--no")]
    if words == ["daemon-reload"]:
        host.etcd.reload()
        host.fleetd.reload()
        return 0
    for known in (systemctl_files, fleetd_systemctl):
        if (status := known(host, process, words)) is not None:
            return status
    match words:
        case ["--version"]:
            process.out(VERSION)
            return 0
        case ["show", "etcd2" | "etcd2.service", *options]:
            for name, value in host.etcd.properties().items():
                if name in options:
                    process.out(f"{name}={value}\n")
            return 0
        case ["start" | "stop" | "restart" as verb, "etcd2" | "etcd2.service"]:
            status = _etcd(host, process, verb)
            return 0 if "--no-block" in process.args else status
        case ["show", unit, *options]:
            wanted = [word for word in options if word != "-p"]
            for name, value in host.systemd.show(unit).items():
                if name in wanted or not wanted:
                    process.out(f"{name}={value}\n")
            return 0
        case ["restart", unit]:
            if host.systemd.restart(unit):
                return 0
            process.err(f"Failed to restart {unit}: Unit {unit} not found.\n")
            return 5
        case ["stop", unit]:
            if host.systemd.stop(unit):
                return 0
            process.err(f"Failed to stop {unit}: Unit {unit} not loaded.\n")
            return 5
        case ["reset-failed", unit]:
            return 0 if host.systemd.stop(unit) else 1
    host.cluster.note_unknown(shlex.join(process.args))
    process.err("Failed to connect to bus: this is more than a pretend systemd knows\n")
    return 1


ETCD_SECONDS = 1.0
"""How long etcd takes to be ready, at speed 1."""


def _etcd(host: PretendHost, process: Process, verb: str) -> int:
    """Type=notify: what does not get ready has failed."""
    if verb in ("stop", "restart"):
        host.etcd.stop()
    if verb == "stop":
        return 0
    process.sleep(ETCD_SECONDS)
    if host.etcd.start():
        return 0
    process.err(
        "Job for etcd2.service failed because the control process exited with error code.\n"
    )
    return 1


def systemd_run(host: PretendHost, process: Process) -> int:
    """A transient unit; what comes after the options is its command."""
    words = process.args[1:]
    if words == ["--version"]:
        process.out(VERSION)
        return 0
    later = next((w.partition("=")[2] for w in words if w.startswith("--on-active=")), "")
    if later:
        return systemd_run_later(host, process, float(later))
    options = [word for word in words if word.startswith("--")]
    command = [word.replace("$$", "$") for word in words if word not in options]
    name = next((word.partition("=")[2] for word in options if word.startswith("--unit=")), "run-1")

    def work(write: Write, stop: threading.Event) -> int:
        return host.execute(shlex.join(command), write, write, b"", stop)

    if host.systemd.start(f"{name}.service", work):
        return 0
    process.err(f"Failed to start transient service unit: Unit {name}.service already exists.\n")
    return 1


def journalctl(host: PretendHost, process: Process) -> int:
    """``-o json`` only: the last entry, or a unit's entries after a cursor."""
    words = process.args[1:]
    unit = next((w.partition("=")[2] for w in words if w.startswith("_SYSTEMD_UNIT=")), "")
    cursor = next((w.partition("=")[2] for w in words if w.startswith("--after-cursor=")), "")
    entries = host.systemd.entries(unit, number_of(cursor) if cursor else 0)
    if "-n" in words:
        entries = entries[-int(words[words.index("-n") + 1]) :]
    process.out("".join(f"{entry}\n" for entry in entries))
    return 0
