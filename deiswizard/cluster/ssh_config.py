"""``~/.ssh/config``: the settings that matter to us, with Include followed.

paramiko reads Host blocks and expands tokens, but does not follow Include; so the files are put
together first, as OpenSSH does, and paramiko reads the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deiswizard.errors import PreconditionError

INCLUDE = re.compile(r"^\s*include[\s=]+(.+?)\s*$", re.IGNORECASE)
BLOCK = re.compile(r"^\s*(host|match)[\s=]", re.IGNORECASE)
MAX_DEPTH = 16
"""OpenSSH's limit of nested Includes."""


@dataclass(frozen=True)
class HostSettings:
    """What the file says for one host; None and empty where it says nothing."""

    host_name: str | None = None
    user: str | None = None
    port: int | None = None
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    proxy_jump: tuple[str, ...] = ()
    known_hosts: tuple[Path, ...] = ()


def joined_lines(path: Path, depth: int = 0) -> list[str]:
    """The lines of a file with every Include replaced by what it names.

    An Include inside a Host block stays inside it: the block's own line is repeated afterwards, so
    that what follows the Include belongs to the block again.
    """
    if depth > MAX_DEPTH:
        raise PreconditionError(f"{path}: Include is nested more than {MAX_DEPTH} deep")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines: list[str] = []
    block = "Host *"
    for line in text.splitlines():
        if BLOCK.match(line):
            block = line
        include = INCLUDE.match(line)
        if not include:
            lines.append(line)
            continue
        for word in include[1].split():
            pattern = Path(word.strip('"')).expanduser()
            base = pattern if pattern.is_absolute() else Path.home() / ".ssh" / pattern
            for included in sorted(Path(base.anchor).glob(str(base.relative_to(base.anchor)))):
                lines += [*joined_lines(included, depth + 1), block]
    return lines


def settings_for(path: Path | None, host: str) -> HostSettings:
    """What the config file at ``path`` (default ``~/.ssh/config``) says for ``host``.

    Raises:
        PreconditionError: a line that cannot be read.
    """
    import paramiko

    config_path = path if path is not None else Path("~/.ssh/config").expanduser()
    if path is not None and not path.exists():
        raise PreconditionError(
            f"the SSH config file {path} does not exist", do="check the path after --ssh-config"
        )
    lines = joined_lines(config_path)
    if not lines:
        return HostSettings()
    try:
        found = paramiko.SSHConfig.from_text("\n".join(lines)).lookup(host)
    except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ValueError) as error:
        raise PreconditionError(
            f"{config_path} cannot be read", said=str(error), do="mend the file"
        ) from error
    port = found.get("port")
    if port is not None and not port.isdecimal():
        raise PreconditionError(f"{config_path}: Port '{port}' for {host} is not a number")
    jump = found.get("proxyjump", "")
    return HostSettings(
        host_name=found.get("hostname"),
        user=found.get("user"),
        port=int(port) if port else None,
        identities=tuple(Path(p).expanduser() for p in found.get("identityfile", [])),
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        proxy_jump=() if jump.lower() in ("", "none") else tuple(jump.split(",")),
        known_hosts=tuple(
            Path(p.strip('"')).expanduser() for p in found.get("userknownhostsfile", "").split()
        ),
    )
