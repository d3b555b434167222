"""Reads ``tests/recorded/``: what real programs printed, with exit status."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "recorded"
FLEET = "cluster-etcd2.3.8-fleet0.11.7"
OTHER_FLEET = "cluster-etcd2.2.5-fleet1.0.0"
DEISCTL = "deisctl-1.13.4"


@dataclass(frozen=True)
class Recording:
    """One command: its streams and exit status."""

    command: str
    status: int
    out: str
    err: str

    @property
    def body(self) -> str:
        """What follows the headers, where the command was ``curl -i``."""
        return self.out.replace("\r\n", "\n").partition("\n\n")[2]

    @property
    def http_status(self) -> int:
        """The HTTP status, where the command was ``curl -i``."""
        return int(self.out.split()[1])


def recording(folder: str, name: str) -> Recording:
    """The recording of that name."""
    text = (FOLDER / folder / f"{name}.txt").read_bytes().decode("utf-8", "replace")
    status = re.search(r"exit status: (\d+)", text)
    assert status is not None
    out = re.search(r"--- stdout \(\d+ bytes\)\n(.*?)\n?--- stderr", text, re.DOTALL)
    err = re.search(r"--- stderr \(\d+ bytes\)\n?(.*)$", text, re.DOTALL)
    assert out is not None and err is not None
    return Recording(text.splitlines()[0].removeprefix("$ "), int(status[1]), out[1], err[1])
