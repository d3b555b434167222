"""Real etcd on five hosts: five members become three and two proxies and five again, under writes."""

from __future__ import annotations

import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.checks import answers, assert_status, await_status
from tests.flows.clusters import direct
from tests.flows.commands import deiswizard
from tests.lab.lab import Lab
from tests.lab.waiting import await_that

WRITTEN = "/deis/etcd-lab"
PROXY = "/v2/config/local/proxy"
THREE = ("deis-1", "deis-2", "deis-3")


class Writer:
    """Writes one key after the other through one host's own port 4001, and remembers what etcd said."""

    def __init__(self, host: str, address: str) -> None:
        self.host = host
        self.acknowledged: dict[str, str] = {}
        self.refused = 0
        self._url = f"http://{address}:4001/v2/keys{WRITTEN}/{host}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        number = 0
        while not self._ended.wait(0.05):
            number += 1
            key, value = f"{number:06d}", f"{self.host} {number}"
            data = urllib.parse.urlencode({"value": value}).encode()
            request = urllib.request.Request(f"{self._url}/{key}", data, method="PUT")
            try:
                with urllib.request.urlopen(request, timeout=10) as said:
                    if said.status in (200, 201):
                        self.acknowledged[key] = value
            except (OSError, urllib.error.HTTPError):
                self.refused += 1

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@contextmanager
def writers(lab: Lab) -> Iterator[list[Writer]]:
    made = [Writer(host.name, host.address) for host in lab.hosts]
    try:
        yield made
    finally:
        for writer in made:
            writer.end()


def proxies(lab: Lab) -> set[str]:
    """By what each host itself says of its etcd."""
    found = set()
    for host in lab.hosts:
        said = host.run(
            "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:2379{PROXY}"
        )
        found |= {host.name} if said.stdout == "200" else set()
    return found


@pytest.fixture
def five(lab_of_five: Lab) -> Iterator[Lab]:
    yield lab_of_five


def test_five_become_three_and_five_again_and_no_acknowledged_write_is_lost(
    five: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    real = direct(five)
    assert_status(real, "etcd", "to do")
    chosen = answers(tmp_path, "etcd:\n  members: [deis-1, deis-2, deis-3]\n")
    with writers(five) as all_of_them:
        done = deiswizard("apply", "etcd", "-a", chosen, "--yes", *real.flags())
        assert done.code == 0, done.err
        assert proxies(five) == {"deis-4", "deis-5"}
        before = {writer.host: len(writer.acknowledged) for writer in all_of_them}
        await_that(
            lambda: all(len(w.acknowledged) > before[w.host] for w in all_of_them),
            "every host writes through its own port",
        )
        await_status(real, "etcd", "ok")
        for name in ("deis-5", "deis-1"):  # one at a time: two would be the quorum of three
            five.host(name).power_off()
            five.host(name).power_on()
        assert proxies(five) == {"deis-4", "deis-5"}, "it survives a reboot"
        five.await_platform()
        back = deiswizard("undo", "last", "--yes", *real.flags())
        assert back.code == 0, back.err
        assert proxies(five) == set()
        await_status(real, "etcd", "to do")
    there = five.keys.below(WRITTEN)
    for writer in all_of_them:
        assert len(writer.acknowledged) > 20, f"{writer.host}: {writer.refused} refused"
        lost = {
            key
            for key, value in writer.acknowledged.items()
            if there.get(f"{WRITTEN}/{writer.host}/{key}") != value
        }
        assert not lost, f"{writer.host} lost {len(lost)} of {len(writer.acknowledged)}"
