"""Connect to 100 loopback hosts and run a command on each: this project's SSH against its peers.

    python -m bench.connect PEERS_PYTHON [ROUNDS]

PEERS_PYTHON is the interpreter of an environment with parallel-ssh, asyncssh and pyinfra (they
need another paramiko than we do). Every program runs as a process of its own, in turn.
"""

from __future__ import annotations

import sys

from bench.measure import compare, table
from bench.sshd_farm import farm

PEERS = ("asyncssh", "parallel_ssh", "pyinfra")


def main(peers_python: str, rounds: int) -> None:
    """Print the table."""
    with farm(100) as hosts:
        arguments = [
            str(hosts.key),
            str(hosts.known_hosts),
            hosts.user,
            str(hosts.port),
            *hosts.addresses,
        ]
        commands = {"deiswizard": [sys.executable, "-m", "bench.our_run", *arguments]}
        for peer in PEERS:
            commands[peer] = [peers_python, f"bench/peers/{peer}_run.py", *arguments]
        print(table(compare(commands, rounds)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5)
