"""The drop-ins of a pretend host's unit, as systemd reads them when it is told to."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost


def cloudinit_path(unit: str) -> str:
    """What cloudinit writes at every boot."""
    return f"/run/systemd/system/{unit}.d/20-cloudinit.conf"


def cloudinit_text(**variables: str) -> str:
    """As coreos-cloudinit writes it: one line for each, the values as they are."""
    lines = (f'Environment="{name}={value}"\n' for name, value in variables.items())
    return "[Service]\n" + "".join(lines)


def drop_ins(host: PretendHost, unit: str) -> tuple[str, ...]:
    """Their paths by file name; one in /etc stands for one of that name in /run."""
    found: dict[str, str] = {}
    for place in ("/run", "/etc"):
        folder = f"{place}/systemd/system/{unit}.d/"
        for path in host.files():
            if path.startswith(folder) and path.endswith(".conf"):
                found[path.removeprefix(folder)] = path
    return tuple(found[name] for name in sorted(found))


def variables(host: PretendHost, unit: str) -> dict[str, str]:
    """What they put into its environment; a later one wins."""
    found: dict[str, str] = {}
    for path in drop_ins(host, unit):
        text = (host.read_file(path) or b"").decode()
        for line in re.findall(r"(?m)^Environment=(.*)$", text):
            for word in shlex.split(line):
                name, _, value = word.partition("=")
                found[name] = value.replace("%%", "%")
    return found
