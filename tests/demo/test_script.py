"""The runbook, run by a real sh with a real ssh: the cluster is afterwards as the plan says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cli import main
from deiswizard.demo.cluster import PretendCluster
from deiswizard.inventory import Target
from deiswizard.plan.conditions import CommandSays, DiskRoom, ImagePresent, KeyIs
from deiswizard.plan.plan import Basis, FileBasis, Impact, KeyBasis, Plan, Stage
from deiswizard.plan.reach import Reach
from deiswizard.plan.script import script
from deiswizard.plan.step import (
    CommandStep,
    CopyKeyStep,
    GuardStep,
    PullStep,
    RemoveKeyStep,
    Step,
    UploadStep,
    WaitStep,
    WriteKeyStep,
)
from deiswizard.vocabulary import Danger, JobWay

MODE = "/deis/controller/registrationMode"


@pytest.fixture
def pretend() -> Iterator[PretendCluster]:
    if shutil.which("ssh") is None:
        pytest.skip("openssh-client is not installed")
    with PretendCluster.start("three", speed=50) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


def flags(pretend: PretendCluster) -> list[str]:
    return [
        "--tunnel", f"127.0.0.1:{pretend.port}", "-i", str(pretend.key_file),
        "--known-hosts", str(pretend.known_hosts), "--ssh-config", "/dev/null",
    ]  # fmt: skip


def by_hand(text: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", text], input=typed, text=True, capture_output=True, timeout=100
    )


@pytest.fixture
def reach(pretend: PretendCluster) -> Reach:
    target: Target = pretend.target
    return Reach(
        entry=f"core@{target.host}",
        entry_name="deis-1",
        port=target.port,
        hosts=tuple((host.name, f"core@{host.address}") for host in pretend.hosts),
        through_entry=True,
        options=(
            "-i", str(pretend.key_file), "-F", "/dev/null",
            "-o", f"UserKnownHostsFile={pretend.known_hosts}", "-o", "BatchMode=yes",
        ),
    )  # fmt: skip


def plan_of(*steps: Step, basis: Basis | None = None) -> Plan:
    return Plan(
        recommendation="test",
        title="A test",
        cluster="demo",
        stages=(Stage(id="one", title="one", steps=steps),),
        impact=Impact(danger=Danger.WRITE),
        basis=basis or Basis(taken_at=0.0),
    )


def test_registration_by_hand_then_never_again_with_the_same_paper(
    pretend: PretendCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "registration.sh"
    assert main(["plan", "registration", *flags(pretend), "--script", "-o", str(path)]) == 0
    assert f"run it with: sh {path}" in capsys.readouterr().err
    assert pretend.store.value(MODE) == "enabled"
    done = by_hand(path.read_text())
    assert done.returncode == 0, done.stderr
    assert "Every step is done" in done.stdout
    assert pretend.store.value(MODE) == "admin_only"
    assert main(["check", *flags(pretend), "--json"]) == 2
    assert '"now": "admin_only"' in capsys.readouterr().out
    again = by_hand(path.read_text())
    assert again.returncode == 1 and f"stopped: {MODE} was changed since" in again.stderr


@pytest.mark.parametrize("method", ["pull", "script"])
def test_preseeding_by_hand_brings_every_image_to_every_host(
    method: str, pretend: PretendCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "a.yaml"
    answers.write_text(f"preseed:\n  method: {method}\n  hosts: [deis-1, deis-2, deis-3]\n")
    assert main(["plan", "preseed", "-a", str(answers), *flags(pretend), "--script"]) == 0
    text = capsys.readouterr().out
    done = by_hand(text)
    assert done.returncode == 0, done.stderr
    assert all(host.engine.has("deis/builder:v1.13.4") for host in pretend.hosts)
    assert all(host.engine.has("alpine:3.2") for host in pretend.hosts)
    assert by_hand(text).returncode == 0  # what is there already is no mistake


def test_a_guard_that_does_not_hold_stops_it_before_the_change(
    pretend: PretendCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "registration", *flags(pretend), "--script"]) == 0
    text = capsys.readouterr().out
    pretend.scenario = pretend.scenario.model_copy(update={"admins": 0})
    done = by_hand(text)
    assert done.returncode == 1
    assert "stopped: no active admin exists: nobody could ever register again" in done.stderr
    assert pretend.store.value(MODE) == "enabled"


def test_every_kind_of_step_does_what_it_says(pretend: PretendCluster, reach: Reach) -> None:
    pretend.store.put("/t/old", "x")
    old = pretend.store.get("/t/old")["node"]["modifiedIndex"]
    pretend.store.put("/t/old2", "x")
    pretend.store.put("/t/gone", "x")
    gone = pretend.store.get("/t/gone")["node"]["modifiedIndex"]
    unit = '[Unit]\nDescription=it\'s "100%" $HOME\n'
    says = CommandSays(host="deis-2", command="cat /etc/a.service", pattern=r"(?m)^\[Unit\]$")
    plan = plan_of(
        UploadStep(id="1", title="a", host="deis-2", path="/etc/a.service", content=unit, expect=""),
        UploadStep(id="2", title="b", host="deis-3", path="/b", content="p=${secret:b p}" + "${secret:pass}\t"),
        CommandStep(id="3", title="c", host="deis-3", command="cat > /c", stdin="a ${secret:pass} z", sudo=True),
        WriteKeyStep(id="4", title="d", key="/t/old", value="it's new", expect=old),
        WriteKeyStep(id="5", title="e", key="/t/new", value="${secret:pass}", expect=0),
        WriteKeyStep(id="6", title="f", key="/t/dash", value="-two\nlines\n"),
        RemoveKeyStep(id="7", title="g", key="/t/gone", expect=gone),
        CopyKeyStep(id="14", title="n", source="/t/dash", key="/t/copy", expect=0),
        CopyKeyStep(id="15", title="o", source="/t/gone", key="/t/old2"),
        CopyKeyStep(id="16", title="p", source="/t/gone", key="/t/never"),
        PullStep(id="8", title="h", host="deis-2", image="alpine:3.2", way=JobWay.UNIT),
        GuardStep(id="9", title="i", host="deis-2", condition=says, otherwise="no"),
        WaitStep(id="10", title="j", condition=KeyIs(key="/t/old", value="it's new"), waiting_for="it"),
        GuardStep(id="11", title="k", condition=KeyIs(key="/t/gone", value=None), otherwise="no"),
        GuardStep(id="12", title="l", condition=ImagePresent(host="deis-2", image="alpine:3.2"), otherwise="no"),
        GuardStep(id="13", title="m", condition=DiskRoom(host="deis-3", path="/", needed=10**9), otherwise="no"),
        basis=Basis(
            taken_at=0.0,
            keys=(KeyBasis(key="/t/old", index=old), KeyBasis(key="/t/new", index=0)),
            files=(FileBasis(host="deis-2", path="/etc/none", sha256=""),),
            machines=tuple(host.machine_id for host in pretend.hosts),
        ),
    )  # fmt: skip
    text = script(plan, reach)
    done = by_hand(text, "s3 cr'et$%\n")
    assert done.returncode == 0, done.stderr
    files = [host.read_file for host in pretend.hosts]
    assert files[1]("/etc/a.service") == unit.encode()
    assert files[2]("/b") == b"p=${secret:b p}s3 cr'et$%\t"
    assert files[2]("/c") == b"a s3 cr'et$% z"
    names = ("old", "new", "dash", "gone", "copy", "old2", "never")
    values = [pretend.store.value(f"/t/{name}") for name in names]
    two = "-two\nlines\n"
    assert values == ["it's new", "s3 cr'et$%", two, None, two, None, None]
    assert pretend.hosts[1].engine.has("alpine:3.2")
    assert "s3 cr" not in done.stdout + done.stderr + text


def test_a_secret_may_come_from_a_file(
    pretend: PretendCluster, reach: Reach, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN-----\nabc\n-----END-----\n")
    step = WriteKeyStep(id="k", title="k", key="/t/key", value="${secret:key}")
    assert by_hand(script(plan_of(step), reach), f"@{key}\n").returncode == 0
    assert pretend.store.value("/t/key") == key.read_text()
    done = by_hand(script(plan_of(step), reach), "\n")
    assert done.returncode == 1 and "nothing was given for key" in done.stderr


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (WriteKeyStep(id="s", title="s", key="/t/k", value="y", expect=1), "etcd: s: this failed"),
        (WriteKeyStep(id="s", title="s", key="/t/k", value="y", expect=0), "etcd: s: this failed"),
        (RemoveKeyStep(id="s", title="s", key="/t/k", expect=1), "etcd: s: this failed"),
        (
            UploadStep(id="s", title="s", host="deis-1", path="/etc/hostname", content="", expect=""),
            "/etc/hostname was changed since",
        ),
        (
            UploadStep(id="s", title="s", host="deis-1", path="/etc/hostname", content="", expect="a" * 64),
            "/etc/hostname was changed since",
        ),
        (PullStep(id="s", title="s", host="deis-2", image="deis/nothing:v9", way=JobWay.UNIT), "deis-2: s: this failed"),
        (
            GuardStep(id="s", title="s", condition=KeyIs(key="/t/k", value=None), otherwise="it is there"),
            "it is there",
        ),
        (
            GuardStep(
                id="s", title="s", otherwise="no room",
                condition=DiskRoom(host="deis-1", path="/", needed=10**15),
            ),
            "no room",
        ),
        (
            GuardStep(
                id="s", title="s", otherwise="not agreed",
                condition=CommandSays(host="deis-1", command="uname -n", pattern="(?=deis)"),
            ),
            "not agreed",
        ),
        (
            WaitStep(
                id="s", title="s", condition=KeyIs(key="/t/k", value="z"), waiting_for="z",
                timeout=2, interval=1, on_timeout="look there",
            ),
            "waited 2 s for z in vain. look there",
        ),
    ],
)  # fmt: skip
def test_what_goes_wrong_stops_it_and_is_told(
    step: Step, said: str, pretend: PretendCluster, reach: Reach
) -> None:
    pretend.store.put("/t/k", "x")
    after = WriteKeyStep(id="after", title="after", key="/t/after", value="x")
    done = by_hand(script(plan_of(step, after), reach))
    assert done.returncode == 1 and f"stopped: {said}" in done.stderr.replace(
        "deis-1: /etc", "/etc"
    )
    assert pretend.store.value("/t/k") == "x" and pretend.store.value("/t/after") is None


def test_a_person_may_agree_where_grep_cannot(pretend: PretendCluster, reach: Reach) -> None:
    condition = CommandSays(host="deis-1", command="uname -n", pattern="(?=deis)")
    guard = GuardStep(id="s", title="s", condition=condition, otherwise="no")
    done = by_hand(script(plan_of(guard), reach), "y\n")
    assert done.returncode == 0 and "deis-1\nDoes this match (?=deis) ? [y/N]" in done.stderr


def test_a_cluster_that_does_not_answer_is_no_permission(
    pretend: PretendCluster, reach: Reach
) -> None:
    lost = reach.model_copy(update={"port": 1})
    for condition in (
        KeyIs(key="/t/k", value=None), KeyIs(key="/t/k", value=""),
        DiskRoom(host="deis-1", path="/", needed=0), ImagePresent(host="deis-2", image="x"),
        CommandSays(host="deis-2", command="true", pattern=""),
    ):  # fmt: skip
        guard = GuardStep(id="s", title="s", condition=condition, otherwise="not asked")
        done = by_hand(script(plan_of(guard), lost))
        assert done.returncode == 1 and "stopped: not asked" in done.stderr


def test_one_script_is_one_plan(
    capsys: pytest.CaptureFixture[str], pretend: PretendCluster, tmp_path: Path
) -> None:
    assert main(["plan", "4", "7", *flags(pretend), "--script"]) == 2
    assert "--script writes one plan" in capsys.readouterr().err
    where = str(tmp_path / "no" / "folder.sh")
    assert main(["plan", "7", *flags(pretend), "--script", "-o", where]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err
