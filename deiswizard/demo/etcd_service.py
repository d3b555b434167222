"""``etcd2.service`` of a pretend host: what its data directory, its variables and its files make it.

A data directory that is not clean beats every variable, as in the real one (deis-facts 2).
"""

from __future__ import annotations

import json
import shlex
import threading
from typing import TYPE_CHECKING, Literal

from deiswizard.cluster.etcd_host import UNIT
from deiswizard.demo.drop_ins import cloudinit_path, variables
from deiswizard.demo.etcd_members import MembershipError

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost

CLOUDINIT = cloudinit_path(UNIT)
Mode = Literal["member", "proxy", "readonly", ""]
"""As what it runs; empty: it does not."""


class EtcdService:
    """One host's etcd. ``data_dir`` is where the unit's own variable says; drop-ins are read when
    systemd is told to (``reload``), and count at the next start.
    """

    def __init__(self, host: PretendHost, data_dir: str) -> None:
        self._host = host
        self._unit = {"ETCD_DATA_DIR": data_dir, "ETCD_NAME": host.machine_id}
        self.environment: dict[str, str] = dict(self._unit)
        self.mode: Mode = ""
        self.member = ""
        self.said = ""
        self._lock = threading.Lock()
        self.blinks = 0
        """How often it will say that it is not healthy, whatever is."""

    @property
    def data_dir(self) -> str:
        """As its variables have it."""
        return self.environment["ETCD_DATA_DIR"]

    def files_of_member(self, member: str) -> None:
        """A data directory that belongs to a member."""
        self._host.write_file(f"{self.data_dir}/member/wal/0", f"{member}\n".encode())
        self._host.write_file(f"{self.data_dir}/member/snap/db", b"the keys\n")

    def files_of_proxy(self, peers: list[str]) -> None:
        """A data directory that belongs to a proxy."""
        text = json.dumps({"PeerURLs": peers})
        self._host.write_file(f"{self.data_dir}/proxy/cluster", text.encode())

    @property
    def known_peers(self) -> list[str]:
        """The members that it knows as a proxy."""
        text = self._host.read_file(f"{self.data_dir}/proxy/cluster")
        return [str(url) for url in json.loads(text)["PeerURLs"]] if text else []

    def has_blinked(self) -> bool:
        """Whether it is asked for its health in a moment in which it is busy."""
        with self._lock:
            blinks, self.blinks = self.blinks, max(0, self.blinks - 1)
        return blinks > 0

    def reload(self) -> None:
        """What ``daemon-reload`` does."""
        self.environment = {**self._unit, **variables(self._host, UNIT)}

    def start(self) -> bool:
        """Whether it runs then; ``said`` is what its log has when it does not."""
        if self.mode:
            return True
        try:
            self.mode = self._as_what()
        except MembershipError as error:
            self.said = error.message
            return False
        self.said = ""
        return True

    def _as_what(self) -> Mode:
        host, etcd = self._host, self._host.cluster.etcd
        member = host.read_file(f"{self.data_dir}/member/wal/0")
        is_proxy = host.read_file(f"{self.data_dir}/proxy/cluster") is not None
        wanted = self.environment.get("ETCD_PROXY", "off") or "off"
        if wanted not in ("on", "off", "readonly"):
            raise MembershipError(0, f"invalid value {wanted!r} for ETCD_PROXY")
        if member is not None and is_proxy:
            raise MembershipError(0, "invalid datadir. Both member and proxy directories exist.")
        peer = self.environment.get("ETCD_INITIAL_ADVERTISE_PEER_URLS", host.peer_url)
        named = dict(
            pair.partition("=")[::2]
            for pair in self.environment.get("ETCD_INITIAL_CLUSTER", "").split(",")
            if pair
        )
        discovery = self.environment.get("ETCD_DISCOVERY", "")
        if named and discovery:
            raise MembershipError(0, "multiple discovery or bootstrap flags are set")
        if member is not None:
            name = member.decode().strip()
            etcd.start(name)
            self.member = name
            return "member"
        if is_proxy or wanted != "off":
            if not is_proxy and not named:
                raise MembershipError(0, "discovery: the cluster's size is not known any more")
            if not is_proxy:
                self.files_of_proxy([*named.values()])
            return "readonly" if wanted == "readonly" else "proxy"
        if self.environment.get("ETCD_INITIAL_CLUSTER_STATE") != "existing":
            raise MembershipError(0, "cluster ID mismatch: this would be a cluster of its own")
        if named.get(self.environment["ETCD_NAME"]) != peer:
            raise MembershipError(
                0, "couldn't find local name in the initial cluster configuration"
            )
        self.member = etcd.join(peer, named.values(), host)
        self.files_of_member(self.member)
        return "member"

    def stop(self) -> None:
        """Nothing listens any more."""
        was, self.mode = self.mode, ""
        if was == "member":
            self._host.cluster.etcd.stop(self.member)

    def reboot(self) -> None:
        """What is in /etc and in its data directory decides again."""
        self.stop()
        self.reload()
        self.start()

    def end_if_removed(self) -> None:
        """A member that was removed ends by itself, and cannot start again."""
        if self.mode == "member" and self.member not in self._host.cluster.etcd.members.voters:
            self.mode = ""
            self.said = "the member has been permanently removed from the cluster"

    def properties(self) -> dict[str, str]:
        """As ``systemctl show`` has them."""
        words = " ".join(
            shlex.quote(f"{name}={value}") if " " in value else f"{name}={value}"
            for name, value in self.environment.items()
        )
        state = ("active", "running") if self.mode else ("activating", "auto-restart")
        if not self.mode and not self.said:
            state = ("inactive", "dead")
        return {
            "LoadState": "loaded",
            "ActiveState": state[0],
            "SubState": state[1],
            "Environment": words,
        }
