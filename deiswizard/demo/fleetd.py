"""``fleet.service`` of a pretend host: what its drop-ins make of it, and what ends with it.

Told to end, it stops every fleet unit of its host; killed, it leaves them running, and systemd starts it
again after its pause (deis-facts 14). Its metadata is what its variables were when it was started.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from deiswizard.demo.drop_ins import cloudinit_path, cloudinit_text, drop_ins, variables
from deiswizard.userdata.metadata import pairs

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

UNIT = "fleet.service"
UNIT_FILE = "/usr/lib/systemd/system/fleet.service"
CLOUDINIT = cloudinit_path(UNIT)
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
            cloudinit_text(FLEET_METADATA=metadata, FLEET_PUBLIC_IP=host.address).encode(),
        )
        self.reload()
        self.metadata = self._configured()

    def reload(self) -> None:
        """What ``daemon-reload`` does."""
        self.environment = variables(self._host, UNIT)

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
        for path in (UNIT_FILE, *drop_ins(self._host, UNIT)):
            text = (self._host.read_file(path) or b"").decode()
            texts.append(f"# {path}\n{text}")
        return "\n".join(texts)
