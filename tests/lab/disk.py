"""What a host has on its disk before its first boot, and what cloudinit writes at every boot."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CODE = Path(__file__).parent
CHECKOUT = CODE.parent.parent
INSIDE_CODE = (
    "tests/lab/inside",
    "deiswizard/demo/controller.py",
    "deiswizard/demo/logger.py",
    "deiswizard/demo/router_rules.py",
)
"""What the programs on the hosts are made of; found there below ``/usr/lib/lab``."""

ENABLED = {
    "multi-user.target": ("etcd2.service", "docker.service", "fleet.service"),
    "sockets.target": ("docker.socket", "docker-tcp.socket", "fleet.socket"),
}
OS_RELEASE = (
    "NAME=CoreOS\nID=coreos\nVERSION=1068.8.0\nVERSION_ID=1068.8.0\n"
    'PRETTY_NAME="CoreOS 1068.8.0 (MoreOS)"\n'
)


@dataclass(frozen=True)
class Identity:
    """What tells one host from the others."""

    name: str
    address: str
    machine_id: str
    public_address: str


@dataclass(frozen=True)
class Setting:
    """What all hosts of a lab share: etcd's first members, who may log in, the registry's
    address, whom TLS trusts, Deis's units."""

    members: str
    client_key: str
    release: str
    registry: str
    authority: str
    metadata: str
    templates: dict[str, str]


def write(folder: Path, host: Identity, setting: Setting) -> None:
    """Fill ``disk`` and ``cloudinit`` in a host's folder."""
    disk, cloudinit = folder / "disk", folder / "cloudinit"
    shutil.copytree(CODE / "files/disk", disk, dirs_exist_ok=True)
    shutil.copytree(CODE / "files/cloudinit", cloudinit, dirs_exist_ok=True)
    for code in INSIDE_CODE:
        place = disk / "usr/lib/lab" / code
        place.parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / code).is_dir():
            shutil.copytree(CHECKOUT / code, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / code, place)
    for target, units in ENABLED.items():
        wants = disk / "etc/systemd/system" / f"{target}.wants"
        wants.mkdir()
        for unit in units:
            (wants / unit).symlink_to(f"../{unit}")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", disk / "etc/ssh/ssh_host_ed25519_key"],
        check=True,
    )  # fmt: skip
    _write_all(
        disk,
        {
            "etc/hostname": f"{host.name}\n",
            "etc/machine-id": f"{host.machine_id}\n",
            "etc/os-release": OS_RELEASE,
            "etc/deis-release": f"DEIS_RELEASE={setting.release}\n",
            "etc/environment": f"COREOS_PRIVATE_IPV4={host.address}\n"
            f"COREOS_PUBLIC_IPV4={host.public_address}\n",
            "etc/hosts": f"127.0.0.1 localhost {host.name}\n{setting.registry} registry-1.docker.io\n",
            "etc/resolv.conf": "nameserver 127.0.0.1\n",  # refuses at once: no name waits for an answer
            "etc/ssh/authorized_keys": setting.client_key,
            "etc/ssl/certs/ca-certificates.crt": setting.authority,
            **{f"var/lib/deis/units/{name}": raw for name, raw in setting.templates.items()},
        },
    )
    peer = f"http://{host.address}:2380"
    _write_all(
        cloudinit,
        {
            "systemd/system/etcd2.service.d/20-cloudinit.conf": _drop_in(
                ETCD_ADVERTISE_CLIENT_URLS=f"http://{host.address}:2379",
                ETCD_INITIAL_ADVERTISE_PEER_URLS=peer,
                ETCD_INITIAL_CLUSTER=setting.members,
                ETCD_INITIAL_CLUSTER_STATE="new",
                ETCD_LISTEN_CLIENT_URLS="http://0.0.0.0:2379,http://0.0.0.0:4001",
                ETCD_LISTEN_PEER_URLS=peer,
            ),
            "systemd/system/fleet.service.d/20-cloudinit.conf": _drop_in(
                FLEET_METADATA=setting.metadata, FLEET_PUBLIC_IP=host.address
            ),
        },
    )


def _write_all(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _drop_in(**variables: str) -> str:
    """As coreos-cloudinit writes it: one line for each variable."""
    return "[Service]\n" + "".join(
        f'Environment="{name}={value}"\n' for name, value in variables.items()
    )
