"""Answers files: errors name file, line, field and what is allowed; what is kept comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deiswizard.answers import build, file_of, first_values, load, remember, remembered
from deiswizard.errors import AnswersError
from deiswizard.recommendations.backup import declaration as backup
from deiswizard.recommendations.logs import declaration as logs
from deiswizard.recommendations.planes import declaration as planes
from deiswizard.recommendations.planes.choices import defaults as planes_defaults
from deiswizard.recommendations.planes.facts import Plane, PlanesChoices
from deiswizard.recommendations.preseed import declaration as preseed
from deiswizard.recommendations.preseed.choices import PreseedChoices
from deiswizard.recommendations.registration import declaration as registration
from deiswizard.recommendations.registration.facts import RegistrationChoices
from tests.builders import snapshot
from tests.unit.test_backup import with_ceph

KNOWN = ("preseed", "registration")


def problem(tmp_path: Path, text: str, *, recommendation: str = "preseed") -> str:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    chosen = {"preseed": preseed.RECOMMENDATION, "registration": registration.RECOMMENDATION}
    with pytest.raises(AnswersError) as caught:
        load(path, KNOWN).choices_for(chosen[recommendation], snapshot())
    return caught.value.what.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("preseed:\n  hosts: [deis-1]\n  method: pul\n", "/a.yaml:3: preseed.method: 'pul' is not allowed (did you mean 'pull'?); allowed: pull, script"),
        ("preseed:\n  methd: pull\n", "/a.yaml:2: preseed.methd: there is no field 'methd' (did you mean 'method'?); allowed: hosts"),
        ("\npreseed:\n  hosts_at_a_time: 99\n", "/a.yaml:3: preseed.hosts_at_a_time: '99' is not allowed; allowed: a number from 1 to 32"),
        ("presed:\n  x: 1\n", "/a.yaml:1: there is no recommendation 'presed' (did you mean 'preseed'?); allowed: preseed, registration"),
        ("preseed:\n  extra_images: ['A B']\n", "/a.yaml:2: preseed.extra_images: 'A B' is not an image name; write it as repository:tag"),
        ("preseed:\n  hosts: [deis-7]\n", "/a.yaml:2: preseed.hosts: there is no host deis-7; allowed: deis-1, deis-2, deis-3"),
        ("preseed: [1\n", "/a.yaml:2: is not YAML"),
        ("preseed: 7\n", "/a.yaml:1: preseed must hold fields"),
        ("- a\n", "/a.yaml:1: must hold sections"),
    ],
)  # fmt: skip
def test_an_error_says_where_what_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    assert said in problem(tmp_path, text)


def test_a_bare_word_that_yaml_reads_as_a_boolean_is_explained(tmp_path: Path) -> None:
    said = problem(tmp_path, "registration:\n  mode: on\n", recommendation="registration")
    assert "/a.yaml:2: registration.mode: YAML reads this bare word as true or false" in said


def test_what_is_not_answered_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("cluster: prod\npreseed:\n  hosts: [deis-2]\n")
    choices = load(path, KNOWN).choices_for(preseed.RECOMMENDATION, snapshot())
    assert isinstance(choices, PreseedChoices)
    assert choices.hosts == ("deis-2",) and choices.method == "pull"
    (tmp_path / "empty.yaml").write_text("")
    assert load(tmp_path / "empty.yaml", KNOWN).sections == {}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnswersError, match="cannot be read"):
        load(tmp_path / "none.yaml", KNOWN)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnswersError, match="not UTF-8"):
        load(tmp_path / "b.yaml", KNOWN)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80))
def test_no_file_raises_anything_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        load(path, KNOWN)
    except AnswersError as error:
        assert str(path) in error.what


def test_answers_are_kept_for_each_cluster_and_each_recommendation() -> None:
    cluster = "core@10.0.0.1:22/../x"
    remember(cluster, preseed.RECOMMENDATION, PreseedChoices(hosts=("deis-1",)))
    path = remember(cluster, registration.RECOMMENDATION, RegistrationChoices(mode="disabled"))
    assert (
        path == file_of(cluster)
        and path.parent.name == "answers"
        and path.stat().st_mode & 0o777 == 0o600
    )
    assert remembered(cluster, preseed.RECOMMENDATION)["hosts"] == ["deis-1"]
    assert remembered(cluster, registration.RECOMMENDATION)["mode"] == "disabled"
    assert remembered("other", preseed.RECOMMENDATION) == {}
    loaded = load(path, KNOWN)
    assert loaded.choices_for(registration.RECOMMENDATION, snapshot()) == RegistrationChoices(
        mode="disabled"
    )
    path.write_text(": : not yaml")
    assert remembered(cluster, preseed.RECOMMENDATION) == {}


def test_building_choices_never_raises() -> None:
    for raw in ({}, {"hosts": 7}, {"hosts": [1]}, {"mode": None}, {"hosts": ["a"], "method": True}):
        choices, problems = build(preseed.RECOMMENDATION, raw)
        assert (choices is None) == bool(problems)


def test_the_guided_way_begins_with_what_is_better_and_then_with_what_was_chosen() -> None:
    """Without a screen nobody types a passphrase: there the default holds."""
    now = with_ceph()
    assert backup.defaults(now).encryption == "none"
    assert first_values(backup.RECOMMENDATION, now)["encryption"] == "passphrase"
    remember(now.cluster, backup.RECOMMENDATION, backup.defaults(now))
    assert first_values(backup.RECOMMENDATION, now)["encryption"] == "none"


def test_of_what_was_answered_only_what_is_still_offered_is_taken_up() -> None:
    now = snapshot()
    there = [host.name for host in now.hosts if host.images is not None]
    gone = PreseedChoices(hosts=(there[0], "gone"))
    remember(now.cluster, preseed.RECOMMENDATION, gone)
    assert first_values(preseed.RECOMMENDATION, now)["hosts"] == [there[0]]
    remember(now.cluster, preseed.RECOMMENDATION, PreseedChoices(hosts=("gone",)))
    assert first_values(preseed.RECOMMENDATION, now)["hosts"] == there

    matrix = planes_defaults(now).hosts
    moved: dict[str, tuple[Plane, ...]] = {name: ("data",) for name in matrix}
    remember(now.cluster, planes.RECOMMENDATION, PlanesChoices(hosts=moved))
    assert set(map(tuple, first_values(planes.RECOMMENDATION, now)["hosts"].values())) == {
        ("data",)
    }
    remember(now.cluster, planes.RECOMMENDATION, PlanesChoices(hosts={**moved, "gone": ("data",)}))
    assert first_values(planes.RECOMMENDATION, now)["hosts"] == {
        name: list(found) for name, found in matrix.items()
    }


def test_nothing_ticked_is_an_answer_too() -> None:
    now = with_ceph()
    remember(
        now.cluster,
        logs.RECOMMENDATION,
        logs.RECOMMENDATION.defaults(now).model_copy(update={"agents": ()}),
    )
    assert first_values(logs.RECOMMENDATION, now)["agents"] == []
