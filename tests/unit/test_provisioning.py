"""User-data files out of the two recommendations: what is judged, what a plan holds, what a run writes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deiswizard import answers, plain
from deiswizard.materials import choices_again, make_plan
from deiswizard.plan import preview
from deiswizard.plan.plan import Plan
from deiswizard.plan.reach import Reach
from deiswizard.plan.script import script
from deiswizard.plan.user_data_step import UserDataStep
from deiswizard.recommendations import catalogue
from deiswizard.recommendations.base import Problem
from deiswizard.recommendations.firewall.first import first_unit
from deiswizard.run.undo import verify_undo
from deiswizard.userdata.reading import read
from deiswizard.vocabulary import StepStatus
from tests.screens import etcds
from tests.unit import firewall_judging, planes_world, stateless_world
from tests.unit.doing import Doing
from tests.userdata.layouts import BY_HAND, FILLED, URL

TOKEN = URL.rpartition("/")[2]
THREE = ("deis-1", "deis-2", "deis-3")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.write_text(FILLED)
    return path


def etcd_values(own: Path, **more: Any) -> dict[str, Any]:
    folder = str(own.parent / "roles")
    return {
        "way": "files",
        "user_data": str(own),
        "user_data_folder": folder,
        "members": THREE,
        **more,
    }


def planes_values(own: Path, **more: Any) -> dict[str, Any]:
    folder = str(own.parent / "roles")
    values = {"way": "files", "user_data": str(own), "user_data_folder": folder}
    return {**values, "hosts": planes_world.SPLIT, **more}


def etcd_problems(own: Path, **more: Any) -> tuple[Problem, ...]:
    return answers.judged(catalogue.named("etcd"), etcds.five(), etcd_values(own, **more))[1]


def planned(name: str, values: dict[str, Any]) -> Plan:
    recommendation = catalogue.named(name)
    snapshot = etcds.five() if name == "etcd" else planes_world.world()
    choices, problems = answers.judged(recommendation, snapshot, values)
    assert choices is not None, problems
    return make_plan(recommendation, snapshot, choices).plan


def of_files(plan: Plan) -> list[UserDataStep]:
    return [step for step in plan.steps if isinstance(step, UserDataStep)]


def test_etcd_has_a_file_for_members_and_one_for_proxies(own: Path, doing: Doing) -> None:
    plan = planned("etcd", etcd_values(own))
    assert plan.no_lock and plan.fingerprints and not plan.basis.machines
    for step in of_files(plan):
        assert doing.do(step).status is StepStatus.DONE
        assert Path(step.path).stat().st_mode & 0o777 == 0o600
    folder = own.parent / "roles"
    assert folder.stat().st_mode & 0o777 == 0o700
    member, proxy = (
        read((folder / f"user-data-{role}").read_text()) for role in ("member", "proxy")
    )
    assert (member.proxy, member.discovery) == ("", URL)
    assert (proxy.proxy, proxy.discovery, len(proxy.members)) == ("on", "", 3)
    assert own.read_text() == FILLED
    choices = choices_again(plan, {})
    checks = catalogue.named("etcd").verify(etcds.five(), etcds.five(), choices)
    assert [check.ok for check in checks] == [True, True]
    assert "initial-cluster lists 3 members, mode 0600" in checks[1].evidence
    proxy_file = folder / "user-data-proxy"
    proxy_file.write_text((folder / "user-data-member").read_text())
    proxy_file.chmod(0o644)
    checks = catalogue.named("etcd").verify(etcds.five(), etcds.five(), choices)
    assert [check.ok for check in checks] == [True, False]
    assert "proxy is ''" in checks[1].evidence and "0644" in checks[1].evidence


def test_planes_have_a_file_for_each_set(own: Path, doing: Doing) -> None:
    plan = planned("planes", planes_values(own))
    names = [step.edits.file_name for step in of_files(plan)]
    assert names == ["user-data-control-router", "user-data-data"]
    assert all(doing.do(step).status is StepStatus.DONE for step in of_files(plan))
    found = read((own.parent / "roles" / "user-data-data").read_text())
    assert found.planes == ("data",)
    choices = choices_again(plan, {})
    world = planes_world.world()
    checks = catalogue.named("planes").verify(world, world, choices)
    assert [check.ok for check in checks] == [True, True]


ARMED = FILLED.replace(
    "    - name: update-engine",
    "    - name: graceful-ceph-shutdown.service\n      command: start\n      enable: true\n    - name: update-engine",
)


@pytest.mark.parametrize(("text", "is_same"), [(ARMED, False), (FILLED, True)])
def test_hosts_without_ceph_do_not_start_what_takes_a_host_out_of_it(
    own: Path, doing: Doing, text: str, is_same: bool
) -> None:
    own.write_text(text)
    recommendation, now = catalogue.named("stateless"), stateless_world.cluster("stateless")
    folder = own.parent / "roles"
    values = {"way": "files", "user_data": str(own), "user_data_folder": str(folder)}
    choices, problems = answers.judged(recommendation, now, values)
    assert choices is not None, problems
    assert any("the same as yours" in one.what for one in problems) is is_same
    plan = make_plan(recommendation, now, choices).plan
    (step,) = of_files(plan)
    assert step.edits.file_name == "user-data-stateless" and plan.no_lock
    assert doing.do(step).status is StepStatus.DONE
    made = (folder / "user-data-stateless").read_text()
    assert (made == text) is is_same
    found = {unit.name: unit for unit in read(made).units}
    ceph = found.get("graceful-ceph-shutdown.service")
    assert ceph is None or not (ceph.is_enabled or ceph.command)
    assert found["graceful-etcd-shutdown.service"].is_enabled, "that is another matter"
    (check,) = recommendation.verify(now, now, choices_again(plan, {}))
    assert check.ok and "it does not start graceful-ceph-shutdown.service" in check.evidence
    (folder / "user-data-stateless").write_text(ARMED)
    (check,) = recommendation.verify(now, now, choices_again(plan, {}))
    assert check.ok is False and "it starts graceful-ceph-shutdown.service" in check.evidence


def test_nothing_of_the_file_stands_in_the_plan_but_what_changes(own: Path) -> None:
    own.write_text(FILLED + "\n# the password is hunter2hunter2\n")
    plan = planned("etcd", etcd_values(own))
    held = plan.model_dump_json()
    assert TOKEN not in held and "hunter2" not in held
    told = "\n".join(preview.changes(plan))
    assert (
        TOKEN not in told and 'proxy: "on"' in told and "(not shown: it may hold a secret)" in told
    )
    assert len(told.splitlines()) < 15
    with_script = script(plan, Reach(entry="core@deis-1"))
    assert "deiswizard userdata" in with_script and TOKEN not in with_script
    assert preview.place_of(next(plan.steps)) == preview.HERE


def test_a_file_of_somebody_else_is_not_written_over_and_is_told_before(
    own: Path, doing: Doing
) -> None:
    plan = planned("etcd", etcd_values(own))
    folder = own.parent / "roles"
    folder.mkdir()
    (folder / "user-data-proxy").write_text("mine\n")
    (problem,) = [one for one in etcd_problems(own) if one.blocks]
    assert (
        problem.field == "user_data_folder" and "user-data-proxy is there already" in problem.what
    )
    results = [doing.do(step) for step in of_files(plan)]
    assert [result.status for result in results] == [StepStatus.DONE, StepStatus.FAILED]
    assert "is another file" in results[1].said
    assert (folder / "user-data-proxy").read_text() == "mine\n"


def test_what_was_written_before_is_no_change_and_nothing_runs(own: Path, doing: Doing) -> None:
    for step in planned("etcd", etcd_values(own)).steps:
        doing.do(step)
    again = planned("etcd", etcd_values(own))
    assert again.is_empty and {change.sign for change in again.changes} == {"="}


def test_another_file_than_was_shown_is_refused(own: Path, doing: Doing) -> None:
    plan = planned("etcd", etcd_values(own))
    own.write_text(FILLED + "# more\n")
    result = doing.do(of_files(plan)[0])
    assert result.status is StepStatus.FAILED and "was changed since" in result.said
    assert not (own.parent / "roles").exists()
    with pytest.raises(Exception, match="your user-data: another one"):
        choices_again(plan, {})


def test_the_way_back_removes_what_was_written_and_nothing_else(own: Path, doing: Doing) -> None:
    plan = planned("etcd", etcd_values(own))
    for step in plan.steps:
        doing.do(step)
    folder = own.parent / "roles"
    (folder / "user-data-proxy").write_text("changed by hand\n")
    results = [doing.do(step) for stage in plan.undo for step in stage.steps]
    assert [r.status for r in results] == [StepStatus.FAILED, StepStatus.DONE]
    assert [path.name for path in folder.iterdir()] == ["user-data-proxy"]
    back = plan.model_copy(update={"stages": plan.undo, "is_undo": True})
    assert [check.ok for check in verify_undo(back, etcds.five())] == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILLED.replace("#cloud-config", "#!/bin/sh", 1), "the file is a script"),
        (FILLED + "\tx: [", "line"),
        (FILLED + "\ncoreos:\n  update:\n    reboot-strategy: off\n", "without quotes"),
        (BY_HAND, "#DISCOVERY_URL is still there"),
        (FILLED.replace(URL, URL + "?size=5"), "for 5 members, the cluster is to have 3"),
    ],
)
def test_what_is_wrong_with_the_file_is_told_beside_its_field(
    own: Path, text: str, said: str
) -> None:
    own.write_text(text)
    found = [one for one in etcd_problems(own) if one.blocks]
    assert found and {one.field for one in found} == {"user_data"}
    assert said in " ".join(one.what for one in found)
    assert TOKEN not in " ".join(one.what for one in found)


def test_what_is_passed_over_is_a_warning_and_what_the_files_have_right_is_told(own: Path) -> None:
    bare = FILLED.replace("  etcd2:\n", "  etcd2:\n    proxy: on\n", 1)
    own.write_text(f"{bare}\nfoo: bar\n")
    found = etcd_problems(own)
    assert found and not any(one.blocks for one in found)
    words = " ".join(one.what for one in found)
    assert "does not know foo" in words and "the files that are made have it right" in words


def test_line_by_line_only_what_files_need_is_asked(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = iter(["files", str(own), str(own.parent / "roles"), ""])
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question.partition(" [")[0].rstrip(": "))
        return next(given)

    monkeypatch.setattr("builtins.input", answer)
    choices = plain._choose(etcds.five(), catalogue.named("etcd"))
    assert asked == [
        "Which way", "Your user-data", "Folder for the files", "Members (all other hosts become proxies)",
    ]  # fmt: skip
    assert choices.model_dump(mode="json")["user_data"] == str(own)
    kept = answers.file_of(etcds.five().cluster).read_text()
    assert "way: files" in kept and TOKEN not in kept + capsys.readouterr().out


def test_without_a_file_and_with_an_even_number(own: Path) -> None:
    (nothing,) = etcd_problems(own, user_data="")
    assert (nothing.field, nothing.what) == ("user_data", "no file is named")
    (gone,) = etcd_problems(own, user_data=str(own) + "x")
    assert gone.field == "user_data" and "No such file" in gone.what
    (even,) = etcd_problems(own, members=THREE[:2])
    assert even.field == "members" and even.blocks


def firewall_values(own: Path, **more: Any) -> dict[str, Any]:
    folder = str(own.parent / "roles")
    return {
        "part": "hosts", "way": "files", "user_data": str(own), "user_data_folder": folder,
        "new_hosts": ["10.21.2.0/24"], **more,
    }  # fmt: skip


def test_the_firewall_goes_into_user_data_and_is_taken_where_none_is_kept(
    own: Path, doing: Doing
) -> None:
    recommendation, now = catalogue.named("security"), firewall_judging.world()
    choices, problems = answers.judged(recommendation, now, firewall_values(own))
    assert choices is not None, problems
    plan = make_plan(recommendation, now, choices).plan
    (step,) = of_files(plan)
    assert step.edits.file_name == "user-data-firewall" and plan.no_lock
    assert doing.do(step).status is StepStatus.DONE
    text = Path(step.path).read_text()
    found = read(text)
    paths = {file.name: file.content for file in found.files}
    first = paths["/etc/deiswizard/firewall-first.v4"]
    assert "-s 10.21.2.0/24" in first and "/etc/deiswizard/firewall-now.v4" not in paths
    assert "/etc/motd" in paths and paths["/etc/deiswizard/firewall-load.sh"].startswith(
        "#!/bin/sh"
    )
    units = {unit.name: unit for unit in found.units}
    copier = units["deiswizard-firewall-first.service"]
    assert "ConditionPathExists=!/etc/deiswizard/firewall-now.v4" in copier.content
    assert not copier.is_enabled and copier.command == "start"
    for name in ("deiswizard-firewall.service", "deiswizard-firewall-docker.service"):
        assert units[name].is_enabled and units[name].command == "start"
    assert [*units][-3:] == [
        copier.name,
        "deiswizard-firewall.service",
        "deiswizard-firewall-docker.service",
    ]
    (check,) = recommendation.verify(now, now, choices)
    assert check.ok and "3 units of the firewall" in check.evidence
    Path(step.path).write_text(text.replace("10.21.2.0/24", "10.99.0.0/16"))
    (check,) = recommendation.verify(now, now, choices)
    assert check.ok is False and "firewall-first.v4" in check.evidence
    assert "made by deiswizard alone" in script(plan, Reach(entry="core@deis-1"))


def test_the_first_rules_are_kept_by_the_hosts_own_shell(tmp_path: Path) -> None:
    (command,) = re.findall(r'ExecStart=/bin/sh -c "(.+)"', first_unit((4, 6)))
    for family in (4, 6):
        (tmp_path / f"firewall-first.v{family}").write_text(f"rules {family}\n")
    here = command.replace("/etc/deiswizard", str(tmp_path))
    subprocess.run(["sh", "-c", here], check=True)
    for family in (4, 6):
        assert (tmp_path / f"firewall-now.v{family}").read_text() == f"rules {family}\n"
    assert here.endswith("firewall-now.v4")  # what the condition asks for is there last


def test_the_firewalls_file_needs_the_firewall_and_tells_when_no_host_may_come(own: Path) -> None:
    recommendation, now = catalogue.named("security"), firewall_judging.world()
    none = answers.judged(recommendation, now, firewall_values(own, host_firewall=False))[1]
    told = answers.judged(recommendation, now, firewall_values(own, new_hosts=[]))[1]
    assert any(p.blocks and "nothing to put into user-data" in p.what for p in none)
    assert any(not p.blocks and p.field == "new_hosts" for p in told)


def test_the_routers_part_reads_no_file(own: Path) -> None:
    values = firewall_values(own, part="routers", user_data="/nowhere")
    choices, problems = answers.build(catalogue.named("security"), values)
    assert choices is not None and problems == ()
