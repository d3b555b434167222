"""What is known of the routers' guards on a cluster: keys, routers, apps, and who is asking."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from deiswizard.cluster.snapshot import HostFacts, Question, Snapshot
from deiswizard.recommendations.deis_units import ROUTERS
from deiswizard.recommendations.firewall.choices import FirewallChoices
from deiswizard.recommendations.firewall.facts import OPERATOR as OPERATOR
from deiswizard.recommendations.security.lists import is_address, lets_in, network_of, tidy

ROUTER = "/deis/router"
FIREWALL, ERROR_CODE = f"{ROUTER}/firewall/enabled", f"{ROUTER}/firewall/errorCode"
LIST, ENFORCE = f"{ROUTER}/controller/whitelist", f"{ROUTER}/enforceWhitelist"
REAL_IP, PROXY = f"{ROUTER}/proxyRealIpCidr", f"{ROUTER}/proxyProtocol"
SERVICES, CONFIG = "/deis/services", "/deis/config"

DEFAULT_CODE = 400
DEFAULT_REAL_IP = "10.0.0.0/8"
"""Whose word about a client's address the routers take (deis-facts 5c)."""

NGINX_T = "docker exec deis-router /opt/nginx/sbin/nginx -t 2>&1"
NGINX_SAYS = "test is successful"
WHO = 'echo "$SSH_CONNECTION"'
LIST_APPS = f"etcdctl ls {SERVICES}"

NGINX, APPS = "security.nginx", "security.apps"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class SecurityChoices(FirewallChoices):
    """The routers' firewall and lists, and beside it the hosts' firewall: ``part`` is what a run sets, and
    what belongs to the other part then counts for nothing.

    ``operator_address`` and ``load_balancer`` are written nowhere: they keep the operator from being locked
    out. ``apps`` and ``tags`` only ask for commands.
    """

    part: Literal["routers", "hosts"] = "routers"
    firewall: bool = True
    error_code: int = Field(default=DEFAULT_CODE, ge=400, le=599)
    controller_whitelist: str = ""
    operator_address: str = ""
    load_balancer: str = ""
    enforce_whitelist: bool = False
    apps: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What the routers go by. ``listed`` empty: the controller has no list of its own."""

    firewall: bool
    error_code: int
    listed: str
    enforced: bool


def settings_now(snapshot: Snapshot) -> Settings:
    """As the keys say; a code that is no number counts as the default."""
    code = snapshot.value(ERROR_CODE)
    return Settings(
        firewall=snapshot.value(FIREWALL) == "true",
        error_code=int(code) if re.fullmatch(r"\d{3}", code) else DEFAULT_CODE,
        listed=snapshot.value(LIST),
        enforced=snapshot.value(ENFORCE) == "true",
    )


def settings_of(choices: SecurityChoices) -> Settings:
    """As they shall be."""
    return Settings(
        choices.firewall,
        choices.error_code,
        tidy(choices.controller_whitelist),
        choices.enforce_whitelist,
    )


def all_router_hosts(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Where one of Deis' routers runs, whether the host answers or not."""
    return snapshot.where_any(ROUTERS)


def router_hosts(snapshot: Snapshot) -> tuple[HostFacts, ...]:
    """Where a router runs that can be asked."""
    return tuple(host for host in all_router_hosts(snapshot) if host.reachable)


def site_of(snapshot: Snapshot, name: str) -> str:
    """``name.domain``; empty when the domain is not known."""
    domain = snapshot.value("/deis/platform/domain")
    return f"{name}.{domain}" if re.fullmatch(r"[A-Za-z0-9.-]+", domain) else ""


def controller_site(snapshot: Snapshot) -> str:
    """What clients call the controller; empty when the domain is not known."""
    return site_of(snapshot, snapshot.value("/deis/controller/subdomain") or "deis")


def asker_of(snapshot: Snapshot) -> HostFacts | None:
    """The host that is asked for what every host knows."""
    return next(iter(snapshot.reachable_hosts), None)


def apps_are_known(snapshot: Snapshot) -> bool:
    """Etcd was asked for every app, also for those that have no container."""
    answer = snapshot.answer(APPS)
    return answer is not None and (answer.code == 0 or "100: Key not found" in answer.err)


def apps_of(snapshot: Snapshot) -> tuple[str, ...]:
    """The apps that the routers know, by name."""
    answer = snapshot.answer(APPS)
    paths = answer.out.split() if answer and answer.code == 0 else []
    paths += [fact.key for fact in snapshot.keys]
    below = (path.removeprefix(f"{SERVICES}/") for path in paths if path.startswith(f"{SERVICES}/"))
    names = {path.partition("/")[0] for path in below}
    return tuple(sorted(name for name in names if NAME.fullmatch(name)))


def is_served(snapshot: Snapshot, app: str) -> bool:
    """Whether the app has a container that is published: without, the routers answer 503 to all."""
    return any(fact.key.startswith(f"{SERVICES}/{app}/") for fact in snapshot.keys)


def app_key(app: str) -> str:
    """Where the controller writes an app's list."""
    return f"{CONFIG}/{app}/deis_whitelist"


def app_list(snapshot: Snapshot, app: str) -> str | None:
    """An app's list; None: it has none."""
    fact = snapshot.key(app_key(app))
    return fact.text if fact else None


def without_list(snapshot: Snapshot) -> tuple[str, ...]:
    """The apps that would answer 403 to everyone once lists are enforced."""
    return tuple(app for app in apps_of(snapshot) if not (app_list(snapshot, app) or "").strip())


def config_set(listed: str, app: str) -> str:
    """The command that gives an app a list: the controller owns it, and writes it to etcd itself."""
    value = shlex.quote(f"DEIS_WHITELIST={listed}") if listed else "DEIS_WHITELIST=<list>"
    return f"deis config:set {value} -a {app}"


def real_ip(snapshot: Snapshot) -> str:
    """Whom the routers believe when it says who the client is."""
    return snapshot.value(REAL_IP) or DEFAULT_REAL_IP


def has_proxy_protocol(snapshot: Snapshot) -> bool:
    """Anything but ``false`` is on (deis-facts 9)."""
    return (snapshot.value(PROXY) or "false") != "false"


def enforces_https(snapshot: Snapshot) -> bool:
    """Whether plain HTTP is redirected before anybody looks at a list."""
    hsts = snapshot.value(f"{ROUTER}/hsts/enabled") or "false"
    return (snapshot.value(f"{ROUTER}/enforceHTTPS") or hsts) == "true"


def is_believed(snapshot: Snapshot, host: HostFacts) -> bool:
    """Whether a router takes the word of its own host about a client's address."""
    return lets_in(real_ip(snapshot), host.address)


def seen_as(snapshot: Snapshot, host: HostFacts, claimed: str) -> str:
    """Who a request is from, as the router of ``host`` sees one that its host sends for ``claimed``."""
    return claimed if is_believed(snapshot, host) else host.address


def learned_address(snapshot: Snapshot) -> tuple[str, str]:
    """The address that the wizard's SSH connection comes from, and the host that says so.

    Both empty: not known. Hosts that were reached through another one see that one, and are not asked.
    """
    inside = {host.address for host in snapshot.hosts}
    for answer in snapshot.answers:
        address = next(iter(answer.out.split()), "") if answer.id == OPERATOR else ""
        if is_address(address) and address not in inside and not address.startswith("127."):
            return address, answer.host
    return "", ""


def is_private(address: str) -> bool:
    """An address that no public load balancer ever sees."""
    network = network_of(address)
    return network is not None and any(
        network.subnet_of(block)
        for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
        if (block := network_of(text)) is not None
    )


def facts_questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Who is asking, which apps there are, and whether nginx accepts what every router has."""
    entry = snapshot.via.rpartition("@")[2].partition(":")[0]
    hosts = snapshot.reachable_hosts
    entered = [host for host in hosts if host.address == entry] or hosts
    found = [Question(id=OPERATOR, host=host.name, command=WHO) for host in entered]
    if (asker := asker_of(snapshot)) is not None:
        found.append(Question(id=APPS, host=asker.name, command=LIST_APPS))
    routers = router_hosts(snapshot)
    return (*found, *(Question(id=NGINX, host=host.name, command=NGINX_T) for host in routers))
