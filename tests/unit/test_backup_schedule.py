"""A backup every day: the files and lines of this machine, shown whole, taken back first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.plan.plan import Plan
from deiswizard.plan.preview import as_text
from deiswizard.recommendations.backup.plan import plan
from deiswizard.recommendations.backup.schedule import cron_line, service_text
from tests.unit.test_backup import HERE, choices, with_ceph


def scheduled(kind: str) -> Plan:
    seen = with_ceph(login=("--host", "core@10.21.2.11", "-i", "/home/ann/.ssh/de is"))
    return plan(seen, choices(schedule=kind, here=HERE, schedule_at="3:05"))


def test_a_timer_is_shown_whole_and_taken_back_first() -> None:
    found = scheduled("timer")
    files = {s.path: s.content or "" for s in found.steps if isinstance(s, HereFileStep)}
    service = files["/home/ann/.config/systemd/user/deiswizard-backup-prod-eu.service"]
    assert 'ExecStart=/usr/bin/deiswizard apply backup -a /home/ann/.config/deiswizard/deiswizard-backup-prod-eu.yaml --host core@10.21.2.11 -i "/home/ann/.ssh/de is" --yes' in service  # fmt: skip
    timer = files["/home/ann/.config/systemd/user/deiswizard-backup-prod-eu.timer"]
    assert "OnCalendar=*-*-* 03:05:00" in timer and "Persistent=true" in timer
    answers = files["/home/ann/.config/deiswizard/deiswizard-backup-prod-eu.yaml"]
    assert "folder: /kept" in answers and "schedule" not in answers.partition("\n")[2]
    assert service in as_text(found, "commands").replace("  [write] ", "")
    [on] = [s.command for s in found.steps if isinstance(s, HereStep)]
    assert on == "systemctl --user daemon-reload && systemctl --user enable --now deiswizard-backup-prod-eu.timer"  # fmt: skip
    assert [stage.id for stage in found.undo] == ["unschedule", "remove"]
    assert "loginctl enable-linger" in " ".join(found.impact.notes)


def test_a_cron_line_replaces_only_its_own() -> None:
    [on] = [s.command for s in scheduled("cron").steps if isinstance(s, HereStep)]
    assert "grep -v ' # deiswizard-backup-prod-eu$'" in on and on.endswith("| crontab -")
    assert cron_line(["a", "b%c"], "3:05", "name") == "5 3 * * * a b\\%c # name"


def test_systemd_expands_nothing_in_a_path() -> None:
    text = service_text(with_ceph(), ["/opt/100%/de$is", 'a"b'])
    assert 'ExecStart="/opt/100%%/de$$is" "a\\"b"' in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_itself_finds_nothing_wrong_with_the_files(tmp_path: Path) -> None:
    here = HERE.model_copy(update={"program": ("/bin/echo",), "units": str(tmp_path)})
    seen = with_ceph(login=("--host", "core@10.21.2.11", "-i", "/home/100%/de is/$key"))
    found = plan(seen, choices(schedule="timer", here=here, schedule_at="3:05"))
    for step in found.steps:
        if isinstance(step, HereFileStep) and step.path.startswith(str(tmp_path)):
            Path(step.path).write_text(step.content or "")
    files = sorted(str(path) for path in tmp_path.glob("deiswizard-backup-*"))
    assert [Path(name).suffix for name in files] == [".service", ".timer"]
    said = subprocess.run(
        ["systemd-analyze", "verify", *files], capture_output=True, text=True, timeout=60
    )
    assert (said.returncode, [line for line in said.stderr.splitlines() if "deiswizard" in line]) == (0, [])  # fmt: skip
