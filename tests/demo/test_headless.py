"""The command line on the pretend cluster: output, exit codes, refusals."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cli import main
from deiswizard.demo.cluster import PretendCluster
from deiswizard.recommendations import catalogue
from deiswizard.run.folders import list_runs
from deiswizard.run.replay import final_state
from deiswizard.run.summary import headline

DEMO = ["--demo", "--speed", "50"]


@pytest.fixture
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("three", speed=50) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


def flags(pretend: PretendCluster) -> list[str]:
    return [
        "--tunnel", f"127.0.0.1:{pretend.port}", "-i", str(pretend.key_file),
        "--known-hosts", str(pretend.known_hosts), "--ssh-config", "/dev/null",
    ]  # fmt: skip


def test_check_says_what_is_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *DEMO]) == 2
    out = capsys.readouterr().out
    assert "demo-three  3 hosts  Deis v1.13.4" in out
    assert "preseed" in out and "24 of 36 images" in out and "GET /images/json" in out


def test_check_in_ascii_and_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *DEMO, "--ascii"]) == 2
    assert capsys.readouterr().out.isascii()
    assert main(["check", *DEMO, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    found = {r["recommendation"]: r["status"] for r in told["recommendations"]}
    assert (found["preseed"], found["registration"]) == ("partly", "to do")
    assert list(found) == [recommendation.id for recommendation in catalogue.ALL]


def test_trouble_is_found_and_is_not_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--demo", "troubled", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert [h["reachable"] for h in told["hosts"]] == [True, True, True, False, False]
    said = json.dumps(told)
    for words in (
        "CHANGED",
        "10.21.2.15 cannot be reached from 127.0.0.1",
        "free, about",
        "its own preseed script would pull",
    ):
        assert words in said


def test_a_cluster_that_is_not_there_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "127.0.0.1:1", "--ssh-config", "/dev/null"]) == 1
    said = capsys.readouterr().err
    assert "refused the connection" in said and "do:" in said and "Traceback" not in said
    assert main(["check"]) == 1
    assert "no cluster was named" in capsys.readouterr().err


def test_an_unknown_key_is_never_accepted_without_somebody_there(
    pretend: PretendCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "known_hosts"
    words = flags(pretend)
    words[words.index("--known-hosts") + 1] = str(empty)
    assert main(["check", *words]) == 1
    said = capsys.readouterr().err
    assert "SHA256:" in said and "nobody is here to accept" in said
    assert not empty.exists()


def test_plan_shows_changes_commands_and_impact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "registration", *DEMO]) == 0
    out = capsys.readouterr().out
    assert "~ /deis/controller/registrationMode   enabled  ->  admin_only" in out
    assert "[write] deisctl config controller set registrationMode=admin_only" in out
    assert "Undo" in out


@pytest.fixture
def only_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were no other recommendations: these two become ok with one command."""
    two = tuple(r for r in catalogue.ALL if r.id in ("preseed", "registration"))
    monkeypatch.setattr(catalogue, "ALL", two)


@pytest.mark.usefixtures("only_two")
def test_apply_goes_from_to_do_to_ok_and_undo_takes_it_back(
    pretend: PretendCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", "preseed", "7", *flags(pretend), "--yes"]) == 0
    told = capsys.readouterr()
    assert told.out.count(": done") == 2 and "verify   ok" in told.err
    assert all(host.engine.has("deis/builder:v1.13.4") for host in pretend.hosts)
    assert main(["check", "--json", *flags(pretend)]) in (0, 2)
    told = json.loads(capsys.readouterr().out)["recommendations"]
    found = {one["recommendation"]: one["status"] for one in told}
    assert (found["preseed"], found["registration"]) == ("ok", "ok")
    assert main(["runs", "--json"]) == 0
    last = json.loads(capsys.readouterr().out)[0]["run"]
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        headline(final_state(folder)) for folder in list_runs()
    ]
    assert main(["show", last]) == 0
    assert "check: ok: the live controller answers as admin_only" in capsys.readouterr().out
    assert main(["undo", last, *flags(pretend), "--yes"]) == 0
    assert pretend.store.value("/deis/controller/registrationMode") == "enabled"
    assert main(["replay", last, "--speed", "0", "--plain"]) == 0


def test_apply_by_script_pulls_what_the_script_pulls(
    pretend: PretendCluster, tmp_path: Path
) -> None:
    answers = tmp_path / "a.yaml"
    answers.write_text(
        "preseed:\n  method: script\n  hosts: [deis-2]\n  extra_images: [alpine:3.2]\n"
    )
    assert main(["apply", "preseed", "-a", str(answers), *flags(pretend), "--yes"]) == 0
    engine = pretend.hosts[1].engine
    assert engine.has("deis/builder:v1.13.4") and engine.has("alpine:3.2")
    assert not pretend.hosts[0].engine.has("deis/builder:v1.13.4")


def test_an_image_that_does_not_exist_fails_with_the_daemons_words_and_the_rest_goes_on(
    pretend: PretendCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "a.yaml"
    answers.write_text("preseed:\n  extra_images: [deis/nothing:v9]\n")
    assert main(["apply", "preseed", "-a", str(answers), *flags(pretend), "--yes"]) == 1
    said = capsys.readouterr().err
    assert said.count("Error: image deis/nothing:v9 not found") == 3
    assert pretend.hosts[0].engine.has("deis/builder:v1.13.4")


def test_a_saved_plan_is_refused_when_the_cluster_has_moved(
    pretend: PretendCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "plan.json"
    assert main(["plan", "registration", *flags(pretend), "-o", str(saved)]) == 0
    pretend.store.put("/deis/controller/registrationMode", "disabled")
    assert main(["apply", str(saved), *flags(pretend), "--yes"]) == 1
    assert "registrationMode was written: it is now 'disabled'" in capsys.readouterr().err
    assert pretend.store.value("/deis/controller/registrationMode") == "disabled"


def test_nobody_can_be_locked_out_from_the_command_line(
    pretend: PretendCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend.scenario = pretend.scenario.model_copy(update={"admins": 0})
    assert main(["apply", "registration", *flags(pretend), "--yes"]) == 2
    assert "nobody could ever register again" in capsys.readouterr().err
    assert pretend.store.value("/deis/controller/registrationMode") == "enabled"


def test_without_yes_and_without_anybody_nothing_runs(
    pretend: PretendCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", "registration", *flags(pretend)]) == 1
    assert "give --yes" in capsys.readouterr().err
    assert pretend.store.value("/deis/controller/registrationMode") == "enabled"


def test_wrong_answers_are_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = tmp_path / "a.yaml"
    answers.write_text("registration:\n  mode: adminonly\n")
    assert main(["plan", "registration", "-a", str(answers), *DEMO]) == 2
    assert "a.yaml:2: registration.mode: 'adminonly' is not allowed" in capsys.readouterr().err
    assert main(["plan", "nothing", *DEMO]) == 2
    assert main(["check", "--demo", "seven"]) == 2


def test_the_guided_set_up_runs_line_by_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["7", "disabled", "yes", "q"])
    monkeypatch.setattr("builtins.input", lambda prompt="": next(typed))
    assert main(["guided", "--plain", *DEMO]) == 0
    told = capsys.readouterr()
    assert "Registration mode on demo-three" in told.out and ": done" in told.out
    assert "registration   disabled" in told.out


@pytest.mark.usefixtures("only_two")
def test_the_report_is_on_stdout_or_in_a_file_and_its_exit_status_is_that_of_check(
    pretend: PretendCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", "registration", *flags(pretend), "--yes"]) == 0
    assert f"record: {tmp_path}" in capsys.readouterr().err
    assert main(["report", *flags(pretend)]) == 2
    told = capsys.readouterr()
    assert told.out.startswith("# Production readiness of 127.0.0.1:") and told.err == ""
    assert re.search(r"1 of \d recommendations ok, .*1 partly", told.out)
    assert "| Registration mode |" in told.out.partition("## What was run")[2]
    page = tmp_path / "report.html"
    assert main(["report", *flags(pretend), "-o", str(page)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and f"saved: {page}" in told.err
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert main(["report", *flags(pretend), "--format", "html"]) == 2
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    assert main(["apply", "preseed", *flags(pretend), "--yes"]) == 0
    assert main(["report", *flags(pretend), "-o", str(tmp_path / "r.md")]) == 0
    assert "Ready for production" in (tmp_path / "r.md").read_text()
    assert main(["report", *flags(pretend), "-o", str(tmp_path / "no" / "r.md")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert main(["report", "127.0.0.1:1", "--ssh-config", "/dev/null"]) == 1


def test_show_makes_the_record_anew(
    pretend: PretendCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", "registration", *flags(pretend), "--yes"]) == 0
    run = capsys.readouterr().out.split()[1].rstrip(":")
    assert main(["show", run, "--markdown"]) == 0
    shown = capsys.readouterr().out
    assert "| /deis/controller/registrationMode | `enabled` | `admin_only` |" in shown
    assert f"`deiswizard undo {run}`" in shown
    written = next(Path(os.environ["DEISWIZARD_STATE"]).glob("runs/*/record.md"))
    assert written.read_text() == shown
