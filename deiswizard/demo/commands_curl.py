"""curl of a pretend host: the controller, registries, and the host's own etcd."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from deiswizard.demo import components
from deiswizard.demo.etcd_answers import answer
from deiswizard.demo.outside_store import ACCESS, SECRET
from deiswizard.demo.shell import Process

if TYPE_CHECKING:
    from deiswizard.demo.host import PretendHost


def curl(host: PretendHost, process: Process) -> int:
    """The pretend controller and registries; whatever else is refused."""
    words = process.args[1:]
    url = next((word for word in words if word.startswith("http")), "")
    form = words[words.index("-w") + 1] if "-w" in words else ""
    match = re.match(r"https?://([^/:]+)(?::(\d+))?(/.*)?$", url)
    path = (match[3] or "/") if match else ""
    status, body = 0, ""
    if match and match[1] in ("127.0.0.1", host.address) and match[2] in ("2379", "4001"):
        return _etcd(host, process, url, form)
    if match and match[1] == METADATA:
        return _role(host, process, path, form)
    controller = host.cluster.store.value("/deis/controller/host")
    component = components.SERVED.get(int(match[2] or 80)) if match else None
    if match and component and path == components.PATHS[component]:
        there = [at for at in components.hosts(host.cluster, component) if at.address == match[1]]
        status = (503 if components.why_not(host.cluster, component) else 200) if there else 0
    elif match and path == "/v1/auth/register" and match[1] == controller:
        status, body = host.cluster.controller.register()
    elif match and path == "/v2/" and not match[1].startswith("unreachable"):
        status, body = 401, '{"errors":[{"code":"UNAUTHORIZED"}]}'
    if "-o" not in words:
        process.out(body)
    if not status and "-sS" in words:
        where = match[1] if match else url
        process.err(f"curl: (7) Failed to connect to {where}: Connection refused\n")
    process.out(form.replace("\\n", "\n").replace("%{http_code}", f"{status:03d}"))
    return 0 if status else 7


METADATA = "169.254.169.254"


def _role(host: PretendHost, process: Process, path: str, form: str) -> int:
    """EC2's instance metadata, first version: the role, and its keys."""
    role = host.role
    if not role:
        process.err(f"curl: (28) Connection timed out to {METADATA}\n")
        process.out(form.replace("\\n", "\n").replace("%{http_code}", "000"))
        return 28
    keys = {"AccessKeyId": ACCESS, "SecretAccessKey": SECRET, "Token": "pretend-token"}
    body = json.dumps(keys) if path.endswith(f"/{role}") else role
    process.out(body + form.replace("\\n", "\n").replace("%{http_code}", "200"))
    return 0


def _etcd(host: PretendHost, process: Process, url: str, form: str) -> int:
    """The host's own etcd: -X, -d, -w, -D - and -o."""
    words = process.args[1:]

    def given(flag: str, default: str = "") -> str:
        return words[words.index(flag) + 1] if flag in words else default

    if not host.etcd.mode:
        process.out(form.replace("\\n", "\n").replace("%{http_code}", "000"))
        return 7
    sent = "&".join(words[at + 1] for at, word in enumerate(words) if word == "-d")
    method = given("-X", "POST" if sent else "GET")
    said = answer(host, method, "/" + url.split("/", 3)[3], sent.encode())
    if "-D" in words:
        heads = "".join(f"{name}: {value}\r\n" for name, value in said.headers.items())
        process.out(f"HTTP/1.1 {said.status} OK\r\n{heads}\r\n")
    if "-o" not in words:
        is_raw = isinstance(said.body, bytes)
        end = "\n" if "/v2/keys" in url else ""  # its other answers end without a line break
        process.out(said.body.decode() if is_raw else json.dumps(said.body) + end)
    process.out(form.replace("\\n", "\n").replace("%{http_code}", f"{said.status:03d}"))
    is_refused = said.status >= 400 and any(word in ("-f", "-sf", "-sSf") for word in words)
    return 22 if is_refused else 0
