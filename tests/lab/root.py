"""The root file system of every lab host: Debian, built once for this user and kept.

``python -m tests.lab.root`` builds it now.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import platformdirs

RELEASE = "bookworm"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "iptables", "ca-certificates",
    "procps", "etcd-server", "etcd-client", "docker.io", "curl", "sudo", "netcat-openbsd", "python3",
    "iputils-ping", "nginx-light", "ncat", "postgresql-15",
)  # fmt: skip
SETUP = Path(__file__).with_name("root-setup")
CACHE = Path(platformdirs.user_cache_dir("deiswizard-lab"))
UNFINISHED = ".unfinished"
KEPT = 14 * 86_400
"""Seconds that a root is kept after it was used last."""


class NoRootError(Exception):
    """It could not be built; says why."""


def path() -> Path:
    """Where it is, or will be: named by what it is made from."""
    made_from = "\n".join((RELEASE, *PACKAGES, SETUP.read_text()))
    return CACHE / hashlib.sha256(made_from.encode()).hexdigest()[:16]


def mirror() -> str:
    """Where this machine's apt takes its own packages from. Raises NoRootError."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True,
    )  # fmt: skip
    for line in told.stdout.splitlines():
        match line.split():
            case [address, suite, "main"] if suite == RELEASE:
                return address
    raise NoRootError(f"apt has no source of Debian {RELEASE}")


def build() -> Path:
    """Build it unless it is there. Raises NoRootError."""
    ready = path()
    if ready.exists():
        os.utime(ready)
        return ready
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            _remove_old()
            _build_at(ready.with_suffix(UNFINISHED))
            ready.with_suffix(UNFINISHED).rename(ready)
    return ready


def _remove_old() -> None:
    """What an aborted build has left, and what no lab has used for long."""
    for folder in CACHE.iterdir():
        is_old = folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT
        if folder.suffix == UNFINISHED or is_old:
            shutil.rmtree(folder)


def _build_at(folder: Path) -> None:
    print(f"building the lab's root file system in {CACHE}: about a minute", file=sys.stderr)
    log = CACHE / "log"
    with log.open("wb") as out:
        included = ",".join(PACKAGES)
        commands: tuple[list[str | Path], ...] = (
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={included}",
                RELEASE,
                folder,
                mirror(),
            ],
            ["chroot", folder, "/bin/bash", "-s"],
        )
        for words in commands:
            with SETUP.open("rb") as script:
                done = subprocess.run(  # what it mounts ends with it, also when it is killed
                    ["unshare", "--mount", *words],
                    stdin=script,
                    stdout=out,
                    stderr=out,
                    env={**os.environ, "LC_ALL": "C"},
                )
            if done.returncode:
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise NoRootError(f"{words[0]}: {' '.join(last)} (all of it: {log})")


if __name__ == "__main__":
    print(build())
