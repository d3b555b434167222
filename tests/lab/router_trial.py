"""Asks a real nginx what the pretend routers' rules answer, and prints where they differ.

``unshare --mount --net python -m tests.lab.router_trial ROOT``; ROOT is the hosts' root file system, which
is left as it is.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from pathlib import Path

from deiswizard.demo.router_rules import Request, fault_of_main, judge, main, sealing
from tests.lab.inside import router
from tests.lab.waiting import await_that
from tests.unit.test_router_rules import BAD_SETTINGS, BASE, INSIDE, OUTSIDE, REQUESTS, settings

LOAD_BALANCER = "172.16.0.9"
CONFIG = "/run/deis-router/nginx.conf"


def prepare(root: str) -> None:
    """A network of its own, and a root in which nothing stays."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (INSIDE, OUTSIDE, LOAD_BALANCER):
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    for place in ("run", "tmp", "var/lib/nginx"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{root}/{place}"], check=True)
    subprocess.run(["mount", "--bind", "/dev", f"{root}/dev"], check=True)
    threading.Thread(target=router.serve_backend, daemon=True).start()


def install(root: str, keys: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Write what the lab's router would; ``nginx -t`` of it."""
    place, config = Path(f"{root}/run/deis-router"), main(keys)
    place.mkdir(exist_ok=True)
    for name, text in router.files_of(sealing(keys), config.sites).items():
        (place / name).write_text(text)
    (place / "nginx.conf").write_text(router.nginx_conf(config, router.BACKEND))
    words = ["chroot", root, "nginx", "-t", "-c", CONFIG]
    return subprocess.run(words, capture_output=True, text=True)


def status(request: Request) -> int | None:
    """What nginx answers; None: it closes the connection (444)."""
    peer = (request.peer, 0)
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=5, source_address=peer)
    try:
        headers = {"Host": request.name, **request.headers}
        connection.request("GET", request.path, headers=headers)
        return connection.getresponse().status
    except http.client.RemoteDisconnected:
        return None
    finally:
        connection.close()


def listens() -> bool:
    """It is ready."""
    try:
        http.client.HTTPConnection("127.0.0.1", 9090, timeout=1).connect()
    except OSError:
        return False
    return True


def trial(root: str) -> int:
    """How many differ; each is printed."""
    differing = 0
    for own, name, facts, _ in REQUESTS:
        if facts.get("tls"):
            continue
        keys = settings(own)
        tested = install(root, keys)
        words = ["chroot", root, "nginx", "-c", CONFIG]
        nginx = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            await_that(listens, f"nginx listens: {tested.stderr}")
            request = Request(name, **facts)
            wanted = judge(main(keys), request).status or 200
            found = status(request) or 444
        finally:
            nginx.terminate()
            nginx.wait()
        if found != wanted:
            differing += 1
            print(f"{own} {name} {facts}: nginx {found}, the rules {wanted}")
    for key, value, _ in BAD_SETTINGS:
        keys = {**BASE, f"/deis/router/{key}": value}
        if not install(root, keys).returncode or not fault_of_main(main(keys)):
            differing += 1
            print(f"{key}={value!r}: one of both accepts it")
    return differing


if __name__ == "__main__":
    prepare(sys.argv[1])
    sys.exit(1 if trial(sys.argv[1]) else 0)
