"""From flags to a connected cluster, for the commands without a screen."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import SecretStr

from deiswizard.cluster.asking import ConnectProgress
from deiswizard.cluster.known_hosts import UnknownKey
from deiswizard.commands.saying import talk
from deiswizard.inventory import Target, resolve, saved_target
from deiswizard.run.folders import TARGET
from deiswizard.session import Session


class TerminalAsker:
    """Asks on the terminal; without one the answer is no."""

    def accept_host_keys(self, keys: Sequence[UnknownKey]) -> bool:
        """One table, one question."""
        talk("These hosts are not known yet:")
        for key in keys:
            talk(f"  {key.host:24} {key.key_type:20} {key.fingerprint}")
        if not sys.stdin.isatty():
            talk(
                "  nobody is here to accept them: connect once with the wizard, or use ssh-keyscan"
            )
            return False
        talk("Compare them with the hosts' consoles. Accept all? [y/N] ", end="")
        return input().strip().lower() in ("y", "yes")

    def passphrase(self, identity: Path) -> SecretStr | None:
        """Typed unseen."""
        if not sys.stdin.isatty():
            return None
        return SecretStr(getpass.getpass(f"passphrase of {identity}: ")) or None


def say_progress(progress: ConnectProgress) -> None:
    """Only what went wrong is worth a line."""
    if progress.state == "failed":
        talk(f"{progress.host}: {progress.said}")


@contextlib.contextmanager
def target_of(args: argparse.Namespace, run: Path | None = None) -> Iterator[Target]:
    """Where to connect; with ``--demo`` a pretend cluster that lives as long.

    ``run``: without another address, the cluster of the run in that folder.
    """
    if getattr(args, "demo", None):
        from deiswizard.demo.cluster import PretendCluster

        with PretendCluster.start(args.demo, speed=args.speed) as pretend:
            os.environ["AWS_CA_BUNDLE"] = str(pretend.outside_store.ca_file)
            yield pretend.target
        return
    if run is not None and not (args.host or args.tunnel) and (run / TARGET).exists():
        yield saved_target(run / TARGET)
        return
    yield resolve(
        getattr(args, "host", None),
        tunnel=args.tunnel,
        user=args.user,
        identities=args.identity,
        ssh_config=args.ssh_config,
        known_hosts=args.known_hosts,
    )


@contextlib.contextmanager
def opened(args: argparse.Namespace, run: Path | None = None) -> Iterator[Session]:
    """The cluster that the flags name, connected; ``run`` as in ``target_of``."""
    with target_of(args, run) as target:
        session = Session.open(target, TerminalAsker(), say_progress)
        try:
            yield session
        finally:
            session.close()
