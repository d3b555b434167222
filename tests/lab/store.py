"""The store behind the lab's gateway: a real S3 server, started when a test asks for it."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from deiswizard.demo.s3 import first_buckets
from tests import s3_client
from tests.lab.place import Place
from tests.lab.store_server import GATE
from tests.lab.waiting import answers, await_that

PORT = 8888
CHECKOUT = Path(__file__).parent.parent.parent


class RemoteGate:
    """The server's, as ``deiswizard.demo.gate.Gate`` is in this process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def close(self, after: int = 0) -> None:
        """Let ``after`` more pass."""
        self._ask("POST", str(after).encode())

    def open(self) -> None:
        """All pass, those who wait too."""
        self._ask("DELETE")

    @property
    def is_waited_at(self) -> bool:
        """Somebody waits."""
        return bool(self._ask("GET"))

    def _ask(self, method: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url, body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            said: bytes = answer.read()
            return said


class LabStore:
    """Down until ``start``: the gateway then closes every connection at once."""

    def __init__(self, place: Place) -> None:
        self._network = place.network
        self._log = place.folder / "store.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"{place.network.store}:{PORT}"
        self.gate = RemoteGate(f"http://{self.address}{GATE}")

    def prepare(self) -> None:
        """Its place in the network: while it is down, connections are refused."""
        self._network.plug_in("store", self._network.store)

    def start(self) -> None:
        """Up, and with the buckets of the pretend cluster in it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self._network.space('store')}",
                 sys.executable, "-m", "tests.lab.store_server", self._network.store, str(PORT)],
                stdout=log, stderr=log, cwd=CHECKOUT,
            )  # fmt: skip
        await_that(lambda: answers(self.gate.url), "the store")
        for bucket, objects in first_buckets().items():
            self.client.create_bucket(Bucket=bucket)
            for key, body in objects.items():
                self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def stop(self) -> None:
        """Down, with all that was in it."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    @property
    def client(self) -> Any:
        """Who may do anything there."""
        return s3_client.owner(self.address)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What a bucket holds."""
        return s3_client.objects(self.client, bucket)

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=bucket, Key=key)
