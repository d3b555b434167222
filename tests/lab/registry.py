"""The lab's registry: what the hosts know as Docker Hub, and as a private one at its address."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deiswizard.cluster.probe_script import COMPONENTS
from tests.lab import root
from tests.lab.images import MEBIBYTE, Pusher, layer, shell_layer
from tests.lab.place import Place
from tests.lab.waiting import answers, await_that

CHECKOUT = Path(__file__).parent.parent.parent
HUB = "registry-1.docker.io"


class LabRegistry:
    """A real registry, and before it a small proxy that can be told to misbehave."""

    def __init__(self, place: Place) -> None:
        self.folder = place.folder / "registry"
        self._network = place.network
        self.address = place.network.registry
        self._processes: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Its place in the network, its files, and a certificate that only the lab's hosts trust."""
        self._network.plug_in("registry", self.address)
        self.folder.mkdir()
        settings = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "content")},
                "delete": {"enabled": True},
            },
            "http": {"addr": "127.0.0.1:5000"},
        }
        (self.folder / "settings.yml").write_text(json.dumps(settings))
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "30", "-subj", f"/CN={HUB}", "-addext", f"subjectAltName=DNS:{HUB}",
             "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        (self.folder / "tls.pem").write_text(key.read_text() + certificate.read_text())

    @property
    def authority(self) -> str:
        """The certificate that the hosts trust."""
        return (self.folder / "certificate.pem").read_text()

    def start(self) -> None:
        """Up; as one that does what it should. Nothing is changed where it is up already."""
        self.behave()
        if self._processes:
            return
        commands: tuple[list[str | Path], ...] = (
            ["docker-registry", "serve", self.folder / "settings.yml"],
            [sys.executable, "-m", "tests.lab.registry_proxy", self.address, self.folder],
        )
        for words in commands:
            with (self.folder / "log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        ["setpriv", "--pdeathsig", "KILL",
                         "nsenter", f"--net={self._network.space('registry')}", *words],
                        stdout=log, stderr=log, cwd=CHECKOUT,
                    )
                )  # fmt: skip
        await_that(lambda: answers(f"http://{self.address}/v2/"), "the registry")

    def stop(self) -> None:
        """Down: connections are refused."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    def refuse(self, status: int) -> None:
        """Answer this HTTP status (429 or 500) to whoever asks for a manifest or a layer."""
        self._set_mood(status=status)

    def delay(self, seconds: float) -> None:
        """Wait so long before every manifest and every layer."""
        self._set_mood(delay=seconds)

    def limit(self, megabits: int | None) -> None:
        """How fast it can send; None: as fast as it goes."""
        self._network.set_bandwidth("registry", megabits)

    def behave(self) -> None:
        """No limit, no delay, no refusal."""
        self.limit(None)
        (self.folder / "mood.json").unlink(missing_ok=True)

    def _set_mood(self, status: int = 0, delay: float = 0.0) -> None:
        new = self.folder / "mood.new"
        new.write_text(json.dumps({"status": status, "delay": delay}))
        new.replace(self.folder / "mood.json")

    @property
    def pids(self) -> set[int]:
        """Its processes."""
        return {process.pid for process in self._processes}

    def fill(self, release: str) -> None:
        """Every component of Deis, a few layers each, and what the data containers use."""
        pusher = Pusher(self.address)
        base = layer("base", 6 * MEBIBYTE)
        names = [f"deis/{name}:{release}" for name in (*COMPONENTS, "store-admin")]
        for name in (*names, "library/alpine:3.2"):
            repository, _, tag = name.partition(":")
            own = [layer(f"{name}:{number}", number * MEBIBYTE) for number in (1, 2)]
            if repository == "deis/logspout":
                own.append(shell_layer(root.path()))  # as the real one, which is made from alpine
            pusher.push(repository, tag, [base, *own])
