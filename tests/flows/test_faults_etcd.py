"""etcd in trouble in the middle of a run, on the lab's real members; and clocks that are wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deiswizard.commands.opening import TerminalAsker
from deiswizard.plan.step import WriteKeyStep
from deiswizard.run import events as e
from deiswizard.run.context import Context
from deiswizard.run.execute import execute
from deiswizard.run.folders import list_runs
from deiswizard.session import Session
from deiswizard.vocabulary import Danger, StepStatus
from tests.flows.checks import answers
from tests.flows.clusters import MODE_KEY, Real
from tests.flows.commands import deiswizard, deiswizard_anew
from tests.flows.running import layers_of, running
from tests.lab.lab import Lab

KEY = "/deis/faults/key"


@pytest.fixture
def session(real: Real) -> Iterator[Session]:
    opened = Session.open(real.target(), TerminalAsker())
    yield opened
    opened.close()


def leader(session: Session, lab: Lab) -> str:
    """The host whose member leads."""
    facts = session.access.etcd().facts()
    ids = {host.machine_id: host.name for host in lab.hosts}
    led = next(member for member in facts.members if member.is_leader)
    return ids.get(led.name, led.name)


@pytest.mark.parametrize("whose", ["the leader's", "the entry's"])
def test_a_member_that_is_lost_in_a_run_stops_nothing(
    real: Real, session: Session, tmp_path: Path, whose: str
) -> None:
    name = leader(session, real.lab) if whose == "the leader's" else "deis-1"
    real.slow_down()
    chosen = answers(tmp_path, "preseed:\n  extra_images: []\n  hosts: [deis-2]\n")
    with running(tmp_path, "apply", "preseed", "-a", chosen, "--yes", *real.flags()) as run:
        run.until(layers_of("deis-2"))
        real.lab.host(name).stop_etcd()
        real.speed_up()
        assert run.ended() == 0, run.last_words


def test_without_a_majority_nothing_is_begun(real: Real) -> None:
    for name in ("deis-2", "deis-3"):
        real.lab.host(name).stop_etcd()
    said = deiswizard("apply", "registration", "--yes", *real.flags())
    assert said.code == 1 and "Traceback" not in said.err
    for name in ("deis-2", "deis-3"):
        real.lab.host(name).start_etcd()
    assert real.value(MODE_KEY) == "enabled"


def test_a_write_that_met_no_majority_is_looked_for_until_it_is_known(
    real: Real, session: Session
) -> None:
    before = session.look()
    assert before.key(KEY) is None
    told: list[e.Event] = []
    step = WriteKeyStep(id="w", title="w", key=KEY, value="new", expect=0, danger=Danger.WRITE)
    others = [real.lab.host(name) for name in ("deis-2", "deis-3")]
    for host in others:
        host.freeze_etcd()

    def hear(event: e.Event) -> None:
        told.append(event)
        if isinstance(event, e.WaitPolled):
            for host in others:
                host.thaw_etcd()

    context = Context(
        session.access, hear, {}, threading.Event(), threading.Event(), lambda *_: "unit"
    )
    result = execute(step, context)
    assert result.status is StepStatus.DONE, result.said
    assert any(isinstance(event, e.WaitPolled) and "not known" in event.said for event in told)
    assert real.value(KEY) == "new"
    history = real.lab.hosts[0].run(
        "sh", "-c", f"etcdctl -o extended get {KEY} | grep -E 'Created|Modified'"
    )
    created, modified = (line.split()[-1] for line in history.stdout.splitlines())
    assert created == modified, "it was written once"


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_clock_that_is_ten_minutes_off_changes_nothing(
    real: Real, minutes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\nright = time.time\ntime.time = lambda: right() + {60 * minutes}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = deiswizard_anew("apply", "registration", "--yes", *real.flags())
    assert done.code == 0, done.err
    assert real.value(MODE_KEY) == "admin_only"
    monkeypatch.delenv("PYTHONPATH")
    begun_at = time.mktime(time.strptime(list_runs()[0].name[:15], "%Y%m%d-%H%M%S"))
    assert abs(begun_at - time.time() - 60 * minutes) < 300, "its clock was wrong indeed"
    began = deiswizard("show", "last", "--json")
    assert '"status": "done"' in began.out
    back = deiswizard("undo", "last", "--yes")
    assert back.code == 0, back.err
    assert real.value(MODE_KEY) == "enabled"
