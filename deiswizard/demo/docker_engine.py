"""A pretend Docker engine: a local store, layered pulls that take time, a disk that fills."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deiswizard.cluster.image_names import normalised, split_tag

BANDWIDTH = 25_000_000
"""Bytes a second that one host fetches at speed 1."""

EXTRACT_RATE = 120_000_000
TICK = 0.1
SIDE_BY_SIDE = 3
"""Layers that an engine fetches at the same time."""

SIZES = {
    "builder": 210_000_000,
    "controller": 150_000_000,
    "database": 228_000_000,
    "logger": 21_000_000,
    "logspout": 16_000_000,
    "publisher": 14_000_000,
    "registry": 160_000_000,
    "router": 58_000_000,
    "store-daemon": 140_000_000,
    "store-gateway": 142_000_000,
    "store-metadata": 139_000_000,
    "store-monitor": 141_000_000,
    "store-admin": 139_000_000,
    "alpine": 5_300_000,
    "cadvisor": 48_000_000,
    "dd-agent": 180_000_000,
    "nrsysmond": 62_000_000,
    "sematext-agent-docker": 95_000_000,
}
AGENTS = ("cadvisor", "dd-agent", "nrsysmond", "sematext-agent-docker")
RETIRED = ("google/cadvisor", "datadog/docker-dd-agent")
"""No registry has these any more."""

BASE = ("a3ed95caeb02", 32)
ALPINE = ("3f2a91c0b7de", 2_300_000)


@dataclass(frozen=True)
class Layer:
    """A layer: the first twelve hexadecimal digits of its digest, and its bytes."""

    id: str
    size: int


def is_known(name: str) -> bool:
    """Whether the pretend registry has an image: Deis's components, alpine, and agents."""
    repository = split_tag(normalised(name))[0]
    short = repository.rpartition("/")[2]
    if short in AGENTS:
        return repository.removeprefix("docker.io/") not in RETIRED
    return short in SIZES and ("deis/" in f"{repository}/" or short == "alpine")


def layers_of(name: str) -> tuple[Layer, ...]:
    """The layers of an image: a shared base, then its own; always the same for a name."""
    repository, tag = split_tag(normalised(name))
    short = repository.rpartition("/")[2]
    chance = random.Random(f"{short}:{tag}")
    left = max(0, SIZES.get(short, 50_000_000) - ALPINE[1])
    own = []
    for number in range(1 if short == "alpine" else chance.randint(4, 10)):
        size = int(left * chance.uniform(0.15, 0.5)) if number else left // 4
        left -= size
        digest = hashlib.sha256(f"{short}:{tag}:{number}".encode()).hexdigest()
        own.append(Layer(digest[:12], max(size, 200)))
    return (Layer(*ALPINE), *own, Layer(*BASE))


class Transfer:
    """A pull that is going on. Whoever asks for the same image joins it; it is given up when nobody
    listens any more, as the real engine does.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: list[dict[str, Any]] = []
        self._listeners = 1
        self._is_over = False

    def join(self) -> bool:
        """Listen too; False when it is over, so that a new one is needed."""
        with self._changed:
            if self._is_over or not self._listeners:
                return False
            self._listeners += 1
            return True

    def is_given_up(self) -> bool:
        """Nobody listens any more."""
        return self._listeners == 0

    def feed(self, lines: Iterator[dict[str, Any]]) -> None:
        """Pass lines on until there are no more."""
        for line in lines:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _after(self, number: int) -> tuple[list[dict[str, Any]], bool]:
        """The lines after the first ``number``, waited for, and whether they are the last."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) > number or self._is_over, TICK)
            return self._lines[number:], self._is_over

    def lines(self, is_gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Every line, also those from before the listener joined."""
        number = 0
        try:
            while not is_gone():
                new, is_over = self._after(number)
                number += len(new)
                yield from new
                if is_over:
                    return
        finally:
            with self._changed:
                self._listeners -= 1


class DockerEngine:
    """One host's engine. ``free`` is the room left on its disk, in bytes; ``speed`` times life."""

    def __init__(self, free: int, size: int, speed: float, api: str = "1.24") -> None:
        self.api = api
        self.size = size
        self.free = free
        self.speed = speed
        self.registry_answers = True
        self._lock = threading.Lock()
        self._images: dict[str, tuple[Layer, ...]] = {}
        self._pulls = 0
        self._transfers: dict[str, Transfer] = {}

    def add(self, name: str) -> None:
        """Have an image without fetching it."""
        with self._lock:
            self._images[normalised(name)] = layers_of(name)

    def remove(self, name: str) -> bool:
        """Untag an image; whether it was there."""
        with self._lock:
            return self._images.pop(normalised(name), None) is not None

    def has(self, name: str) -> bool:
        """Whether the image is in the store."""
        return normalised(name) in self._images

    def images(self) -> list[dict[str, Any]]:
        """As ``/images/json`` answers."""
        with self._lock:
            return [self._shown(name) for name in sorted(self._images)]

    def _shown(self, name: str) -> dict[str, Any]:
        size = sum(layer.size for layer in self._images[name])
        return {
            "Id": f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
            "ParentId": "",
            "RepoTags": [name],
            "RepoDigests": [],
            "Created": 1464739200,
            "Size": size,
            "VirtualSize": size,
            "Labels": {},
        }

    def inspect(self, name: str) -> dict[str, Any] | None:
        """As ``/images/NAME/json`` answers; None when it is not there."""
        with self._lock:
            wanted = normalised(name)
            return self._shown(wanted) if wanted in self._images else None

    def _held(self) -> set[str]:
        return {layer.id for layers in self._images.values() for layer in layers}

    def pull(
        self, name: str, is_gone: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """The lines of a pull, as they come; ended when ``is_gone``."""
        key = normalised(name)
        with self._lock:
            transfer = self._transfers.get(key)
            if transfer is None or not transfer.join():
                transfer = self._transfers[key] = Transfer()
                lines = self._pull(name, transfer.is_given_up)
                threading.Thread(
                    target=transfer.feed, args=(lines,), name=f"pull {key}", daemon=True
                ).start()
        yield from transfer.lines(is_gone)

    def _pull(self, name: str, is_gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Fails inside the stream, as the real engine does."""
        repository, tag = split_tag(normalised(name))
        yield {"status": f"Pulling from {repository.removeprefix('docker.io/')}", "id": tag}
        if not is_known(name) or not self.registry_answers:
            words = f"Error: image {repository}:{tag} not found"
            if not self.registry_answers:
                words = "Get https://registry-1.docker.io/v2/: net/http: TLS handshake timeout"
            yield {"errorDetail": {"message": words}, "error": words}
            return
        layers = layers_of(name)
        with self._lock:
            held = self._held()
            self._pulls += 1
        try:
            wanted = [layer for layer in layers if layer.id not in held]
            for layer in layers:
                state = "Already exists" if layer.id in held else "Pulling fs layer"
                yield {"status": state, "progressDetail": {}, "id": layer.id}
            for line in self._fetch(wanted, is_gone):
                yield line
                if "error" in line:
                    return
            if is_gone():  # an engine gives up when nobody listens any more
                return
        finally:
            with self._lock:
                self._pulls -= 1
        is_new = not self.has(name)
        self.add(name)
        digest = hashlib.sha256(f"manifest {name}".encode()).hexdigest()
        yield {"status": f"Digest: sha256:{digest}"}
        word = "Downloaded newer image for" if is_new else "Image is up to date for"
        yield {"status": f"Status: {word} {name}"}

    def _fetch(self, layers: list[Layer], is_gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        got = {layer.id: 0.0 for layer in layers}
        queue, active = list(layers), list[Layer]()
        while queue or active:
            while queue and len(active) < SIDE_BY_SIDE:
                active.append(queue.pop(0))
            if is_gone():
                return
            time.sleep(TICK / max(1.0, self.speed / 10))
            passed = TICK * (self.speed if self.speed <= 10 else 10)
            share = BANDWIDTH * passed / len(active) / max(1, self._pulls)
            for layer in list(active):
                got[layer.id] = min(layer.size, got[layer.id] + share)
                done = got[layer.id] >= layer.size
                yield _line(
                    layer, "Download complete" if done else "Downloading", int(got[layer.id])
                )
                if done:
                    active.remove(layer)
        for layer in layers:
            if layer.size > self.free:
                path = f"/var/lib/docker/tmp/GetImageBlob{layer.id[:6]}"
                words = f"write {path}: no space left on device"
                yield {"errorDetail": {"message": words}, "error": words}
                return
            yield _line(layer, "Extracting", layer.size)
            time.sleep(layer.size / EXTRACT_RATE / self.speed)
            self.free -= layer.size
            yield _line(layer, "Pull complete", None)


def _line(layer: Layer, state: str, current: int | None) -> dict[str, Any]:
    has_bytes = current is not None and state in ("Downloading", "Extracting")
    detail = {"current": current, "total": layer.size} if has_bytes else {}
    progress = f"{current} B/{layer.size} B" if detail else ""
    return {"status": state, "progressDetail": detail, "progress": progress, "id": layer.id}
