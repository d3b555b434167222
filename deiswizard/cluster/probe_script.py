"""The one command that reads a host, and the parsing of what it prints.

Simple commands, one after the other; each section begins with a line that holds a random marker,
so that no remote text can pretend to be a section. Used on a host: cat, df, docker, etcdctl,
fleetctl, systemctl, systemd-run, sudo, deisctl, test, uname, echo, and Deis's own get_image.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from deiswizard.cluster.snapshot import Disk, Versions
from deiswizard.vocabulary import JobWay

COMPONENTS = (
    "builder",
    "controller",
    "database",
    "logger",
    "logspout",
    "publisher",
    "registry",
    "router",
    "store-daemon",
    "store-gateway",
    "store-metadata",
    "store-monitor",
)
"""What the host's own preseed script pulls, in its order (deis-facts 4)."""

DOCKER_DISK = "/var/lib/docker"

SECTIONS: Mapping[str, str] = {
    "name": "uname -n",
    "machine-id": "cat /etc/machine-id",
    "boot-id": "cat /proc/sys/kernel/random/boot_id",
    "os": "cat /etc/os-release",
    "deis": "cat /etc/deis-release",
    "disk": f"df -P -k {DOCKER_DISK}",
    "etcd": "etcdctl --version",
    "fleet": "fleetctl --version",
    "systemd": "systemctl --version",
    "deisctl": "deisctl --version",
    "jobs": "systemd-run --version && sudo -n systemctl --version",
    "preseed": "test -x /run/deis/bin/preseed && echo there",
    **{f"image {name}": f"/run/deis/bin/get_image /deis/{name}" for name in COMPONENTS},
}


MARKER = re.compile(r"section-[0-9a-f]{16}")


def new_marker() -> str:
    """A text that nothing on the host can know beforehand."""
    return f"section-{secrets.token_hex(8)}"


def script(marker: str, sections: Mapping[str, str] = SECTIONS) -> str:
    """The command to run: every section, complaints dropped."""
    return "; ".join(
        f"echo '{marker} {name}'; {command} 2>/dev/null" for name, command in sections.items()
    )


def sections(marker: str, output: str) -> dict[str, str]:
    """Section name to what it printed, without surrounding white space."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.splitlines():
        if line.startswith(f"{marker} "):
            current = found.setdefault(line.removeprefix(f"{marker} "), [])
        else:
            current.append(line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


def answered(asked: str, output: str) -> dict[str, str]:
    """The sections of what came back on a text of ``script``, by the marker in it; none without one."""
    marker = MARKER.search(asked)
    return sections(marker[0], output) if marker else {}


def release_value(text: str, name: str) -> str:
    """``NAME=value`` of an os-release file, without quotes; empty when absent."""
    match = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    return match[1].strip().strip("\"'") if match else ""


def parse_df(text: str) -> Disk | None:
    """The last line of ``df -P -k``: sizes are kibibytes."""
    fields = text.splitlines()[-1].split() if text else []
    if len(fields) < 6 or not (fields[1].isdecimal() and fields[3].isdecimal()):
        return None
    return Disk(path=fields[5], size=int(fields[1]) * 1024, free=int(fields[3]) * 1024)


def version_in(text: str) -> str | None:
    """The first version number in what a program says of itself."""
    match = re.search(r"\d+(?:\.\d+)+[\w.+-]*|\d+", text)
    return match[0] if match else None


def parse_versions(found: Mapping[str, str]) -> Versions:
    """The versions of the programs asked by SECTIONS; Docker's come from its API."""
    return Versions(
        etcd=version_in(found.get("etcd", "")),
        fleet=version_in(found.get("fleet", "")),
        systemd=version_in(found.get("systemd", "")),
        deisctl=version_in(found.get("deisctl", "")),
    )


def parse_job_way(found: Mapping[str, str]) -> JobWay:
    """Units need systemd-run, and sudo without a password."""
    usable = found.get("jobs", "").count("systemd ") >= 2
    return JobWay.UNIT if usable else JobWay.SETSID


def parse_script_images(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Component and the image name that the host's own get_image answers."""
    return tuple(
        (name, found[f"image {name}"]) for name in COMPONENTS if found.get(f"image {name}")
    )
