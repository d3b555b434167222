"""Long commands that outlive the connection: as units of the host's systemd, or detached by setsid.

Only texts: the commands that start, look at, stop and forget a job, and what their output means.
``run/follow.py`` sends them. A job has a name of its own, so it can never be started twice, and is
found again by that name, the boot it was started in, and how far its output was read.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deiswizard.cluster.probe_script import sections
from deiswizard.frozen import Frozen
from deiswizard.vocabulary import JobWay

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
"""What must be known before a job is started."""

LOOK_LINES = 2000
"""Lines of output that one look fetches at most; the next look goes on after them."""

SEARCH_PATH = "/run/deis/bin:/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USER = "core"
PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus")
CLD_EXITED = "1"
"""``ExecMainCode`` of a process that ended by itself (waitid's si_code)."""


class Job(Frozen):
    """What is needed to find a job again.

    ``cursor`` is how far its output was read: empty for its beginning, else the cursor of its own
    last entry in the host's journal, or a count of lines.
    """

    unit: str
    way: JobWay
    boot_id: str
    cursor: str = ""


class JobState(StrEnum):
    """What a look at a job's host says of it."""

    MISSING = "missing"
    """The host knows no such job, in the same boot: it was never started."""

    RUNNING = "running"
    ENDED = "ended"
    REBOOTED = "rebooted"
    """The host was started anew since; the job is gone, and whether it had ended is not known."""


@dataclass(frozen=True)
class JobLook:
    """One look at a job. ``code`` is its exit status, None while it runs or when a signal ended it;
    ``why`` says which then. ``lines`` are new since the job's cursor; ``cursor`` is after them.
    ``is_whole``: nothing more will come, as far as can be known.
    """

    state: JobState
    lines: tuple[str, ...] = ()
    cursor: str = ""
    code: int | None = None
    why: str = ""
    is_whole: bool = True


def end_mark(unit: str) -> str:
    """What a job prints last, before its exit status: by it, all output is known to have come."""
    return f"[{unit} ended]"


def wrapped(job: Job, command: str) -> str:
    """The shell command that a job runs: both streams as one, then the end mark."""
    inner = f"sh -c {shlex.quote(command)} 2>&1"
    return f"{inner}; code=$?; echo '{end_mark(job.unit)}' $code; exit $code"


def prepared(unit: str, way: JobWay, said: str) -> Job | None:
    """The job to be, from what ``BOOT_ID`` printed; None when that is not usable."""
    boot_id = said.strip()
    usable = re.fullmatch(r"[0-9a-f-]{32,36}", boot_id)
    return Job(unit=unit, way=way, boot_id=boot_id) if usable else None


def start_command(job: Job, command: str, title: str) -> str:
    """Starts the job and returns at once; fails when there is one of that name."""
    text = wrapped(job, command)
    if job.way is JobWay.UNIT:
        doubled = text.replace("$", "$$")  # systemd puts variables in, with no way around it
        return (
            f"systemd-run --quiet --unit={job.unit} --uid={USER} "
            f"--description={shlex.quote(title)} --property=RemainAfterExit=yes "
            f"--setenv=PATH={SEARCH_PATH} /bin/sh -c {shlex.quote(doubled)}"
        )
    folder = _folder(job)
    return (
        f"mkdir -m 700 {folder} && {{ PATH={SEARCH_PATH} setsid sh -c {shlex.quote(text)} "
        f"< /dev/null > {folder}/out 2>&1 & echo $! > {folder}/pid; }}"
    )


def new_look(job: Job) -> tuple[str, str]:
    """A command that looks at the job, and the marker with which ``looked`` reads its output."""
    marker = f"look-{secrets.token_hex(8)}"
    if job.way is JobWay.UNIT:
        # Only a cursor of the job's own entries: after another's, journalctl leaves one entry out.
        after = f"--after-cursor={shlex.quote(job.cursor)}" if job.cursor else "-b"
        properties = " ".join(f"-p {name}" for name in PROPERTIES)
        state = f"systemctl show {job.unit}.service {properties}"
        output = (
            f"journalctl -q --no-pager --all -o json {after} _SYSTEMD_UNIT={job.unit}.service "
            f"| head -n {LOOK_LINES}"
        )
    else:
        folder = _folder(job)
        state = f'test -d {folder} && echo folder; test -d "/proc/$(cat {folder}/pid)" && echo runs'
        first = int(job.cursor or 0) + 1
        # The end of the last line shows whether that line is whole.
        output = (
            f"tr '\\r' '\\n' < {folder}/out | tail -n +{first} | head -n {LOOK_LINES}; "
            f"echo '{marker}'"
        )
    return (
        f"echo '{marker} boot'; {BOOT_ID}; echo '{marker} state'; {state}; "
        f"echo '{marker} output'; {output}",
        marker,
    )


def looked(job: Job, marker: str, said: str) -> JobLook | None:
    """What ``new_look``'s command printed; None when it is not whole (a cut connection)."""
    found = sections(marker, said)
    if not found.keys() >= {"boot", "state", "output"} or not found["boot"]:
        return None
    if found["boot"] != job.boot_id:
        return JobLook(JobState.REBOOTED, cursor=job.cursor)
    if job.way is JobWay.UNIT:
        lines, cursor = _journal_lines(job, found["output"])
        state, code, why = _unit_state(found["state"])
    else:
        lines, cursor = _file_lines(job, marker, said.partition(f"{marker} output\n")[2])
        state, code, why = _process_state(found["state"])
    mark = end_mark(job.unit)
    own = tuple(line for line in lines if not line.startswith(mark))
    ended = next((line for line in lines if line.startswith(mark)), None)
    if job.way is JobWay.SETSID and ended is not None:
        state, code, why = JobState.ENDED, _number(ended.removeprefix(mark)), ""
    if state is JobState.MISSING and own:
        # It has printed, so it was started: somebody has stopped it and cleared it away.
        state, why = JobState.ENDED, "it was stopped on the host by somebody else"
    comes_more = state is JobState.RUNNING or code is not None or bool(lines)
    return JobLook(state, own, cursor, code, why, ended is not None or not comes_more)


def stop_command(job: Job) -> str:
    """Ends the job and all its processes."""
    if job.way is JobWay.UNIT:
        return f"systemctl stop {job.unit}.service"
    # One that has only just begun leads no process group yet.
    return f'p=$(cat {_folder(job)}/pid); kill -- "-$p" 2>/dev/null || kill "$p"'


def forget_command(job: Job) -> str:
    """Clears away what is left of a job that has ended."""
    if job.way is JobWay.UNIT:
        unit = f"{job.unit}.service"
        return f"systemctl stop {unit}; systemctl reset-failed {unit} 2>/dev/null; true"
    return f"rm -rf {_folder(job)}"


def _folder(job: Job) -> str:
    return f"/tmp/{job.unit}"


def _entries(text: str) -> list[dict[str, Any]]:
    """Journal entries; a line that is no JSON (torn off, or a complaint) is left out."""
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def _message(value: object) -> str:
    """Journald writes what is not UTF-8 as a list of bytes, and what is too long as null."""
    if isinstance(value, list):
        return bytes(int(byte) & 255 for byte in value).decode("utf-8", "replace")
    return "" if value is None else str(value)


def _journal_lines(job: Job, text: str) -> tuple[list[str], str]:
    entries = _entries(text)
    cursor = str(entries[-1].get("__CURSOR", job.cursor)) if entries else job.cursor
    messages = (_message(entry.get("MESSAGE")) for entry in entries)
    return [line for message in messages for line in re.split(r"[\r\n]+", message)], cursor


def _file_lines(job: Job, marker: str, text: str) -> tuple[list[str], str]:
    """Whole lines only; the rest comes again with the next look."""
    lines = text.partition(marker)[0].split("\n")[:-1]
    return lines, str(int(job.cursor or 0) + len(lines))


def _unit_state(text: str) -> tuple[JobState, int | None, str]:
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    active, sub = values.get("ActiveState", ""), values.get("SubState", "")
    if values.get("LoadState") != "loaded":
        return JobState.MISSING, None, ""
    if active in ("active", "activating", "deactivating", "reloading") and sub != "exited":
        return JobState.RUNNING, None, ""
    status = _number(values.get("ExecMainStatus", ""))
    if values.get("ExecMainCode") == CLD_EXITED or sub == "exited":
        return JobState.ENDED, status, ""
    return JobState.ENDED, None, f"it was ended by signal {status} ({values.get('Result', '')})"


def _process_state(text: str) -> tuple[JobState, int | None, str]:
    words = text.split()
    if "folder" not in words:
        return JobState.MISSING, None, ""
    if "runs" in words:
        return JobState.RUNNING, None, ""
    return JobState.ENDED, None, "it ended without a word: a signal may have ended it"


def _number(text: str) -> int | None:
    word = text.strip()
    return int(word) if re.fullmatch(r"-?\d+", word) else None
