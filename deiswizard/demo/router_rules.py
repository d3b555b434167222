"""What Deis' router makes of the keys in etcd (its templates of v1.13.4), without any network.

Pure, and of the standard library alone: the pretend routers judge requests by it, and the lab's
hosts, which have nothing else, write a real nginx's configuration from it.

Keys come as a mapping of path to value; an app's folder that is empty as ``/deis/services/APP/``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ROUTER = "/deis/router/"
SERVICES, DOMAINS, CONFIG, CERTS = (
    "/deis/services/",
    "/deis/domains/",
    "/deis/config/",
    "/deis/certs/",
)
CONTROLLER, STORE = "/deis/controller/host", "/deis/store/gateway/host"

BAD_AGENT = r"\(\) *\{"
"""A shellshock-like User-Agent, as naxsi's core rules find it (deis-facts 5b)."""

BAD_URL = r"(?i)<script|%3cscript|union[ +]+(all[ +]+)?select|%27|'|/etc/passwd|\.\./"
"""What in a URL naxsi takes for an attack, as far as anybody here asks."""

PROTOCOLS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2")
"""What nginx 1.10 knows; TLSv1.3 is none of them."""

MAIN, SSL = "/opt/nginx/conf/nginx.conf", "/opt/nginx/conf/ssl.conf"


@dataclass(frozen=True)
class Sealing:
    """What stands in deis.conf, ssl.conf, deis.cert, deis.key and dhparam.pem: written unchecked."""

    certificate: str | None = None
    key: str = ""
    dhparam: str | None = None
    protocols: str = "TLSv1 TLSv1.1 TLSv1.2"
    ciphers: str | None = None
    proxy_protocol: bool = False

    @property
    def has_tls(self) -> bool:
        """Whether somebody listens on 443."""
        return self.certificate is not None


@dataclass(frozen=True)
class Site:
    """A server of nginx.conf. ``names`` are patterns or whole names; ``allow`` None: no list of its own.

    ``own`` are certificate and key of a custom domain that has some.
    """

    kind: str
    names: tuple[str, ...]
    is_served: bool
    allow: tuple[str, ...] | None = None
    app: str = ""
    own: tuple[str, str] | None = None


@dataclass(frozen=True)
class Main:
    """What stands in nginx.conf: put in place only when ``nginx -t`` accepts it."""

    sites: tuple[Site, ...] = ()
    https: bool = False
    hsts: str = ""
    enforce_whitelist: bool = False
    firewall: bool = False
    error_code: str = "400"
    real_ip_from: str = "10.0.0.0/8"
    proxy_protocol: bool = False

    def site(self, name: str, *, tls: bool) -> Site | None:
        """Who answers for a name; None: the default server. On 443 that is the controller's."""
        for site in self.sites:
            if any(_is_named(pattern, name) for pattern in site.names):
                return site
        return self.sites[0] if tls and self.sites else None


@dataclass(frozen=True)
class Request:
    """What a router sees of a request. ``peer`` is who is connected, ``claimed`` what a PROXY line says."""

    name: str
    path: str = "/"
    tls: bool = False
    peer: str = "127.0.0.1"
    claimed: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """A header's value, empty when there is none."""
        return next((v for k, v in self.headers.items() if k.lower() == name.lower()), "")


@dataclass(frozen=True)
class Verdict:
    """What the router answers itself; ``status`` 0: whoever is behind it does."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()


def _is_named(pattern: str, name: str) -> bool:
    if pattern.startswith("~"):
        return re.search(pattern[1:].replace("(?<", "(?P<"), name) is not None
    return pattern == name


def sealing(keys: Mapping[str, str]) -> Sealing:
    """From ``/deis/router/ssl*`` and ``proxyProtocol`` (anything but ``false`` is on)."""

    def get(name: str) -> str | None:
        return keys.get(ROUTER + name)

    return Sealing(
        certificate=get("sslCert"),
        key=get("sslKey") or "",
        dhparam=get("sslDhparam"),
        protocols=get("sslProtocols") or "TLSv1 TLSv1.1 TLSv1.2",
        ciphers=get("sslCiphers"),
        proxy_protocol=_proxy_protocol(keys),
    )


def _proxy_protocol(keys: Mapping[str, str]) -> bool:
    return (keys.get(f"{ROUTER}proxyProtocol") or "false") != "false"


def main(keys: Mapping[str, str]) -> Main:
    """As the template of nginx.conf."""

    def is_true(name: str, otherwise: str = "false") -> bool:
        return (keys.get(ROUTER + name) or otherwise) == "true"

    hsts = is_true("hsts/enabled")
    says = f"max-age={keys.get(f'{ROUTER}hsts/maxAge') or '10886400'}"
    says += "; includeSubDomains" if is_true("hsts/includeSubDomains") else ""
    says += "; preload" if is_true("hsts/preload") else ""
    return Main(
        sites=tuple(_sites(keys)),
        https=is_true("enforceHTTPS", keys.get(f"{ROUTER}hsts/enabled") or "false"),
        hsts=says if hsts else "",
        enforce_whitelist=is_true("enforceWhitelist"),
        firewall=is_true("firewall/enabled"),
        error_code=keys.get(f"{ROUTER}firewall/errorCode") or "400",
        real_ip_from=keys.get(f"{ROUTER}proxyRealIpCidr") or "10.0.0.0/8",
        proxy_protocol=_proxy_protocol(keys),
    )


def _sites(keys: Mapping[str, str]) -> list[Site]:
    subdomain = keys.get("/deis/controller/subdomain") or "deis"
    listed = keys.get(f"{ROUTER}controller/whitelist")
    sites = [
        Site("controller", (rf"~^{subdomain}\.(?<domain>.+)$",), CONTROLLER in keys, _entries(listed)),
        Site("store", (r"~^deis-store\.(?<domain>.+)$",), STORE in keys),
    ]  # fmt: skip
    below = [key[len(SERVICES) :] for key in keys if key.startswith(SERVICES)]
    for app in sorted({path.partition("/")[0] for path in below}):
        served = any(path.startswith(f"{app}/") and path != f"{app}/" for path in below)
        allow = _entries(keys.get(f"{CONFIG}{app}/deis_whitelist"))
        for key, owner in keys.items():
            if key.startswith(DOMAINS) and owner == app:
                domain = key[len(DOMAINS) :]
                certificate = keys.get(f"{CERTS}{domain}/cert")
                own = (certificate, keys.get(f"{CERTS}{domain}/key", "")) if certificate else None
                sites.append(Site("app", (domain,), served, allow, app, own))
        sites.append(Site("app", (rf"~^{app}\.(?<domain>.+)$",), served, allow, app))
    return sites


def _entries(whitelist: str | None) -> tuple[str, ...] | None:
    """The address of each entry; the label after ``:`` is only a comment."""
    if whitelist is None:
        return None
    return tuple(entry.split(":")[0] for entry in whitelist.split(","))


def fault_of_main(config: Main) -> str:
    """Nginx's own words for what it does not understand of nginx.conf; empty: it does."""
    for site in config.sites:
        for entry in site.allow or ():
            if fault := _fault_of_entry(entry):
                return f"{fault} in {MAIN}:95"
    if not _is_network(config.real_ip_from):
        return f'invalid parameter "{config.real_ip_from}" in {MAIN}:56'
    if config.firewall and not re.fullmatch(r"\d{1,3}", config.error_code):
        return f'invalid return code "{config.error_code}" in {MAIN}:125'
    return ""


def _fault_of_entry(entry: str) -> str:
    """Of ``allow ENTRY;``, into which a ``;`` can bring further directives."""
    for piece in f"allow {entry}".split(";"):
        verb, *words = piece.split() or [""]
        if verb not in ("allow", "deny"):
            return f'unknown directive "{verb}"'
        if len(words) != 1:
            return f'invalid number of arguments in "{verb}" directive'
        if not _is_network(words[0]) and words[0] != "all":
            return f'invalid parameter "{words[0]}"'
    return ""


def fault_of_protocols(config: Sealing) -> str:
    """As ``fault_of_main``, for ssl_protocols."""
    for name in config.protocols.split() if config.has_tls else ():
        if name not in PROTOCOLS:
            return f'invalid value "{name}" in {SSL}:2'
    return ""


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def client_of(config: Main, request: Request) -> str:
    """Who is asking, as ``realip`` finds out: only a trusted peer is believed."""
    if not _is_within(request.peer, [config.real_ip_from]):
        return request.peer
    said = request.claimed if config.proxy_protocol else request.header("X-Forwarded-For")
    last = said.split(",")[-1].strip()
    return last if _is_network(last) and "/" not in last else request.peer


def _is_within(address: str, networks: Sequence[str]) -> bool:
    one = ipaddress.ip_address(address)
    firsts = (text.partition(";")[0].strip() for text in networks)
    return any(text == "all" or one in ipaddress.ip_network(text, strict=False) for text in firsts)


def scheme_of(request: Request) -> str:
    """``$access_scheme``: TLS here, or before a load balancer that says so."""
    if request.tls:
        return "https"
    match = re.fullmatch(r"(?:.*, ?)?(https?)", request.header("X-Forwarded-Proto"))
    return match[1] if match else "http"


def is_attack(request: Request) -> bool:
    """What the firewall takes for one."""
    agent = request.header("User-Agent")
    return re.search(BAD_AGENT, agent) is not None or re.search(BAD_URL, request.path) is not None


def judge(config: Main, request: Request) -> Verdict:
    """What the routers' nginx answers, in the order of its phases: rewrite before access."""
    site = config.site(request.name, tls=request.tls)
    if site is None:
        return Verdict(200 if request.path.startswith("/health-check") else 404)
    https = scheme_of(request) == "https"
    moved = ("Location", f"https://{request.name}{request.path}")
    is_moved = config.https and not https and site.kind != "store"
    hsts = (("Strict-Transport-Security", config.hsts),) if config.hsts and https else ()
    if is_moved and site.kind == "controller":
        return Verdict(301, (moved,))
    if config.firewall and site.is_served and is_attack(request):
        if site.kind == "store":
            return Verdict(404)  # its server has no /RequestDenied: the gateway is asked for it
        return Verdict(int(config.error_code), hsts if site.kind == "controller" else ())
    if not site.is_served:
        return Verdict(503, hsts if site.kind == "controller" else ())
    if is_moved:
        return Verdict(301, (moved,))
    is_closed = site.allow is not None or config.enforce_whitelist
    if site.kind == "store":
        return Verdict()
    if is_closed and not _is_within(client_of(config, request), site.allow or ()):
        return Verdict(403, hsts)
    return Verdict(0, hsts)
