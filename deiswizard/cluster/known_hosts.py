"""The known_hosts file as OpenSSH means it, read once and looked up in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path


class Verdict(Enum):
    """What the file says of a key."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True)
class UnknownKey:
    """A host key that no file knows. ``fingerprint`` as ``ssh-keygen -l`` prints it.

    ``note`` is what the operator should know before accepting it.
    """

    host: str
    name_in_file: str
    key_type: str
    fingerprint: str
    key_b64: str
    note: str = ""


def name_in_file(host: str, port: int) -> str:
    """The name under which OpenSSH files a host: ``host``, or ``[host]:port`` off port 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def fingerprint(key: bytes) -> str:
    """``SHA256:...`` without padding, as ``ssh-keygen -l`` prints it."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


@dataclass(frozen=True)
class _Pattern:
    """A line whose names hold ``*``, ``?`` or ``!``, or a hashed one: it must be tried."""

    names: tuple[str, ...]
    key_type: str
    key_b64: str
    is_revoked: bool

    def matches(self, name: str) -> bool:
        """OpenSSH's rule: some name matches, and no ``!`` name does."""
        hit = False
        for pattern in self.names:
            negated = pattern.startswith("!")
            if _one_matches(pattern.removeprefix("!"), name):
                if negated:
                    return False
                hit = True
        return hit


def _one_matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _hash_matches(pattern, name)
    return _glob(pattern.lower()).fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    """``*`` and ``?`` only: a bracket is part of ``[host]:port``, not a set of characters."""
    pattern = re.sub(r"\*+", "*", pattern)
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in pattern), re.DOTALL)


def _hash_matches(hashed: str, name: str) -> bool:
    parts = hashed.split("|")
    if len(parts) != 4:
        return False
    try:
        salt, digest = base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)


class KnownHosts:
    """All given files together. New keys are appended to the first.

    ``notes`` says in words what was passed over (certificate authorities, lines that make no sense).
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = tuple(files)
        self.notes: list[str] = []
        self._plain: dict[str, dict[str, str]] = {}
        self._patterns: list[_Pattern] = []
        self._found: dict[str, list[tuple[str, str, bool]]] = {}
        self._lock = threading.Lock()
        for path in self.files:
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                self._read_line(line.strip(), f"{path}:{number}")

    def _read_line(self, line: str, where: str) -> None:
        if not line or line.startswith("#"):
            return
        words = line.split()
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3:
            self.notes.append(f"{where} is not a known_hosts line and was passed over")
            return
        if marker == "@cert-authority":
            self.notes.append(f"{where}: @cert-authority is not supported and was passed over")
            return
        if marker not in ("", "@revoked"):
            self.notes.append(f"{where}: the marker {marker} is unknown; the line was passed over")
            return
        names = tuple(words[0].split(","))
        is_plain = not marker and not any(set("*?!|") & set(name) for name in names)
        if is_plain:
            for name in names:
                self._plain.setdefault(name.lower(), {}).setdefault(words[1], words[2])
            # A second key of the same type is legal; it is kept where the first took the place.
            if any(self._plain[name.lower()][words[1]] != words[2] for name in names):
                self._patterns.append(_Pattern(names, words[1], words[2], False))
        else:
            self._patterns.append(_Pattern(names, words[1], words[2], marker == "@revoked"))

    def _lines_for(self, name: str) -> list[tuple[str, str, bool]]:
        with self._lock:
            if name not in self._found:
                self._found[name] = self._search(name)
            return self._found[name]

    def _search(self, name: str) -> list[tuple[str, str, bool]]:
        found = [(kind, key, False) for kind, key in self._plain.get(name, {}).items()]
        found += [
            (line.key_type, line.key_b64, line.is_revoked)
            for line in self._patterns
            if line.matches(name)
        ]
        return found

    def check(self, host: str, port: int, key_type: str, key_b64: str) -> Verdict:
        """Judge the key that a host showed.

        A host that is known by keys of other types only is UNKNOWN for this type, as in OpenSSH.
        """
        lines = self._lines_for(name_in_file(host, port))
        if any(revoked and key == key_b64 for _, key, revoked in lines):
            return Verdict.REVOKED
        same_type = [key for kind, key, revoked in lines if kind == key_type and not revoked]
        if key_b64 in same_type:
            return Verdict.KNOWN
        return Verdict.CHANGED if same_type else Verdict.UNKNOWN

    def key_types_for(self, host: str, port: int) -> tuple[str, ...]:
        """Key types known for a host, to ask it for these first."""
        lines = self._lines_for(name_in_file(host, port))
        return tuple(dict.fromkeys(kind for kind, _, revoked in lines if not revoked))

    def with_note(self, key: UnknownKey, port: int) -> UnknownKey:
        """The key, with a warning where keys of another type are known for its host.

        Somebody who answers in the host's place could show another type to look merely new.
        """
        known = self.key_types_for(key.host, port)
        if not known:
            return key
        return replace(key, note=f"a key of another type is known already: {', '.join(known)}")

    def add(self, keys: Iterable[UnknownKey]) -> None:
        """Append accepted keys to the first file, in OpenSSH's form, and know them from now on.

        Raises:
            OSError: the file could not be written.
        """
        accepted = list(keys)
        if not accepted or not self.files:
            return
        path = self.files[0]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        needs_newline = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
        lines = [f"{key.name_in_file} {key.key_type} {key.key_b64}\n" for key in accepted]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(("\n" if needs_newline else "") + "".join(lines))
        with self._lock:
            for key in accepted:
                self._plain.setdefault(key.name_in_file, {})[key.key_type] = key.key_b64
                self._found.pop(key.name_in_file, None)
