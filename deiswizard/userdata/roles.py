"""One user-data file for each role of a host, made from the operator's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from deiswizard.cluster.etcd_host import ETCD_SHUTDOWN
from deiswizard.errors import AnswersError
from deiswizard.userdata.check_etcd import CLIENT_PORTS, ETCD2
from deiswizard.userdata.check_fleet import METADATA
from deiswizard.userdata.discovery import PLACEHOLDER
from deiswizard.userdata.members import Member, initial_cluster
from deiswizard.userdata.metadata import PLANES, with_planes
from deiswizard.userdata.nodes import KeyPath, find, parsed, text_at
from deiswizard.userdata.reading import read
from deiswizard.userdata.splice import set_value
from deiswizard.userdata.units import with_unit_off

EtcdRole = Literal["member", "proxy"]
ANYWHERE = "http://0.0.0.0"
CEPH_SHUTDOWN = "graceful-ceph-shutdown.service"


@dataclass(frozen=True)
class Role:
    """What a host is to be. ``etcd`` None: as the file has it; no ``planes``: as the file has them."""

    etcd: EtcdRole | None = None
    planes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``proxy-data-router``."""
        planes = (plane for plane in PLANES if plane in self.planes)
        return "-".join([*([self.etcd] if self.etcd else []), *planes])

    @property
    def file_name(self) -> str:
        """``user-data-proxy-data-router``."""
        return f"user-data-{self.name}"


def role_user_data(
    text: str, role: Role, *, members: Sequence[Member] = (), discovery: str = ""
) -> str:
    """The file of a role: etcd's part and the planes'.

    Raises:
        NotYamlError: ``text`` cannot be read.
        PreconditionError: a place in it cannot be changed by itself.
        AnswersError: a plane is not known.
    """
    if role.etcd == "member":
        text = member_user_data(text, discovery=discovery)
    elif role.etcd == "proxy":
        text = proxy_user_data(text, members, discovery=discovery)
    return planes_user_data(text, role.planes) if role.planes else text


def member_user_data(text: str, *, discovery: str = "") -> str:
    """The file of a host that is a member of etcd: no proxy, both client ports.

    ``discovery``: the URL by which a new cluster's members find each other; empty: as the file has it.
    Raises: as ``role_user_data``.
    """
    if text_at(parsed(text).root, (*ETCD2, "proxy")) not in ("", "off"):
        text = _set_etcd(text, "proxy", "off")
    if discovery:
        text = _without(_set_etcd(text, "discovery", discovery), "initial-cluster")
    return _with_client_ports(text)


def proxy_user_data(text: str, members: Sequence[Member] = (), *, discovery: str = "") -> str:
    """The file of a host whose etcd is a proxy that reads and writes, on both client ports.

    Two ways to find the members. The discovery URL (``discovery``, or the file's own) is all there is
    before a new cluster's members have addresses; they must have started before. ``members`` is
    better as soon as the addresses are known, and the one that is right for every later host: the
    discovery service forgets, and may be gone. The file then has no discovery URL, because
    etcd2 refuses to start with both.

    Raises: as ``role_user_data``.
    """
    text = _set_etcd(text, "proxy", "on")
    if members:
        text = _set_etcd(text, "initial-cluster", initial_cluster(members))
        text = _without(_without(text, "discovery"), "discovery-srv")
    elif discovery:
        text = _without(_set_etcd(text, "discovery", discovery), "initial-cluster")
    return with_unit_off(_with_client_ports(text), ETCD_SHUTDOWN)


def planes_user_data(text: str, planes: Iterable[str]) -> str:
    """The file of a host of exactly these planes (``control``, ``data``, ``router``); what else the
    metadata has stays.

    Raises: as ``role_user_data``.
    """
    chosen = tuple(planes)
    if not chosen:
        raise AnswersError(
            "a host of no plane gets no unit of Deis",
            do="name one or more of: " + ", ".join(PLANES),
        )
    metadata = with_planes(text_at(parsed(text).root, METADATA), chosen)
    return set_value(text, METADATA, metadata)


def advice(text: str) -> tuple[str, ...]:
    """What to know before hosts start with this file, in sentences; for proxies only."""
    view = read(text)
    if view.proxy != "on":
        return ()
    if view.members:
        found = [
            f"a proxy starts by asking the {len(view.members)} listed members: make its file again "
            "when none of them has its address any more"
        ]
    else:
        found = [
            "the discovery URL tells proxies of the members: start the members first, and for hosts "
            "that come later list the members instead, as the service forgets URLs"
        ]
    ceph = next((unit for unit in view.units if unit.name == CEPH_SHUTDOWN), None)
    if ceph is not None and (ceph.is_enabled or ceph.command == "start"):
        found.append(f"{CEPH_SHUTDOWN} starts {ETCD_SHUTDOWN}, which fails on a proxy")
    return tuple(found)


def _set_etcd(text: str, key: str, value: str) -> str:
    return set_value(
        text, (*ETCD2, key), value, placeholder=PLACEHOLDER if key == "discovery" else ""
    )


def _without(text: str, key: str) -> str:
    """The text with an empty value, which coreos-cloudinit takes for none at all."""
    path: KeyPath = (*ETCD2, key)
    return text if find(parsed(text).root, path) is None else _set_etcd(text, key, "")


def _with_client_ports(text: str) -> str:
    """Deis's units ask their own host's port 4001, other programs 2379."""
    urls = list(read(text).client_urls)
    missing = [port for port in CLIENT_PORTS if port not in map(_port, urls)]
    if not missing:
        return text
    urls += [f"{_origin(urls)}:{port}" for port in missing]
    return _set_etcd(text, "listen-client-urls", ",".join(urls))


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _origin(urls: Sequence[str]) -> str:
    """Scheme and host of the first address; all of the host's addresses where there is none."""
    first = urls[0] if urls else ""
    return first.rpartition(":")[0] if _port(first) else ANYWHERE
