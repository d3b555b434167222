"""5. Security: the routers' firewall, who may reach what, which app runs where; and the hosts' own firewall.

The hosts' part is in ``firewall_*.py``. Both are judged together; a run sets one of them (``part``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from deiswizard.cluster.snapshot import Evidence, Question, Snapshot
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import provisioned, provisioning
from deiswizard.recommendations.base import Assessment, Finding, Problem, Recommendation
from deiswizard.recommendations.firewall import checks as firewall_checks
from deiswizard.recommendations.firewall import choices as firewall_choices
from deiswizard.recommendations.firewall import facts as firewall_facts
from deiswizard.recommendations.firewall import first as firewall_first
from deiswizard.recommendations.firewall import plan as firewall_plan
from deiswizard.recommendations.firewall import problems as firewall_problems
from deiswizard.recommendations.firewall.form import HOSTS
from deiswizard.recommendations.security import choices as security_choices
from deiswizard.recommendations.security import plan as security_plan
from deiswizard.recommendations.security import tags
from deiswizard.recommendations.security.choices import FEW
from deiswizard.recommendations.security.facts import (
    ENFORCE,
    ERROR_CODE,
    FIREWALL,
    LIST,
    NGINX,
    NGINX_SAYS,
    REAL_IP,
    SERVICES,
    SecurityChoices,
    all_router_hosts,
    app_key,
    app_list,
    apps_of,
    config_set,
    controller_site,
    facts_questions,
    learned_address,
    real_ip,
    router_hosts,
    settings_now,
    settings_of,
    without_list,
)
from deiswizard.recommendations.security.form import FIELDS
from deiswizard.recommendations.security.lists import faults, lets_in, network_of
from deiswizard.recommendations.security.requests import expected
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status
from deiswizard.wording import few

WORST = (Status.AT_RISK, Status.TO_DO, Status.PARTLY, Status.UNKNOWN)


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Who asks, which apps there are, what nginx says, and what every router does by the keys."""
    live = (one.question for one in expected(snapshot, settings_now(snapshot)))
    return (*facts_questions(snapshot), *live, *firewall_facts.questions(snapshot))


def defaults(snapshot: Snapshot) -> SecurityChoices:
    """Both parts as they are or as the documentation recommends; a run sets the routers, unless told."""
    hosts = firewall_choices.defaults(snapshot)
    return security_choices.defaults(snapshot).model_copy(update=hosts)


def check_choices(snapshot: Snapshot, choices: SecurityChoices) -> tuple[Problem, ...]:
    """Of the part that is to be set."""
    if choices.part == HOSTS:
        return firewall_problems.check_choices(snapshot, choices)
    return security_choices.check_choices(snapshot, choices)


def plan(snapshot: Snapshot, choices: SecurityChoices) -> Plan:
    """Of the part that is to be set; the other is not touched."""
    if choices.part == HOSTS:
        return firewall_plan.plan(snapshot, choices)
    return security_plan.plan(snapshot, choices)


def assess(snapshot: Snapshot) -> Assessment:
    """The worst finding is the status."""
    if not snapshot.keys_read:
        return Assessment(
            recommendation="security",
            status=Status.UNKNOWN,
            now="could not be read",
            explanation="etcd did not answer.",
        )
    findings = (
        *_firewall(snapshot),
        *_lists(snapshot),
        *_live(snapshot),
        *_segregation(snapshot),
        *firewall_checks.findings(snapshot),
    )
    found = {finding.status for finding in findings}
    status = next((one for one in WORST if one in found), Status.OK)
    return Assessment(
        recommendation="security",
        status=status,
        now=_now(snapshot),
        explanation=_words(status, findings),
        findings=findings,
    )


def _words(status: Status, findings: tuple[Finding, ...]) -> str:
    match status:
        case Status.AT_RISK:
            return "Something is not as the settings say, or shuts out more than it should."
        case Status.TO_DO:
            lacking = "; ".join(one.what for one in findings if one.status is Status.TO_DO)
            return f"{lacking[:1].upper()}{lacking[1:]}."
        case Status.OK:
            return "The firewalls of the routers and of the hosts are on, and do as they should."
        case _:
            return "Not everything is in place, or could be seen."


def _now(snapshot: Snapshot) -> str:
    now = settings_now(snapshot)
    closed = "lists enforced" if now.enforced else "controller listed" if now.listed else "no lists"
    hosts = firewall_checks.summary(snapshot)
    return f"{hosts}, routers {'on' if now.firewall else 'off'}, {closed}"


def _said(snapshot: Snapshot, key: str) -> tuple[Evidence, ...]:
    fact = snapshot.key(key)
    return (Evidence(source=key, said=fact.text if fact else "absent"),)


def _firewall(snapshot: Snapshot) -> Iterator[Finding]:
    value, code = snapshot.value(FIREWALL), snapshot.value(ERROR_CODE)
    if value != "true":
        odd = value not in ("", "false")
        yield Finding(
            status=Status.TO_DO,
            what=f"the routers' firewall is off: '{value}' is not exactly 'true'"
            if odd
            else "the routers' firewall is off",
            evidence=_said(snapshot, FIREWALL),
            do="switch it on",
        )
    elif code and not re.fullmatch(r"[45]\d\d", code):
        yield Finding(
            status=Status.AT_RISK,
            what=f"the firewall's answer '{code}' is no status from 400 to 599: nginx may refuse it, "
            "and then the routers take no new setting",
            evidence=_said(snapshot, ERROR_CODE),
            do="choose one from 400 to 599",
        )
    if network_of(real_ip(snapshot)) is None:
        yield Finding(
            status=Status.AT_RISK,
            what=f"proxyRealIpCidr '{real_ip(snapshot)}' is no IPv4 network: nginx refuses it",
            evidence=_said(snapshot, REAL_IP),
            do="deisctl config router set proxyRealIpCidr=10.0.0.0/8",
        )


def _lists(snapshot: Snapshot) -> Iterator[Finding]:
    now = settings_now(snapshot)
    apps = apps_of(snapshot)
    broken = {"the controller": (LIST, now.listed, "choose a right one here")}
    for app in apps:
        broken[app] = (app_key(app), app_list(snapshot, app) or "", config_set("", app))
    for name, (key, listed, do) in broken.items():
        wrong = faults(listed)
        if snapshot.key(key) is not None and not listed.strip():
            words = "it is there, but empty: nginx would get 'allow ;'"
        elif wrong:
            words = wrong[0].what
        else:
            continue
        yield Finding(
            status=Status.AT_RISK,
            what=f"the list of {name} is broken: {words}",
            evidence=_said(snapshot, key),
            do=do,
        )
    if now.enforced:
        lacking = [*([] if now.listed else ["the controller"]), *without_list(snapshot)]
        if lacking:
            yield Finding(
                status=Status.AT_RISK,
                what=f"lists are enforced, and {few(lacking, FEW)} has none: 403 for everyone",
                evidence=_said(snapshot, ENFORCE),
                do="give each a list, or enforce no more",
            )
    elif not now.listed:
        yield Finding(
            status=Status.BY_CHOICE,
            what="everyone may reach the controller: it has no list of addresses",
            evidence=_said(snapshot, LIST),
            do="give it a list if you know from where it is used",
        )
    address, host = learned_address(snapshot)
    if now.listed and address and not lets_in(now.listed, address):
        yield Finding(
            status=Status.BY_CHOICE,
            what=f"{address}, from where you are connected, is not on the controller's list",
            evidence=(Evidence(source="$SSH_CONNECTION", host=host, said=address),),
            do="add it, if your requests to the routers come from there",
        )
    with_list = [app for app in apps if app_list(snapshot, app)]
    if apps:
        yield Finding(
            status=Status.BY_CHOICE,
            what=f"{len(with_list)} of {len(apps)} apps have a list of their own",
            evidence=tuple(
                Evidence(source=app_key(app), said=app_list(snapshot, app) or "absent")
                for app in apps
            ),
            do=config_set("", "APP"),
        )


def _live(snapshot: Snapshot) -> Iterator[Finding]:
    """What nginx says, and what the routers do."""
    now = settings_now(snapshot)
    for host in router_hosts(snapshot):
        answer = snapshot.answer(NGINX, host.name)
        if answer is not None and answer.code not in (0, None):
            yield Finding(
                status=Status.AT_RISK,
                what=f"nginx on {host.name} refuses what it has: the router takes no new setting, and "
                "does not come back after a restart",
                evidence=(answer.evidence,),
                do="mend what nginx says",
            )
    unasked = [host.name for host in all_router_hosts(snapshot) if not host.reachable]
    for one in expected(snapshot, now):
        answer = snapshot.answer(one.id, one.host)
        why_not = one.why_not(answer)
        if why_not is None:
            unasked.append(one.host)
        elif why_not:
            yield Finding(
                status=Status.AT_RISK,
                what=f"not so: {one.title} ({why_not})",
                evidence=(answer.evidence,) if answer else (),
                do="see whether the controller and the router run; a router takes about 10 s to "
                "follow a setting",
            )
    if not now.firewall and not now.listed and not now.enforced:
        return
    if not controller_site(snapshot) or not all_router_hosts(snapshot):
        yield Finding(
            status=Status.PARTLY,
            what="no router could be asked",
            evidence=(Evidence(source=SERVICES, said="no router runs, or there is no domain"),),
            do="see whether deis-router runs, and /deis/platform/domain is set",
        )
    elif unasked:
        names = tuple(dict.fromkeys(unasked))
        yield Finding(
            status=Status.PARTLY,
            what=f"the router on {few(names, FEW)} did not answer",
            evidence=(Evidence(source=f"GET {controller_site(snapshot)}", said="no answer"),),
            do="see whether that host and its router run",
        )


def _segregation(snapshot: Snapshot) -> Iterator[Finding]:
    """Apps that are kept to some hosts; one that has nowhere to go never starts."""
    for one in tags.confined(snapshot):
        where = ", ".join(one.hosts)
        yield Finding(
            status=Status.BY_CHOICE if one.hosts else Status.AT_RISK,
            what=f"{one.app} runs only where {' and '.join(one.tags)}: "
            + (where or "no host has all of it, so it can never start"),
            evidence=tuple(
                Evidence(
                    source="fleet metadata",
                    host=host.name,
                    said=",".join(f"{key}={value}" for key, value in host.metadata) or "none",
                )
                for host in snapshot.hosts
            ),
            do="" if one.hosts else f"give hosts that metadata, or: deis tags unset -a {one.app}",
        )


def read(choices: SecurityChoices) -> tuple[SecurityChoices, tuple[Problem, ...]]:
    """The operator's user-data, where files are made of it."""
    return provisioning.read(choices) if choices.part == HOSTS else (choices, ())


def verify(before: Snapshot, after: Snapshot, choices: SecurityChoices) -> tuple[Check, ...]:
    """The keys mean what was chosen, and every router does it; or the hosts' filters, or files, do."""
    if choices.part == HOSTS and choices.makes_files:
        return provisioned.verify(choices, (firewall_first.edits(before, choices),))
    if choices.part == HOSTS:
        return firewall_checks.verify(after, choices)
    now, wanted = settings_now(after), settings_of(choices)
    pairs = [
        ("the firewall is on" if wanted.firewall else "the firewall is off",
         now.firewall == wanted.firewall, FIREWALL),
        ("the controller's list is as chosen" if wanted.listed else "the controller has no list",
         now.listed.replace(" ", "") == wanted.listed.replace(" ", ""), LIST),
        ("lists are enforced" if wanted.enforced else "lists are not enforced",
         now.enforced == wanted.enforced, ENFORCE),
    ]  # fmt: skip
    if wanted.firewall:
        pairs.insert(
            1,
            (f"its answer is {wanted.error_code}", now.error_code == wanted.error_code, ERROR_CODE),
        )
    checks = [
        Check(title=title, ok=ok, evidence=f"{key} = {_said(after, key)[0].said}")
        for title, ok, key in pairs
    ]
    for host in router_hosts(after):
        answer = after.answer(NGINX, host.name)
        is_right = None if answer is None or answer.code is None else NGINX_SAYS in answer.out
        said = answer.evidence.said.splitlines()[-1:] if answer else []
        checks.append(
            Check(
                title=f"nginx on {host.name} accepts what it has",
                ok=is_right,
                evidence=" ".join(said) or "no answer",
            )
        )
    for one in expected(after, now):
        answer = after.answer(one.id, one.host)
        why_not = one.why_not(answer)
        checks.append(
            Check(
                title=one.title,
                ok=None if why_not is None else not why_not,
                evidence=answer.evidence.said if answer else "not asked",
            )
        )
    return tuple(checks)


RECOMMENDATION = Recommendation(
    id="security",
    number=5,
    title="Security",
    why="Keeps attacks from reaching your apps, and strangers from the controller.",
    doc="Production deployments, Security Considerations",
    choices=SecurityChoices,
    fields=FIELDS,
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    taken_back=firewall_checks.taken_back,
    questions=questions,
    read=read,
    fingerprints=provisioning.fingerprints,
)
