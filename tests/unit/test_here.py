"""Steps on the operator's own machine: real files, real commands."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from deiswizard.plan.here_steps import HereFileStep, HereStep
from deiswizard.run.state import StepState
from deiswizard.vocabulary import StepStatus
from tests.unit.doing import Doing


def file_step(path: Path, content: str | None, **more: Any) -> HereFileStep:
    return HereFileStep(id="file", title="file", path=str(path), content=content, **more)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_is_written_with_its_mode_and_removed_again(doing: Doing, tmp_path: Path) -> None:
    path = tmp_path / "units" / "x.timer"
    assert doing.do(file_step(path, "[Timer]\n", mode=0o600, expect="")).status is StepStatus.DONE
    assert path.read_text() == "[Timer]\n" and path.stat().st_mode & 0o777 == 0o600
    again = doing.do(file_step(path, "[Timer]\n", expect=""), StepState(attempt=1))
    assert again.said == "it is so already"
    assert doing.do(file_step(path, None)).status is StepStatus.DONE
    assert not path.exists() and list(path.parent.iterdir()) == []


def test_a_file_of_somebody_else_is_not_written_over(doing: Doing, tmp_path: Path) -> None:
    path = tmp_path / "x.timer"
    path.write_text("mine\n")
    for expect in ("", digest("as it was planned\n")):
        result = doing.do(file_step(path, "[Timer]\n", expect=expect))
        assert result.status is StepStatus.FAILED
        assert result.said == f"{path} on this machine was changed since"
    assert path.read_text() == "mine\n"
    assert doing.do(file_step(path, "ours\n", expect=digest("mine\n"))).status is StepStatus.DONE


def test_a_folder_that_cannot_be_written_is_said(doing: Doing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = doing.do(file_step(tmp_path / "file" / "x", "text\n"))
    assert result.status is StepStatus.FAILED and "x cannot be" in result.said


def test_a_command_says_what_it_said_and_how_it_ended(doing: Doing) -> None:
    def do(command: str, **more: Any) -> Any:
        return doing.do(HereStep(id="here", title="here", command=command, **more))

    assert do("true").status is StepStatus.DONE
    failed = do("echo no such unit >&2; exit 5")
    assert (failed.status, failed.said, failed.code) == (StepStatus.FAILED, "no such unit", 5)
    slow = do("sleep 30", timeout=0.2)
    assert slow.status is StepStatus.UNKNOWN


def test_no_secret_stands_in_a_file_or_command_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a secret may not stand"):
        file_step(tmp_path / "x", "PASS=${secret:backup_passphrase}\n")
    with pytest.raises(ValueError, match="a secret may not stand"):
        HereStep(id="x", title="x", command="echo ${secret:backup_passphrase}")
