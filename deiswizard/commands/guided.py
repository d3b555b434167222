"""``deiswizard [HOST]``: the guided set-up, on a screen or line by line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from deiswizard.cluster.asking import Asker, ConnectProgress
from deiswizard.commands.saying import talk
from deiswizard.errors import PreconditionError
from deiswizard.inventory import Target, resolve

if TYPE_CHECKING:
    from deiswizard.session import Session


def wants_plain(args: argparse.Namespace) -> bool:
    """No screen: asked for, or there is none."""
    is_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return bool(args.plain) or os.environ.get("TERM", "dumb") == "dumb" or not is_terminal


def run(args: argparse.Namespace, open_first: str = "") -> int:
    """Connect to what the flags name, or ask for an address first."""
    if getattr(args, "demo", None):
        from deiswizard.commands.opening import target_of

        with target_of(args) as pretended:
            return guided(args, lambda address: pretended, pretended.text, open_first, args.demo)

    def target_for(address: str) -> Target:
        return resolve(
            address or None,
            tunnel=args.tunnel,
            user=args.user,
            identities=args.identity,
            ssh_config=args.ssh_config,
            known_hosts=args.known_hosts,
        )

    address = args.host or args.tunnel or os.environ.get("DEISCTL_TUNNEL", "")
    return guided(args, target_for, address, open_first)


def guided(
    args: argparse.Namespace,
    target_for: Callable[[str], Target],
    address: str,
    open_first: str = "",
    demo: str = "",
) -> int:
    """The wizard for whatever ``target_for`` makes of an address."""
    if wants_plain(args):
        if not address:
            raise PreconditionError(
                "no cluster was named", do="give the address of one of its hosts, or --demo"
            )
        from deiswizard.plain import guide

        return guide(target_for(address), open_first)

    def start(typed: str, asker: Asker, on_progress: Callable[[ConnectProgress], None]) -> Session:
        # by the engine's thread: the first frame need not wait for SSH, etcd and Docker
        from deiswizard.session import Session

        return Session.open(target_for(typed), asker, on_progress)

    from deiswizard.screens.app import WizardApp

    app = WizardApp(
        start=start,
        address=address,
        open_first=open_first,
        demo=demo,
        ascii_only=args.ascii or "UTF" not in (sys.stdout.encoding or "").upper(),
    )
    app.run()
    if app.return_value:
        talk(app.return_value)
    return app.return_code or 0
