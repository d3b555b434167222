"""Two wizards on one cluster: the second is told whose lock it meets, may break it, and the first stops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.cli import main
from deiswizard.cluster.lock_key import KEY, value_of
from deiswizard.demo.cluster import PretendCluster
from tests.builders import ANN
from tests.demo.test_headless import flags
from tests.flows.commands import begun
from tests.flows.forked import Forked
from tests.waiting import until

MODE = "/deis/controller/registrationMode"
LIMIT = 90.0


@pytest.fixture
def pretend() -> Iterator[PretendCluster]:
    with PretendCluster.start("three", speed=3) as cluster:
        yield cluster
        assert cluster.unknown_commands == ()


@pytest.fixture
def other(pretend: PretendCluster, tmp_path: Path) -> Iterator[Forked]:
    """Another wizard of the same operator, that has just taken the lock for a preseed."""
    log = tmp_path / "other.log"
    process = begun(log, "apply", "preseed", *flags(pretend), "--yes")
    try:
        until(lambda: bool(pretend.store.value(KEY)))
        pulls(pretend, 0.3)
        yield process
    finally:
        process.kill()
        process.wait()


def pulls(pretend: PretendCluster, speed: float) -> None:
    """How fast they are from now on."""
    for host in pretend.hosts:
        host.engine.speed = speed


def held_by_ann(pretend: PretendCluster) -> None:
    pretend.store.put(KEY, value_of(ANN), ttl=600)


def owner_of(pretend: PretendCluster) -> str:
    return str(json.loads(pretend.store.value(KEY) or "{}")["owner"])


def test_check_tells_who_holds_the_lock(
    pretend: PretendCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *flags(pretend), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["lock"] is None
    held_by_ann(pretend)
    assert main(["check", *flags(pretend)]) == 2
    out = capsys.readouterr().out
    assert "! lock: held by ann@laptop, for " in out and "(run r1): Registration mode: Set" in out
    assert main(["check", *flags(pretend), "--json"]) == 2
    lock = json.loads(capsys.readouterr().out)["lock"]
    assert (lock["owner"], lock["doing"], lock["token"]) == ("ann@laptop", ANN.doing, "t1")
    assert 500 < lock["expires"] <= 600


def test_the_second_wizard_is_refused_and_told_by_whom(
    pretend: PretendCluster,
    other: Forked,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["apply", "registration", *flags(pretend), "--yes", "--json"]) == 1
    told = capsys.readouterr()
    owner = owner_of(pretend)
    assert f"lock     the lock is held by {owner}, for " in told.err
    assert "--break-lock" in told.err
    (run,) = json.loads(told.out)
    assert run["status"] == "refused" and run["held_by"]["owner"] == owner
    assert pretend.store.value(MODE) == "enabled"
    assert other.poll() is None, "the first goes on"


def test_a_broken_lock_lets_the_second_run_and_stops_the_first(
    pretend: PretendCluster,
    other: Forked,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    until(lambda: "Preseeding containers: Pull" in (pretend.store.value(KEY) or ""))
    words = ["apply", "registration", *flags(pretend), "--yes", "--break-lock"]
    assert main([*words, owner_of(pretend)]) == 0
    assert "was removed: by decision of" in capsys.readouterr().err
    assert pretend.store.value(MODE) == "admin_only"
    pulls(pretend, 20.0)
    assert other.wait(LIMIT) == 1
    log = (tmp_path / "other.log").read_text()
    assert "stopped" in log and "no other step begins" in log
    assert pretend.store.value(KEY) is None


def test_after_a_kill_the_next_run_of_the_same_operator_need_not_wait(
    pretend: PretendCluster,
    other: Forked,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other.kill()
    other.wait()
    assert pretend.store.value(KEY) is not None
    assert main(["apply", "registration", *flags(pretend), "--yes"]) == 0
    assert "its wizard ended without giving it back" in capsys.readouterr().err
    assert pretend.store.value(KEY) is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--break-lock"], "nobody said whose lock to break"),
        (["--break-lock", "bob@desk"], "it is not the lock of bob@desk"),
    ],
)
def test_whose_lock_is_to_be_broken_must_be_said_right(
    pretend: PretendCluster, capsys: pytest.CaptureFixture[str], more: list[str], why: str
) -> None:
    held_by_ann(pretend)
    assert main(["apply", "registration", *flags(pretend), "--yes", *more]) == 1
    said = capsys.readouterr().err
    assert why in said and "held by ann@laptop" in said and "--break-lock ann@laptop" in said
    assert owner_of(pretend) == "ann@laptop" and pretend.store.value(MODE) == "enabled"


def test_breaking_what_is_free_breaks_nothing(pretend: PretendCluster) -> None:
    words = ["apply", "registration", *flags(pretend), "--yes", "--break-lock", "ann@laptop"]
    assert main(words) == 0


@pytest.mark.parametrize(("typed", "mode"), [("ann@laptop", "disabled"), ("yes", "enabled")])
def test_line_by_line_the_owner_s_name_breaks_the_lock(
    pretend: PretendCluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    mode: str,
) -> None:
    held_by_ann(pretend)
    lines = iter(["7", "disabled", "yes", typed, "q"])
    monkeypatch.setattr("builtins.input", lambda prompt="": next(lines))
    target = flags(pretend)
    assert main(["guided", "--plain", *target]) == 0
    said = capsys.readouterr().err
    assert "two runs change the cluster at once" in said
    assert pretend.store.value(MODE) == mode
