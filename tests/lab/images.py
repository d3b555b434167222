"""Images for a real registry: a shared base layer and a few of their own, pushed over its API."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import re
import subprocess
import tarfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Blob:
    """Content by its digest; for a layer also the digest of what it unpacks to."""

    data: bytes
    unpacked: str = ""

    @property
    def digest(self) -> str:
        """``sha256:...`` of the content."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"


def layer(name: str, size: int) -> Blob:
    """One file of ``size`` bytes that no compression shrinks; the same for the same name."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        member = tarfile.TarInfo(f"layers/{name}")
        member.size = size
        tar.addfile(member, io.BytesIO(random.Random(name).randbytes(size)))
    unpacked = f"sha256:{hashlib.sha256(raw.getvalue()).hexdigest()}"
    return Blob(gzip.compress(raw.getvalue(), 1, mtime=0), unpacked)


def shell_layer(root: Path) -> Blob:
    """``/bin/sh`` and ``sleep`` of the hosts' own root, and the libraries that they need."""
    programs = {"bin/sh": "usr/bin/dash", "bin/sleep": "usr/bin/sleep"}
    said = subprocess.run(
        ["ldd", *(root / path for path in programs.values())], capture_output=True, text=True
    )
    libraries = {path.lstrip("/") for path in re.findall(r"(/\S+) \(0x", said.stdout)}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, source in {**programs, **{path: path for path in libraries}}.items():
            data = _inside(root, source).read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    unpacked = f"sha256:{hashlib.sha256(raw.getvalue()).hexdigest()}"
    return Blob(gzip.compress(raw.getvalue(), 1, mtime=0), unpacked)


def _inside(root: Path, path: str) -> Path:
    """The file of that path as a process with that root sees it."""
    place = root / path
    while place.is_symlink():
        target = place.readlink()
        place = root / str(target).lstrip("/") if target.is_absolute() else place.parent / target
    return place


class Pusher:
    """Pushes to the registry at ``http://ADDRESS``."""

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}/v2"

    def _ask(self, method: str, url: str, data: bytes | None = None, kind: str = "") -> str:
        request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.headers.get("Location", ""))

    def _upload(self, repository: str, blob: Blob) -> None:
        where = self._ask("POST", f"{self.url}/{repository}/blobs/uploads/", b"")
        joined = "&" if "?" in where else "?"
        kind = "application/octet-stream"
        self._ask("PUT", f"{where}{joined}digest={blob.digest}", blob.data, kind)

    def push(
        self,
        repository: str,
        tag: str,
        layers: list[Blob],
        command: Sequence[str] = ("/bin/true",),
    ) -> None:
        """Layers, configuration, manifest. ``command`` is what a container of it runs."""
        config = Blob(
            json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {"Cmd": [*command]},
                    "rootfs": {"type": "layers", "diff_ids": [blob.unpacked for blob in layers]},
                }
            ).encode()
        )
        for blob in (*layers, config):
            self._upload(repository, blob)
        parts = [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": len(blob.data),
                "digest": blob.digest,
            }
            for blob in layers
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config.data),
                "digest": config.digest,
            },
            "layers": parts,
        }
        self._ask(
            "PUT",
            f"{self.url}/{repository}/manifests/{tag}",
            json.dumps(manifest).encode(),
            MANIFEST,
        )
