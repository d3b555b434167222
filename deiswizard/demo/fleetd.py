"""``fleet.service`` of a pretend host: what its drop-ins make of it, and what ends with it.

Told to end, it stops every fleet unit of its host; killed, it leaves them running, and systemd starts it
again after its pause (deis-facts 14). Its metadata is what its variables were when it was started.
"""

from __future__ import annotations

import re
import shlex
import threading
from typing import TYPE_CHECKING

from deiswizard.userdata.metadata import pairs

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

UNIT = "fleet.service"
UNIT_FILE = "/usr/lib/systemd/system/fleet.service"
CLOUDINIT = f"/run/systemd/system/{UNIT}.d/20-cloudinit.conf"
FOLDERS = (f"/run/systemd/system/{UNIT}.d/", f"/etc/systemd/system/{UNIT}.d/")
PAUSE = 10.0
"""RestartSec=10s, at speed 1."""


class Fleetd:
    """One host's fleetd. Drop-ins are read when systemd is told to (``reload``), and count at a start.

    ``restarts`` is its unit's ``Restart=``. While ``may_start`` is not set, a start waits.
    """

    def __init__(self, host: PretendHost, metadata: str) -> None:
        self._host = host
        self._lock = threading.RLock()
        self.restarts = "always"
        self.is_active = True
        self.may_start = threading.Event()
        self.may_start.set()
        host.write_file(
            UNIT_FILE, b"[Unit]\nDescription=fleet daemon\n\n[Service]\nExecStart=/usr/bin/fleetd\n"
        )
        host.write_file(
            CLOUDINIT,
            f'[Service]\nEnvironment="FLEET_METADATA={metadata}"\n'
            f'Environment="FLEET_PUBLIC_IP={host.address}"\n'.encode(),
        )
        self.reload()
        self.metadata = self._configured()

    def _drop_ins(self) -> list[str]:
        """By file name; one in /etc stands for one of that name in /run."""
        found: dict[str, str] = {}
        for folder in FOLDERS:
            for path in self._host.files():
                if path.startswith(folder) and path.endswith(".conf"):
                    found[path.removeprefix(folder)] = path
        return [found[name] for name in sorted(found)]

    def reload(self) -> None:
        """What ``daemon-reload`` does."""
        environment: dict[str, str] = {}
        for path in self._drop_ins():
            text = (self._host.read_file(path) or b"").decode()
            for line in re.findall(r"(?m)^Environment=(.*)$", text):
                for word in shlex.split(line):
                    key, _, value = word.partition("=")
                    environment[key] = value.replace("%%", "%")
        self.environment = environment

    def _configured(self) -> dict[str, str]:
        return dict(pairs(self.environment.get("FLEET_METADATA", "")))

    def start(self) -> None:
        """It tells of its machine, with the metadata of now."""
        self.may_start.wait()
        with self._lock:
            if self.is_active:
                return
            self.is_active = True
            self.metadata = self._configured()
            self._host.cluster.fleet.machine_is_back(
                self._host
            )  # told by the time it is seen running

    def kill(self) -> None:
        """Its units go on; systemd starts it again, if its unit says so."""
        with self._lock:
            if not self.is_active:
                return
            self.is_active = False
        if self.restarts == "always":
            timer = threading.Timer(PAUSE / self._host.cluster.speed, self.start)
            timer.daemon = True
            timer.start()

    def restart(self) -> None:
        """Told to end first: every fleet unit of the host ends."""
        with self._lock:
            self.is_active = False
        self._host.cluster.fleet.machine_leaves(self._host)
        self.start()

    def properties(self) -> dict[str, str]:
        """As ``systemctl show`` of systemd 229 has them: values as they are, without quotes."""
        words = " ".join(f"{name}={value}" for name, value in self.environment.items())
        with self._lock:
            state = ("active", "running") if self.is_active else ("activating", "auto-restart")
        return {
            "Environment": words,
            "Restart": self.restarts,
            "RestartUSec": f"{PAUSE:.0f}s" if self.restarts == "always" else "100ms",
            "LoadState": "loaded",
            "ActiveState": state[0],
            "SubState": state[1],
        }

    def files(self) -> str:
        """As ``systemctl cat`` prints them."""
        texts = []
        for path in (UNIT_FILE, *self._drop_ins()):
            text = (self._host.read_file(path) or b"").decode()
            texts.append(f"# {path}\n{text}")
        return "\n".join(texts)
