"""The plan of TLS: key before certificate, each router proven, then the redirect, then HSTS.

The order is that of deis-facts 9: what is enforced comes only after port 443 is proven, and the way
back begins at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.keeping import token_of
from deiswizard.plan.plan import Basis, Change, Impact, Plan, Stage
from deiswizard.plan.step import Step
from deiswizard.recommendations import settings
from deiswizard.recommendations.settings import Setting
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
        settings.changed(snapshot, group)
        for group in (_sealing(choices), _redirect(choices), _hsts(choices))
    )
    token = token_of(snapshot, "tls")
    stages = [
        Stage(id="guards", title="Guards", steps=tuple(nginx_test(snapshot, "before"))),
        _stage("keep", "Keep", settings.keeps(snapshot, base, token)),
        _stage("set", "Set", settings.writes(snapshot, base)),
        _stage("prove", "Prove", served(snapshot, choices)),
        _stage("redirect", "Redirect", settings.writes(snapshot, redirect)),
        _stage("redirected", "Prove the redirect", redirected(snapshot, choices)),
        _stage("hsts", "HSTS", settings.writes(snapshot, hsts)),
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
            keys=settings.basis(snapshot, every),
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


def _stage(name: str, title: str, steps: Sequence[Step]) -> Stage:
    return Stage(id=name, title=title, steps=tuple(steps))


def _undo(snapshot: Snapshot, group: Sequence[Setting], token: str) -> tuple[Stage, ...]:
    """Backwards: HSTS and the redirect first, then the certificate, then its key, at last nginx -t."""
    if not group:
        return ()
    stages, forgets = settings.backs(snapshot, group, token)
    proof = _stage("live", "Prove", nginx_test(snapshot, "again")).undoing(group[0].step)
    return (*stages, proof, *forgets)


def _change(snapshot: Snapshot, setting: Setting) -> Change:
    now = None
    if setting.key == CERT and snapshot.key(CERT) is not None:
        known = current(snapshot)
        leaf = known.leaf if known else None
        now = f"{', '.join(leaf.names)} until {day(leaf.ends)}" if leaf else "?"
    return settings.change(snapshot, setting, now)


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
