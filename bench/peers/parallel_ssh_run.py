"""parallel-ssh (libssh2, which checks no host key): connect to every host and run ``true``."""

import sys

from pssh.clients import ParallelSSHClient

key, _known_hosts, user, port, *addresses = sys.argv[1:]
client = ParallelSSHClient(
    addresses, user=user, port=int(port), pkey=key, pool_size=32, allow_agent=False
)
output = client.run_command("true")
client.join(output)
assert all(host.exit_code == 0 for host in output)
