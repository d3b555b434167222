"""Logging and monitoring: agents on every host, their units and their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deiswizard.plan.preview import as_text
from deiswizard.recommendations.logs import declaration as logs
from deiswizard.recommendations.logs.checks import check_choices
from deiswizard.recommendations.logs.form import defaults, fingerprints, read
from deiswizard.recommendations.logs.plan import plan
from deiswizard.recommendations.logs.units import (
    AGENTS,
    FORWARDER,
    agent_unit,
    bad_tags,
    forwarder_unit,
    template,
    wanted_units,
)
from tests.unit.logging_world import (
    IMAGE,
    KEYED,
    choose,
    problems,
    rows,
    unit,
    words,
    world,
)

CADVISOR = "deiswizard-cadvisor.service"
OWN = """\
[Service]
EnvironmentFile=/etc/mine.env
ExecStartPre=-/usr/bin/docker rm -f my-agent
ExecStart=/usr/bin/docker run --name my-agent -e API_KEY mine:1
Restart=always

[X-Fleet]
Global=true
"""


def notes(now: Any, **changes: Any) -> str:
    return " / ".join(plan(now, choose(**changes)).impact.notes)


def cadvisor(now_hosts: tuple[int, ...] = (1, 2, 3), listen: str = "private") -> dict[str, Any]:
    content = agent_unit(AGENTS["cadvisor"], choose(cadvisor_image=IMAGE, cadvisor_listen=listen))
    return {"units": (unit(CADVISOR, content),), "states": rows(CADVISOR, *now_hosts)}


@pytest.mark.parametrize("key", ["two words", 'quo"te', "back\\slash", "dollar$", "new\nline", "ü"])
def test_a_key_that_an_environment_file_would_read_otherwise_is_refused(key: str) -> None:
    told = problems(world(), agents=["datadog"], datadog_image=IMAGE, datadog_key=key)
    assert "a quote or another character that no key has" in words(told, "datadog_key")


def test_a_key_stands_in_no_plan_and_no_unit_but_in_a_file_for_root_only() -> None:
    chosen = choose(agents=["datadog", "newrelic", "sematext"], datadog_key=KEYED, newrelic_key=KEYED,
                    sematext_key=KEYED, datadog_image=IMAGE, newrelic_image=IMAGE, sematext_image=IMAGE)  # fmt: skip
    made = plan(world(), chosen)
    text = made.model_dump_json() + as_text(made, "commands") + repr(chosen)
    assert KEYED not in text
    uploads = [step for step in made.steps if step.kind == "upload"]
    assert len(uploads) == 9 and all(step.mode == 0o600 and step.sudo for step in uploads)
    assert set(made.secrets) == {"datadog_key", "newrelic_key", "sematext_key"}
    assert {
        n: s.get_secret_value() for n, s in logs.RECOMMENDATION.secrets(chosen).items()
    } == dict.fromkeys(("datadog_key", "newrelic_key", "sematext_key"), KEYED)


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
def test_every_template_has_what_the_samples_lack(agent: Any) -> None:
    text = template(agent.unit)
    assert f"ExecStartPre=-/usr/bin/docker rm -f {agent.container}" in text
    assert f"ExecStop=-/usr/bin/docker stop {agent.container}" in text
    assert "Restart=always" in text and "RestartSec=10" in text and "Global=true" in text
    assert bad_tags([agent.container]) == () and f"--name {agent.container}" in text
    assert all(f"-e {name}" in text and f"{name}=" not in text for name in agent.variables)
    assert not agent.file or f"EnvironmentFile={agent.file}" in text


def test_the_forwarder_restarts_for_ever_and_takes_ipv6() -> None:
    text = forwarder_unit(choose(forward="tls", forward_to="[2001:db8::1]:6514"))
    assert "| ncat --ssl 2001:db8::1 6514'" in text and "Restart=always" in text
    assert defaults(world(units=(unit(FORWARDER, text),))).forward_to == "[2001:db8::1]:6514"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("Global=true", "Global=false"), "without Global=true fleet runs it on one host only"),
        (("-e API_KEY", "-e API_KEY=abc123"), "API_KEY looks like a secret"),
        (("my-agent", "My.Agent"), "logger cannot read it as a tag"),
        (("ExecStart=", "ExecStop="), "has no ExecStart="),
        (("docker rm -f my-agent", "docker pull mine:1"), "removes the container my-agent"),
        (("Restart=always\n", ""), "without Restart= it stays away"),
        (("-e API_KEY", "-e A=${secret:x}"), "has a meaning of its own"),
    ],
)
def test_an_own_unit_is_judged_for_what_the_samples_lack(
    change: tuple[str, str], sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.service"
    file.write_text(OWN.replace(*change))
    chosen, wrong = read(choose(agents=["own"], own_unit=str(file)))
    assert not wrong
    assert sentence in " / ".join(p.what for p in check_choices(world(), chosen))
    assert "abc123" not in " ".join(p.what + p.allowed for p in check_choices(world(), chosen))


def test_a_good_own_unit_is_taken_and_tied_to_its_content(tmp_path: Path) -> None:
    file = tmp_path / "node-exporter.service"
    file.write_text(OWN)
    chosen, _ = read(choose(agents=["own"], own_unit=str(file)))
    assert check_choices(world(), chosen) == ()
    assert wanted_units(world(), chosen) == {"deiswizard-agent-node-exporter.service": OWN}
    assert list(fingerprints(chosen)) == ["your unit file"]
    assert "own_unit_text" not in plan(world(), chosen).choices
    for name, why in (
        ("Bad Name.service", "cannot be a unit's name"),
        ("x.txt", "cannot be a unit's"),
    ):
        assert why in words(problems(world(), agents=["own"], own_unit=name), "own_unit")
    for path, why in ((tmp_path / "none.service", "No such file"), (tmp_path, "directory")):
        _, (wrong,) = read(choose(agents=["own"], own_unit=str(path)))
        assert wrong.field == "own_unit" and why in wrong.what


def test_own_units_that_are_there_stay_until_own_is_unticked() -> None:
    there = unit("deiswizard-agent-mine.service", OWN)
    now = world(units=(there,), states=rows(there.name, 1, 2, 3))
    assert defaults(now).agents == ("own",) and problems(now, agents=["own"]) == {}
    assert plan(now, defaults(now)).is_empty
    gone = plan(now, choose())
    assert [s.unit for s in gone.steps if s.kind == "destroy-unit"] == [there.name]
    back = [s for stage in gone.undo for s in stage.steps if s.kind == "submit-unit"]
    assert [s.content for s in back] == [OWN]
