"""A backup every day: a systemd timer or a cron line of this machine, as steps."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.plan.plan import Change, Stage, chained
from deiswizard.recommendations.backup.facts import TIME, BackupChoices, HereFacts
from deiswizard.vocabulary import Danger


def unit_name(cluster: str) -> str:
    """The name of the service, the timer and the cron line of a cluster."""
    return f"deiswizard-backup-{re.sub(r'[^A-Za-z0-9.-]+', '-', cluster).strip('-') or 'cluster'}"


def read_here() -> HereFacts:
    """Of this machine: how the wizard is started, where unit files and answers go, what is there."""
    from deiswizard.run.folders import config_folder
    from deiswizard.run.here import checksum_here

    program = shutil.which("deiswizard")
    words = (program,) if program else (sys.executable, "-m", "deiswizard")
    is_root = os.geteuid() == 0
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    units = "/etc/systemd/system" if is_root else f"{home}/systemd/user"
    folder = str(config_folder())
    paths = [*Path(units).glob("deiswizard-backup-*"), *Path(folder).glob("deiswizard-backup-*")]
    return HereFacts(
        program=words,
        config=folder,
        units=units,
        is_root=is_root,
        files=tuple((str(path), checksum_here(path)) for path in sorted(paths)),
        has_systemd=Path("/run/systemd/system").is_dir(),
        has_cron=shutil.which("crontab") is not None,
    )


def command(snapshot: Snapshot, here: HereFacts, name: str) -> tuple[str, ...]:
    """What runs every day."""
    answers = f"{here.config}/{name}.yaml"
    return (*here.program, "apply", "backup", "-a", answers, *snapshot.login, "--yes")


def answers_text(choices: BackupChoices) -> str:
    """The answers that it runs with: these, without the schedule."""
    import yaml

    values = choices.model_dump(mode="json", exclude={"schedule", "schedule_at", "backup_passphrase"})  # fmt: skip
    head = "# written by deiswizard for its schedule; see docs/backup.md\n"
    return head + yaml.safe_dump({"backup": values}, sort_keys=False, allow_unicode=True)


def service_text(snapshot: Snapshot, words: Sequence[str]) -> str:
    """The unit that makes the backup. systemd expands % and $, so both are doubled."""
    line = " ".join(_systemd_word(word) for word in words)
    return (
        f"# written by deiswizard\n[Unit]\nDescription=Backup of the Deis cluster {snapshot.cluster}\n"
        "Wants=network-online.target\nAfter=network-online.target\n\n"
        f"[Service]\nType=oneshot\nUMask=0077\nNice=10\nExecStart={line}\n"
    )


def _systemd_word(word: str) -> str:
    text = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else f'"{text}"'


def timer_text(snapshot: Snapshot, at: str) -> str:
    """The timer. ``Persistent``: a day on which this machine slept is made up for."""
    hour, minute = _clock(at)
    return (
        f"# written by deiswizard\n[Unit]\nDescription=Backup of the Deis cluster {snapshot.cluster}, "
        f"every day\n\n[Timer]\nOnCalendar=*-*-* {hour:02d}:{minute:02d}:00\nPersistent=true\n"
        "RandomizedDelaySec=300\n\n[Install]\nWantedBy=timers.target\n"
    )


def _clock(at: str) -> tuple[int, int]:
    match = TIME.fullmatch(at.strip())
    assert match is not None, "check_choices has refused it"
    return int(match[1]), int(match[2])


def cron_line(words: Sequence[str], at: str, name: str) -> str:
    """The line, marked by a comment so that it is found again. cron reads % as an end of line."""
    hour, minute = _clock(at)
    line = shlex.join(words).replace("%", "\\%")
    return f"{minute} {hour} * * * {line} # {name}"


def _without(name: str) -> str:
    return f"{{ crontab -l 2>/dev/null | grep -v ' # {name}$' || true; }}"


def stages(snapshot: Snapshot, choices: BackupChoices) -> tuple[tuple[Stage, ...], tuple[Stage, ...], tuple[Change, ...]]:  # fmt: skip
    """The stage that sets the schedule up, the way back, and the changes; all empty without one."""
    here = choices.here
    if choices.schedule == "none" or here is None:
        return (), (), ()
    name = unit_name(snapshot.cluster)
    there = dict(here.files)
    words = command(snapshot, here, name)
    files = {f"{here.config}/{name}.yaml": answers_text(choices)}
    if choices.schedule == "timer":
        files[f"{here.units}/{name}.service"] = service_text(snapshot, words)
        files[f"{here.units}/{name}.timer"] = timer_text(snapshot, choices.schedule_at)
    steps: list[HereFileStep | HereStep] = [
        HereFileStep(
            id=f"schedule:{Path(path).suffix}",
            title=f"write {path}",
            path=path,
            content=text,
            mode=0o600 if path.endswith(".yaml") else 0o644,
            expect=there.get(path, ""),
            danger=Danger.WRITE,
            undo=f"rm {path}",
        )
        for path, text in files.items()
    ]
    user = "" if here.is_root else "--user "
    if choices.schedule == "timer":
        on = f"systemctl {user}daemon-reload && systemctl {user}enable --now {name}.timer"
        off = f"systemctl {user}disable --now {name}.timer"
        shown = f"every day at {choices.schedule_at} ({name}.timer)"
    else:
        line = cron_line(words, choices.schedule_at, name)
        on = f"{{ {_without(name)}; echo {shlex.quote(line)}; }} | crontab -"
        off = f"{_without(name)} | crontab -"
        shown = line
    steps.append(
        HereStep(
            id="schedule:on",
            title="turn the schedule on",
            command=on,
            danger=Danger.WRITE,
            undo=off,
        )
    )
    back: list[HereFileStep | HereStep] = [
        HereStep(
            id="unschedule:off",
            title="turn the schedule off",
            command=off,
            danger=Danger.WRITE,
            undoes=("schedule:on",),
        )
    ]
    back += [
        HereFileStep(
            id=f"unschedule:{Path(path).suffix}",
            title=f"remove {path}",
            path=path,
            content=None,
            danger=Danger.WRITE,
            undoes=(f"schedule:{Path(path).suffix}",),
        )
        for path in reversed(files)
    ]
    change = Change(
        where="schedule on this machine",
        current="another one of the wizard's" if set(files) & set(there) else None,
        desired=shown,
        steps=tuple(step.id for step in steps),
    )
    made = Stage(id="schedule", title="Schedule on this machine", steps=chained(steps))
    undone = Stage(id="unschedule", title="Take the schedule back", steps=tuple(back))
    return (made,), (undone,), (change,)
