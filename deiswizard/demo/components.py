"""Do the registry and the controller of a pretend cluster serve, with the stores that are set.

As the registry's templates and create_bucket have it (deis/deis registry/templates): S3's bucket wins over
Swift's address, that over the gateway; but the gateway's keys win over S3's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deiswizard.demo.http_base import Handler
from deiswizard.demo.outside_store import ACCESS, SECRET

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

SERVED = {5000: "registry", 8000: "controller"}
PATHS = {"registry": "/v1/_ping", "controller": "/healthz"}
REGISTRY, DATABASE, GATEWAY = "/deis/registry", "/deis/database", "/deis/store/gateway"


def hosts(cluster: PretendCluster, component: str) -> list[PretendHost]:
    """Where a component runs."""
    units = {"registry": "deis-registry@", "controller": "deis-controller"}
    found = (
        where for unit, where in cluster.placement.items() if unit.startswith(units[component])
    )
    return [host for where in found for host in where]


class Health(Handler):
    """What answers on a component's own port: its health, and nothing else for strangers."""

    def __init__(self, cluster: PretendCluster, component: str, *args: Any) -> None:
        self._cluster = cluster
        self._component = component
        super().__init__(*args)

    def respond(self) -> None:
        """200 while it serves."""
        self.body()
        if self.path != PATHS[self._component]:
            self.send(404 if self._component == "registry" else 401, b"")
        else:
            self.send(200 if why_not(self._cluster, self._component) == "" else 503, b"")


def why_not(cluster: PretendCluster, component: str) -> str:
    """Why a component does not serve; empty: it does."""
    return _registry(cluster) if component == "registry" else _controller(cluster)


def _registry(cluster: PretendCluster) -> str:
    value = cluster.store.value
    if value(GATEWAY) is None and not cluster.store.has_below(GATEWAY):
        return f"{GATEWAY} is not there: confd makes no configuration"
    access, secret = value(f"{GATEWAY}/accessKey"), value(f"{GATEWAY}/secretKey")
    if (bucket := value(f"{REGISTRY}/s3bucket")) is not None:
        if access is None:
            access, secret = value(f"{REGISTRY}/s3accessKey"), value(f"{REGISTRY}/s3secretKey")
        if access is None and cluster.scenario.role:
            access, secret = ACCESS, SECRET
        return cluster.outside_store.why_not("s3", bucket, access, secret)
    host, port = value(f"{GATEWAY}/host"), value(f"{GATEWAY}/port")
    if host is None or port is None or access is None:
        return "no store is named"
    if any(machine.address == host for machine in cluster.hosts):
        is_up = bool(cluster.placement.get("deis-store-gateway@1.service"))
        return "" if is_up else "the store gateway does not run"
    return cluster.outside_store.why_not(
        f"{host}:{port}", value(f"{REGISTRY}/bucketName") or "", access, secret
    )


def _controller(cluster: PretendCluster) -> str:
    value = cluster.store.value
    named = {
        name: value(f"{DATABASE}/{name}") for name in ("host", "port", "name", "user", "password")
    }
    if missing := [name for name, text in named.items() if text is None]:
        return f"{DATABASE}/{missing[0]} is not set"
    if any(machine.address == named["host"] for machine in cluster.hosts):
        is_up = bool(cluster.placement.get("deis-database.service"))
        return "" if is_up else "the database does not run"
    if f"{named['host']}:{named['port']}" not in cluster.outside:
        return f"{named['host']} is not reached"
    user, password, name = (named[key] or "" for key in ("user", "password", "name"))
    return cluster.postgres.why_not(user, password, name)
