"""How Security is asked: which of its two parts, then the fields of that."""

from __future__ import annotations

from typing import Any

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import FormField, Option
from deiswizard.recommendations.firewall.form import FIELDS as HOST_FIELDS
from deiswizard.recommendations.firewall.form import HOSTS, PART, ROUTERS, only
from deiswizard.recommendations.security import tags
from deiswizard.recommendations.security.facts import app_list, apps_of, config_set, settings_now
from deiswizard.recommendations.security.lists import faults


def _app_options(snapshot: Snapshot) -> tuple[Option, ...]:
    """What list each app has: to be looked at, and to ask for the command that sets it."""
    options = []
    listed = settings_now(snapshot).listed
    for app in apps_of(snapshot):
        has = app_list(snapshot, app)
        wrong = faults(has or "")
        options.append(
            Option(
                app,
                app,
                note=has or "no list",
                explain="The controller owns an app's list and writes it again from its database, so "
                "the wizard does not. You set it, and it makes a new release of the app: "
                f"{config_set(has or listed, app)}. Ticked: the command stands in the preview.",
                warning=wrong[0].what if wrong else "",
            )
        )
    return tuple(options)


def _tag_options(snapshot: Snapshot) -> tuple[Option, ...]:
    """Which host carries what."""
    return tuple(
        Option(
            pair,
            pair,
            note=" ".join(hosts),
            explain=f"{tags.told(snapshot, [pair])}. Tick several to see where they are all there. The "
            "wizard sets no tags: run the command yourself, it makes a new release of the app.",
        )
        for pair, hosts in tags.metadata(snapshot).items()
    )


def _has_list(_snapshot: Snapshot, raw: dict[str, Any]) -> bool:
    return bool(str(raw.get("controller_whitelist") or "").strip() or raw.get("enforce_whitelist"))


ROUTER_FIELDS = (
    FormField(
        "firewall",
        "Firewall of the routers",
        "flag",
        "Requests that look like attacks are turned away before they reach the controller, the store "
        "gateway or an app. It can turn away honest ones too: JSON that holds URLs, some uploads to "
        "the store. Look at your apps after it is on; one key takes it back.",
    ),
    FormField(
        "error_code",
        "Its answer",
        "number",
        "The HTTP status of what is turned away, 400 to 599. One that your apps do not use is easier to "
        "find in logs.",
        shown=lambda snapshot, raw: bool(raw.get("firewall")),
    ),
    FormField(
        "controller_whitelist",
        "Who may reach the controller",
        "text",
        "IPv4 addresses and networks, each perhaps with a label: 192.0.2.7:me,198.51.100.0/24:office. "
        "Empty: everyone. A list closes the controller to all others at once. You must be on it; so "
        "must CI that uses the public name, and a load balancer that the routers see instead of its "
        "clients. Not covered: deis-store, git on 2222, health checks on 9090.",
        placeholder="everyone, or address[/size][:label], ...",
    ),
    FormField(
        "operator_address",
        "Your address, as the routers see it",
        "text",
        "It must be on the list. Offered is where your SSH connection comes from, as the host you "
        "are connected to says ($SSH_CONNECTION): right if your requests to the routers take the same "
        "way, wrong behind a bastion, a VPN or another exit. To be sure: docker logs deis-router, "
        "after a request of yours.",
        shown=_has_list,
        placeholder="not known: such as 192.0.2.7",
    ),
    FormField(
        "load_balancer",
        "Load balancer in front",
        "text",
        "From where it connects to the routers: an address or a network; empty when there is none. The "
        "routers believe what it says of clients only within proxyRealIpCidr (10.0.0.0/8 unless set): "
        "from anywhere else all clients look like the load balancer. Whoever is inside that range can "
        "claim any address.",
        shown=_has_list,
        placeholder="none, or such as 10.21.0.0/24",
    ),
    FormField(
        "enforce_whitelist",
        "Enforce lists on the whole cluster",
        "flag",
        "Whatever has no list, apps that are made later too, answers 403 to everyone. Every app and "
        "the controller must have one first. An app's own list counts without this.",
    ),
    FormField(
        "apps",
        "Lists of the apps (only shown)",
        "many",
        "An app with a list refuses all others, enforced or not.",
        options=_app_options,
        shown=lambda snapshot, raw: bool(apps_of(snapshot)),
    ),
    FormField(
        "tags",
        "Metadata of the hosts (only shown)",
        "many",
        "What hosts carry in fleet, by which deis tags keeps apps apart.",
        options=_tag_options,
        shown=lambda snapshot, raw: bool(tags.metadata(snapshot)),
    ),
)

FIELDS = (PART, *only(ROUTERS, ROUTER_FIELDS), *only(HOSTS, HOST_FIELDS))
