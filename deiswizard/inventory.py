"""Which cluster: from flags, DEISCTL_TUNNEL and ``~/.ssh/config`` to where to log in first."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import TypeAdapter

from deiswizard.cluster.ssh_config import HostSettings, settings_for
from deiswizard.errors import PreconditionError

DEFAULT_USER = "core"
"""deisctl hard-codes it (deis-facts 0.1)."""

MAX_JUMPS = 8

ADDRESS = re.compile(
    r"^(?:(?P<user>[^@\s]+)@)?"
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|(?P<host>[^\s:@\[\]/]+))(?::(?P<port>\d+))?$"
)


@dataclass(frozen=True)
class Target:
    """A host to log in to, and how.

    ``jumps`` are gone through first, outermost first. New host keys go to the first file of
    ``known_hosts``. With ``identities_only`` the agent is used only for the keys named in
    ``identities`` (as IdentitiesOnly in ssh config). ``alias`` is what the operator typed. The
    explicit settings are kept for ``for_host``. ``is_pretended``: it ends with this program.
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
    is_pretended: bool = False

    @property
    def text(self) -> str:
        """``user@host:port``, the port only when it is not 22."""
        return f"{self.user}@{self.host}" + ("" if self.port == 22 else f":{self.port}")


def login_words(target: Target) -> tuple[str, ...]:
    """The flags of a command that reach the same cluster the same way."""
    name = target.alias if target.alias and target.alias != target.host else ""
    words = ["--host", name if name and not target.is_pretended else target.text]
    if target.explicit_user and name:
        words += ["--user", target.explicit_user]
    words += [word for path in target.explicit_identities for word in ("-i", str(path.absolute()))]
    if target.ssh_config is not None:
        words += ["--ssh-config", str(target.ssh_config)]
    hosts = target.explicit_known_hosts
    return (*words, *(w for path in hosts for w in ("--known-hosts", str(path.absolute()))))


def saved_target(path: Path) -> Target:
    """A target that ``save_target`` has written.

    Raises:
        PreconditionError: it cannot be read.
    """
    try:
        return _targets().validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PreconditionError(
            f"{path} does not say which cluster this was",
            said=str(error).splitlines()[0],
            do="give the address of one of its hosts",
        ) from error


def save_target(path: Path, target: Target) -> None:
    """Where a run's cluster is, for whoever takes the run up again. Holds no secret. Raises OSError."""
    path.write_bytes(_targets().dump_json(target, indent=1))


def _targets() -> TypeAdapter[Target]:
    from pydantic import TypeAdapter

    return TypeAdapter(Target)


def parse_address(text: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]`` or ``[user@][v6][:port]`` as (user, host, port).

    Raises:
        PreconditionError: it is neither, or the port is not 1 to 65535.
    """
    text = text.strip()
    if _is_v6(text):
        return None, text, None
    match = ADDRESS.match(text)
    if not match or (match["v6"] and not _is_v6(match["v6"])):
        raise PreconditionError(
            f"'{text}' is not an address",
            do="give host, host:port, user@host or [IPv6 address]:port",
        )
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise PreconditionError(
            f"port {port} in '{text}' is not between 1 and 65535", do="sshd listens on 22"
        )
    return match["user"], match["v6"] or match["host"], port


def _is_v6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


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
    text = (address or tunnel or environ.get("DEISCTL_TUNNEL", "")).strip()
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
    """Another host of the same cluster: what ssh config says of it, and else the same user and keys.

    ``port`` None: the one of ssh config, else 22. Jumps are left out: the caller knows the way.
    """
    own = _with_settings(target, address, port, with_jumps=False)
    settings = settings_for(target.ssh_config, address, target.user)
    return replace(
        own,
        user=target.explicit_user or settings.user or target.user,
        identities=tuple(dict.fromkeys((*own.identities, *target.identities))),
        identities_only=own.identities_only or target.identities_only,
        known_hosts=target.known_hosts or own.known_hosts,
        jumps=(),
    )


def _with_settings(
    base: Target, host: str, port: int | None, depth: int = 0, with_jumps: bool = True
) -> Target:
    if depth > MAX_JUMPS:
        raise PreconditionError(
            f"ProxyJump to {host} is nested more than {MAX_JUMPS} deep",
            do="look for a ring of ProxyJump lines in your ssh config",
        )
    settings = settings_for(base.ssh_config, host, base.explicit_user or DEFAULT_USER)
    jumps: list[Target] = []
    if with_jumps:
        if settings.proxy_command:
            raise PreconditionError(
                f"your ssh config reaches {host} by a ProxyCommand that cannot be followed",
                said=settings.proxy_command,
                do="use ProxyJump, or 'ssh -W %h:%p GATE' as the ProxyCommand",
            )
        for number, jump in enumerate(settings.proxy_jump):
            jump_user, jump_host, jump_port = parse_address(
                jump.strip().removeprefix("ssh://").rstrip("/")
            )
            # a user given for the cluster is not the gate's; its own settings say that
            gate = replace(base, explicit_user=jump_user, alias=jump)
            hop = _with_settings(gate, jump_host, jump_port, depth + 1, with_jumps=number == 0)
            jumps += [*hop.jumps, replace(hop, jumps=())]
    return replace(
        base,
        host=settings.host_name or host,
        port=port or settings.port or 22,
        user=base.explicit_user or settings.user or DEFAULT_USER,
        identities=tuple(dict.fromkeys((*base.explicit_identities, *settings.identities))),
        identities_only=settings.identities_only,
        jumps=tuple(jumps),
        known_hosts=base.explicit_known_hosts
        or (*(settings.known_hosts or _own_known_hosts()), *_shared_known_hosts(settings)),
    )


def _own_known_hosts() -> tuple[Path, ...]:
    return tuple(Path(name).expanduser() for name in ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"))


def _shared_known_hosts(settings: HostSettings) -> tuple[Path, ...]:
    return settings.global_known_hosts or (
        Path("/etc/ssh/ssh_known_hosts"),
        Path("/etc/ssh/ssh_known_hosts2"),
    )
