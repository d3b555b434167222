"""7. Registration mode: who may make an account."""

from __future__ import annotations

import re
from typing import Literal

from deiswizard.cluster.snapshot import Answer, Evidence, HostFacts, Question, Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.step import GuardStep, RemoveKeyStep, Step, WaitStep, WriteKeyStep
from deiswizard.recommendations.base import (
    Assessment,
    Choices,
    Finding,
    FormField,
    Option,
    Problem,
    Recommendation,
)
from deiswizard.run.events import Check
from deiswizard.vocabulary import Danger, Status

KEY = "/deis/controller/registrationMode"
MODES = ("enabled", "disabled", "admin_only")
ADMINS, LIVE = "registration.admins", "registration.live"
CONFIRM = "an admin exists"
"""What the operator types when the database cannot be asked."""

SECONDS_TO_LIVE = 60.0
"""confd looks every 5 s and gunicorn reloads (deis-facts 7): about 10 s, with room to spare."""

NEEDED_KEYS = (
    "/deis/registry/protocol",
    "/deis/registry/host",
    "/deis/registry/port",
    "/deis/database/host",
    "/deis/logs/host",
    "/deis/platform/domain",
)
"""Without these confd writes no new settings for the controller (deis-facts 0.4)."""

LIVE_CODES = {"enabled": "400", "disabled": "403", "admin_only": "40[13]"}


class RegistrationChoices(Choices):
    """The mode, and the words typed when no admin could be found by asking the database."""

    mode: Literal["enabled", "disabled", "admin_only"] = "admin_only"
    confirm: str = ""


def database_host(snapshot: Snapshot) -> HostFacts | None:
    """Where the in-cluster database runs; None: external, or not running."""
    return next(iter(snapshot.where("deis-database.service")), None)


def admins_command(snapshot: Snapshot) -> str:
    """Count active superusers; the AnonymousUser row is none."""
    name = snapshot.value("/deis/database/name") or "deis"
    query = "select count(*) from auth_user where is_superuser and is_active"
    database = re.sub(r"[^A-Za-z0-9_-]", "", name)
    return f'docker exec deis-database sudo -u postgres psql -d {database} -tAc "{query}"'


def live_command(snapshot: Snapshot) -> str:
    """Asks the controller to register nobody: permission is judged before the empty form is."""
    host = snapshot.value("/deis/controller/host")
    port = snapshot.value("/deis/controller/port") or "8000"
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host) or not port.isdecimal():
        return ""
    return (
        "curl -s -m 5 -w '\\n%{http_code}\\n' -X POST -H 'Content-Type: application/json' "
        f"-d '{{}}' http://{host}:{port}/v1/auth/register"
    )


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """Ask whether there is an admin, and what the live controller says."""
    found = []
    if (host := database_host(snapshot)) and host.reachable:
        found.append(Question(id=ADMINS, host=host.name, command=admins_command(snapshot)))
    asker = _asker(snapshot)
    if asker and live_command(snapshot):
        found.append(Question(id=LIVE, host=asker.name, command=live_command(snapshot)))
    return tuple(found)


def _asker(snapshot: Snapshot) -> HostFacts | None:
    """The host to ask the controller from: its own, else any that answers."""
    own = [host for host in snapshot.where("deis-controller.service") if host.reachable]
    return next(iter([*own, *snapshot.reachable_hosts]), None)


def admin_count(answer: Answer | None) -> int | None:
    """How many admins there are; None when that is not known."""
    if answer is None or answer.code != 0 or not answer.out.strip().isdecimal():
        return None
    return int(answer.out.strip())


def live_code(answer: Answer | None) -> str:
    """The HTTP status of the live controller, empty when it did not answer."""
    lines = answer.out.strip().splitlines() if answer else []
    return lines[-1] if lines and re.fullmatch(r"[1-5]\d\d", lines[-1]) else ""


def missing_keys(snapshot: Snapshot) -> tuple[str, ...]:
    """Keys without which the controller picks up no setting."""
    return tuple(key for key in NEEDED_KEYS if snapshot.key(key) is None)


def why_not_live(snapshot: Snapshot) -> str:
    """Why the live controller may lag behind the key, and what to do."""
    if missing := missing_keys(snapshot):
        return (
            f"confd in the controller writes no settings while {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing: start that component first"
        )
    return "look at the controller: journalctl -u deis-controller on its host"


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


def needs_words(snapshot: Snapshot, mode: str) -> bool:
    """The operator must confirm in words that an admin exists: nobody could be asked."""
    return mode != "enabled" and admin_count(snapshot.answer(ADMINS)) is None


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


def plan(snapshot: Snapshot, choices: RegistrationChoices) -> Plan:
    """Guard, write, wait for the key and for the live controller."""
    if not snapshot.keys_read:
        raise PreconditionError("the settings could not be read from etcd", do="look again")
    fact = snapshot.key(KEY)
    current = fact.value if fact else None
    same = current == choices.mode
    stages: list[Stage] = []
    guard = _admin_guard(snapshot, choices)
    if guard and not same:
        stages.append(Stage(id="guards", title="Guards", steps=(guard,)))
    if not same:
        stages.append(_write_stage(choices.mode, fact.index if fact else 0))
    stages.append(_wait_stage(snapshot, choices.mode))
    notes: tuple[str, ...] = ()
    if not live_command(snapshot):
        notes += ("the controller is not there to be asked: only the key will be checked",)
    if choices.mode != "enabled" and needs_words(snapshot, choices.mode):
        notes += (f"you confirmed in words: {CONFIRM}",)
    return Plan(
        recommendation="registration",
        title="Registration mode",
        cluster=snapshot.cluster,
        choices=choices.model_dump(mode="json"),
        changes=(Change(where=KEY, current=current, desired=choices.mode),),
        stages=tuple(stages),
        undo=() if same else (_undo_stage(current), _wait_stage(snapshot, current)),
        impact=Impact(
            danger=Danger.READ if same else Danger.WRITE,
            duration="live within about 10 s; nothing restarts",
            undo=f"one key back to {current or 'absent (open)'}",
            notes=notes,
        ),
        basis=Basis(
            taken_at=snapshot.taken_at,
            etcd_index=snapshot.etcd.index,
            keys=(KeyBasis(key=KEY, index=fact.index if fact else 0),),
            machines=tuple(sorted(host.machine_id for host in snapshot.hosts)),
        ),
    )


def _admin_guard(snapshot: Snapshot, choices: RegistrationChoices) -> GuardStep | None:
    host = database_host(snapshot)
    if choices.mode == "enabled" or host is None or needs_words(snapshot, choices.mode):
        return None
    return GuardStep(
        id="guard:admin",
        title="an active admin exists",
        host=host.name,
        condition=CommandSays(
            host=host.name, command=admins_command(snapshot), pattern=r"^\s*[1-9]\d*\s*$"
        ),
        otherwise="no active admin exists: nobody could ever register again. Register the admin first",
    )


def _write_stage(mode: str, expect: int | None) -> Stage:
    step = WriteKeyStep(
        id="write:mode",
        title=f"set the mode to {mode}",
        key=KEY,
        value=mode,
        expect=expect,
        danger=Danger.WRITE,
        undo="the value before is written back",
    )
    return Stage(id="write", title="Set", steps=(step,))


def _undo_stage(before: str | None) -> Stage:
    if before is not None:
        return _write_stage(before, None)
    step = RemoveKeyStep(
        id="write:mode", title="remove the key again", key=KEY, danger=Danger.WRITE
    )
    return Stage(id="write", title="Set", steps=(step,))


def _wait_stage(snapshot: Snapshot, mode: str | None) -> Stage:
    """The key first; then the controller, which follows it. None: the key is to be absent."""
    steps: list[Step] = [
        WaitStep(
            id="wait:key",
            title="the key is set in etcd" if mode else "the key is gone from etcd",
            condition=KeyIs(key=KEY, value=mode),
            waiting_for=f"{KEY} to be {mode or 'absent'}",
            timeout=10,
        )
    ]
    asker = _asker(snapshot)
    command = live_command(snapshot)
    if asker and command and mode in LIVE_CODES:
        steps.append(
            WaitStep(
                id="wait:live",
                title=f"the live controller says {mode}",
                host=asker.name,
                condition=CommandSays(
                    host=asker.name, command=command, pattern=rf"(?m)^{LIVE_CODES[mode]}$"
                ),
                waiting_for="the live controller to pick it up",
                timeout=SECONDS_TO_LIVE,
                on_timeout=why_not_live(snapshot),
            )
        )
    return Stage(id="live", title="Live", steps=tuple(steps))


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
