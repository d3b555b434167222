"""Which cluster: from flags, DEISCTL_TUNNEL and ``~/.ssh/config`` to where to log in first."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deiswizard.errors import PreconditionError

DEFAULT_USER = "core"
"""deisctl hard-codes it (deis-facts 0.1)."""

ADDRESS = re.compile(
    r"^(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[0-9a-fA-F:.%]+)\]|(?P<host>[^\s:@\[\]/]+))(?::(?P<port>\d+))?$"
)


@dataclass(frozen=True)
class Target:
    """A host to log in to, and how.

    ``jumps`` are gone through first, outermost first. New host keys go to the first file of
    ``known_hosts``. With ``identities_only`` the agent is used only for the keys named in
    ``identities`` (as IdentitiesOnly in ssh config). ``alias`` is what the operator typed. The
    explicit settings are kept for ``for_host``.
    """

    host: str
    port: int = 22
    user: str = DEFAULT_USER
    identities: tuple[Path, ...] = ()
    use_agent: bool = True
    identities_only: bool = False
    jumps: tuple[Target, ...] = ()
    known_hosts: tuple[Path, ...] = ()
    alias: str = ""
    ssh_config: Path | None = None
    explicit_user: str | None = None
    explicit_identities: tuple[Path, ...] = ()
    explicit_known_hosts: tuple[Path, ...] = ()

    @property
    def text(self) -> str:
        """``user@host:port``, the port only when it is not 22."""
        return f"{self.user}@{self.host}" + ("" if self.port == 22 else f":{self.port}")


def parse_address(text: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]`` or ``[user@][v6][:port]`` as (user, host, port).

    Raises:
        PreconditionError: it is neither, or the port is not 1 to 65535.
    """
    if text.count(":") > 1 and "[" not in text and "@" not in text:
        return None, text, None
    match = ADDRESS.match(text.strip())
    if not match:
        raise PreconditionError(
            f"'{text}' is not an address",
            do="give host, host:port, user@host or [IPv6 address]:port",
        )
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise PreconditionError(f"port {port} in '{text}' is not between 1 and 65535")
    return match["user"], match["v6"] or match["host"], port


def resolve(
    address: str | None,
    *,
    tunnel: str | None = None,
    user: str | None = None,
    identities: Sequence[Path] = (),
    ssh_config: Path | None = None,
    known_hosts: Sequence[Path] = (),
    environ: Mapping[str, str] = os.environ,
) -> Target:
    """Where to log in first: the address, else ``tunnel``, else ``DEISCTL_TUNNEL``.

    Raises:
        PreconditionError: none was given, or one of the settings cannot be read.
    """
    text = address or tunnel or environ.get("DEISCTL_TUNNEL", "")
    if not text:
        raise PreconditionError(
            "no cluster was named",
            do="give the address of one of its hosts, or set DEISCTL_TUNNEL, "
            "or try the pretend cluster: deiswizard demo",
        )
    for identity in identities:
        if not identity.exists():
            raise PreconditionError(
                f"the key file {identity} does not exist", do="check the path after --identity"
            )
    typed_user, host, port = parse_address(text)
    base = Target(
        host=host,
        alias=text,
        ssh_config=ssh_config,
        explicit_user=user or typed_user,
        explicit_identities=tuple(identities),
        explicit_known_hosts=tuple(known_hosts),
    )
    return _with_settings(base, host, port)


def for_host(target: Target, address: str, port: int | None) -> Target:
    """Another host of the same cluster: the same explicit settings, and what ssh config says of it.

    ``port`` None: the one of ssh config, else 22. Jumps are left out: the caller knows the way.
    """
    return replace(_with_settings(target, address, port, with_jumps=False), jumps=())


def _with_settings(
    base: Target, host: str, port: int | None, depth: int = 0, with_jumps: bool = True
) -> Target:
    from deiswizard.cluster.ssh_config import settings_for

    if depth > 8:
        raise PreconditionError(f"ProxyJump to {host} is nested more than 8 deep")
    settings = settings_for(base.ssh_config, host)
    jumps: list[Target] = []
    for jump in settings.proxy_jump if with_jumps else ():
        jump_user, jump_host, jump_port = parse_address(jump.removeprefix("ssh://"))
        hop = _with_settings(
            replace(base, explicit_user=jump_user), jump_host, jump_port, depth + 1
        )
        jumps += [*hop.jumps, replace(hop, jumps=())]
    default_known_hosts = (
        Path("~/.ssh/known_hosts").expanduser(),
        Path("~/.ssh/known_hosts2").expanduser(),
        Path("/etc/ssh/ssh_known_hosts"),
    )
    return replace(
        base,
        host=settings.host_name or host,
        port=port or settings.port or 22,
        user=base.explicit_user or settings.user or DEFAULT_USER,
        identities=(*base.explicit_identities, *settings.identities),
        identities_only=settings.identities_only,
        jumps=tuple(jumps),
        known_hosts=base.explicit_known_hosts or settings.known_hosts or default_known_hosts,
    )
