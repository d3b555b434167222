"""Start-up to the first frame: the wizard against a bare Textual program, in turn.

python -m bench.first_frame [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from bench.terminal import Terminal

BARE = [sys.executable, "bench/peers/bare_textual.py"]
WIZARD = [sys.executable, "-m", "deiswizard"]


def seconds_to_paint(command: Sequence[str], text: str) -> float:
    """From starting the process to ``text`` on the terminal, in seconds."""
    terminal = Terminal(command)
    try:
        return terminal.await_text(text) - terminal.began
    finally:
        terminal.close()


def main(rounds: int) -> None:
    """Print both medians and the median of the pairwise ratios."""
    pairs = [
        (seconds_to_paint(WIZARD, "deiswizard"), seconds_to_paint(BARE, "a bare program"))
        for _ in range(rounds + 1)
    ][1:]
    print("| program | seconds to first frame (median) |\n|---|---|")
    print(f"| bare Textual program | {statistics.median(bare for _, bare in pairs):.2f} |")
    print(f"| deiswizard | {statistics.median(ours for ours, _ in pairs):.2f} |")
    print(f"\nratio, pair by pair: {statistics.median(a / b for a, b in pairs):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
