"""Typed secrets and files through the real commands, on the pretend cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cli import main
from deiswizard.demo.cluster import PretendCluster
from deiswizard.recommendations import catalogue
from deiswizard.run.folders import list_runs
from tests.demo.test_headless import flags
from tests.unit.pretend_recommendation import KEY, SEALED, TOKEN

VARIABLE = "DEISWIZARD_SECRET_DRAIN_TOKEN"
SECRETS = {TOKEN: "hunter2-is-the-token", KEY: "hunter2-is-the-key"}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendCluster]:
    monkeypatch.setattr(catalogue, "ALL", (*catalogue.ALL, SEALED))
    monkeypatch.delenv(VARIABLE, raising=False)
    with PretendCluster.start("three", speed=50) as cluster:
        yield cluster


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_text(SECRETS[KEY])
    path = tmp_path / "answers.yaml"
    path.write_text(f"sealed:\n  key_file: {tmp_path}/key.pem\n")
    return path


def saved(pretend: PretendCluster, answers: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, SECRETS[TOKEN])
    plan = answers.with_name("plan.json")
    assert main(["plan", "sealed", "-a", str(answers), *flags(pretend), "-o", str(plan)]) == 0
    monkeypatch.delenv(VARIABLE)
    return plan


def test_answers_and_the_environment_are_enough(
    pretend: PretendCluster, answers: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, SECRETS[TOKEN])
    assert main(["apply", "sealed", "-a", str(answers), *flags(pretend), "--yes"]) == 0
    assert {key: pretend.store.value(key) for key in SECRETS} == SECRETS
    written = [p for p in (tmp_path / "state").rglob("*") if p.is_file()]
    assert any(path.name == "journal.jsonl" for path in written)
    for path in written:
        assert not any(secret in path.read_text() for secret in SECRETS.values()), path


@pytest.mark.parametrize("way", ["answers", "plan"])
def test_without_anybody_to_type_it_nothing_runs(
    pretend: PretendCluster,
    answers: Path,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    what = ["sealed", "-a", str(answers)]
    if way == "plan":
        what = [str(saved(pretend, answers, monkeypatch))]
    assert main(["apply", *what, *flags(pretend), "--yes"]) in (1, 2)
    said = capsys.readouterr().err
    assert VARIABLE in said if way == "plan" else "a token is needed" in said
    assert pretend.store.value(KEY) is None and list(list_runs()) == []


def test_a_saved_plan_reads_the_file_again(
    pretend: PretendCluster, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = saved(pretend, answers, monkeypatch)
    assert not any(secret in plan.read_text() for secret in SECRETS.values())
    monkeypatch.setenv(VARIABLE, SECRETS[TOKEN])
    monkeypatch.chdir("/")
    assert main(["apply", str(plan), *flags(pretend), "--yes"]) == 0
    assert {key: pretend.store.value(key) for key in SECRETS} == SECRETS


def test_a_run_taken_over_without_a_terminal_says_what_it_lacks(
    pretend: PretendCluster,
    answers: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a handed over run says in its last line is what the operator is told."""
    pretend.store.put("/t", "x")
    monkeypatch.setenv(VARIABLE, SECRETS[TOKEN])
    original = pretend.store.put
    monkeypatch.setattr(pretend.store, "put", lambda *a, **o: (_ for _ in ()).throw(OSError()))
    assert main(["apply", "sealed", "-a", str(answers), *flags(pretend), "--yes"]) == 1
    monkeypatch.setattr(pretend.store, "put", original)
    monkeypatch.delenv(VARIABLE)
    capsys.readouterr()
    assert main(["resume", "last", "--yes", "--take-over"]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last == f"  do: run it on a terminal to type it, or set {VARIABLE}"
