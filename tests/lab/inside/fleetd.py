"""A stand-in for fleetd 0.11.7: the registry in etcd, an engine, an agent on the real systemd, the API.

SIGTERM stops every unit that fleet runs on this machine, as the real one's does; SIGKILL leaves them running.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

from tests.lab.inside import fleet_agent, fleet_engine, fleet_registry
from tests.lab.inside.etcd_v2 import Etcd, EtcdDownError, EtcdError
from tests.lab.inside.fleet_agent import Agent
from tests.lab.inside.fleet_api import Server
from tests.lab.inside.fleet_registry import TTL, Machine, State

ROUND = 1.0
"""Seconds between two looks at the registry and at systemd."""

FIRST_SOCKET = 3


def this_machine() -> Machine:
    """What the environment and the machine-id say; entries without "=" are dropped without a word."""
    pairs = [pair.partition("=") for pair in os.environ.get("FLEET_METADATA", "").split(",")]
    return Machine(
        Path("/etc/machine-id").read_text().strip(),
        os.environ.get("FLEET_PUBLIC_IP", ""),
        {key.strip(): value.strip() for key, equals, value in pairs if equals},
    )


class Daemon:
    """One fleetd."""

    def __init__(self) -> None:
        self.machine = this_machine()
        self.etcd = Etcd()
        self.agent = Agent()
        self._announced = 0.0
        self._published: dict[str, tuple[State, float]] = {}

    def look(self) -> None:
        """One round. Raises EtcdDownError, EtcdError."""
        now = time.monotonic()
        if now - self._announced > TTL / 2 or not self._announced:
            fleet_registry.announce(self.etcd, self.machine)
            self._announced = now
        registry = fleet_registry.read(self.etcd)
        if fleet_engine.leads(registry, self.machine.id):
            for name, target in fleet_engine.decisions(registry).items():
                fleet_registry.set_target(self.etcd, name, target)
        units = fleet_agent.wanted(registry, self.machine.id)
        self.agent.reconcile(units)
        states = fleet_agent.states(units, self.machine.id)
        if states is None:
            return
        self._publish(states, now)
        stale = {s.unit for s in registry.states if s.machine == self.machine.id}
        for name in stale - self._published.keys():
            fleet_registry.retract(self.etcd, name, self.machine.id)

    def _publish(self, states: list[State], now: float) -> None:
        """What has changed, and what would be forgotten."""
        for name in self._published.keys() - {state.unit for state in states}:
            fleet_registry.retract(self.etcd, name, self.machine.id)
            del self._published[name]
        for state in states:
            before, when = self._published.get(state.unit, (None, 0.0))
            if state != before or now - when > TTL / 2:
                fleet_registry.publish(self.etcd, state)
                self._published[state.unit] = state, now

    def forget_all(self) -> None:
        """Stop what runs and take all that was said back."""
        self.agent.purge()
        try:
            for name in self._published:
                fleet_registry.retract(self.etcd, name, self.machine.id)
            fleet_registry.withdraw(self.etcd, self.machine.id)
        except EtcdDownError:
            return


def main() -> None:
    """Serve until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server = Server(socket.socket(fileno=FIRST_SOCKET))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    daemon = Daemon()
    was_down = False
    while not ended.is_set():
        try:
            daemon.look()
            was_down = False
        except (EtcdDownError, EtcdError) as error:
            if not was_down:
                print(f"unable to communicate with etcd: {error}", flush=True)
            was_down = True
        ended.wait(ROUND)
    print("Gracefully shutting down", flush=True)
    daemon.forget_all()


if __name__ == "__main__":
    main()
