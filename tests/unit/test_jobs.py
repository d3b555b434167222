"""What a host says of a job, as texts: the journal's entries, the unit's properties, odd answers."""

from __future__ import annotations

import json
import subprocess

import pytest

from deiswizard.cluster.jobs import (
    Job,
    JobState,
    end_mark,
    looked,
    new_look,
    prepared,
    start_command,
    wrapped,
)
from deiswizard.vocabulary import JobWay

BOOT = "0d6b3b0e-5a4e-4a9e-8a61-8c8f6f1e2a11"
JOB = Job(unit="deiswizard-20261122-223104-17-1", way=JobWay.UNIT, boot_id=BOOT, cursor="s=a;i=1")
RUNNING = ("loaded", "active", "running", "success", "0", "0")
DONE = ("loaded", "active", "exited", "success", "1", "0")
FAILED = ("loaded", "failed", "failed", "exit-code", "1", "7")
KILLED = ("loaded", "failed", "failed", "signal", "2", "9")
GONE = ("not-found", "inactive", "dead", "success", "0", "0")
NAMES = ("LoadState", "ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus")


def entry(message: object, cursor: str = "s=a;i=2") -> str:
    return json.dumps({"__CURSOR": cursor, "MESSAGE": message, "PRIORITY": "6"})


def said(state: tuple[str, ...], *entries: str, boot: str = BOOT) -> tuple[str, str]:
    shown = "\n".join(f"{name}={value}" for name, value in zip(NAMES, state, strict=True))
    output = "\n".join(entries)
    return "m", f"m boot\n{boot}\nm state\n{shown}\nm output\n{output}\n"


MARK = entry(f"{end_mark(JOB.unit)} 0")


@pytest.mark.parametrize(
    ("state", "entries", "expected"),
    [
        (RUNNING, (entry("hello"),), (JobState.RUNNING, None, ("hello",), False)),
        (DONE, (entry("hello"), MARK), (JobState.ENDED, 0, ("hello",), True)),
        (DONE, (), (JobState.ENDED, 0, (), False)),  # its last words have not come yet
        (FAILED, (MARK,), (JobState.ENDED, 7, (), True)),
        (KILLED, (), (JobState.ENDED, None, (), True)),
        (KILLED, (entry("last"),), (JobState.ENDED, None, ("last",), False)),
        (GONE, (), (JobState.MISSING, None, (), True)),
        (GONE, (entry("it ran"),), (JobState.ENDED, None, ("it ran",), False)),
    ],
)
def test_a_look_tells_state_code_lines_and_whether_more_will_come(
    state: tuple[str, ...],
    entries: tuple[str, ...],
    expected: tuple[JobState, int | None, tuple[str, ...], bool],
) -> None:
    look = looked(JOB, *said(state, *entries))
    assert look is not None
    assert (look.state, look.code, look.lines, look.is_whole) == expected


def test_another_boot_is_told_apart_from_a_job_that_never_began() -> None:
    look = looked(JOB, *said(GONE, boot="11111111-5a4e-4a9e-8a61-8c8f6f1e2a11"))
    assert look is not None and look.state is JobState.REBOOTED and look.cursor == JOB.cursor


def test_an_answer_that_was_cut_off_says_nothing() -> None:
    marker, text = said(DONE, MARK)
    for end in range(text.index("m output")):
        assert looked(JOB, marker, text[:end]) is None


def test_the_cursor_follows_the_last_whole_entry() -> None:
    look = looked(
        JOB, *said(RUNNING, entry("a", "c1"), entry("b", "c2"), '{"__CURSOR": "c3", "MES')
    )
    assert look is not None
    assert (look.lines, look.cursor) == (("a", "b"), "c2")
    empty = looked(JOB, *said(RUNNING))
    assert empty is not None and empty.cursor == JOB.cursor


def test_journald_s_odd_messages_are_read() -> None:
    entries = (
        entry(list(b"\xc3\xa4\xff")),
        entry(None),
        entry("10 %\r20 %"),
        "[1, 2]",
        "-- No entries --",
    )
    look = looked(JOB, *said(RUNNING, *entries))
    assert look is not None
    assert look.lines == ("ä\ufffd", "", "10 %", "20 %")


@pytest.mark.parametrize(
    "text", ["", "sh: cat: not found\n", "no boot id here\n", f"{BOOT}\nmore\n"]
)
def test_without_a_boot_id_nothing_is_started(text: str) -> None:
    assert prepared("u", JobWay.UNIT, text) is None


def test_what_is_prepared_begins_at_the_beginning_of_this_boot() -> None:
    fresh = prepared("u", JobWay.UNIT, f"{BOOT}\n")
    assert fresh == Job(unit="u", way=JobWay.UNIT, boot_id=BOOT)
    assert fresh is not None and "-b" in new_look(fresh)[0].split()
    assert "--after-cursor" not in new_look(fresh)[0]
    assert "--after-cursor='s=a;i=1'" in new_look(JOB)[0]


def test_systemd_s_own_variables_are_doubled_and_quotes_survive() -> None:
    command = "echo \"$HOME\" 'it''s' $((1+1))"
    started = start_command(JOB, command, "title; with 'quotes'")
    assert "$$HOME" in started and "$$code" in started
    ran = subprocess.run(["sh", "-c", wrapped(JOB, command)], capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == f"{end_mark(JOB.unit)} 0"
    assert ran.stdout.splitlines()[0].endswith("its 2")


def test_the_end_mark_carries_the_command_s_own_exit_status() -> None:
    ran = subprocess.run(["sh", "-c", wrapped(JOB, "exit 7")], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (7, f"{end_mark(JOB.unit)} 7\n")
