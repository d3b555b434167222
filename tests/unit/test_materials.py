"""Files that choices name, and secrets that are typed: read at the edge, kept nowhere, given again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from deiswizard.answers import AnswersFile, build, file_of, load, remember, remembered
from deiswizard.commands.secrets import ask_secret
from deiswizard.errors import AnswersError, PreconditionError
from deiswizard.local_files import LARGEST, read_file
from deiswizard.materials import (
    Prepared,
    choices_again,
    from_environment,
    make_plan,
    secrets_for,
    to_type,
    variable_of,
)
from deiswizard.plan.plan import Plan
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import FormField
from tests.builders import snapshot
from tests.unit.pretend_recommendation import SEALED, SealedChoices

KEY, TOKEN = "hunter2-is-the-key", "hunter2-is-the-token"
VARIABLE = "DEISWIZARD_SECRET_DRAIN_TOKEN"


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(catalogue, "ALL", (*catalogue.ALL, SEALED))
    monkeypatch.delenv(VARIABLE, raising=False)
    path = tmp_path / "key.pem"
    path.write_text(KEY)
    return path


def typed(field: FormField) -> SecretStr | None:
    return SecretStr(TOKEN)


def nobody(field: FormField) -> SecretStr | None:
    return None


def made(key_file: Path | str) -> Prepared:
    choices, problems = build(SEALED, {"key_file": str(key_file), "drain_token": TOKEN})
    assert choices is not None and not problems
    return make_plan(SEALED, snapshot(), choices)


def saved(plan: Plan) -> Plan:
    return Plan.model_validate_json(plan.model_dump_json())


def test_what_choices_name_is_read_where_they_are_built_and_stands_in_nothing(
    key_file: Path,
) -> None:
    choices, _ = build(SEALED, {"key_file": str(key_file)})
    assert isinstance(choices, SealedChoices) and choices.content is not None
    assert choices.content.get_secret_value() == KEY
    assert KEY not in choices.model_dump_json() + repr(choices)


def test_a_file_that_cannot_be_read_blocks_and_one_that_is_odd_warns(key_file: Path) -> None:
    choices, problems = build(SEALED, {"key_file": "/nowhere/key.pem"})
    assert choices is None
    assert problems[0].what == "/nowhere/key.pem: cannot be read: No such file or directory"
    key_file.write_text("x")
    choices, problems = build(SEALED, {"key_file": str(key_file)})
    assert choices is not None and [p.what for p in problems] == ["it is short"]


def test_files_that_are_none_are_told_and_hang_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))
    for name, said in {
        "pipe": "is no ordinary file",
        "large": "is too large",
        "": "is a folder",
        "a\0b": "is no path",
        "key/below": "cannot be read",
    }.items():
        content, problem = read_file("f", f"{tmp_path}/{name}")
        assert content is None and problem is not None and said in problem.what


def test_a_plan_holds_neither_what_was_read_nor_what_was_typed(key_file: Path) -> None:
    prepared = made(key_file)
    text = prepared.plan.model_dump_json() + repr(prepared)
    assert KEY not in text and TOKEN not in text
    assert "drain_token" not in prepared.plan.choices
    assert prepared.plan.secrets == ("drain-token", "ssl-key")
    assert {name: s.get_secret_value() for name, s in prepared.secrets.items()} == {
        "drain-token": TOKEN, "drain_token": TOKEN, "ssl-key": KEY,
    }  # fmt: skip


def test_a_saved_plan_reads_its_files_again_and_asks_only_for_what_was_typed(
    key_file: Path,
) -> None:
    plan = saved(made(key_file).plan)
    assert [field.name for field in to_type(plan)] == ["drain_token"]
    found = secrets_for(plan, typed)
    assert found["ssl-key"].get_secret_value() == KEY
    assert found["drain-token"].get_secret_value() == TOKEN
    choices = choices_again(plan, found)
    assert isinstance(choices, SealedChoices)
    assert choices.drain_token.get_secret_value() == TOKEN


def test_a_relative_path_is_found_again_from_any_folder(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(key_file.parent)
    plan = saved(made(key_file.name).plan)
    monkeypatch.chdir("/")
    assert secrets_for(plan, typed)["ssl-key"].get_secret_value() == KEY


def test_another_content_of_the_file_is_refused(key_file: Path) -> None:
    plan = saved(made(key_file).plan)
    key_file.write_text("another key, of tomorrow")
    with pytest.raises(PreconditionError, match="the key file: another one than the plan"):
        secrets_for(plan, typed)


def test_a_file_that_is_gone_is_refused_by_its_name(key_file: Path) -> None:
    plan = saved(made(key_file).plan)
    key_file.unlink()
    with pytest.raises(PreconditionError, match=r"key_file: .*key\.pem: cannot be read"):
        secrets_for(plan, typed)


def test_nobody_to_ask_is_refused_by_the_name_of_the_variable(key_file: Path) -> None:
    plan = saved(made(key_file).plan)
    with pytest.raises(PreconditionError) as caught:
        secrets_for(plan, nobody)
    assert caught.value.do == f"run it on a terminal to type it, or set {VARIABLE}"
    assert "drain_token" in caught.value.what


def test_the_environment_gives_what_was_typed(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert variable_of("drain-token") == variable_of("drain_token") == VARIABLE
    plan = saved(made(key_file).plan)
    assert secrets_for(plan, from_environment)["drain-token"].get_secret_value() == TOKEN
    assert secrets_for(plan, ask_secret)["drain-token"].get_secret_value() == TOKEN


def test_a_plan_without_secrets_asks_for_nothing() -> None:
    registration = catalogue.named("registration")
    plan = make_plan(registration, snapshot(), registration.defaults(snapshot())).plan
    assert to_type(plan) == () and secrets_for(plan, nobody) == {}


def answers(folder: Path, text: str) -> AnswersFile:
    path = folder / "a.yaml"
    path.write_text(text)
    return load(path, ("sealed",))


def test_an_answers_file_takes_a_path_and_never_a_secret(key_file: Path, tmp_path: Path) -> None:
    found = answers(tmp_path, f"sealed:\n  key_file: {key_file}\n")
    choices = found.choices_for(SEALED, snapshot(), typed)
    assert isinstance(choices, SealedChoices)
    assert choices.content is not None and choices.drain_token.get_secret_value() == TOKEN
    with pytest.raises(AnswersError, match=r"a\.yaml:2: sealed\.drain_token: a token"):
        answers(tmp_path, "sealed:\n  drain_token: ''\n").choices_for(SEALED, snapshot(), nobody)
    with pytest.raises(AnswersError) as caught:
        answers(tmp_path, f"sealed:\n  drain_token: {TOKEN}\n").choices_for(SEALED, snapshot())
    assert "a secret does not belong in this file" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_what_is_wrong_with_a_secret_is_told_without_it() -> None:
    choices, problems = build(SEALED, {"drain_token": [TOKEN]})
    assert choices is None and problems and TOKEN not in repr(problems)


def test_answers_that_are_kept_hold_paths_and_no_secret(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    choices, _ = build(SEALED, {"key_file": str(key_file), "drain_token": TOKEN, "quietly": True})
    assert choices is not None
    remember("prod", SEALED, choices)
    text = file_of("prod").read_text()
    assert TOKEN not in text and KEY not in text and "drain_token" not in text
    assert remembered("prod", SEALED) == {"key_file": str(key_file), "quietly": True}
    file_of("prod").write_text(text.replace("quietly", "drain_token: x\n  quietly"))
    assert "drain_token" not in remembered("prod", SEALED)
