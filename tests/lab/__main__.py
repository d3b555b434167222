"""``python -m tests.lab [HOSTS]`` leaves a lab running and prints how to point the wizard at it."""

from __future__ import annotations

import signal
import sys
import threading

from tests.lab.lab import running, why_no_lab


def main() -> None:
    """Stay until ctrl-c."""
    if reason := why_no_lab():
        sys.exit(reason)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with running(int((sys.argv[1:] or ["3"])[0])) as lab:
        flags = f"-i {lab.client_key} --known-hosts {lab.known_hosts}"
        first = lab.hosts[0].address
        print(
            f"lab {lab.place.number}: {len(lab.hosts)} hosts: {', '.join(f'{h.name} {h.address}' for h in lab.hosts)}\n"
            f"  deiswizard core@{first} {flags}\n"
            f"  deiswizard core@{lab.network.outside}.11 {flags}     # through the first host\n"
            f"  ssh -i {lab.client_key} -o UserKnownHostsFile={lab.known_hosts} core@{first}\n"
            "ctrl-c ends it",
            flush=True,
        )
        ended.wait()


if __name__ == "__main__":
    main()
