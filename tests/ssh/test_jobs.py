"""Jobs on a host without a usable systemd, by setsid, against a real OpenSSH server."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deiswizard.cluster.host import HostLink
from deiswizard.errors import CancelledError
from deiswizard.plan.step import JobStep
from deiswizard.run import events as e
from deiswizard.run.context import Context, Result
from deiswizard.run.execute import FRESH, execute
from deiswizard.run.state import StepState
from deiswizard.vocabulary import JobWay, StepStatus
from tests.ssh.helpers import open_link
from tests.sshd import Sshd, sshd, why_no_sshd
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(why_no_sshd()), reason=why_no_sshd() or "-")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd"), ("127.0.77.1",)) as running:
        yield running


class OnHost:
    """One step's job on one host, done by a wizard that may be replaced by another."""

    def __init__(self, server: Sshd, folder: Path) -> None:
        self.server = server
        self.go, self.said = folder / "go", folder / "said"
        self.events: list[e.Event] = []
        self.interrupted, self.cancel = threading.Event(), threading.Event()
        self.link = open_link(server.target())
        self.name = f"deiswizard-test-{secrets.token_hex(4)}"

    def host(self, name: str) -> HostLink:
        return self.link

    def hear(self, event: e.Event) -> None:
        self.events.append(event)
        if isinstance(event, e.OutputReceived) and "leave" in event.lines:
            self.interrupted.set()
        if isinstance(event, e.OutputReceived) and "stop" in event.lines:
            self.cancel.set()
            self.interrupted.set()

    def do(self, command: str, before: StepState = FRESH) -> Result:
        step = JobStep(id="job", title="t", host="a", command=command, way=JobWay.SETSID)
        access: Any = self
        context = Context(
            access, self.hear, {}, self.cancel, self.interrupted, lambda *_: self.name
        )
        return execute(step, context, before)

    def left(self) -> StepState:
        """What the next wizard knows; the connection of the first is gone."""
        prepared = next(event for event in self.events if isinstance(event, e.JobPrepared))
        cursors = [event.cursor for event in self.events if isinstance(event, e.OutputReceived)]
        self.link.close()
        self.link = open_link(self.server.target())
        self.interrupted.clear()
        job = prepared.job.model_copy(update={"cursor": cursors[-1] if cursors else "0"})
        return StepState(attempt=1, job=job, has_job_begun=True)

    @property
    def lines(self) -> list[str]:
        received = (event for event in self.events if isinstance(event, e.OutputReceived))
        return [line for event in received for line in event.lines]


@pytest.fixture
def on_host(server: Sshd, tmp_path: Path) -> Iterator[OnHost]:
    made = OnHost(server, tmp_path)
    yield made
    made.link.run(f"rm -rf /tmp/{made.name}")
    made.link.close()


def test_its_output_and_exit_status_come_back_whole(on_host: OnHost) -> None:
    result = on_host.do(
        "printf 'one\\ntwo\\r\\nthr'; printf 'ee\\n' >&2; printf 'ä\\377\\n'; exit 5"
    )
    assert (result.status, result.code) == (StepStatus.FAILED, 5)
    assert [line for line in on_host.lines if line] == ["one", "two", "three", "ä\ufffd"]


def test_it_goes_on_without_its_connection_and_is_taken_up_where_it_was(on_host: OnHost) -> None:
    command = (
        f"seq 3; echo leave; until test -e {on_host.go}; do sleep 0.02; done; "
        f"echo once >> {on_host.said}; seq 4 6"
    )
    with pytest.raises(CancelledError):
        on_host.do(command)
    before = on_host.left()
    on_host.go.touch()
    until(lambda: on_host.said.exists())
    assert on_host.do(command, before).status is StepStatus.DONE
    assert on_host.lines == ["1", "2", "3", "leave", "4", "5", "6"]
    assert on_host.said.read_text() == "once\n"


def test_a_name_is_started_once_only(on_host: OnHost) -> None:
    assert on_host.do(f"echo x >> {on_host.said}").status is StepStatus.DONE
    assert on_host.do(f"echo x >> {on_host.said}").status is StepStatus.DONE
    assert on_host.said.read_text() == "x\n"


def test_stop_now_ends_it_and_its_children(on_host: OnHost) -> None:
    with pytest.raises(CancelledError) as caught:
        on_host.do(f"sh -c 'echo $$ > {on_host.said}; echo stop; sleep 1000; true'; true")
    assert "ended on its host" in caught.value.state
    child = int(on_host.said.read_text())
    until(lambda: not Path(f"/proc/{child}").exists())


def test_one_that_a_signal_has_ended_is_no_success(on_host: OnHost) -> None:
    pid = Path(f"/tmp/{on_host.name}/pid")

    def is_killed() -> bool:
        try:
            os.killpg(int(pid.read_text()), signal.SIGKILL)
        except (OSError, ValueError):  # not there yet, or no leader of a group yet
            return False
        return True

    def kill() -> None:
        until(is_killed)

    killer = threading.Thread(target=kill)
    killer.start()
    result = on_host.do("sleep 1000")
    killer.join()
    assert result.status is StepStatus.FAILED and "signal" in result.said
