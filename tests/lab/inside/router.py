"""A stand-in for Deis' router: a real nginx, and what confd does for it, from the real keys.

As there: certificate, key and options are put in place unchecked, nginx.conf only when ``nginx -t``
accepts it, and nginx takes what is there only when all of it is right.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deiswizard.demo.router_rules import (
    BAD_AGENT,
    BAD_URL,
    Main,
    Sealing,
    Site,
    main,
    sealing,
)
from tests.lab.inside.etcd_v2 import Etcd, EtcdDownError, EtcdError

PLACE = Path("/run/deis-router")
CONFIG, STAGED = PLACE / "nginx.conf", PLACE / ".nginx.conf"
PAUSE = 1.0
"""Seconds between two looks; confd's are five."""

BACKEND = "127.0.0.1:8079"
"""Where all apps and the gateway are."""


def keys_now(etcd: Etcd) -> dict[str, str]:
    """All below /deis; an empty folder by its path with a ``/``. Raises EtcdDownError."""
    found: dict[str, str] = {}

    def walk(node: dict[str, Any]) -> None:
        if not node.get("dir"):
            found[node["key"]] = node.get("value", "")
            return
        children = node.get("nodes") or []
        if not children:
            found[f"{node['key']}/"] = ""
        for child in children:
            walk(child)

    try:
        walk(etcd.ask("GET", "/deis", recursive="true", quorum="true")["node"])
    except EtcdError:
        return {}
    return found


def files_of(config: Sealing, sites: tuple[Site, ...]) -> dict[str, str]:
    """deis.conf, ssl.conf, certificates and keys, by name."""
    proxied = " proxy_protocol" if config.proxy_protocol else ""
    listen = f"listen 80{proxied};\n"
    if config.has_tls:
        listen += (
            f"listen 443 ssl http2{proxied};\nssl_certificate {PLACE}/deis.cert;\n"
            f"ssl_certificate_key {PLACE}/deis.key;\ninclude {PLACE}/ssl.conf;\n"
        )
    options = f"ssl_protocols {config.protocols};\n"
    if config.ciphers is not None:
        options += f"ssl_ciphers '{config.ciphers}';\nssl_prefer_server_ciphers on;\n"
    if config.dhparam is not None:
        options += f"ssl_dhparam {PLACE}/dhparam.pem;\n"
    files = {
        "deis.conf": listen,
        "ssl.conf": options,
        "deis.cert": config.certificate or "",
        "deis.key": config.key,
        "dhparam.pem": config.dhparam or "",
    }
    for site in sites:
        if site.own is not None:
            files[f"{site.names[0]}.cert"], files[f"{site.names[0]}.key"] = site.own
    return files


def nginx_conf(config: Main, controller: str) -> str:
    """nginx.conf; ``controller`` is where that is."""
    proxied = " proxy_protocol" if config.proxy_protocol else ""
    header = "proxy_protocol" if config.proxy_protocol else "X-Forwarded-For"
    servers = "\n".join(line for site in config.sites for line in _server(config, site, controller))
    return f"""\
daemon off;
user www-data;
pid {PLACE}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
    access_log off;
    server_names_hash_bucket_size 128;
    set_real_ip_from {config.real_ip_from};
    real_ip_header {header};
    map $http_x_forwarded_proto $tmp_access_scheme {{
        default $scheme;
        "~^(.*, ?)?http$" "http";
        "~^(.*, ?)?https$" "https";
    }}
    map $scheme $access_scheme {{ default $tmp_access_scheme; "https" "https"; }}
    map $access_scheme $sts {{ "https" "{config.hsts}"; }}
    map $http_user_agent $bad_agent {{ default 0; "~{BAD_AGENT}" 1; }}
    map $request_uri $bad_url {{ default 0; "~{BAD_URL}" 1; }}
    map "$bad_agent$bad_url" $is_attack {{ default 0; "~1" 1; }}
{servers}
    server {{
        listen 80 default_server{proxied};
        location /health-check {{ return 200; }}
        location / {{ return 404; }}
    }}
    server {{
        listen 9090 default_server;
        location /health-check {{ return 200; }}
        location / {{ return 404; }}
    }}
}}
"""


def _server(config: Main, site: Site, controller: str) -> Iterator[str]:
    is_store, is_controller = site.kind == "store", site.kind == "controller"
    yield "    server {"
    yield f"        server_name {' '.join(_quoted(name) for name in site.names)};"
    if site.own is not None:
        proxied = " proxy_protocol" if config.proxy_protocol else ""
        yield f"        listen 80{proxied}; listen 443 ssl http2{proxied};"
        yield f"        ssl_certificate {PLACE}/{site.names[0]}.cert;"
        yield f"        ssl_certificate_key {PLACE}/{site.names[0]}.key; include {PLACE}/ssl.conf;"
    else:
        yield f"        include {PLACE}/deis.conf;"
    for entry in site.allow or ():
        yield f"        allow {entry};"
    if not is_store and (site.allow is not None or config.enforce_whitelist):
        yield "        deny all;"
    moved = '        if ($access_scheme != "https") { return 301 https://$host$request_uri; }'
    hsts = "        add_header Strict-Transport-Security $sts always;"
    if is_controller:
        yield from [moved] * config.https + [hsts] * bool(config.hsts)
    yield "        location / {"
    if not site.is_served:
        yield "        return 503;"
    else:
        if config.firewall:
            code = "404" if is_store else config.error_code
            yield f"        if ($is_attack) {{ return {code}; }}"
        if site.kind == "app":
            yield from [moved] * config.https + [hsts] * bool(config.hsts)
        yield "        proxy_set_header Host $host;"
        yield "        proxy_set_header X-Forwarded-For $remote_addr;"
        yield f"        proxy_pass http://{controller if is_controller else BACKEND};"
    yield "        }"
    yield "    }"


def _quoted(name: str) -> str:
    return f'"{name}"'


class Router:
    """nginx as a child; ends with it."""

    def __init__(self) -> None:
        self._etcd = Etcd()
        self._nginx: subprocess.Popen[bytes] | None = None
        self._live: dict[str, str] = {}

    def follow(self) -> None:
        """One look at the keys. Raises EtcdDownError."""
        keys = keys_now(self._etcd)
        config = main(keys)
        files = files_of(sealing(keys), config.sites)
        for name, text in files.items():
            path = PLACE / name
            if not path.exists() or path.read_text() != text:
                new = path.with_name(f"{name}.new")
                new.write_text(text)
                new.rename(path)  # whoever reads it meanwhile has all of one
        where = ("/deis/controller/host", "/deis/controller/port")
        text = nginx_conf(config, ":".join(keys.get(key, "") for key in where))
        now = CONFIG.read_text() if CONFIG.exists() else ""
        if text != now:
            STAGED.write_text(text)
            if accepted(STAGED):
                STAGED.rename(CONFIG)
                now = text
        wanted = {**files, CONFIG.name: now}
        if wanted != self._live and now and accepted(CONFIG) and self._takes():
            self._live = wanted

    def _takes(self) -> bool:
        """Whether nginx has it; one that has just begun cannot be told yet, and is told in the next look."""
        if self._nginx is None or self._nginx.poll() is not None:
            self._nginx = subprocess.Popen(["nginx", "-c", str(CONFIG)])
            return True
        return not subprocess.run(["nginx", "-c", str(CONFIG), "-s", "reload"]).returncode


def accepted(path: Path) -> bool:
    """Whether ``nginx -t`` finds nothing wrong; what it finds is in the unit's journal."""
    done = subprocess.run(["nginx", "-t", "-q", "-c", str(path)], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stderr.strip(), flush=True)
    return not done.returncode


def serve_backend() -> None:
    """An app that answers everybody alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"Powered by Deis\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    address, _, port = BACKEND.partition(":")
    ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


def run() -> None:
    """Until killed."""
    PLACE.mkdir(exist_ok=True)
    threading.Thread(target=serve_backend, daemon=True).start()
    router = Router()
    while True:
        try:
            router.follow()
        except EtcdDownError as error:
            print(f"the keys could not be read: {error}", flush=True)
        time.sleep(PAUSE)
