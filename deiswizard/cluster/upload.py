"""The shell commands that put a file on a host whole or not at all."""

from __future__ import annotations

import hashlib
import secrets
import shlex

STORED = "stored"
SLOWEST_RATE = 32 * 1024
"""Bytes a second below which an upload is given up."""


def store_command(path: str, content: bytes, mode: int) -> tuple[str, str]:
    """A command that reads the file from its stdin, and the sha256 that it will insist on.

    The content goes to a temporary file beside the target, readable by nobody else until it has its
    mode; only a whole one takes the target's place, and then the command prints ``STORED``. It is
    one command, so that a link that breaks half-way leaves nothing behind: the host's own shell
    sees the wrong checksum and clears up.
    """
    checksum = hashlib.sha256(content).hexdigest()
    folder, _, name = path.rpartition("/")
    prefix = f"{folder}/" if "/" in path else "./"
    temporary = shlex.quote(f"{prefix}.{name[:100]}.deiswizard-{secrets.token_hex(4)}")
    command = (
        f"umask 077; cat > {temporary} && chmod {mode:04o} {temporary} && "
        f"sha256sum {temporary} | grep -q {checksum} && "
        f"mv -fT {temporary} {shlex.quote(path)} && echo {STORED}; rm -f {temporary}"
    )
    return command, checksum


def store_seconds(content: bytes) -> float:
    """How long the upload may take."""
    return 60.0 + len(content) / SLOWEST_RATE


def checksum_command(path: str) -> str:
    """A command that prints the file's sha256; without a file it fails and prints nothing."""
    quoted = shlex.quote(path)
    return f"test -e {quoted} && sha256sum < {quoted}"
