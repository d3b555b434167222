"""Images for a real registry: a shared base layer and a few of their own, pushed over its API."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import urllib.request
from dataclasses import dataclass

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

    def push(self, repository: str, tag: str, layers: list[Blob]) -> None:
        """Layers, configuration, manifest."""
        config = Blob(
            json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {"Cmd": ["/bin/true"]},
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
