"""pyinfra: connect to every host and run ``true``, as its command line does."""

import sys

from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.operations import server

key, known_hosts, user, port, *addresses = sys.argv[1:]
data = {
    "ssh_user": user,
    "ssh_port": int(port),
    "ssh_key": key,
    "ssh_known_hosts_file": known_hosts,
    "ssh_strict_host_key_checking": "yes",
    "ssh_allow_agent": False,
    "ssh_look_for_keys": False,
}
state = State(Inventory((addresses, data)), Config(PARALLEL=32))
connect_all(state)
add_op(state, server.shell, commands=["true"])
run_ops(state)
assert len(state.activated_hosts - state.failed_hosts) == len(addresses)
