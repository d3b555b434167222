"""A host in memory that keeps jobs: the pretend systemd and shell, without SSH or a cluster."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from deiswizard.demo.commands import COMMANDS
from deiswizard.demo.commands_systemd import journalctl, systemctl, systemd_run
from deiswizard.demo.shell import Process, Shell, Write
from deiswizard.demo.systemd import PretendSystemd

FIRST_BOOT = "11111111-1111-1111-1111-111111111111"
Work = Callable[[Write, threading.Event], int]


class JobHost:
    """``jobs[command]`` is what a job's command does; without one it prints nothing and ends well."""

    def __init__(self, pull: Callable[[str, Write, threading.Event], int]) -> None:
        self.name = "a"
        self.systemd = PretendSystemd()
        self.boot_id = FIRST_BOOT
        self.jobs: dict[str, Work] = {}
        self._pull = pull
        shown: Any = self  # the commands want a PretendHost and use only what is here
        commands = {
            name: functools.partial(COMMANDS[name], shown)
            for name in ("echo", "head", "true", "exit")
        }
        own = {"systemctl": systemctl, "systemd-run": systemd_run, "journalctl": journalctl}
        self._shell = Shell(
            {
                **commands,
                **{name: functools.partial(command, shown) for name, command in own.items()},
                "cat": self._cat,
                "sh": lambda process: self.run_words(process, process.args[2]),
                "docker": self._docker,
            },
            lambda path: None,
            lambda path, data, appends: False,
            lambda words: None,
        )

    def reboot(self) -> None:
        """Whatever ran is gone, and the boot is another."""
        self.boot_id = "22222222-2222-2222-2222-222222222222"
        self.systemd.reboot()

    @property
    def fleetd(self) -> None:
        """Nor a fleetd."""

    def read_file(self, path: str) -> bytes | None:
        """It has no unit files."""
        return None

    def _cat(self, process: Process) -> int:
        process.out(f"{self.boot_id}\n")
        return 0

    def _docker(self, process: Process) -> int:
        return self._pull(process.args[2], process.out, process.gone)

    def execute(
        self, command: str, out: Write, err: Write, stdin: bytes, gone: threading.Event
    ) -> int:
        return self._shell.run(command, Process([], out, err, stdin, {}, gone))

    def run_words(self, process: Process, text: str) -> int:
        if (job := self.jobs.get(text)) is not None:
            return job(process.out, process.gone)
        return self._shell.run(text, process)

    def ask(self, command: str) -> tuple[int, str]:
        """A command of the wizard's own: its exit status and output."""
        out: list[str] = []
        status = self.execute(command, out.append, out.append, b"", threading.Event())
        return status, "".join(out)
