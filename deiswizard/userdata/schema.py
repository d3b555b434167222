"""What coreos-cloudinit knows: sections, keys, and the kind of each value.

Source: the structures of coreos-cloudinit 1.14 (config/*.go). Dashes and underscores are the same in
every key; here they are written with underscores. What it does not know it passes over in silence.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind = Literal["text", "whole number", "number", "true or false"]


@dataclass(frozen=True)
class Value:
    """A single value. ``allowed``: the closed list of words, where there is one."""

    kind: Kind = "text"
    allowed: tuple[str, ...] = ()
    is_environment: bool = False
    """It is written, without any quoting, into ``Environment="NAME=value"`` of a unit's drop-in."""


@dataclass(frozen=True)
class Items:
    """A list of ``item``."""

    item: Shape


Shape: TypeAlias = "Value | Items | Mapping[str, Shape]"

TEXT = Value()
BOOL = Value("true or false")
PROXY = Value(allowed=("on", "off", "readonly"), is_environment=True)
REBOOT_STRATEGY = Value(allowed=("etcd-lock", "reboot", "off"), is_environment=True)
COMMAND = Value(
    allowed=(
        "start",
        "stop",
        "restart",
        "reload",
        "try-restart",
        "reload-or-restart",
        "reload-or-try-restart",
    )
)


def _values(
    texts: str, *, bools: str = "", ints: str = "", numbers: str = "", is_environment: bool = False
) -> dict[str, Shape]:
    kinds: dict[Kind, str] = {
        "text": texts,
        "true or false": bools,
        "whole number": ints,
        "number": numbers,
    }
    return {
        name: Value(kind, is_environment=is_environment)
        for kind, names in kinds.items()
        for name in names.split()
    }


_environment = functools.partial(_values, is_environment=True)

ETCD2: Mapping[str, Shape] = {
    **_environment(
        "advertise_client_urls ca_file cert_file cors data_dir discovery discovery_fallback "
        "discovery_srv discovery_proxy initial_advertise_peer_urls initial_cluster "
        "initial_cluster_state initial_cluster_token key_file listen_client_urls listen_peer_urls "
        "log_package_levels name peer_ca_file peer_cert_file peer_key_file peer_trusted_ca_file "
        "trusted_ca_file wal_dir",
        bools="client_cert_auth debug enable_pprof force_new_cluster peer_client_cert_auth "
        "strict_reconfig_check",
        ints="election_timeout heartbeat_interval max_snapshots max_wals proxy_dial_timeout "
        "proxy_failure_wait proxy_read_timeout proxy_refresh_interval proxy_write_timeout "
        "snapshot_count",
    ),
    "proxy": PROXY,
}

ETCD: Mapping[str, Shape] = _environment(
    "addr advertise_client_urls bind_addr ca_file cert_file cors data_dir discovery "
    "discovery_fallback discovery_srv discovery_proxy graphite_host initial_advertise_peer_urls "
    "initial_cluster initial_cluster_state initial_cluster_token key_file listen_client_urls "
    "listen_peer_urls name peer_addr peer_bind_addr peer_ca_file peer_cert_file peer_key_file peers "
    "peers_file proxy trace",
    bools="force_new_cluster snapshot verbose very_verbose very_very_verbose",
    ints="cluster_active_size election_timeout heartbeat_interval max_result_buffer "
    "max_retry_attempts max_snapshots max_wals peer_election_timeout peer_heartbeat_interval "
    "snapshot_count",
    numbers="cluster_remove_delay cluster_sync_interval http_read_timeout http_write_timeout "
    "retry_interval",
)

FLEET: Mapping[str, Shape] = _environment(
    "agent_ttl authorized_keys_file etcd_cafile etcd_certfile etcd_keyfile etcd_key_prefix "
    "etcd_servers etcd_username etcd_password metadata public_ip",
    bools="disable_engine verify_units",
    ints="token_limit verbosity",
    numbers="engine_reconcile_interval etcd_request_timeout",
)

FLANNEL: Mapping[str, Shape] = _environment(
    "etcd_endpoints etcd_cafile etcd_certfile etcd_keyfile etcd_prefix etcd_username etcd_password "
    "ip_masq subnet_file interface public_ip"
)

LOCKSMITH: Mapping[str, Shape] = _environment(
    "endpoint etcd_cafile etcd_certfile etcd_keyfile etcd_username etcd_password group "
    "window_start window_length"
)

UNIT: Mapping[str, Shape] = {
    "name": TEXT,
    "mask": BOOL,
    "enable": BOOL,
    "runtime": BOOL,
    "content": TEXT,
    "command": COMMAND,
    "drop_ins": Items({"name": TEXT, "content": TEXT}),
}

CLOUD_CONFIG: Mapping[str, Shape] = {
    "ssh_authorized_keys": Items(TEXT),
    "coreos": {
        "etcd": ETCD,
        "etcd2": ETCD2,
        "flannel": FLANNEL,
        "fleet": FLEET,
        "locksmith": LOCKSMITH,
        "oem": _values("id name version_id home_url bug_report_url"),
        "update": {"reboot_strategy": REBOOT_STRATEGY, "group": TEXT, "server": TEXT},
        "units": Items(UNIT),
    },
    "write_files": Items(_values("encoding content owner path permissions")),
    "hostname": TEXT,
    "users": Items(
        {
            **_values(
                "name passwd coreos_ssh_import_github coreos_ssh_import_url gecos homedir "
                "primary_group shell",
                bools="no_create_home no_user_group system no_log_init",
            ),
            "ssh_authorized_keys": Items(TEXT),
            "coreos_ssh_import_github_users": Items(TEXT),
            "groups": Items(TEXT),
        }
    ),
    "manage_etc_hosts": TEXT,
}
"""The whole file."""
