"""This project's SSH: connect to every host and run ``true``. Called by ``bench.connect``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import SecretStr

from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.host import HostLink
from deiswizard.cluster.known_hosts import KnownHosts, UnknownKey
from deiswizard.inventory import Target

POOL = 32
"""As ``cluster/connection.py``, which would import etcd and Docker as well."""


class Nobody:
    """Implements ``asking.Asker``: every key is known and none has a passphrase."""

    def accept_host_keys(self, keys: Sequence[UnknownKey]) -> bool:
        """Never."""
        return False

    def passphrase(self, identity: Path) -> SecretStr | None:
        """None."""
        return None


def links_to(
    key: str, known_hosts: str, user: str, port: str, addresses: list[str]
) -> list[HostLink]:
    """A link to each address, not open yet; keys and login shared as in a cluster."""
    keys = KnownHosts((Path(known_hosts),))
    credentials = Credentials(Nobody())
    return [
        HostLink(
            Target(
                host=address,
                port=int(port),
                user=user,
                identities=(Path(key),),
                use_agent=False,
                known_hosts=(Path(known_hosts),),
            ),
            keys=keys,
            credentials=credentials,
        )
        for address in addresses
    ]


def main(key: str, known_hosts: str, user: str, port: str, *addresses: str) -> None:
    """Connect, run, close."""

    def one(link: HostLink) -> None:
        assert link.open().run("true").code == 0
        link.close()

    with ThreadPoolExecutor(POOL) as pool:
        list(pool.map(one, links_to(key, known_hosts, user, port, list(addresses))))


if __name__ == "__main__":
    main(*sys.argv[1:])
