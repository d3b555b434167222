"""What etcd really is on one host: asked on the host itself, in one round trip.

Through a proxy another member answers on port 2379, so nothing that a port says of a member is
believed before the host's data directory and ``/v2/config/local/proxy`` agree (deis-facts 14).
Used on a host: systemctl, curl, cat, test, grep, tail, mountpoint.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Literal

from deiswizard.cluster.probe_script import answered, new_marker, script
from deiswizard.frozen import Frozen

UNIT = "etcd2.service"
ETCD_SHUTDOWN = "graceful-etcd-shutdown.service"
"""Takes its host out of etcd when it goes down; on a proxy there is nothing to take out, and it fails."""

DROP_IN = f"/etc/systemd/system/{UNIT}.d/50-deiswizard.conf"
"""Ours. It beats cloudinit's in /run, which comes back at every boot as 20-cloudinit.conf."""

LOCAL = "http://127.0.0.1:2379"
CURL = "curl -s -m 3"
LINE = "-w '\\n'"
"""etcd ends its answers without a line break: the next section would stand in the same line."""

BLINK = 1
"""Seconds after which a member that is not healthy is asked once more: /health is false when a read takes more than
a second (etcd, etcdhttp), which a busy disk does now and then. So is one that says nothing for 3 s.
"""

PROXY_STATUS = f"{CURL} -o /dev/null -w '%{{http_code}}' {LOCAL}/v2/config/local/proxy"
RUNS_AS_MEMBER = f"{PROXY_STATUS} | grep -q 404 && {CURL} {LOCAL}/health | grep -q true"
"""True on a host that runs a healthy member itself: through a proxy, the first would be 200."""

SECTIONS: Mapping[str, str] = {
    "unit": f"systemctl show {UNIT} -p Environment -p ActiveState -p SubState",
    "data": (
        f"d=$(systemctl show {UNIT} -p Environment | grep -o 'ETCD_DATA_DIR=[^ \"]*' | tail -n 1); "
        'd=${d#ETCD_DATA_DIR=}; echo "dir $d"; test -d "$d/member" && echo member; '
        'test -d "$d/proxy" && echo proxy; mountpoint -q "$d" && echo mount'
    ),
    "proxy": f"{CURL} -o /dev/null {LOCAL}/v2/config/local/proxy || sleep {BLINK}; {CURL} -w '\\n%{{http_code}}\\n' {LOCAL}/v2/config/local/proxy",
    "health": f"{CURL} -f -o /dev/null {LOCAL}/health || sleep {BLINK}; {CURL} {LINE} {LOCAL}/health",
    "self": f"{CURL} {LINE} {LOCAL}/v2/stats/self",
    "raft": f"{CURL} -D - -o /dev/null {LOCAL}/v2/keys/",
    "version": f"{CURL} {LINE} {LOCAL}/version",
    "drop-in": f"cat {DROP_IN}",
    "graceful": f"systemctl is-enabled {ETCD_SHUTDOWN}",
}

Role = Literal["member", "proxy", "both", "none", "unknown"]


class EtcdHost(Frozen):
    """The etcd of one host.

    ``data_dir`` is what its unit says, empty when it says none; ``has_member`` and ``has_proxy`` are
    what is in it. ``proxy_status`` is the HTTP status of the proxy probe (200: it runs as a proxy,
    404: as a member, None: nothing answers). ``is_healthy``, ``own_id``, ``version`` and what raft says are its
    own only where it runs as a member. ``drop_in`` is the text of ours, None when there is none.
    """

    host: str
    data_dir: str = ""
    has_member: bool = False
    has_proxy: bool = False
    is_mount: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    active: str = ""
    sub: str = ""
    proxy_status: int | None = None
    endpoints: tuple[str, ...] = ()
    is_healthy: bool | None = None
    own_id: str = ""
    raft_index: int | None = None
    raft_term: int | None = None
    version: str = ""
    drop_in: str | None = None
    has_graceful: bool = False
    is_asked: bool = True

    @property
    def role(self) -> Role:
        """By the data directory, which is what etcd itself goes by once it is initialised."""
        if not self.is_asked or not self.data_dir:
            return "unknown"
        if self.has_member and self.has_proxy:
            return "both"
        return "member" if self.has_member else "proxy" if self.has_proxy else "none"

    @property
    def runs_as(self) -> Literal["member", "proxy", ""]:
        """What answers on its port 2379; empty: nothing does."""
        return "proxy" if self.proxy_status == 200 else "member" if self.proxy_status == 404 else ""

    def is_member(self, member_id: str) -> bool:
        """It is the member of exactly that id, and says itself that it is healthy."""
        is_one = self.role == "member" and self.runs_as == "member"
        return is_one and self.own_id == member_id and self.is_healthy is True

    def setting(self, name: str) -> str:
        """A variable of etcd's unit (``ETCD_PROXY``), empty when it is not set."""
        return dict(self.environment).get(name, "")

    @property
    def is_persisted_proxy(self) -> bool:
        """A new data directory would make it a read-write proxy again."""
        return self.setting("ETCD_PROXY") == "on"


def command() -> str:
    """The question, to be asked as root. Each has a marker of its own."""
    return script(new_marker(), SECTIONS)


def parse(host: str, asked: str, out: str) -> EtcdHost:
    """What the host answered to ``asked``, a text of ``command``."""
    found = answered(asked, out)
    unit = dict(
        line.partition("=")[::2] for line in found.get("unit", "").splitlines() if "=" in line
    )
    data = found.get("data", "").splitlines()
    status, endpoints = _proxy(found.get("proxy", ""))
    health = _json(found.get("health", "")).get("health")
    raft = found.get("raft", "")
    version = re.search(r"\d+\.\d+\.\d+[\w.+-]*", found.get("version", ""))
    has_drop_in = bool(found.get("drop-in"))
    return EtcdHost(
        host=host,
        data_dir=next((line[4:].rstrip("/") for line in data if line.startswith("dir /")), ""),
        has_member="member" in data,
        has_proxy="proxy" in data,
        is_mount="mount" in data,
        environment=tuple(parse_environment(unit.get("Environment", "")).items()),
        active=unit.get("ActiveState", ""),
        sub=unit.get("SubState", ""),
        proxy_status=status,
        endpoints=endpoints,
        is_healthy=None if health is None else health in (True, "true"),
        own_id=str(_json(found.get("self", "")).get("id", "")),
        raft_index=_header(raft, "x-raft-index"),
        raft_term=_header(raft, "x-raft-term"),
        version=version[0] if version else "",
        drop_in=found["drop-in"] + "\n" if has_drop_in else None,
        has_graceful=found.get("graceful", "") == "enabled",
    )


def parse_environment(text: str) -> dict[str, str]:
    """``Environment=`` as systemctl shows it: words, some in quotes. A later one wins."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return dict(word.partition("=")[::2] for word in words if "=" in word)


def _header(headers: str, name: str) -> int | None:
    found = re.search(rf"(?im)^{name}:\s*(\d+)\s*$", headers)
    return int(found[1]) if found else None


def _json(text: str) -> dict[str, object]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _proxy(text: str) -> tuple[int | None, tuple[str, ...]]:
    """Status and endpoints of ``/v2/config/local/proxy``."""
    body, _, status = text.rpartition("\n")
    if status not in ("200", "404"):
        return None, ()
    endpoints = _json(body).get("endpoints") if status == "200" else ()
    return int(status), tuple(str(url) for url in endpoints or ()) if isinstance(
        endpoints, list | tuple
    ) else ()
