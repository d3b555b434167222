"""The schedule of a backup on a machine with a real systemd: the wizard itself runs on a host of the lab."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from tests.flows.clusters import Real, target_flags
from tests.lab.host import LabHost
from tests.lab.waiting import await_that

AT = "03:15"
ANSWERS = (
    "backup:\n  folder: {home}/kept\n  what: [etcd]\n  schedule: timer\n  schedule_at: '"
    + AT
    + "'\n"
)
SPREAD = 5
"""Minutes by which a timer may be late: not all machines of an operator at once."""

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the lab's hosts have Python 3.11, and this has another"
)


@dataclass
class Operator:
    """Somebody on a host; ``manager`` are the words that tell systemctl whose units are meant."""

    host: LabHost
    user: str
    home: str
    manager: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str, check: bool = True) -> str:
        """What a command prints, on both streams."""
        become = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", "env"]
        variables = {"HOME": self.home, **self.environ}
        done = self.host.run(
            *become, *(f"{name}={value}" for name, value in variables.items()), *words, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, as systemd tells them."""
        words = [word for name in names for word in ("-p", name)]
        said = self.run("systemctl", *self.manager, "show", unit, *words)
        return dict(line.split("=", 1) for line in said.splitlines())

    def backups(self) -> list[str]:
        """The manifests that there are, each with its mode."""
        words = ("find", f"{self.home}/kept", "-name", "manifest.json", "-printf", "%m %p\n")
        return self.run(*words, check=False).splitlines()


def root(host: LabHost) -> Operator:
    """Its units are the machine's."""
    return Operator(host, "root", "/root")


MANAGER = "manager-of-core.service"


def core(host: LabHost) -> Operator:
    """Its units are its own: a manager of its own runs them, as after a login."""
    place = "/run/user/500"
    host.run(
        "systemd-run", f"--unit={MANAGER}", "--uid=core", "--gid=core", "-p", "Delegate=yes",
        "-p", "RuntimeDirectory=user/500", "-E", f"XDG_RUNTIME_DIR={place}", "/lib/systemd/systemd", "--user",
    )  # fmt: skip
    made = Operator(host, "core", "/home/core", ("--user",), {"XDG_RUNTIME_DIR": place})
    words = ("systemctl", "--user", "is-active", "timers.target")
    await_that(lambda: made.run(*words, check=False) == "active\n", "core's own systemd runs")
    return made


def settled(real: Real, operator: Operator) -> list[str]:
    """The flags with which the operator's wizard reaches the cluster; key and answers are written there."""
    lab, home = real.lab, operator.home
    for name, text in {
        "key": lab.client_key.read_text(),
        "known": lab.known_hosts.read_text(),
        "answers.yaml": ANSWERS.format(home=home),
    }.items():
        operator.host.run("tee", f"{home}/{name}", stdin=text)
        operator.host.run("chown", f"{operator.user}:", f"{home}/{name}")
        operator.host.run("chmod", "600", f"{home}/{name}")
    flags = " ".join(target_flags(real.target()))
    flags = flags.replace(str(lab.client_key), f"{home}/key")
    return flags.replace(str(lab.known_hosts), f"{home}/known").split()


@pytest.fixture(params=[root, core])
def operator(real: Real, request: pytest.FixtureRequest) -> Iterator[Operator]:
    """One of the two; what is left of the test goes with it."""
    host = real.lab.host("deis-1")
    made: Operator = request.param(host)
    yield made
    host.run("systemctl", "stop", MANAGER, check=False)
    left = ("key", "known", "answers.yaml", "kept", ".config", ".local")
    host.run("rm", "-rf", *(f"{made.home}/{name}" for name in left))
    host.run("sh", "-c", "rm -f /etc/systemd/system/deiswizard-backup-*; systemctl daemon-reload")


def test_a_timer_is_listed_its_service_makes_a_backup_and_both_are_taken_back(
    real: Real, operator: Operator
) -> None:
    flags = settled(real, operator)
    made = operator.run("deiswizard", "apply", "backup", "-a", f"{operator.home}/answers.yaml", "--yes", *flags)  # fmt: skip
    listed = operator.run("systemctl", *operator.manager, "list-timers", "--all", "--no-legend")
    [line] = [line for line in listed.splitlines() if "deiswizard-backup-" in line]
    timer, service = re.findall(r"deiswizard-backup-\S+", line)
    assert service == timer.replace(".timer", ".service")
    told = operator.show(timer, "ActiveState", "NextElapseUSecRealtime", "UnitFileState", "Persistent")  # fmt: skip
    assert (told["ActiveState"], told["UnitFileState"]) == ("active", "enabled"), made
    clock = re.search(r"(\d\d):(\d\d):\d\d", told["NextElapseUSecRealtime"])
    assert clock and clock[1] == "03" and 15 <= int(clock[2]) <= 15 + SPREAD, told
    [first] = operator.backups()
    operator.run("systemctl", *operator.manager, "start", service)  # returns when it has ended
    ended = operator.show(service, "Result", "ExecMainStatus", "Type")
    assert ended == {"Type": "oneshot", "Result": "success", "ExecMainStatus": "0"}
    backups = operator.backups()
    assert len(backups) == 2 and first in backups
    assert {backup.split()[0] for backup in backups} == {"600"}
    oldest = json.loads(operator.run("deiswizard", "runs", "--json"))[-1]["run"]
    operator.run("deiswizard", "undo", oldest, "--yes", *flags)
    assert operator.show(timer, "LoadState") == {"LoadState": "not-found"}
    assert operator.show(service, "LoadState") == {"LoadState": "not-found"}
    assert operator.backups() == [backup for backup in backups if backup != first]
