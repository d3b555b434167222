"""asyncssh: connect to every host and run ``true``."""

import asyncio
import sys

import asyncssh


async def main(key: str, known_hosts: str, user: str, port: str, *addresses: str) -> None:
    async def one(address: str) -> None:
        async with asyncssh.connect(
            address,
            int(port),
            username=user,
            client_keys=[key],
            known_hosts=known_hosts,
            config=None,
        ) as link:
            await link.run("true", check=True)

    await asyncio.gather(*(one(address) for address in addresses))


asyncio.run(main(*sys.argv[1:]))
