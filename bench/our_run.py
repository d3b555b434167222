"""This project's SSH: connect to every host and run ``true``. Called by ``bench.connect``."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deiswizard.cluster.auth import Credentials
from deiswizard.cluster.connection import POOL
from deiswizard.cluster.host import HostLink
from deiswizard.cluster.known_hosts import KnownHosts
from deiswizard.commands.opening import TerminalAsker
from deiswizard.inventory import Target


def links_to(
    key: str, known_hosts: str, user: str, port: str, addresses: list[str]
) -> list[HostLink]:
    """A link to each address, not open yet; keys and login shared as in a cluster."""
    keys = KnownHosts((Path(known_hosts),))
    credentials = Credentials(TerminalAsker())
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
