"""Live streaming: 100 hosts, 200 lines a second each, with the interface open.

    python -m bench.streaming [HOSTS] [LINES_A_SECOND] [SECONDS]

Measured: from a key to its effect on the terminal, while all is quiet and while everything streams
(the ratio of the two); lines that did not reach the run's files; memory at the end against the
beginning.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.sshd_farm import farm
from bench.terminal import Terminal

BATCHES_A_SECOND = 10
VIEWS = ("[ Hosts ]", "[ Images ]", "[ Steps ]")
TEXT = "a line as a program on a host may write it, long enough to be one of many"


def memory(pid: int) -> float:
    """Resident MiB of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def latencies(terminal: Terminal, seconds: float) -> list[float]:
    """Turn the view every half second; seconds from key to paint."""
    found = []
    end = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < end:
        pressed = time.perf_counter()
        terminal.type("\t")
        found.append(terminal.await_text(VIEWS[number % len(VIEWS)]) - pressed)
        number += 1
        while time.perf_counter() < pressed + 0.5:
            terminal.drain()
            time.sleep(0.01)
    return found


class Writers:
    """Writes to every host's pipe at a steady rate from a thread."""

    def __init__(self, folder: Path, hosts: int, rate: int, seconds: float) -> None:
        self.paths = [folder / f"host-{number}" for number in range(hosts)]
        for path in self.paths:
            os.mkfifo(path)
        self._files = [os.open(path, os.O_RDWR) for path in self.paths]
        self._rate = rate
        self._seconds = seconds
        self.lines = 0
        self._thread = threading.Thread(target=self._write)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _write(self) -> None:
        count = self._rate // BATCHES_A_SECOND
        due = time.perf_counter()
        for batch in range(int(self._seconds * BATCHES_A_SECOND)):
            text = "".join(f"{batch * count + n} {TEXT}\n" for n in range(count)).encode()
            for file in self._files:
                os.write(file, text)
            self.lines += count
            due += 1 / BATCHES_A_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))

    def end(self) -> None:
        """Wait for the last batch, then close every pipe."""
        self._thread.join()
        for file in self._files:
            os.close(file)


def lost_lines(folder: Path, hosts: int, expected: int) -> int:
    """Lines that no file of the run holds, or holds in the wrong place."""
    lost = 0
    for number in range(hosts):
        found = (folder / "hosts" / f"host-{number}.log").read_text().splitlines()
        numbers = [int(line.split()[0]) for line in found]
        lost += len(set(range(expected)) - set(numbers)) + (numbers != sorted(numbers))
    return lost


def main(hosts: int, rate: int, seconds: float) -> None:
    """Print the table."""
    with farm(hosts) as there, tempfile.TemporaryDirectory() as name:
        folder, pipes = Path(name) / "run", Path(name) / "pipes"
        folder.mkdir()
        pipes.mkdir()
        writers = Writers(pipes, hosts, rate, seconds)
        terminal = Terminal(
            [
                sys.executable, "-m", "bench.streaming_app", str(folder), str(pipes),
                str(there.key), str(there.known_hosts), there.user, str(there.port),
                *there.addresses,
            ]
        )  # fmt: skip
        try:
            terminal.await_text("[ Steps ]", 60)
            time.sleep(2)
            quiet = latencies(terminal, 6)
            before = memory(terminal.pid)
            writers.start()
            time.sleep(1)
            while len(busy := latencies(terminal, seconds - 2)) == 0:
                pass
            writers.end()
            began = time.perf_counter()
            terminal.type("")
            terminal.await_text("Done", 120)
            behind = time.perf_counter() - began
            after = memory(terminal.pid)
        finally:
            terminal.close()
        lost = lost_lines(folder, hosts, writers.lines)
    worst = sorted(busy)[int(len(busy) * 0.95)]
    ratio = statistics.median(busy) / statistics.median(quiet)
    print(
        f"{hosts} hosts, {rate} lines a second each, {seconds:.0f} s: {hosts * writers.lines} lines\n\n"
        "| | |\n|---|---|\n"
        f"| key to paint, quiet (median) | {statistics.median(quiet) * 1000:.0f} ms |\n"
        f"| key to paint, streaming (median) | {statistics.median(busy) * 1000:.0f} ms |\n"
        f"| key to paint, streaming (95th percentile) | {worst * 1000:.0f} ms |\n"
        f"| ratio of the medians | {ratio:.1f} |\n"
        f"| lines lost | {lost} |\n"
        f"| from the last line written to the run's end on the screen | {behind:.1f} s |\n"
        f"| memory before, after | {before:.0f} MiB, {after:.0f} MiB |"
    )


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    main(*(int(n) for n in (given + [100, 200, 20][len(given) :])))
