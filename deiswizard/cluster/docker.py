"""A host's Docker engine behind one adapter.

docker-py refuses the engines of Deis's time and, in its friendly calls, swallows errors that come
inside the stream of a pull; the low-level client with a lowered minimum does neither.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

import docker.api.client
import docker.errors
import requests
import urllib3

from deiswizard.cluster.access import LayerReport
from deiswizard.cluster.http_channels import BASE_URL, ChannelAdapter, OpenChannel
from deiswizard.cluster.image_names import split_tag
from deiswizard.cluster.snapshot import Image
from deiswizard.errors import CancelledError, LinkError, PullError, ServiceError, WizardError

OLDEST_API = "1.18"
NEWEST_API = "1.41"
TIMEOUT = 30
PULL_SILENCE = 300.0
"""Longest time that a pull may say nothing: an engine extracts a large layer without a word."""

CAUSES: tuple[tuple[str, str, str, bool], ...] = (
    (
        r"no space left on device",
        "there is no room left for the image",
        "free space on Docker's disk of that host, then try again",
        False,
    ),
    (
        r"toomanyrequests|too many requests|\b429\b",
        "the registry asks to slow down (too many requests)",
        "wait, pull on fewer hosts at a time, or log in to the registry",
        True,
    ),
    (
        r"unauthorized|authentication required|access.*denied|\b401\b|\b403\b",
        "the registry does not let the engine in",
        "check the name; a private image needs a login on that host",
        False,
    ),
    (
        r"not found|manifest unknown|manifest for .* not|no such image|does not exist|\b404\b",
        "the registry has no such image",
        "check the image's name and tag",
        False,
    ),
    (
        r"x509|certificate|tls:|server gave HTTP response to HTTPS client",
        "the registry's TLS certificate was not accepted",
        "check the clock and the certificates of that host, or its --insecure-registry",
        False,
    ),
    (
        r"no such host|lookup .* on|server misbehaving",
        "the registry's name cannot be resolved on that host",
        "check the name of the registry and DNS on that host",
        False,
    ),
    (
        r"connect to the docker daemon|error during connect|context canceled",
        "the engine of that host does not answer, or was restarted during the pull",
        "see that docker runs on that host (systemctl status docker), then try again",
        True,
    ),
    (
        r"timeout|timed out|connection reset|connection refused|unexpected eof|"
        r"internal server error|\b50[0-9]\b|bad gateway|unavailable|net/http",
        "the registry did not answer, or the pull was cut off",
        "see whether docker runs on that host and reaches the registry, then try again",
        True,
    ),
)


def classify(image: str, said: str) -> tuple[PullError, bool]:
    """The daemon's words as an error, and whether trying again may help."""
    for pattern, cause, do, is_transient in CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return PullError(f"{image}: {cause}", said=said, do=do), is_transient
    return PullError(f"{image} could not be pulled", said=said, do="read the engine's words"), False


def parse_images(listing: Iterable[dict[str, Any]]) -> tuple[Image, ...]:
    """The answer of ``/images/json``. Untagged layers have no tags."""
    return tuple(
        Image(
            id=str(item.get("Id", "")),
            tags=tuple(t for t in item.get("RepoTags") or () if t != "<none>:<none>"),
            size=int(item.get("VirtualSize") or item.get("Size") or 0),
        )
        for item in listing
    )


def layer_report(line: dict[str, Any]) -> LayerReport | None:
    """A line of a pull's stream, None when it is not about a layer.

    ``Pulling from`` carries the tag as its id, so a layer's id must be hexadecimal.
    """
    layer, state = str(line.get("id") or ""), str(line.get("status") or "")
    if not re.fullmatch(r"[0-9a-f]{8,64}", layer) or not state or state.startswith("Pulling from"):
        return None
    detail = line.get("progressDetail") or {}
    return LayerReport(layer, state, detail.get("current"), detail.get("total"))


class DockerAdapter:
    """One engine, reached by ``open_channel``. Implements ``access.DockerAccess``."""

    def __init__(self, open_channel: OpenChannel, host: str = "") -> None:
        self._host = host
        self._open_channel = open_channel
        self._lock = threading.Lock()
        self._client: Any = None

    def _engine(self) -> Any:
        with self._lock:
            if self._client is None:
                setattr(docker.api.client, "MINIMUM_DOCKER_API_VERSION", OLDEST_API)  # noqa: B010
                client: Any = docker.api.client.APIClient(
                    base_url=BASE_URL.replace("http://", "tcp://"),
                    version=OLDEST_API,
                    timeout=TIMEOUT,
                )
                client.mount("http://", ChannelAdapter(self._open_channel))
                newest = str(self._asked(lambda: client.version(api_version=False)["ApiVersion"]))
                client._version = min(newest, NEWEST_API, key=_numbers)
                self._client = client
            return self._client

    def close(self) -> None:
        """Give the channels back."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _asked(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except WizardError:
            raise
        except docker.errors.NotFound:
            raise
        except docker.errors.APIError as error:
            raise ServiceError(
                f"the Docker engine on {self._host} refused", said=str(error.explanation or error)
            ) from error
        except (
            docker.errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,  # a stream that breaks in the middle
            OSError,
            EOFError,
        ) as error:
            raise ServiceError(
                f"the Docker engine on {self._host} did not answer",
                said=type(error).__name__,
                do=f"look at docker.service on {self._host}",
            ) from error

    def versions(self) -> tuple[str, str]:
        """The engine's version and the newest API it speaks. Raises ServiceError."""
        engine = self._engine()
        said = self._asked(lambda: engine.version(api_version=False))
        return str(said.get("Version", "")), str(said.get("ApiVersion", ""))

    def images(self) -> tuple[Image, ...]:
        """As ``access.DockerAccess.images``."""
        engine = self._engine()
        return parse_images(self._asked(engine.images))

    def inspect(self, name: str) -> Image | None:
        """As ``access.DockerAccess.inspect``."""
        engine = self._engine()
        try:
            found = self._asked(lambda: engine.inspect_image(name))
        except docker.errors.NotFound:
            return None
        return parse_images([found])[0]

    def pull(
        self,
        name: str,
        on_layer: Callable[[LayerReport], None],
        cancel: threading.Event | None = None,
    ) -> None:
        """As ``access.DockerAccess.pull``."""
        engine = self._engine()
        repository, tag = split_tag(name)
        try:
            response = engine._post(
                engine._url("/images/create"),
                params={"fromImage": repository, "tag": tag},
                stream=True,
                timeout=PULL_SILENCE,
            )
            engine._raise_for_status(response)
            for line in engine._stream_helper(response, decode=True):
                if cancel is not None and cancel.is_set():
                    response.close()
                    raise CancelledError(
                        f"stopped waiting for {name}", state="the engine may go on pulling"
                    )
                if "error" in line:
                    raise classify(name, str(line["error"]))[0]
                if (report := layer_report(line)) is not None:
                    on_layer(report)
        except WizardError:
            raise
        except docker.errors.APIError as error:
            raise classify(name, str(error.explanation or error))[0] from error
        except (
            docker.errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,  # a stream that breaks in the middle
            OSError,
            EOFError,
        ) as error:
            raise LinkError(
                self._host,
                f"the connection to the Docker engine on {self._host} broke during the pull of {name}",
                said=type(error).__name__,
                state="the engine keeps the layers that are complete",
                do="try again: complete layers are not fetched twice",
            ) from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
