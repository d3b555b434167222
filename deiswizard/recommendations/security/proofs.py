"""Steps that prove what the routers do: guards before a change, real requests after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.conditions import RELOADED, CommandSays, KeyIs, WebSays
from deiswizard.plan.step import GuardStep, Step, WaitStep
from deiswizard.recommendations.deis_units import ROUTERS
from deiswizard.recommendations.security.facts import (
    LIST_APPS,
    NGINX_SAYS,
    NGINX_T,
    SERVICES,
    Settings,
    apps_are_known,
    apps_of,
    asker_of,
    controller_site,
    router_hosts,
    settings_now,
)
from deiswizard.recommendations.security.lists import STRANGERS, faults
from deiswizard.recommendations.security.requests import (
    HEALTH,
    LET_IN,
    REFUSED,
    Expected,
    expected,
    request,
    without_firewall,
)
from deiswizard.recommendations.settings import Setting

SECONDS_TO_LIVE = 30.0
"""confd looks every 5 s and nginx reloads (deis-facts 5b, 5c); with room to spare."""

WHY_NOT_BACK = (
    "look at the router: journalctl -u 'deis-router@*' on its host. Settings that nginx refuses, a broken "
    "list of any app too, are never put in place"
)
WHY_NOT = f"take it back with undo, which needs no router. Then {WHY_NOT_BACK}"
BACK = "back"
"""What the way back is called among the parts of a plan."""


def _nginx_accepts(host: str) -> CommandSays:
    return CommandSays(host=host, command=NGINX_T, pattern=NGINX_SAYS)


def guards(snapshot: Snapshot, operator: str) -> tuple[Step, ...]:
    """Before anything is written: every router takes settings, and the controller is behind it."""
    name = controller_site(snapshot)
    found: list[Step] = []
    for host in router_hosts(snapshot):
        found.append(
            GuardStep(
                id=f"guard:nginx:{host.name}",
                title=f"nginx on {host.name} accepts what it has",
                host=host.name,
                condition=_nginx_accepts(host.name),
                otherwise=f"the router on {host.name} takes no new settings as it is: mend what nginx "
                "says first",
            )
        )
        if name:
            asked = request(snapshot, host, name, operator or STRANGERS[0], HEALTH)
            found.append(
                GuardStep(
                    id=f"guard:controller:{host.name}",
                    title=f"the controller answers through {host.name}",
                    host=host.name,
                    condition=WebSays(request=asked, status=f"{LET_IN}|{REFUSED}"),
                    otherwise="the controller does not answer through this router, so nothing could be "
                    "proven afterwards: see whether deis-controller and the router run",
                )
            )
    return tuple(found)


def before_enforcing(snapshot: Snapshot) -> tuple[Step, ...]:
    """Nobody has made an app, or taken a list away, since the plan was made."""
    host = asker_of(snapshot)
    found: list[Step] = []
    if host is not None and apps_are_known(snapshot) and apps_of(snapshot):
        names = "|".join(apps_of(snapshot))
        found.append(
            GuardStep(
                id="guard:apps",
                title="no app is new",
                host=host.name,
                condition=CommandSays(
                    host=host.name,
                    command=LIST_APPS,
                    pattern=rf"^(?:{SERVICES}/(?:{names})\s*)*$",
                ),
                otherwise="there is an app that was not there when the plan was made: it may have no "
                "list, and would answer 403 to everyone. Look again",
            )
        )
    return tuple(found)


def live(
    snapshot: Snapshot,
    part: str,
    written: Sequence[Setting],
    after: Settings,
    operator: str,
) -> tuple[Step, ...]:
    """The keys; then, through every router, that it is so: what differs from before comes first."""
    return (
        *_keys(part, written),
        *(_wait_nginx(host.name, part) for host in router_hosts(snapshot)),
        *_waits(_expected(snapshot, part, after, operator), part),
    )


def _expected(snapshot: Snapshot, part: str, after: Settings, operator: str) -> Iterator[Expected]:
    """What this part of the plan is about, and that the operator is still let in."""
    if part == "firewall" and not after.firewall:
        yield from without_firewall(snapshot, after, operator)
    was = settings_now(snapshot).listed if part == "list" else ""
    for one in expected(snapshot, after, operator, was):
        if one.group == "app" and not (part in ("enforce", "now") and after.enforced):
            continue
        if one.group == "firewall" and part not in ("firewall", "now"):
            continue
        yield one


def _keys(part: str, written: Sequence[Setting]) -> Iterator[Step]:
    for setting in written:
        key, value = setting.key, setting.value
        yield WaitStep(
            id=f"wait:{part}:{key}",
            title=f"{key} is {'set' if value is not None else 'gone'} in etcd",
            condition=KeyIs(key=key, value=value),
            waiting_for=f"{key} to be {value if value is not None else 'absent'}",
            timeout=10,
        )


def _wait_nginx(host: str, part: str) -> WaitStep:
    return WaitStep(
        id=f"wait:{part}:nginx:{host}",
        title=f"nginx on {host} accepts what it has",
        host=host,
        condition=_nginx_accepts(host),
        waiting_for=f"nginx on {host} to accept its settings",
        timeout=SECONDS_TO_LIVE,
        on_timeout=WHY_NOT_BACK if part == BACK else WHY_NOT,
        asks=ROUTERS,
    )


def _waits(found: Iterable[Expected], part: str) -> Iterator[Step]:
    """The first answer of each router, which differs from before, must last: only then are the workers
    of before gone, and the others tell what the new ones do. Else one of before could let the operator
    in whom the new ones shut out.
    """
    begun: set[str] = set()
    for one in found:
        yield _wait(one, part, steady=0.0 if one.host in begun else RELOADED)
        begun.add(one.host)


def _wait(one: Expected, part: str, steady: float) -> WaitStep:
    return WaitStep(
        id=f"wait:{part}:{one.id}:{one.host}",
        title=one.title,
        host=one.host,
        condition=one.condition.model_copy(update={"steady": steady}),
        waiting_for=f"this to be so: {one.title},",
        interval=1.0,
        timeout=SECONDS_TO_LIVE,
        on_timeout=WHY_NOT_BACK if part == BACK else WHY_NOT,
        asks=ROUTERS,
    )


def open_again(snapshot: Snapshot) -> tuple[Step, ...]:
    """After the way back: through every router it is as it was."""
    was = settings_now(snapshot)
    if faults(was.listed):
        return ()  # nginx took it as little before
    found = [one for one in expected(snapshot, was) if one.group != "app"]
    if not was.firewall:
        found += without_firewall(snapshot, was)
    nginx = [_wait_nginx(host.name, BACK) for host in router_hosts(snapshot)]
    return (*nginx, *_waits(found, BACK))
