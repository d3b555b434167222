"""Known secrets go through every flow; then nothing that stays or can be seen holds them."""

from __future__ import annotations

import base64
import contextlib
import threading
from pathlib import Path

from deiswizard.run.folders import config_folder, state_folder
from tests.flows.checks import answers
from tests.flows.clusters import Cluster
from tests.flows.commands import deiswizard, words_of
from tests.flows.terminal import terminal

SECRETS = {
    "/deis/controller/secretKey": "hunter2-of-the-controller/with+chars",
    "/deis/controller/builderKey": "hunter2-of-the-builder",
    "/deis/database/password": "hunter2 of the 'database'",
    "/deis/store/gateway/secretKey": "hunter2/of/the/gateway",
    "/deis/platform/sshPrivateKey": "aHVudGVyMiBvZiB0aGUgcGxhdGZvcm0K",
    "/deis/config/app/DATABASE_URL": "hunter2-of-an-app",
}


class ArgumentWatch:
    """Reads the arguments and environments of all processes, over and over."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            for process in Path("/proc").iterdir():
                with contextlib.suppress(OSError):  # no process, or one that has ended meanwhile
                    self.seen.add((process / "cmdline").read_bytes())
            self.looks += 1

    def __enter__(self) -> ArgumentWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread.is_alive(), "nobody has watched"
        self._ended.set()
        self._thread.join()


def forms(secret: str) -> list[bytes]:
    return [secret.encode(), base64.b64encode(secret.encode())]


def walked_through(cluster: Cluster) -> list[str]:
    """What every screen shows on the way through the registration mode, and its log."""
    shown = []
    with terminal(words_of(*cluster.flags()), width=120, height=40) as screen:
        for keys, words in (
            ([], [r"[01] of \d ok"]),
            (["7"], ["Who may register"]),
            (["Enter"], [r"\[ Changes"]),
            (["Tab"], [r"\[ Commands"]),
            (["Tab"], [r"\[ Impact"]),
            (["Enter"], ["confirms it"]),
            (["l"], ["log: all hosts", "="]),
            (["Escape"], ["confirms it"]),
            (["Enter"], [r"of \d ok"]),
        ):
            screen.press(*keys)
            shown.append(screen.until(*words))
        screen.press("q")
        screen.until("ended with 0")
    return shown


def test_no_secret_is_left_or_shown_anywhere(cluster: Cluster, tmp_path: Path) -> None:
    for key, value in SECRETS.items():
        cluster.put(key, value)
    plan = tmp_path / "plan.json"
    chosen = answers(tmp_path, "preseed:\n  hosts: [deis-2]\n  extra_images: []\n")
    said = []
    with ArgumentWatch() as watch:
        for words in (
            ["check"],
            ["check", "--json"],
            ["plan", "preseed", "registration", "--json"],
            ["plan", "registration", "-o", str(plan)],
            ["apply", "preseed", "registration", "-a", chosen, "--yes"],
            ["undo", "last", "--yes"],
        ):
            said.append(deiswizard(*words, *cluster.flags()))
        shown = walked_through(cluster)
        for words in (["show", "last"], ["replay", "last", "--speed", "0", "--json"]):
            said.append(deiswizard(*words))
    assert [one.code for one in said] == [2, 2, 0, 0, 0, 0, 0, 0], said
    files = [
        path
        for folder in (state_folder(), config_folder())
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert (
        any(path.name == "journal.jsonl" for path in files) and len(watch.seen) > 10 < watch.looks
    )
    texts = {
        **{str(path): path.read_bytes() for path in (*files, plan)},
        **{f"output {number}": (one.out + one.err).encode() for number, one in enumerate(said)},
        **{f"screen {number}": text.encode() for number, text in enumerate(shown)},
        **{f"process {number}": text for number, text in enumerate(watch.seen)},
    }
    for where, text in texts.items():
        for key, secret in SECRETS.items():
            assert not any(form in text for form in forms(secret)), f"{key} stands in {where}"
