"""7. Registration mode: who may make an account."""

from __future__ import annotations

import re

from deiswizard.cluster.snapshot import Evidence, Snapshot
from deiswizard.recommendations.base import (
    Assessment,
    Finding,
    FormField,
    Option,
    Problem,
    Recommendation,
)
from deiswizard.recommendations.registration.facts import (
    ADMINS,
    CONFIRM,
    KEY,
    LIVE,
    LIVE_CODES,
    MODES,
    RegistrationChoices,
    admin_count,
    live_code,
    live_command,
    needs_words,
    questions,
    why_not_live,
)
from deiswizard.recommendations.registration.plan import plan
from deiswizard.run.events import Check
from deiswizard.vocabulary import Status


def assess(snapshot: Snapshot) -> Assessment:
    """The key, what the live controller says, and whether an admin exists."""
    fact = snapshot.key(KEY)
    mode = fact.value if fact and fact.value else "enabled"
    said = "absent" if fact is None else (fact.value or "")
    evidence = (Evidence(source=KEY, said=said),)
    live, admins = snapshot.answer(LIVE), snapshot.answer(ADMINS)
    code, count = live_code(live), admin_count(admins)
    findings: list[Finding] = []

    def result(status: Status, now: str, explanation: str) -> Assessment:
        return Assessment(
            recommendation="registration",
            status=status,
            now=now,
            explanation=explanation,
            findings=tuple(findings),
        )

    if not snapshot.keys_read:
        return result(Status.UNKNOWN, "could not be read", "etcd did not answer.")
    if count == 0:
        findings.append(
            Finding(
                status=Status.AT_RISK,
                what="no active admin exists: the first to register becomes admin",
                evidence=(admins.evidence,) if admins else (),
                do="register the admin now: deis register http://deis.<domain>",
            )
        )
    if mode not in MODES:
        findings.append(
            Finding(
                status=Status.AT_RISK,
                what=f"'{mode}' is no registration mode: registering answers HTTP 500",
                evidence=evidence,
                do=f"choose one of {', '.join(MODES)}",
            )
        )
        return result(
            Status.AT_RISK,
            f"'{mode}' (not a mode)",
            "The key holds a value that the controller does not know.",
        )
    if mode == "enabled":
        status = Status.AT_RISK if count == 0 else Status.TO_DO
        return result(
            status,
            "enabled (anyone may register)",
            "Anyone who knows the address can make an account and deploy. The documentation "
            "highly recommends to turn this off, or to leave it to admins.",
        )
    if not code:
        findings.append(
            Finding(
                status=Status.UNKNOWN,
                what="the live controller could not be asked",
                evidence=(live.evidence,) if live else (),
                do="see whether deis-controller runs",
            )
        )
        return result(
            Status.PARTLY,
            f"{mode} (controller not asked)",
            "The key is as it should be, but the live controller did not confirm it.",
        )
    if not re.fullmatch(LIVE_CODES[mode], code):
        findings.append(
            Finding(
                status=Status.AT_RISK,
                what=f"the key says {mode}, but the live controller answers {code}",
                evidence=(live.evidence,) if live else (),
                do=why_not_live(snapshot),
            )
        )
        return result(
            Status.AT_RISK, f"{mode}, not live", "The controller has not picked the setting up."
        )
    return result(Status.OK, mode, "The live controller lets nobody register who should not.")


def defaults(snapshot: Snapshot) -> RegistrationChoices:
    """What is set already when it is closed, else admins only."""
    now = snapshot.value(KEY)
    return RegistrationChoices.model_validate(
        {"mode": now if now in ("disabled", "admin_only") else "admin_only"}
    )


def check_choices(snapshot: Snapshot, choices: RegistrationChoices) -> tuple[Problem, ...]:
    """Nobody may be locked out for ever."""
    if choices.mode == "enabled":
        return ()
    if admin_count(snapshot.answer(ADMINS)) == 0:
        return (
            Problem(
                field="mode",
                what="no active admin exists, so nobody could ever register again. "
                "Register the admin first",
                allowed="enabled, until an admin has registered",
            ),
        )
    if needs_words(snapshot, choices.mode) and choices.confirm.strip() != CONFIRM:
        return (
            Problem(
                field="confirm",
                what="the database cannot be asked whether an admin exists",
                allowed=f"type: {CONFIRM}",
            ),
        )
    return ()


def verify(_before: Snapshot, after: Snapshot, choices: RegistrationChoices) -> tuple[Check, ...]:
    """The key, and the live controller where there is one."""
    fact = after.key(KEY)
    now = fact.value if fact else None
    checks = [
        Check(title=f"the key is {choices.mode}", ok=now == choices.mode, evidence=f"{KEY} = {now}")
    ]
    if live_command(after):
        code = live_code(after.answer(LIVE))
        agrees = bool(code) and re.fullmatch(LIVE_CODES[choices.mode], code) is not None
        checks.append(
            Check(
                title=f"the live controller answers as {choices.mode}",
                ok=agrees if code else None,
                evidence=f"POST /v1/auth/register answered {code or 'nothing'}",
            )
        )
    return tuple(checks)


MODE_OPTIONS = (
    Option(
        "admin_only",
        "admins only",
        recommended=True,
        explain="Only an admin can make accounts: deis register needs an admin's login.",
    ),
    Option(
        "disabled",
        "disabled",
        explain="Nobody can make accounts, admins neither, until it is enabled again.",
    ),
    Option(
        "enabled",
        "enabled",
        explain="Anyone who knows the address can make an account and deploy.",
        warning="not recommended in production",
    ),
)

RECOMMENDATION = Recommendation(
    id="registration",
    number=7,
    title="Registration mode",
    why="Decides who may make an account. A new cluster lets anyone register who knows its address.",
    doc="Production deployments, Change Registration Mode",
    choices=RegistrationChoices,
    fields=(
        FormField("mode", "Who may register", "one", options=lambda snapshot: MODE_OPTIONS),
        FormField(
            "confirm",
            "Confirm",
            "text",
            f"The database cannot be asked. Look for yourself that an active admin exists, then type: "
            f"{CONFIRM}",
            shown=lambda snapshot, raw: needs_words(snapshot, str(raw.get("mode", ""))),
            placeholder=CONFIRM,
        ),
    ),
    assess=assess,
    defaults=defaults,
    check_choices=check_choices,
    plan=plan,
    verify=verify,
    questions=questions,
)
