"""What may be chosen for the routers' guards: nobody is to lock out the operator, or everybody."""

from __future__ import annotations

from collections.abc import Iterator

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.security import lists, tags
from deiswizard.recommendations.security.facts import (
    SecurityChoices,
    app_list,
    apps_are_known,
    apps_of,
    config_set,
    has_proxy_protocol,
    is_private,
    learned_address,
    real_ip,
    settings_now,
    without_list,
)
from deiswizard.wording import few

NO_ANSWER = 444
"""nginx' own code for closing the connection without a word."""

FEW = 5
EMPTY = lists.Fault("it is there, but empty: nginx would get 'allow ;'")


def defaults(snapshot: Snapshot) -> SecurityChoices:
    """The firewall on, as the documentation has it; the lists as they are."""
    now = settings_now(snapshot)
    code = now.error_code if 400 <= now.error_code <= 599 else 400
    return SecurityChoices(
        firewall=True,
        error_code=code,
        controller_whitelist=now.listed,
        operator_address=learned_address(snapshot)[0],
        enforce_whitelist=now.enforced,
    )


def operator_of(snapshot: Snapshot, choices: SecurityChoices) -> str:
    """The operator's address as the routers see it: the one that was named, else the one learned."""
    return choices.operator_address.strip() or learned_address(snapshot)[0]


def check_choices(snapshot: Snapshot, choices: SecurityChoices) -> tuple[Problem, ...]:
    """Format traps, lock-outs, and what cannot be proven afterwards."""
    return (
        *_firewall(choices),
        *_format(choices),
        *_operator(snapshot, choices),
        *_load_balancer(snapshot, choices),
        *_enforced(snapshot, choices),
        *_broken(snapshot),
        *_commands(snapshot, choices),
    )


def _firewall(choices: SecurityChoices) -> Iterator[Problem]:
    if choices.firewall and choices.error_code == NO_ANSWER:
        yield Problem(
            field="error_code",
            what="with 444 nginx closes the connection without an answer, so nobody can tell it from "
            "a router that is broken",
            allowed="400 to 599, but not 444",
        )


def _format(choices: SecurityChoices) -> Iterator[Problem]:
    for fault in lists.faults(choices.controller_whitelist):
        yield Problem(field="controller_whitelist", what=fault.what, allowed=fault.allowed)
    if any(network.prefixlen == 0 for network in lists.networks(choices.controller_whitelist)):
        yield Problem(
            field="controller_whitelist",
            what=f"{lists.EVERYONE} lets everyone in: the list keeps nobody out",
            blocks=False,
        )


def _operator(snapshot: Snapshot, choices: SecurityChoices) -> Iterator[Problem]:
    """The operator must be on the list, as the routers see them."""
    typed, (learned, told_by) = choices.operator_address.strip(), learned_address(snapshot)
    if typed and not lists.is_address(typed):
        yield Problem(
            field="operator_address",
            what=f"'{typed}' is not one IPv4 address",
            allowed="such as 192.0.2.7",
        )
        return
    listed, address = choices.controller_whitelist, typed or learned
    if not listed.strip():
        return
    if not address:
        yield Problem(
            field="operator_address",
            what="your own address is not known, so nobody can tell whether the list locks you out: "
            "name the address from which your requests reach the routers",
            allowed="such as 192.0.2.7",
        )
    elif not lists.lets_in(listed, address):
        yield Problem(
            field="controller_whitelist",
            what=f"your own address {address} is not on the list: you would be locked out of the "
            "controller",
            allowed=f"a list with {address}:me in it, or another address of yours below",
        )
    if typed and learned and typed != learned:
        yield Problem(
            field="operator_address",
            what=f"you are connected to {told_by} from {learned} now, not from {typed}",
            blocks=False,
        )
    if address and is_private(address):
        yield Problem(
            field="operator_address",
            what=f"{address} is a private address: the routers see you as that only if your requests "
            "to them take no public way",
            blocks=False,
        )


def _load_balancer(snapshot: Snapshot, choices: SecurityChoices) -> Iterator[Problem]:
    """A load balancer that the routers do not believe is all that they ever see."""
    text, listed = choices.load_balancer.strip(), choices.controller_whitelist
    if not text:
        if listed.strip() and has_proxy_protocol(snapshot):
            yield Problem(
                field="load_balancer",
                what="the PROXY protocol is on, so a load balancer is in front: if it connects from "
                f"outside {real_ip(snapshot)}, all clients look like it",
                blocks=False,
            )
        return
    network = lists.network_of(text)
    if network is None:
        yield Problem(
            field="load_balancer",
            what=f"'{text}' is no IPv4 address or network",
            allowed="such as 10.21.0.0/24; empty when clients connect directly",
        )
        return
    believed = lists.network_of(real_ip(snapshot))
    if believed is not None and network.subnet_of(believed):
        return
    if not (listed.strip() or choices.enforce_whitelist):
        return
    why = (
        f"the load balancer {text} is outside {real_ip(snapshot)}, whose word the routers take "
        "(proxyRealIpCidr): they see all clients as the load balancer"
    )
    if all(not network.subnet_of(own) for own in lists.networks(listed)):
        yield Problem(
            field="load_balancer",
            what=f"{why}, and it is not on the list: nobody would be let in",
            allowed=f"deisctl config router set proxyRealIpCidr={network}, then look again",
        )
    else:
        yield Problem(
            field="load_balancer",
            what=f"{why}. It is on the list, so everyone who comes through it is let in",
            blocks=False,
        )


def _enforced(snapshot: Snapshot, choices: SecurityChoices) -> Iterator[Problem]:
    """With enforcement, whoever has no list answers 403 to everyone."""
    if not choices.enforce_whitelist:
        return
    if not choices.controller_whitelist.strip():
        yield Problem(
            field="enforce_whitelist",
            what="the controller has no list: it would answer 403 to everyone, to you too",
            allowed="a list for the controller first",
        )
    if lacking := without_list(snapshot):
        has = "has" if len(lacking) == 1 else "have"
        yield Problem(
            field="enforce_whitelist",
            what=f"{few(lacking, FEW)} {has} no list: everyone would get 403 there",
            allowed="give each a list first: "
            + config_set(lists.tidy(choices.controller_whitelist), lacking[0]),
        )
    if not apps_are_known(snapshot):
        yield Problem(
            field="enforce_whitelist",
            what="etcd did not tell which apps there are: one without a container, and without a "
            "list, may have been missed",
            blocks=False,
        )


def _broken(snapshot: Snapshot) -> Iterator[Problem]:
    """A broken list of any app keeps nginx from everything that is set here."""
    for app in apps_of(snapshot):
        listed = app_list(snapshot, app)
        if listed is None:
            continue
        wrong = lists.faults(listed) or (() if listed.strip() else (EMPTY,))
        for fault in wrong[:1]:
            yield Problem(
                field="apps",
                what=f"the list of {app} is broken, so the routers take no new setting: {fault.what}",
                allowed=f"mend it first: {config_set('', app)}",
            )


def _commands(snapshot: Snapshot, choices: SecurityChoices) -> Iterator[Problem]:
    """What is only asked: the answers stand below the field, and in the preview's notes."""
    known, carried = apps_of(snapshot), tags.metadata(snapshot)
    for app in choices.apps:
        if app not in known:
            yield Problem(
                field="apps",
                what=f"there is no app '{app}'",
                allowed=", ".join(known) or "none: there are no apps",
            )
    for pair in choices.tags:
        if pair not in carried:
            yield Problem(
                field="tags",
                what=f"no host carries the metadata '{pair}'",
                allowed=", ".join(carried) or "none: no host carries any",
            )
    if choices.tags:
        app = choices.apps[0] if len(choices.apps) == 1 else "APP"
        yield Problem(field="tags", what=tags.told(snapshot, choices.tags, app), blocks=False)
