"""The plan of TLS: key before certificate, each router proven, then the redirect, then HSTS.

The order is that of deis-facts 9: what is enforced comes only after port 443 is proven, and the way
back begins at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.keeping import keep, put_back, token_of
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.step import RemoveKeyStep, Step, WriteKeyStep
from deiswizard.recommendations.tls.choices import (
    DH_SECRET,
    KEY_SECRET,
    MODERN_CIPHERS,
    MODERN_PROTOCOLS,
    TlsChoices,
    day,
)
from deiswizard.recommendations.tls.facts import (
    CERT,
    CIPHERS,
    DHPARAM,
    HSTS,
    HSTS_AGE,
    HSTS_PRELOAD,
    HSTS_SUB,
    KEY,
    PROTOCOLS,
    PROXY,
    REDIRECT,
    current,
    routers,
)
from deiswizard.recommendations.tls.proofs import nginx_test, redirected, remembered, served
from deiswizard.vocabulary import Danger

MODERN_WORDS = f"{MODERN_CIPHERS.count(':') + 1} modern ones, with forward secrecy"


@dataclass(frozen=True)
class Setting:
    """A key and what it shall be. ``value`` None: absent. ``shown`` for eyes; ``is_secret``: kept in etcd."""

    key: str
    value: str | None
    shown: str = ""
    is_secret: bool = False


def plan(snapshot: Snapshot, choices: TlsChoices) -> Plan:
    """Guards, the secret values kept, the settings, the proofs, the redirect, HSTS.

    Raises:
        PreconditionError: the settings could not be read, or there is no router to prove anything on.
    """
    if not snapshot.keys_read:
        raise PreconditionError("the settings could not be read from etcd", do="look again")
    if not routers(snapshot):
        raise PreconditionError(
            "no router runs on a host that answers", do="deisctl start router@1, then look again"
        )
    base, redirect, hsts = (
        _changed(snapshot, group)
        for group in (_sealing(choices), _redirect(choices), _hsts(choices))
    )
    token = token_of(snapshot, "tls")
    kept = [s.key for s in base if s.is_secret and snapshot.key(s.key) is not None]
    stages = [
        Stage(id="guards", title="Guards", steps=tuple(nginx_test(snapshot, "before"))),
        _stage("keep", "Keep", [keep(token, key) for key in kept]),
        _stage("set", "Set", _writes(snapshot, base)),
        _stage("prove", "Prove", served(snapshot, choices)),
        _stage("redirect", "Redirect", _writes(snapshot, redirect)),
        _stage("redirected", "Prove the redirect", redirected(snapshot, choices)),
        _stage("hsts", "HSTS", _writes(snapshot, hsts)),
        _stage("remembered", "Prove HSTS", remembered(snapshot, choices)),
    ]
    every = [*base, *redirect, *hsts]
    return Plan(
        recommendation="tls",
        title="TLS",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=tuple(_change(snapshot, setting) for setting in every) or _nothing(snapshot),
        stages=tuple(stage for stage in stages if stage.steps),
        undo=_undo(snapshot, [*base, *redirect, *hsts], token),
        impact=_impact(snapshot, choices, every),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=tuple(
                KeyBasis(key=s.key, index=fact.index if (fact := snapshot.key(s.key)) else 0)
                for s in every
            ),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _sealing(choices: TlsChoices) -> list[Setting]:
    """In the order in which they are written: what nginx needs first, the certificate last."""
    found = []
    if choices.proxy_protocol != "keep":
        on = choices.proxy_protocol == "on"
        found.append(Setting(PROXY, "true" if on else None))
    if choices.ends_at != "routers":
        return found
    if choices.policy == "modern":
        found += [
            Setting(PROTOCOLS, MODERN_PROTOCOLS),
            Setting(CIPHERS, MODERN_CIPHERS, MODERN_WORDS),
        ]
    elif choices.policy == "custom":
        found += [
            Setting(PROTOCOLS, " ".join(choices.protocols)),
            Setting(CIPHERS, choices.ciphers),
        ]
    if choices.dh_text is not None:
        found.append(
            Setting(DHPARAM, f"${{secret:{DH_SECRET}}}", "the DH parameters of your file", True)
        )
    if choices.material is not None:
        leaf = choices.material.leaf
        found.append(Setting(KEY, f"${{secret:{KEY_SECRET}}}", "the key of that certificate", True))
        names = ", ".join(leaf.names) or leaf.subject
        found.append(Setting(CERT, choices.material.chain, f"{names} until {day(leaf.ends)}"))
    return found


def _redirect(choices: TlsChoices) -> list[Setting]:
    return [Setting(REDIRECT, "true" if choices.redirect else None)]


def _hsts(choices: TlsChoices) -> list[Setting]:
    """Its size first, so that nobody ever sees a longer one; switched off before all else."""
    if not choices.hsts:
        return [Setting(HSTS, None)]
    return [
        Setting(HSTS_AGE, str(choices.hsts_max_age)),
        Setting(HSTS_SUB, "true" if choices.hsts_subdomains else None),
        Setting(HSTS_PRELOAD, "true" if choices.hsts_preload else None),
        Setting(HSTS, "true"),
    ]


def _changed(snapshot: Snapshot, group: Sequence[Setting]) -> list[Setting]:
    """Those that are not so already. What a secret is cannot be told from a saved look: written."""
    found = []
    for setting in group:
        fact = snapshot.key(setting.key)
        if (fact.text if fact else None) != setting.value:
            found.append(setting)
    return found


def _writes(snapshot: Snapshot, group: Sequence[Setting]) -> list[Step]:
    steps: list[Step] = []
    for setting in group:
        fact = snapshot.key(setting.key)
        name = setting.key.removeprefix("/deis/router/")
        needs = (steps[-1].id,) if steps else ()
        if setting.value is None:
            steps.append(
                RemoveKeyStep(
                    id=f"set:{name}",
                    title=f"remove {name}",
                    key=setting.key,
                    expect=fact.index if fact else None,
                    danger=Danger.WRITE,
                    needs=needs,
                    undo="the value before is written back",
                )
            )
        else:
            steps.append(
                WriteKeyStep(
                    id=f"set:{name}",
                    title=f"set {name}",
                    key=setting.key,
                    value=setting.value,
                    expect=fact.index if fact else 0,
                    danger=Danger.WRITE,
                    needs=needs,
                    undo="the value before is put back" if fact else "the key is removed again",
                )
            )
    return steps


def _stage(name: str, title: str, steps: Sequence[Step]) -> Stage:
    return Stage(id=name, title=title, steps=tuple(steps))


def _undo(snapshot: Snapshot, group: Sequence[Setting], token: str) -> tuple[Stage, ...]:
    """Backwards: HSTS and the redirect first, then the certificate, then its key, at last nginx -t."""
    if not group:
        return ()
    stages, forgotten = [], []
    for setting in reversed(group):
        name = setting.key.removeprefix("/deis/router/")
        fact = snapshot.key(setting.key)
        changed_by = f"set:{name}"
        if setting.is_secret:
            back, *forget = put_back(token, setting.key, changed_by, was_there=fact is not None)
            forgotten += forget
            stages.append(_stage(f"back-{name}", f"{name} as before", [back]))
            continue
        step: Step
        if fact is None:
            step = RemoveKeyStep(
                id=f"back:{name}",
                title=f"remove {name} again",
                key=setting.key,
                danger=Danger.WRITE,
            )
        else:
            step = WriteKeyStep(
                id=f"back:{name}",
                title=f"put {name} back",
                key=setting.key,
                value=fact.text,
                danger=Danger.WRITE,
            )
        stages.append(_stage(f"back-{name}", f"{name} as before", [step]).undoing(changed_by))
    proof = _stage("live", "Prove", nginx_test(snapshot, "again"))
    stages.append(proof.undoing(f"set:{group[0].key.removeprefix('/deis/router/')}"))
    stages += [_stage(f"forget-{n}", "Forget", [step]) for n, step in enumerate(forgotten)]
    return tuple(stages)


def _change(snapshot: Snapshot, setting: Setting) -> Change:
    fact = snapshot.key(setting.key)
    now: str | None = None
    if fact is not None:
        now = "(a secret)" if fact.is_secret else (fact.value or "")
    if setting.key == CERT:
        known = current(snapshot)
        leaf = known.leaf if known else None
        now = f"{', '.join(leaf.names)} until {day(leaf.ends)}" if leaf else ("?" if fact else None)
    return Change(
        where=setting.key,
        current=now,
        desired=None if setting.value is None else setting.shown or setting.value,
        steps=(f"set:{setting.key.removeprefix('/deis/router/')}",),
    )


def _nothing(snapshot: Snapshot) -> tuple[Change, ...]:
    now = snapshot.value(REDIRECT) or None
    return (Change(where=REDIRECT, current=now, desired=now),)


def _impact(snapshot: Snapshot, choices: TlsChoices, every: Sequence[Setting]) -> Impact:
    keys = {setting.key for setting in every}
    notes = []
    if KEY in keys:
        notes.append(
            "the private key stands in etcd in clear text, where every container can read it; a former "
            "key is kept below /deiswizard/kept until the run is taken back"
        )
    if KEY in keys and current(snapshot) is not None:
        notes.append(
            "between the new key and the new certificate nginx refuses both, and goes on with what it has: a "
            "router that is restarted in these seconds comes up a little later"
        )
    if choices.redirect:
        notes.append(
            "custom domains need certificates of their own (deis certs), deis-store is not redirected, "
            "and users log in again: deis login https://deis.DOMAIN"
        )
    if choices.hsts:
        notes.append(
            f"browsers remember HSTS for {choices.hsts_max_age} s: no undo reaches them before that"
        )
    if PROXY in keys:
        notes.append("the load balancer must change at the same moment, or every request fails")
    if not every:
        return Impact(
            danger=Danger.READ, duration="nothing changes", undo="not needed: nothing changes"
        )
    return Impact(
        danger=Danger.WRITE,
        duration="live on every router within about 10 s; nothing restarts, nginx reloads",
        undo="HSTS and the redirect first, then the certificate, then the key; former values are put back",
        notes=tuple(notes),
    )
