"""What a running Deis platform leaves in etcd: its keys, and fleet's registry."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

from deiswizard.demo.etcd_store import HEARTBEAT_TTL

if TYPE_CHECKING:
    from deiswizard.demo.cluster import PretendCluster
    from deiswizard.demo.host import PretendHost

GLOBALS = (
    "deis-logspout",
    "deis-publisher",
    "deis-store-daemon",
    "deis-store-metadata",
    "deis-store-monitor",
    "deis-store-volume",
)
SINGLES = ("deis-database", "deis-controller", "deis-builder", "deis-logger")
INSTANCES = {"deis-router": 3, "deis-registry": 1, "deis-store-gateway": 1}
PORTS = {"controller": 8000, "registry": 5000, "database": 5432, "logs": 514, "store/gateway": 8888}
COMPONENTS = {
    "deis-controller.service": "controller",
    "deis-registry@1.service": "registry",
    "deis-database.service": "database",
    "deis-logger.service": "logs",
    "deis-store-gateway@1.service": "store/gateway",
}
MOUNTS = """\
/dev/sda9 / ext4 rw,relatime 0 0
10.21.2.11:6789,10.21.2.12:6789:/ /var/lib/deis/store ceph rw,relatime,name=admin,secret=<hidden> 0 0
"""
GATEWAY = {
    "/deis/store/gateway/accessKey": "PRETENDACCESSKEY0000",
    "/deis/store/gateway/secretKey": "pretend-gateway-secret",
}
OUTSIDE_PASSWORD = "outside-secret"
STATELESS = {
    "/deis/database/port": "5432",
    "/deis/registry/s3accessKey": "AKIADEMO",
    "/deis/registry/s3secretKey": OUTSIDE_PASSWORD,
    "/deis/store/gateway/placeholder": "kept for the registry",
}
"""What a platform without Ceph has been given by its operator."""

METADATA = {"controlPlane": "true", "dataPlane": "true", "routerMesh": "true"}


def place(hosts: list[PretendHost]) -> dict[str, list[PretendHost]]:
    """Unit to the hosts on which it runs."""
    up = [host for host in hosts if not host.is_down]
    is_left_out = hosts[0].cluster.scenario.stateless
    placement = {f"{name}.service": list(up) for name in GLOBALS}
    singles = [f"{name}.service" for name in SINGLES]
    singles += [
        f"{name}@{n + 1}.service" for name, count in INSTANCES.items() for n in range(count)
    ]
    for number, unit in enumerate(singles):
        placement[unit] = [up[number % len(up)]]
    return {u: where for u, where in placement.items() if not (is_left_out and needs_ceph(u))}


def needs_ceph(unit: str) -> bool:
    """What a platform without Ceph does not have."""
    return unit.startswith(("deis-store-", "deis-database"))


def component_of(unit: str) -> str:
    """``deis-router@1.service`` -> ``router``."""
    return unit.removeprefix("deis-").removesuffix(".service").partition("@")[0]


def unit_file(unit: str, *, decorator: str = "") -> str:
    """A unit as Deis submits it, as far as placement goes; ``decorator`` is deisctl's addition."""
    name = unit.removesuffix(".service").partition("@")[0]
    lines = [
        "[Unit]",
        f"Description={name}",
        "",
        "[Service]",
        "ExecStart=/bin/true",
        "",
        "[X-Fleet]",
    ]
    if name in (*GLOBALS, "deis-store-admin"):
        lines.append("Global=true")
    if name in INSTANCES:
        lines.append(f"Conflicts={name}@*.service")
    return "\n".join(lines) + "\n" + (f"\n{decorator}" if decorator else "")


DECORATORS = "/var/lib/deis/units/decorators"
PLANES = {"deis-router": "routerMesh", "deis-publisher": "dataPlane"}


def decorator_path(unit: str) -> str:
    """Where deisctl on a host looks for what keeps a unit to its plane."""
    name = unit.removesuffix(".service").partition("@")[0]
    return f"{DECORATORS}/{name}.service.decorator"


def decorators() -> dict[str, str]:
    """Path to text, as ``deisctl refresh-units`` leaves them; logspout's is empty."""
    found = {decorator_path("deis-logspout"): ""}
    names = [name for name in (*GLOBALS, *SINGLES, *INSTANCES) if name != "deis-logspout"]
    for name in (*names, "deis-store-admin"):
        plane = PLANES.get(name, "controlPlane")
        found[decorator_path(name)] = f'[X-Fleet]\nMachineMetadata="{plane}=true"\n'
    return found


def fill(cluster: PretendCluster) -> None:
    """Write everything that a platform which has run for days leaves behind."""
    store, scenario = cluster.store, cluster.scenario
    if not scenario.platform:
        store.put("/deis/platform/domain", "new.example.com")
        _fleet(cluster)
        return
    settings = {
        "/deis/platform/domain": "demo.example.com",
        "/deis/platform/version": "" if scenario.wrong_release else scenario.release,
        "/deis/platform/sshPrivateKey": "LS0tLS1CRUdJTiBOT1QgQSBLRVktLS0tLQ==",
        "/deis/controller/secretKey": "pretend-secret-key-of-the-controller",
        "/deis/controller/builderKey": "pretend-builder-key",
        "/deis/controller/protocol": "http",
        "/deis/database/engine": "postgresql_psycopg2",
        "/deis/database/name": "deis",
        "/deis/database/user": "deis",
        "/deis/database/password": OUTSIDE_PASSWORD
        if scenario.stateless
        else "pretend-database-password",
        "/deis/registry/protocol": "http",
        "/deis/logs/drain": "",
        **(STATELESS if scenario.stateless else GATEWAY),
        **scenario.keys,
    }
    for key, value in settings.items():
        if value or key.endswith("drain"):
            store.put(key, value)
    if scenario.registration is not None:
        store.put("/deis/controller/registrationMode", scenario.registration)
    for unit in COMPONENTS:
        announce(cluster, unit)
    _apps(cluster)
    _fleet(cluster)
    for name in settings:
        _age(cluster, name)
    _age(cluster, "/deis/controller/registrationMode")


APPS = {
    "shop": {"database_url": "postgres://shop:pretend-shop-password@db/shop", "workers": "4"},
    "blog": {"title": "It runs"},
}
"""Apps and their configuration: the controller writes its names in small letters."""

DOMAINS = {"www.shop.example.com": "shop"}


def _apps(cluster: PretendCluster) -> None:
    """What the controller writes of apps, and the publisher of their containers as long as they live."""
    store, hosts = cluster.store, [host for host in cluster.hosts if not host.is_down]
    for number, (app, config) in enumerate(APPS.items()):
        store.put(f"/deis/services/{app}", "", is_dir=True)
        address = hosts[number % len(hosts)].address
        key = f"/deis/services/{app}/{app}_v2.web.1"
        store.put(key, f"{address}:{49153 + number}", is_heartbeat=True)
        for name, value in config.items():
            store.put(f"/deis/config/{app}/{name}", value)
            _age(cluster, f"/deis/config/{app}/{name}")
    for domain, app in DOMAINS.items():
        store.put(f"/deis/domains/{domain}", app)
        _age(cluster, f"/deis/domains/{domain}")
    for gateway in cluster.placement.get("deis-store-gateway@1.service", []):
        store.put("/deis/store/gateway/host", gateway.address, is_heartbeat=True)
        store.put("/deis/store/gateway/port", "8888", is_heartbeat=True)


def _age(cluster: PretendCluster, key: str) -> None:
    """What stands there from the start was written long ago."""
    node = cluster.store._find(key)
    if node is not None:
        node.changed = time.time() - 86_400


def register(cluster: PretendCluster, host: PretendHost) -> None:
    """What a machine's fleetd says of itself, as long as it lives."""
    body = {
        "ID": host.machine_id,
        "PublicIP": host.address,
        "Metadata": host.metadata,
        "Capabilities": {"GRPC": False},
        "Version": "0.11.7",
    }
    path = f"/_coreos.com/fleet/machines/{host.machine_id}/object"
    cluster.store.put(path, json.dumps(body), is_heartbeat=True)


def withdraw(cluster: PretendCluster, host: PretendHost) -> None:
    """Nobody has heard of a machine for as long as its lease was."""
    cluster.store.delete(f"/_coreos.com/fleet/machines/{host.machine_id}", recursive=True)


def _fleet(cluster: PretendCluster) -> None:
    """Fleet 0.11's registry: machines, jobs, unit files by hash, states by machine."""
    for host in cluster.hosts:
        register(cluster, host)
    for unit in cluster.placement:
        launch(cluster, unit)


def announce(cluster: PretendCluster, unit: str) -> None:
    """A component says where it runs, as long as it lives."""
    name, hosts = COMPONENTS.get(unit), cluster.placement.get(unit)
    if name and hosts:
        cluster.store.put(f"/deis/{name}/host", hosts[0].address, is_heartbeat=True)
        cluster.store.put(f"/deis/{name}/port", str(PORTS[name]), is_heartbeat=True)


def silence(cluster: PretendCluster, unit: str) -> None:
    """A component that runs nowhere has said where it is for the last time: what it said expires."""
    name, ttl = COMPONENTS.get(unit), max(1, round(HEARTBEAT_TTL / cluster.speed))
    for what in ("host", "port") if name else ():
        key = f"/deis/{name}/{what}"
        if cluster.store.is_heartbeat(key):
            cluster.store.put(key, cluster.store.value(key) or "", ttl=ttl)


def launch(cluster: PretendCluster, unit: str, target: str = "launched") -> None:
    """A unit that runs where the placement says, as fleet's registry tells it."""
    store, prefix = cluster.store, "/_coreos.com/fleet"
    raw = unit_file(unit)
    digest = hashlib.sha1(raw.encode()).digest()
    store.put(f"{prefix}/unit/{digest.hex()}", json.dumps({"Raw": raw}))
    job = {"Name": unit, "UnitHash": [*digest]}
    store.put(f"{prefix}/job/{unit}/object", json.dumps(job))
    store.put(f"{prefix}/job/{unit}/target-state", target)
    for host in cluster.placement[unit]:
        state = {
            "loadState": "loaded",
            "activeState": "active",
            "subState": "running",
            "machineState": {"ID": host.machine_id},
            "unitHash": digest.hex(),
        }
        store.put(f"{prefix}/states/{unit}/{host.machine_id}", json.dumps(state))
