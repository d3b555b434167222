"""The plan of the routers' guards: the controller's list, the firewall, enforcement last (deis-facts 5c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from deiswizard.cluster.snapshot import KeyFact, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage
from deiswizard.recommendations.base import refuse_blocking
from deiswizard.recommendations.security import tags
from deiswizard.recommendations.security.choices import check_choices, operator_of
from deiswizard.recommendations.security.facts import (
    DEFAULT_CODE,
    ENFORCE,
    ERROR_CODE,
    FIREWALL,
    LIST,
    PROXY,
    REAL_IP,
    SecurityChoices,
    Settings,
    all_router_hosts,
    app_key,
    apps_of,
    config_set,
    controller_site,
    is_believed,
    real_ip,
    router_hosts,
    settings_now,
    settings_of,
)
from deiswizard.recommendations.security.lists import tidy
from deiswizard.recommendations.security.proofs import before_enforcing, guards, live, open_again
from deiswizard.recommendations.settings import Setting, backs, change, changed, writes
from deiswizard.vocabulary import Danger

READ_TOO = (REAL_IP, PROXY, "/deis/platform/domain", "/deis/router/enforceHTTPS")
"""Settings that decide how the routers are asked, and what they make of the answer."""


@dataclass(frozen=True)
class Part:
    """Keys that are changed together, and the state that is proven afterwards."""

    id: str
    title: str
    settings: tuple[Setting, ...]
    after: Settings


def plan(snapshot: Snapshot, choices: SecurityChoices) -> Plan:
    """Guards; each part and its proof by real requests; nothing goes on when one fails."""
    if not snapshot.keys_read:
        raise PreconditionError("the settings could not be read from etcd", do="look again")
    refuse_blocking(check_choices(snapshot, choices))
    operator = operator_of(snapshot, choices)
    parts = tuple(_parts(snapshot, choices))
    stages = []
    if parts and (steps := guards(snapshot, operator)):
        stages.append(Stage(id="guards", title="Guards", steps=steps))
    for part in parts:
        if part.id == "enforce" and part.after.enforced and (steps := before_enforcing(snapshot)):
            stages.append(Stage(id="before-enforce", title="Every app has a list", steps=steps))
        written = writes(snapshot, part.settings)
        stages.append(Stage(id=part.id, title=part.title, steps=written))
        proofs = live(snapshot, part.id, part.settings, part.after, operator)
        stages.append(Stage(id=f"prove-{part.id}", title=f"{part.title}: proven", steps=proofs))
    if not parts:
        proofs = live(snapshot, "now", (), settings_of(choices), operator)
        if proofs:
            stages.append(Stage(id="prove", title="Proven", steps=proofs))
    return Plan(
        recommendation="security",
        title="Security",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(_changes(snapshot, choices, parts)),
        stages=tuple(stages),
        undo=tuple(_undo(snapshot, parts)),
        impact=Impact(
            danger=Danger.WRITE if parts else Danger.READ,
            duration="live within about 10 s; nothing restarts",
            undo=_undo_words(parts),
            notes=tuple(_notes(snapshot, choices)),
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=tuple(_key_basis(snapshot)),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _wanted(snapshot: Snapshot, choices: SecurityChoices) -> dict[str, str | None]:
    """What each key shall be. A key that means the same by its absence is left out or alone."""
    settings = settings_of(choices)
    wanted: dict[str, str | None] = {
        LIST: settings.listed or None,
        FIREWALL: "true" if settings.firewall else None,
        ENFORCE: "true" if settings.enforced else None,
    }
    has_code = snapshot.key(ERROR_CODE) is not None
    if settings.firewall and (has_code or settings.error_code != DEFAULT_CODE):
        wanted[ERROR_CODE] = str(settings.error_code)
    for key, value in wanted.items():
        now = _value(snapshot.key(key))
        if key == LIST and value is not None and now is not None and tidy(now) == value:
            wanted[key] = now  # the same but for blanks, which mean nothing
        if key in (FIREWALL, ENFORCE) and value is None and now == "false":
            wanted[key] = now
    return wanted


def _value(fact: KeyFact | None) -> str | None:
    return fact.text if fact else None


def _parts(snapshot: Snapshot, choices: SecurityChoices) -> Iterator[Part]:
    """What changes, in order. Enforcement comes last, and goes first."""
    group = [Setting(key, value) for key, value in _wanted(snapshot, choices).items()]
    new = {setting.key: setting for setting in changed(snapshot, group)}
    final = settings_of(choices)
    state = settings_now(snapshot)
    if ENFORCE in new and not final.enforced:
        state = replace(state, enforced=False)
        title = "Lists are enforced no more"
        yield Part("enforce", title, (new[ENFORCE],), state)
    if LIST in new:
        state = replace(state, listed=final.listed)
        yield Part("list", "The controller's list", (new[LIST],), state)
    if FIREWALL in new or ERROR_CODE in new:
        state = replace(state, firewall=final.firewall, error_code=final.error_code)
        keys = tuple(new[key] for key in (ERROR_CODE, FIREWALL) if key in new)
        yield Part("firewall", "Firewall of the routers", keys, state)
    if ENFORCE in new and final.enforced:
        state = replace(state, enforced=True)
        yield Part("enforce", "Lists are enforced", (new[ENFORCE],), state)


def _undo(snapshot: Snapshot, parts: Sequence[Part]) -> Iterator[Stage]:
    """Backwards; enforcement that was put on goes first, and its proof is that nobody is shut out."""
    changing = [setting for part in parts for setting in part.settings]
    yield from backs(snapshot, changing)[0]
    if changing and (steps := open_again(snapshot)):
        yield Stage(id="back-live", title="Live", steps=steps).undoing(changing[0].step)


def _undo_words(parts: Sequence[Part]) -> str:
    if not parts:
        return "not needed: nothing changes"
    count = sum(len(part.settings) for part in parts)
    what = "one key is" if count == 1 else f"{count} keys are, the last one first,"
    return f"{what} as before again; over SSH and etcd, so that no list can keep you from it"


def _changes(
    snapshot: Snapshot, choices: SecurityChoices, parts: Sequence[Part]
) -> Iterator[Change]:
    """In the order in which they are made; then what stays."""
    wanted = _wanted(snapshot, choices)
    order = [setting.key for part in parts for setting in part.settings]
    for key in dict.fromkeys([*order, *wanted]):
        told = change(snapshot, Setting(key, wanted[key]))
        yield told if key in order else told.model_copy(update={"steps": ()})


def _key_basis(snapshot: Snapshot) -> Iterator[KeyBasis]:
    """Everything that the plan goes by, the lists of the apps too."""
    apps = (app_key(app) for app in apps_of(snapshot))
    for key in (LIST, FIREWALL, ERROR_CODE, ENFORCE, *READ_TOO, *apps):
        fact = snapshot.key(key)
        yield KeyBasis(key=key, index=fact.index if fact else 0)


def _notes(snapshot: Snapshot, choices: SecurityChoices) -> Iterator[str]:
    """What is not proven, what is not covered, and the commands that were asked for."""
    if not controller_site(snapshot):
        yield "/deis/platform/domain is not set: no router can be asked, only the keys are checked"
    elif not router_hosts(snapshot):
        yield "no router runs on a host that answers: only the keys are checked"
    if silent := [host.name for host in all_router_hosts(snapshot) if not host.reachable]:
        yield f"the router on {', '.join(silent)} cannot be asked"
    if choices.firewall:
        yield (
            "the firewall can turn honest requests away, such as JSON with URLs or what goes to deis-store: "
            "look at your apps"
        )
    if choices.controller_whitelist.strip() or choices.enforce_whitelist:
        operator = operator_of(snapshot, choices)
        yield f"you are taken to be {operator or 'nobody known'}; after it, try: deis whoami"
        if doubted := [h.name for h in router_hosts(snapshot) if not is_believed(snapshot, h)]:
            yield (
                f"{', '.join(doubted)}: outside {real_ip(snapshot)}, so its router sees it as itself; "
                "only that is proven"
            )
        yield "lists do not cover deis-store, git (2222) and health checks (9090)"
        yield "CI that calls the controller by its public name must be on the list; the builder needs not"
        yield f"whoever is in {real_ip(snapshot)} can claim any address (X-Forwarded-For)"
    if choices.enforce_whitelist:
        yield "an app that is made from now on answers 403 to everyone until it has a list"
    for app in choices.apps:
        yield f"for you to run: {config_set(tidy(choices.controller_whitelist), app)}"
    if choices.tags:
        for app in choices.apps or ("APP",):
            yield tags.told(snapshot, choices.tags, app)
        yield tags.NOT_HERE
