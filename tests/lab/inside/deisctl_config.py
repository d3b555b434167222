"""``deisctl config``: keys below /deis, with the traps of the real one."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from tests.lab.inside.etcd_v2 import Etcd, EtcdError

USAGE = """Usage:
  deisctl config <target> get [<key>...]
  deisctl config <target> set <key=val>...
  deisctl config <target> rm [<key>...]
"""
FILES = (
    "/deis/platform/sshPrivateKey",
    "/deis/router/sslCert",
    "/deis/router/sslKey",
    "/deis/router/sslDhparam",
)
"""Keys whose value is the path of a file here; the first is stored in base64."""


class ConfigError(Exception):
    """deisctl's words; they go to stdout, the exit status is 1."""


def _value(key: str, given: str) -> str:
    if key not in FILES:
        return given
    try:
        content = Path(given).read_bytes()
    except IsADirectoryError:
        raise ConfigError(f"Error: read {given}: is a directory") from None
    except OSError:
        raise ConfigError(f"Error: open {given}: no such file or directory") from None
    return base64.b64encode(content).decode() if key == FILES[0] else content.decode()


def config(etcd: Etcd, words: Sequence[str]) -> None:
    """Raises ConfigError, EtcdDownError."""
    match words:
        case [target, "get" | "rm" as verb, *keys]:
            told = []
            try:
                for key in keys:
                    path = f"/deis/{target}/{key}"
                    if verb == "rm":
                        etcd.ask("DELETE", path)
                        told.append(key)
                    else:
                        told.append(etcd.ask("GET", path)["node"].get("value", ""))
            except EtcdError as error:
                raise ConfigError(f"Error: {error}") from None
            for line in told:
                print(line)
        case [target, "set", *pairs] if pairs:
            for pair in pairs:
                if not re.fullmatch(r".+=.+", pair, re.DOTALL):
                    raise ConfigError(
                        f"Error: '{pair}' does not match the pattern 'key=var', ex: foo=bar\n"
                    )
            for pair in pairs:
                # greedy: it splits at the last "=" that has a character after it
                found = re.fullmatch(r"(.+)=(.+)", pair, re.DOTALL)
                assert found
                path = f"/deis/{target}/{found[1]}"
                value = _value(path, found[2])
                try:
                    etcd.put(path, value)
                except EtcdError as error:
                    raise ConfigError(f"Error: {error}") from None
                print(value)
        case _:
            raise ConfigError(USAGE.rstrip("\n"))
