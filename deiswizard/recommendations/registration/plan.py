"""The plan of a registration mode: guard, write, wait for the key and for the live controller."""

from __future__ import annotations

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import PreconditionError
from deiswizard.plan.conditions import CommandSays, KeyIs
from deiswizard.plan.plan import Basis, Change, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.step import GuardStep, RemoveKeyStep, Step, WaitStep, WriteKeyStep
from deiswizard.recommendations.registration.facts import (
    CONFIRM,
    KEY,
    LIVE_CODES,
    SECONDS_TO_LIVE,
    RegistrationChoices,
    admins_command,
    asker_of,
    database_host,
    live_command,
    needs_words,
    why_not_live,
)
from deiswizard.vocabulary import Danger


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
        changes=(
            Change(
                where=KEY,
                current=current,
                desired=choices.mode,
                steps=() if same else ("write:mode",),
            ),
        ),
        stages=tuple(stages),
        undo=()
        if same
        else (
            _undo_stage(current).undoing("write:mode"),
            _wait_stage(snapshot, current).undoing("write:mode"),
        ),
        impact=Impact(
            danger=Danger.READ if same else Danger.WRITE,
            duration="live within about 10 s; nothing restarts",
            undo="not needed: nothing changes"
            if same
            else f"one key back to {current or 'absent (open)'}",
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
    asker = asker_of(snapshot)
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
