"""Secrets are masked in every form, on the screen and on disk, and what is left can be read."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from deiswizard.cluster.access import CommandResult
from deiswizard.plan.step import CommandStep
from deiswizard.redaction import MASK, ORDINARY, Redactor
from deiswizard.run import events as e
from deiswizard.run.journal import JournalWriter, read_journal
from deiswizard.run.masking import as_json, for_eyes
from deiswizard.run.runner import Run
from deiswizard.vocabulary import RunStatus, StepStatus
from tests.unit.memory_cluster import LIMIT, Call, MemoryCluster, command, plan_of, stage

SECRETS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=4, max_size=60
).filter(lambda text: text.lower() not in ORDINARY and text not in MASK)

KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(
    f"{'MIIEpAIBAAKCAQEA':16}{number:048d}" for number in range(20)
)


def redactor(*values: str) -> Redactor:
    return Redactor([SecretStr(value) for value in values])


FORMS: dict[str, Callable[[str], str]] = {
    "raw": lambda s: s,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 of a line": lambda s: base64.b64encode(s.encode() + b"\n").decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "shell": shlex.quote,
    "URL": lambda s: quote(s, safe=""),
    "form": quote_plus,
    "JSON": lambda s: json.dumps(s)[1:-1],
    "shell in JSON": lambda s: json.dumps(shlex.quote(s))[1:-1],
}


@pytest.mark.parametrize("form", FORMS)
@given(secret=SECRETS)
def test_a_secret_is_masked_in_every_form(form: str, secret: str) -> None:
    written = FORMS[form](secret)
    masked = redactor(secret).text(f"<< {written} >>")
    assert masked == f"<< {MASK} >>" or (secret in "<<  >>" or written not in masked)


@given(
    secret=st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=16, max_size=40),
    before=st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=9),
    after=st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=9),
)
def test_a_secret_within_longer_base64_is_masked(secret: str, before: str, after: str) -> None:
    text = base64.b64encode(f"{before}:{secret}:{after}".encode()).decode()
    left, mask, right = redactor(secret).text(text).partition(MASK)
    assert mask and text.startswith(left) and text.endswith(right)
    edge = 3  # characters of base64 that hold bits of what stands beside the secret
    assert len(left) * 6 // 8 <= len(before) + 1 + edge
    assert len(right.rstrip("=")) * 6 // 8 <= len(after) + 1 + edge


@pytest.mark.parametrize("width", [64, 76])
def test_wrapped_base64_of_a_key_is_masked_line_by_line(width: int) -> None:
    text = base64.b64encode(KEY.encode()).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    masked = [redactor(KEY).text(line) for line in lines]
    assert set(masked[:-1]) == {MASK}


def test_the_lines_of_a_key_are_masked_wherever_a_batch_ends() -> None:
    lines = KEY.splitlines()
    for border in range(len(lines) + 1):
        events = [
            e.OutputReceived(at=0.0, step="s", lines=tuple(part))
            for part in (lines[:border], lines[border:])
        ]
        text = " ".join(
            line
            for event in events
            for line in for_eyes(event, redactor(KEY)).lines  # type: ignore[union-attr]
        )
        assert not any(line in text for line in lines)


@pytest.mark.parametrize("secret", ["", "abc", "true", "False", "enabled"])
def test_what_would_mask_half_of_every_text_is_left_alone(secret: str) -> None:
    assert redactor(secret).text(f"is {secret} here") == f"is {secret} here"
    assert not redactor(secret).finds(f"is {secret} here")


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert redactor("hunter", "hunter22").text("hunter22 hunter") == f"{MASK} {MASK}"


@given(text=st.text(), secrets=st.lists(SECRETS, max_size=3))
def test_masking_never_raises_and_leaves_nothing_behind(text: str, secrets: list[str]) -> None:
    masked = redactor(*secrets).text(text)
    assert not any(s in masked for s in secrets if not any(p in s for p in "<secret>"))


PLAN = plan_of(
    stage(
        CommandStep(id="go", title="go", host="deis-1", command="true", sudo=True, stdin="8000"),
        at_a_time=1234,
    ),
    choices={"status": "hunter22", "deep": [{"kind": "x"}, "hunter22"]},
)


@pytest.mark.parametrize(
    "secret",
    [
        "true",
        "null",
        "1234",
        "1795",
        "run-started",
        "command",
        "kind",
        "write",
        "deis-1",
        '":"',
        "\\",
    ],
)
def test_no_secret_whatever_it_looks_like_makes_the_journal_unreadable(
    tmp_path: Path, secret: str
) -> None:
    events: list[e.Event] = [
        e.RunStarted(at=1795000000.1234, run="r", plan=PLAN),
        e.StepStarted(at=1795000001.0, step="go", attempt=1234),
        e.StepFinished(at=1795000002.0, step="go", status=StepStatus.DONE, code=0),
        e.RunFinished(at=1795000003.0, status=RunStatus.DONE),
    ]
    writer = JournalWriter(tmp_path, redactor(secret))
    for event in events:
        writer.write(event)
    writer.close()
    assert writer.problem == ""
    read = list(read_journal(tmp_path))
    assert [event.kind for event in read] == [event.kind for event in events]
    assert [event.at for event in read] == [event.at for event in events]


@given(secret=SECRETS, at=st.floats(0, 2e9))
def test_an_event_without_its_secrets_is_still_an_event(secret: str, at: float) -> None:
    event = e.OutputReceived(at=at, step="go", host="a", lines=(f"x{secret}y", shlex.quote(secret)))
    line = as_json(event, redactor(secret))
    assert "\n" not in line
    read = e.EVENT.validate_json(line)
    assert isinstance(read, e.OutputReceived)
    if secret not in "xgoay" + shlex.quote(secret).replace(secret, ""):
        assert secret not in "".join(read.lines).replace(MASK, "")


def test_the_run_s_own_words_show_no_secret_on_screen_in_journal_or_log(tmp_path: Path) -> None:
    secret = """pa'ss"wo\\rd é"""
    cluster = MemoryCluster("a")

    def leaking(call: Call) -> CommandResult:
        assert call.on_lines is not None and call.stdin == secret.encode()
        call.on_lines("err", [f"bad password {secret}", f"echo {shlex.quote(secret)}"])
        return CommandResult(1)

    cluster.hosts["a"].answers["login"] = [leaking]
    run = Run(
        plan_of(stage(command("login", stdin="${secret:registry}"))),
        cluster,
        folder=tmp_path,
        secrets={"registry": SecretStr(secret)},
    )
    told: list[e.Event] = []
    run.hub.subscribe(told.append)
    run.start()
    state = run.hub.wait_for(lambda state: state.finished_at is not None, LIMIT)
    run._thread.join(LIMIT)
    assert state.steps["login"].said == f"bad password {MASK} / echo {MASK}"
    shown = [line.text for line in run.hub.lines()[1]]
    files = [path.read_text() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert len(files) == 3  # the journal, the log of host a, the record
    everything = [state.steps["login"].last_line, *shown, *files, *map(repr, told)]
    for text in everything:
        for form in FORMS.values():
            assert form(secret) not in text


@pytest.mark.parametrize(
    "event",
    [
        e.StepFinished(at=0, step="s", status=StepStatus.FAILED, said="hunter22", do="hunter22"),
        e.WaitPolled(at=0, step="s", said="hunter22"),
        e.ImageChecked(at=0, step="s", image="i", present=False, said="hunter22"),
        e.HostLost(at=0, host="h", said="hunter22"),
        e.Verified(at=0, checks=(e.Check(title="t", ok=True, evidence="hunter22"),)),
        e.PlanRefused(at=0, differences=("k is now 'hunter22'",)),
        e.RunFinished(at=0, status=RunStatus.FAILED, said="hunter22"),
        e.StepSkipped(at=0, step="s", reason="hunter22"),
        e.OutputReceived(at=0, step="s", lines=("a", "hunter22", "b")),
    ],
    ids=lambda event: event.kind,
)
def test_every_event_with_words_of_others_is_masked_before_it_is_seen(event: e.Event) -> None:
    assert "hunter22" not in for_eyes(event, redactor("hunter22")).model_dump_json()
    assert for_eyes(event, redactor("another")) == event
