"""``~/.ssh/config``: the settings that matter to us, read as OpenSSH reads them.

Host and Match blocks, Include wherever it stands, the first value wins. paramiko's own reader
follows no Include and cannot keep one inside the block that it stands in.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deiswizard.errors import PreconditionError

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
MAX_DEPTH = 16
"""OpenSSH's limit of nested Includes."""

MANY = ("identityfile",)
"""Every line counts, instead of the first."""

LISTS = ("userknownhostsfile", "globalknownhostsfile")
WANTED = (
    "hostname",
    "user",
    "port",
    "identitiesonly",
    "proxyjump",
    "proxycommand",
    *MANY,
    *LISTS,
)
NETCAT = re.compile(r"(nc|netcat|ncat)$")


@dataclass(frozen=True)
class HostSettings:
    """What the file says for one host; None and empty where it says nothing.

    ``proxy_command`` is one that is not the same as a ProxyJump, and so cannot be followed.
    """

    host_name: str | None = None
    user: str | None = None
    port: int | None = None
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    proxy_jump: tuple[str, ...] = ()
    proxy_command: str = ""
    known_hosts: tuple[Path, ...] = ()
    global_known_hosts: tuple[Path, ...] = ()


@dataclass
class _Reader:
    """Collects the values that hold for one host."""

    host: str
    user: str
    values: dict[str, list[str]] = field(default_factory=dict)

    def read(self, path: Path, *, relative_to: Path, active: bool = True, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise PreconditionError(
                f"{path}: Include is nested more than {MAX_DEPTH} deep", do="mend the file"
            )
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        outer = active
        for number, line in enumerate(text.splitlines(), 1):
            keyword, words = _split(line, f"{path}:{number}")
            if keyword == "host":
                active = outer and matches_any(words, self.host)
            elif keyword == "match":
                active = outer and self._match(words)
            elif keyword == "include":
                for included in _glob(words, relative_to):
                    self.read(included, relative_to=relative_to, active=active, depth=depth + 1)
            elif active and keyword in WANTED and words:
                self._take(keyword, words, line)

    def _take(self, keyword: str, words: list[str], line: str) -> None:
        if keyword in ("proxyjump", "proxycommand"):
            # whichever comes first switches the other off
            if "proxyjump" in self.values or "proxycommand" in self.values:
                return
            rest = re.split(r"\s*=\s*|\s+", line.strip(), maxsplit=1)[1]
            self.values[keyword] = [rest if keyword == "proxycommand" else words[0]]
        elif keyword in MANY:
            self.values.setdefault(keyword, [])
            if words[0] not in self.values[keyword]:
                self.values[keyword].append(words[0])
        else:
            self.values.setdefault(keyword, words if keyword in LISTS else words[:1])

    def _match(self, words: list[str]) -> bool:
        """Match's criteria, all of which must hold. What cannot be judged here does not hold."""
        left = iter(words)
        for word in left:
            negated = word.startswith("!")
            criterion = word.removeprefix("!").lower()
            if criterion == "all":
                hit = True
            elif criterion in ("canonical", "final"):
                hit = False
            else:
                patterns = next(left, "").split(",")
                hit = self._holds(criterion, patterns)
            if hit == negated:
                return False
        return bool(words)

    def _holds(self, criterion: str, patterns: list[str]) -> bool:
        values: dict[str, Callable[[], str]] = {
            "host": lambda: _expanded((self.values.get("hostname") or [self.host])[0], self.host),
            "originalhost": lambda: self.host,
            "user": lambda: (self.values.get("user") or [self.user])[0],
            "localuser": getpass.getuser,
        }
        return criterion in values and matches_any(patterns, values[criterion]())


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Some pattern matches, and none that begins with ``!``."""
    hit = False
    for pattern in patterns:
        expression = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, name, re.DOTALL):
            if pattern.startswith("!"):
                return False
            hit = True
    return hit


def _split(line: str, where: str) -> tuple[str, list[str]]:
    """Keyword in lower case and its words, quotes taken off; empty for a comment."""
    found = re.match(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+|$)(.*)", line)
    if not found:
        return "", []
    keyword = found[1].lower()
    if keyword not in (*WANTED, "host", "match", "include"):
        return keyword, []
    try:
        reader = shlex.shlex(found[2], posix=True, punctuation_chars=False)
        reader.whitespace_split = True
        reader.escape = ""
        reader.commenters = ""
        words = list(reader)
    except ValueError as error:
        raise PreconditionError(
            f"{where} has a quote without an end", said=str(error), do="mend the file"
        ) from error
    for index, word in enumerate(words):
        if word.startswith("#") and keyword != "proxycommand":
            return keyword, words[:index]
    return keyword, words


def _glob(patterns: Iterable[str], relative_to: Path) -> Iterator[Path]:
    for pattern in patterns:
        path = Path(pattern).expanduser()
        whole = path if path.is_absolute() else relative_to / path
        yield from sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))


def _expanded(text: str, host: str, **tokens: str) -> str:
    """``%h`` and the like, ``${NAME}``, and ``~`` at the start."""
    known = {
        "%": "%",
        "h": host,
        "n": host,
        "d": str(Path.home()),
        "u": getpass.getuser(),
        "i": str(os.getuid()),
        **tokens,
    }
    text = re.sub(r"%(.)", lambda found: known.get(found[1], found[0]), text)
    text = re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], ""), text)
    return str(Path(text).expanduser()) if text.startswith("~") else text


def jump_of_command(command: str) -> str | None:
    """The jump that a ProxyCommand amounts to: ``ssh -W %h:%p GATE`` or ``ssh GATE nc %h %p``."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if words[:1] == ["exec"]:
        words = words[1:]
    if not words or Path(words[0]).name != "ssh":
        return None
    user = port = gate = forward = ""
    left = iter(words[1:])
    for word in left:
        if word.startswith("-") and not gate:
            option, value = word[1:2], word[2:]
            if option in "qxTaAnCv46":
                continue
            value = value or next(left, "")
            if option == "W":
                forward = value
            elif option == "p":
                port = value
            elif option == "l":
                user = value
            elif option not in "io":
                return None
        elif not gate:
            gate = word
        else:
            rest = [word, *left]
            plain = [part for part in rest[1:] if not part.startswith("-")]
            if not NETCAT.search(rest[0]) or plain[:2] != ["%h", "%p"]:
                return None
            forward = "%h:%p"
    if not gate or forward not in ("%h:%p", "[%h]:%p"):
        return None
    return (f"{user}@" if user else "") + gate + (f":{port}" if port else "")


def settings_for(path: Path | None, host: str, user: str = "core") -> HostSettings:
    """What ``path`` says for ``host``; None: the user's file, and after it the system's.

    Args:
        user: who logs in where no file says so, for ``Match user``.

    Raises:
        PreconditionError: the named file does not exist, or a line cannot be read.
    """
    if path is not None and not path.exists():
        raise PreconditionError(
            f"the SSH config file {path} does not exist", do="check the path after --ssh-config"
        )
    reader = _Reader(host, user)
    own = Path("~/.ssh").expanduser()
    reader.read(path or own / "config", relative_to=own)
    if path is None:
        reader.read(SYSTEM_CONFIG, relative_to=SYSTEM_CONFIG.parent)

    def first(name: str) -> str:
        return (reader.values.get(name) or [""])[0]

    port = first("port")
    if port and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise PreconditionError(
            f"{path or own / 'config'}: Port '{port}' for {host} is not a port", do="mend the file"
        )
    host_name = _expanded(first("hostname"), host)
    tokens = {"h": host_name or host, "n": host, "r": first("user") or user, "p": port or "22"}

    def paths(name: str) -> tuple[Path, ...]:
        words = [word for word in reader.values.get(name, []) if word.lower() != "none"]
        return tuple(Path(_expanded(word, host, **tokens)) for word in words)

    jump, command = first("proxyjump"), first("proxycommand")
    if command and command.lower() != "none" and (same := jump_of_command(command)):
        jump, command = same, ""
    return HostSettings(
        host_name=host_name or None,
        user=first("user") or None,
        port=int(port) if port else None,
        identities=paths("identityfile"),
        identities_only=first("identitiesonly").lower() in ("yes", "true"),
        proxy_jump=() if jump.lower() in ("", "none") else tuple(jump.split(",")),
        proxy_command="" if command.lower() == "none" else command,
        known_hosts=paths("userknownhostsfile"),
        global_known_hosts=paths("globalknownhostsfile"),
    )
